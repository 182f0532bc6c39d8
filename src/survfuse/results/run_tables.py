"""The tables of ``performance.json`` as data frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from survfuse.figures.formatting import INTACT
from survfuse.results import schema
from survfuse.results.schema import Number, Performance, Text, frame

CHOSEN_ON_TRAINING = "epoch chosen on training patients"
CHOSEN_ON_TEST = "epoch chosen on the scored patients"
# Table by key of the file, for keys that hold a list of rows.
LISTS = {
    "increment": "increments",
    "comparisons": "comparisons",
    "time_curves": "time_curves",
    "calibration": "smooth_calibration",
    "calibration_histogram": "prediction_bins",
    "decision": "decision",
    "subgroups": "subgroups",
    "availability": "availability",
    "learning_curve": "learning_curve",
    "sizes": "sizes",
    "characteristics": "characteristics",
}
_ESTIMATE = get_type_hints(schema.EstimateRecord)
_ISBS = {"isbs": Number, "isbs_low": Number, "isbs_high": Number, "isbs_note": Text}
_DIFFERENCE = {**_ESTIMATE, "p": Number, "p_holm": Number, **_ISBS}
_SEEDS = dict.fromkeys(("seeds", "lost", "mean", "lowest", "highest", "sd"), Number)
TYPES: dict[str, dict[str, Any]] = {
    "increments": {
        **dict.fromkeys(("modality", "kind", "with", "without"), Text),
        **_DIFFERENCE,
    },
    "comparisons": {"model": Text, "reference": Text, **_DIFFERENCE},
    "time_curves": get_type_hints(schema.TimePoint),
    "smooth_calibration": get_type_hints(schema.CalibrationPoint),
    "prediction_bins": get_type_hints(schema.PredictionBin),
    "decision": get_type_hints(schema.DecisionPoint),
    "subgroups": get_type_hints(schema.SubgroupRow),
    "availability": get_type_hints(schema.AvailabilityRow),
    "robustness": get_type_hints(schema.RobustnessRow),
    "learning_curve": get_type_hints(schema.LearningCurveRow),
    "sizes": get_type_hints(schema.SizeRow),
    "characteristics": get_type_hints(schema.CharacteristicRow),
    "clinical_hazards": get_type_hints(schema.HazardRow),
    "shares": get_type_hints(schema.ShareRow),
    "agreement": get_type_hints(schema.AgreementRow),
    "optimism": {"score": Text, "metric": Text, **_ESTIMATE},
    "seeds": {"metric": Text, "values": tuple, **_SEEDS, "note": Text},
    "permuted_outcome": {"metric": Text, **_ESTIMATE},
    "external": {"model": Text, "metric": Text, **_ESTIMATE},
    "external_characteristics": get_type_hints(schema.CharacteristicRow),
    "external_availability": get_type_hints(schema.AvailabilityRow),
    "external_robustness": get_type_hints(schema.RobustnessRow),
}
SCHEMA = {name: tuple(types) for name, types in TYPES.items()}


def tables(performance: Performance) -> dict[str, pd.DataFrame]:
    """Make the tables of `TYPES`; a table of which the run has nothing is empty.

    Parameters
    ----------
    performance : Performance
        As validated by the schema.
    """
    content: Mapping[str, Any] = performance
    external = content.get("external") or {}
    rows = {table: content.get(key) for key, table in LISTS.items()}
    rows["increments"] = map(_difference, content.get("increment") or ())
    rows["comparisons"] = map(_difference, content.get("comparisons") or ())
    rows["optimism"] = _optimism(content.get("optimism"))
    rows["seeds"] = _seeds(content.get("seeds"))
    rows["permuted_outcome"] = _permuted(content.get("permuted_outcome"))
    explained = content.get("explanations") or {}
    rows |= {name: explained.get(name) for name in ("shares", "agreement")}
    rows["clinical_hazards"] = (content.get("clinical_hazards") or {}).get("rows")
    rows["external_characteristics"] = external.get("characteristics")
    rows["external_availability"] = external.get("availability")
    for prefix, source in (("", content), ("external_", external)):
        rows[f"{prefix}robustness"] = (source.get("robustness") or {}).get("rows")
    rows["external"] = [
        {"model": model, "metric": metric, **estimate}
        for model, estimates in (external.get("metrics") or {}).items()
        for metric, estimate in estimates.items()
    ]
    return {name: frame(types, rows[name]) for name, types in TYPES.items()}


def plain_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as mappings of plain Python values, None where a number is not finite."""
    finite = table.notna() & ~table.isin([np.inf, -np.inf])
    records: Any = table.astype(object).where(finite, None).to_dict("records")
    return list(records)


def names_with_loss(performance: Mapping[str, Any]) -> set[str]:
    """Names in the metrics that are the model itself with some inputs missing."""
    rows = (performance.get("robustness") or {}).get("rows") or ()
    return {str(row["model"]) for row in rows if row["kind"] != INTACT}


def _difference(record: Mapping[str, Any]) -> dict[str, Any]:
    """Row with Uno's C in the columns of an estimate and the Brier score in those of `_ISBS`."""
    brier = record.get("delta_isbs") or {}
    row = {**record, **(record["delta_uno_c"] or {}), "isbs": brier.get("value")}
    return row | {f"isbs_{key}": brier.get(key) for key in ("low", "high", "note")}


def _optimism(record: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not record:
        return []
    metric = record.get("metric", "harrell_c")
    honest = {"score": CHOSEN_ON_TRAINING, "metric": metric, **(record["honest"] or {})}
    chosen = {
        "score": CHOSEN_ON_TEST,
        "metric": metric,
        **(record["selected_on_test"] or {}),
    }
    return [honest, chosen]


def _permuted(record: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return (
        [{"metric": "uno_c", **record["uno_c"]}] if record and record["uno_c"] else []
    )


def _seeds(record: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    values = pd.Series((record or {}).get("values") or (), dtype=float)
    if record is None or values.count() == 0:
        return []
    return [
        {
            "metric": record.get("metric", "uno_c"),
            "values": tuple(values.astype(object).where(values.notna(), None)),
            "seeds": values.count(),
            "lost": values.isna().sum(),
            "mean": values.mean(),
            "lowest": values.min(),
            "highest": values.max(),
            "sd": record.get("sd"),
            "note": record.get("note"),
        },
    ]
