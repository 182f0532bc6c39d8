"""Which of the models of a run is the clinical baseline, and their metrics in one table."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_type_hints

import pandas as pd

from survfuse.results.schema import EstimateRecord, Text, frame

if TYPE_CHECKING:
    from survfuse.results.result import Result

MAIN, CLINICAL, COMPARATOR = "model", "clinical only", "comparator"
TYPES: dict[str, Any] = {
    **dict.fromkeys(("model", "role", "metric"), Text),
    **get_type_hints(EstimateRecord),
}
NEGATIONS = {"permuted", "shuffled", "without", "no", "minus", "residual"}
OTHER_MODALITIES = {"rna", "slide", "slides", "expression"}


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


def main_roles(run: Result) -> dict[str, str]:
    """Role of the main model and of the clinical baseline, where there is one."""
    baseline = clinical_only(run)
    return {run.name: MAIN} | ({baseline: CLINICAL} if baseline else {})


def model_table(run: Result) -> pd.DataFrame:
    """Metrics of every model that is compared: the main model first, then the clinical baseline.

    Returns
    -------
    DataFrame
        `model`, `role` ("model", "clinical only" or "comparator"), `metric` and the fields of an
        estimate.
    """
    roles = main_roles(run)
    rows = []
    for model in dict.fromkeys([*roles, *run.scored_models]):
        place = {"model": model, "role": roles.get(model, COMPARATOR)}
        for metric, estimate in run.estimates[model].items():
            rows.append({**place, "metric": metric, **asdict(estimate)})
    return frame(TYPES, rows)
