"""Every table of the report, each of a fixed schema, computed from a result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, get_type_hints

import pandas as pd

from survfuse.report.names import order
from survfuse.results import Result, prognosis, run_tables, schema, term_weights
from survfuse.results.run_tables import plain_records
from survfuse.results.schema import Number, Text, frame

TYPES: dict[str, dict[str, Any]] = {
    "flow": {**get_type_hints(schema.FlowStep), "left_out": float},
    "modalities": {**get_type_hints(schema.ModalityRow), "share": Number},
    "patterns": {**get_type_hints(schema.Pattern), "share": Number},
    "problems": get_type_hints(schema.ProblemRow),
    "models": {
        **dict.fromkeys(("model", "role", "metric"), Text),
        **get_type_hints(schema.EstimateRecord),
    },
    "weights": term_weights.TYPES,
    "terms": term_weights.TERM_TYPES,
}
SCHEMA: dict[str, tuple[str, ...]] = {
    **{name: tuple(types) for name, types in TYPES.items()},
    "folds": ("repeat", "fold", "patients", "events", "follow_up"),
    **prognosis.SCHEMA,
    **run_tables.SCHEMA,
}
CONCORDANCES = ("uno_c", "harrell_c")
NEGATIONS = {"permuted", "shuffled", "without", "no", "minus", "residual"}
OTHER_MODALITIES = {"rna", "slide", "slides", "expression"}


@dataclass(frozen=True)
class Tables:
    """A result and everything that the page shows of it.

    Attributes
    ----------
    run : Result
    frames : mapping of name to DataFrame
        Each has exactly the columns that `SCHEMA` gives under its name.
    baseline : str or None
        The comparator that uses clinical variables alone; None where none ran.
    reasons : mapping of table to str
        Why an empty table is empty.
    log_rank : mapping
        `statistic`, `degrees`, `p_value`; or None in each, and the reason in `note`.
    """

    run: Result
    frames: Mapping[str, pd.DataFrame]
    log_rank: Mapping[str, Any]
    baseline: str | None
    reasons: Mapping[str, str]

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return one table."""
        return self.frames[name]

    @cached_property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of every table as plain values."""
        return {name: plain_records(table) for name, table in self.frames.items()}

    @property
    def roles(self) -> dict[str, str]:
        """Role of the main model and of the clinical baseline, where there is one."""
        roles = dict(zip(self["models"]["model"], self["models"]["role"], strict=True))
        return {model: role for model, role in roles.items() if role != "comparator"}

    def estimate(
        self,
        model: str | None,
        metric: str,
    ) -> dict[str, Any] | None:
        """One row of `models`, or None where the run has no such number."""
        for row in self.records["models"]:
            if (row["model"], row["metric"]) == (model, metric):
                return row
        return None

    @property
    def decision_horizon(self) -> float | None:
        """Horizon of the decision curve: the run's middle one, else the earliest computed."""
        computed = self["decision"]["horizon"].dropna()
        if self.run.horizon in set(computed):
            return self.run.horizon
        return float(computed.min()) if len(computed) else None


def compute_tables(run: Result) -> Tables:
    """Compute all tables of the report.

    Parameters
    ----------
    run : Result
    """
    baseline = clinical_only(run)
    computed = prognosis.compute(run)
    cohort: Mapping[str, Any] = run.cohort
    names = ("flow", "modalities", "patterns", "problems")
    frames = {name: frame(TYPES[name], cohort.get(name)) for name in names}
    patients = pd.to_numeric(frames["flow"]["patients"])
    frames["flow"]["left_out"] = (patients.shift(1) - patients).astype(object)
    for name in ("modalities", "patterns"):
        patients = pd.to_numeric(frames[name]["patients"])
        frames[name] = frames[name].assign(
            patients=patients,
            share=patients / cohort["patients"],
        )
    frames["patterns"] = frames["patterns"].sort_values(
        "patients",
        ascending=False,
        kind="stable",
        ignore_index=True,
    )
    frames["models"] = _models(run, baseline)
    frames["folds"] = _folds(run.predictions)
    weights = run.weights
    if weights is None:
        weights = term_weights.weight_table(())
    frames["weights"] = weights
    frames["terms"] = term_weights.over_fits(weights)
    return Tables(
        run=run,
        frames={**frames, **computed.frames, **run_tables.tables(run.performance)},
        log_rank=computed.log_rank,
        baseline=baseline,
        reasons=computed.reasons,
    )


def clinical_only(run: Result) -> str | None:
    """Find the baseline that uses clinical variables alone.

    ``run.json`` names it under `clinical` (null: there is none). Where it has no such key,
    it is the comparator whose name contains clinical variables and no other modality; a Cox
    regression is taken before a network.
    """
    if "clinical" in run.record:
        named = run.record["clinical"]
        return str(named) if named in run.estimates else None
    clinical, others = {"clinical"}, OTHER_MODALITIES | NEGATIONS
    for row in run.cohort.get("modalities") or ():
        (clinical if row.get("kind") == "clinical" else others).add(row["name"].lower())
    candidates = []
    for model in run.scored_models:
        parts = set(re.findall(r"[^\W_]+", model.lower()))
        alone = parts & clinical and not parts & others and "+" not in model
        if alone and model != run.name:
            candidates.append(
                (not parts & {"cox", "ridge", "coxph"}, len(parts), model),
            )
    return min(candidates)[2] if candidates else None


def _models(
    run: Result,
    baseline: str | None,
) -> pd.DataFrame:
    roles = {run.name: "model", baseline: "clinical only"}
    first = [name for name in roles if name is not None]
    rows = []
    for model in dict.fromkeys([*first, *run.scored_models]):
        estimates = run.estimates[model]
        for metric in sorted(estimates, key=order):
            row = {
                "model": model,
                "role": roles.get(model, "comparator"),
                "metric": metric,
            }
            rows.append({**row, **asdict(estimates[metric])})
    return frame(TYPES["models"], rows)


def _folds(predictions: pd.DataFrame) -> pd.DataFrame:
    folds = predictions.astype({"repeat": int, "fold": int}).groupby(["repeat", "fold"])
    return folds.agg(
        patients=("time", "size"),
        events=("event", "sum"),
        follow_up=("time", "max"),
    ).reset_index()
