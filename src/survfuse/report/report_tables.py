"""Compute: every table of the report, each of a fixed schema, from the files of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from survfuse.report import performance, prognosis
from survfuse.report.artefacts import Run
from survfuse.report.names import order

SCHEMA: dict[str, tuple[str, ...]] = {
    "flow": ("step", "patients", "events", "left_out", "note"),
    "modalities": (
        "name",
        "kind",
        "patients",
        "share",
        "features",
        "missing_share",
        "note",
    ),
    "patterns": ("modalities", "patients", "events", "share", "follow_up_median"),
    "problems": ("severity", "where", "patient", "file", "column", "message", "hint"),
    "models": (
        "model",
        "role",
        "metric",
        "value",
        "low",
        "high",
        "se",
        "n",
        "events",
        "note",
    ),
    "folds": ("repeat", "fold", "patients", "events", "follow_up"),
    **prognosis.SCHEMA,
    **performance.SCHEMA,
}
CONCORDANCES = ("uno_c", "harrell_c")
NEGATIONS = {"permuted", "shuffled", "without", "no", "minus", "residual"}


@dataclass(frozen=True)
class Tables:
    """What the page shows, before it is shown.

    Each DataFrame has exactly the columns that `SCHEMA` gives under its name.

    Attributes
    ----------
    performance : mapping of name to DataFrame
        The tables of ``performance.json``; empty ones where the run recorded none.
    baseline : str or None
        The comparator that uses clinical variables alone; None where none ran.
    reasons : mapping of table to str
        Why an empty table is empty.
    log_rank : mapping
        `statistic`, `degrees`, `p_value`; or None in each, and the reason in `note`.
    """

    flow: pd.DataFrame
    modalities: pd.DataFrame
    patterns: pd.DataFrame
    problems: pd.DataFrame
    models: pd.DataFrame
    folds: pd.DataFrame
    risk_groups: pd.DataFrame
    risk_curves: pd.DataFrame
    at_risk: pd.DataFrame
    calibration: pd.DataFrame
    times: pd.DataFrame
    time_bins: pd.DataFrame
    performance: Mapping[str, pd.DataFrame]
    log_rank: Mapping[str, Any]
    baseline: str | None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def frames(self) -> dict[str, pd.DataFrame]:
        """All tables by name."""
        found = ((f.name, getattr(self, f.name)) for f in fields(self))
        own = {name: value for name, value in found if isinstance(value, pd.DataFrame)}
        return {**own, **self.performance}

    def roles(self) -> dict[str, str]:
        """The main model and the clinical baseline, where there is one, and what each is."""
        pairs = zip(self.models["model"], self.models["role"], strict=True)
        return {model: role for model, role in pairs if role != "comparator"}

    def estimate(self, model: str | None, metric: str) -> dict[str, Any] | None:
        """One row of `models`, or None where the run has no such number."""
        rows = self.models[
            (self.models["model"] == model) & (self.models["metric"] == metric)
        ]
        return plain_records(rows)[0] if len(rows) else None


def compute_tables(run: Run) -> Tables:
    """Compute all tables of the report.

    Parameters
    ----------
    run : Run
        The files of a cross-validation run.
    """
    baseline = clinical_only(run)
    drawn = prognosis.compute(run)
    return Tables(
        flow=_flow(run),
        modalities=_modalities(run),
        patterns=_patterns(run),
        problems=_rows("problems", run.cohort.get("problems") or ()),
        models=_models(run, baseline),
        folds=_folds(run),
        performance=performance.tables(run.performance),
        baseline=baseline,
        log_rank=drawn.log_rank,
        reasons=drawn.reasons,
        **drawn.frames,
    )


def clinical_only(run: Run) -> str | None:
    """Find the baseline that uses clinical variables alone.

    ``run.json`` names it under `clinical` (null: there is none). Where it does
    not speak of it, it is the comparator whose name speaks of clinical variables
    and of no other modality; a Cox regression is taken before a network.
    """
    if "clinical" in run.info:
        named = run.info["clinical"]
        return str(named) if named in run.metrics else None
    kinds = [
        (str(m.get("name", "")).lower(), m.get("kind"))
        for m in run.cohort.get("modalities") or ()
    ]
    clinical = {"clinical"} | {name for name, kind in kinds if kind == "clinical"}
    others = {name for name, kind in kinds if kind != "clinical"} | {
        "rna",
        "slide",
        "slides",
        "expression",
    }
    found = []
    for model in run.judged:
        words = set(re.findall(r"[^\W_]+", model.lower()))
        alone = (
            words & clinical and not words & (others | NEGATIONS) and "+" not in model
        )
        if alone and model != run.model:
            found.append((not words & {"cox", "ridge", "coxph"}, len(words), model))
    return min(found)[2] if found else None


def plain_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON-able mappings: NaN becomes None, numpy scalars become Python's."""
    return [
        {str(key): _plain(value) for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _rows(table: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    columns = SCHEMA[table]
    return pd.DataFrame(
        [[row.get(name) for name in columns] for row in rows],
        columns=list(columns),
        dtype=object,
    )


def _flow(run: Run) -> pd.DataFrame:
    frame = _rows("flow", run.cohort.get("flow") or ())
    patients = pd.to_numeric(frame["patients"])
    frame["left_out"] = (patients.shift(1) - patients).astype(object)
    return frame


def _modalities(run: Run) -> pd.DataFrame:
    frame = _rows("modalities", run.cohort.get("modalities") or ())
    frame["share"] = pd.to_numeric(frame["patients"]) / float(run.cohort["patients"])
    return frame


def _patterns(run: Run) -> pd.DataFrame:
    frame = _rows("patterns", run.cohort.get("patterns") or ())
    frame["modalities"] = [
        tuple(str(name) for name in names or ()) for names in frame["modalities"]
    ]
    frame["patients"] = pd.to_numeric(frame["patients"])
    frame["share"] = frame["patients"] / float(run.cohort["patients"])
    return frame.sort_values(
        "patients",
        ascending=False,
        kind="stable",
        ignore_index=True,
    )


def _models(run: Run, baseline: str | None) -> pd.DataFrame:
    first = [name for name in (run.model, baseline) if name is not None]
    rows = [
        {
            "model": model,
            "role": _role(model, run.model, baseline),
            "metric": metric,
            **estimate,
        }
        for model in [*first, *(name for name in run.judged if name not in first)]
        for metric, estimate in sorted(
            run.metrics[model].items(),
            key=lambda item: order(item[0]),
        )
    ]
    frame = _rows("models", rows)
    for name in ("value", "low", "high", "se", "n", "events"):
        frame[name] = pd.to_numeric(frame[name]).astype(float)
    frame["note"] = [str(note or "") for note in frame["note"]]
    return frame


def _role(model: str, main: str, baseline: str | None) -> str:
    return (
        "model"
        if model == main
        else "clinical only"
        if model == baseline
        else "comparator"
    )


def _folds(run: Run) -> pd.DataFrame:
    rows = [
        (
            repeat,
            fold,
            len(group),
            int(group["event"].sum()),
            float(group["time"].max()),
        )
        for (repeat, fold), group in run.predictions.groupby(
            ["repeat", "fold"],
            sort=True,
        )
    ]
    frame = pd.DataFrame(rows, columns=list(SCHEMA["folds"]))
    return frame.astype({"repeat": int, "fold": int})
