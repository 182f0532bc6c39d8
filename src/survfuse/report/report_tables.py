"""Every table of the report, each of a fixed schema, computed from a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

import pandas as pd

from survfuse.cohort.labels import Labels
from survfuse.report.labelled_tables import labelled_tables
from survfuse.report.names import order
from survfuse.results import (
    Result,
    model_roles,
    prognosis,
    run_tables,
    schema,
    term_weights,
)
from survfuse.results.model_roles import clinical_only
from survfuse.results.plots import decision_horizon
from survfuse.results.run_tables import plain_records
from survfuse.results.schema import Number, frame

TYPES: dict[str, dict[str, Any]] = {
    "flow": {**get_type_hints(schema.FlowStep), "left_out": float},
    "modalities": {**get_type_hints(schema.ModalityRow), "share": Number},
    "patterns": {**get_type_hints(schema.Pattern), "share": Number},
    "problems": get_type_hints(schema.ProblemRow),
    "models": model_roles.TYPES,
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

    @cached_property
    def labels(self) -> Labels:
        """Words of the cohort file."""
        return Labels.read(self.run.cohort.get("labels"))

    @cached_property
    def labelled(self) -> dict[str, pd.DataFrame]:
        """The tables that name modalities or subgroups, with the words of the cohort file."""
        return labelled_tables(self.frames, self.labels)

    def labelled_records(self, name: str) -> list[dict[str, Any]]:
        """Rows of a table of `labelled` as plain values."""
        return plain_records(self.labelled[name])

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
        return decision_horizon(self["decision"], self.run.horizon)


def compute_tables(run: Result) -> Tables:
    """Compute all tables of the report.

    Parameters
    ----------
    run : Result
    """
    baseline = clinical_only(run)
    computed = run.prognosis
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
    frames["models"] = _models(run)
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


def _models(run: Result) -> pd.DataFrame:
    """Metrics of every model, in the order of the page."""
    table = run.tables["models"]
    models = list(dict.fromkeys(table["model"]))
    places = table["model"].map(models.index)
    keys = table["metric"].map(order)
    sorted_rows = sorted(table.index, key=lambda row: (places[row], keys[row]))
    return table.loc[sorted_rows].reset_index(drop=True)


def _folds(predictions: pd.DataFrame) -> pd.DataFrame:
    folds = predictions.astype({"repeat": int, "fold": int}).groupby(["repeat", "fold"])
    return folds.agg(
        patients=("time", "size"),
        events=("event", "sum"),
        follow_up=("time", "max"),
    ).reset_index()
