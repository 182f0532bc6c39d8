"""The file ``performance.json``: curves, comparisons and safeguards of a run, as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._storage import read_json

ESTIMATE = ("value", "low", "high", "se", "n", "events", "note")
SCHEMA: dict[str, tuple[str, ...]] = {
    "increments": (
        *("modality", "kind", "with", "without", *ESTIMATE, "p", "p_holm"),
        *("isbs", "isbs_low", "isbs_high", "isbs_note"),
    ),
    "comparisons": (
        *("model", "reference", *ESTIMATE, "p", "p_holm"),
        *("isbs", "isbs_low", "isbs_high", "isbs_note"),
    ),
    "time_curves": ("model", "metric", "time", "value", "low", "high"),
    "smooth_calibration": ("model", "horizon", "predicted", "observed", "low", "high"),
    "prediction_bins": ("model", "horizon", "left", "right", "patients"),
    "decision": ("strategy", "horizon", "threshold", "value", "low", "high"),
    "subgroups": (
        *("group", "level", "patients", "events", "model", "metric"),
        *("value", "low", "high", "note"),
    ),
    "availability": (
        *("modalities", "patients", "events", "model", "metric"),
        *("value", "low", "high", "note"),
    ),
    "robustness": ("model", "kind", "what", "nothing_left", "metric", *ESTIMATE),
    "sizes": (
        "model",
        "fits",
        "parameters",
        "effective",
        "events",
        "events_per_effective",
        "note",
    ),
    "optimism": ("score", "metric", *ESTIMATE),
    "seeds": (
        "metric",
        "values",
        "seeds",
        "lost",
        "mean",
        "lowest",
        "highest",
        "sd",
        "note",
    ),
    "permuted_outcome": ("metric", *ESTIMATE),
    "external": ("model", "metric", *ESTIMATE),
}
SCHEMA |= {f"external_{name}": SCHEMA[name] for name in ("availability", "robustness")}
# Table of the page by key of the file.
LISTS = {
    "increment": "increments",
    "comparisons": "comparisons",
    "time_curves": "time_curves",
    "calibration": "smooth_calibration",
    "calibration_histogram": "prediction_bins",
    "decision": "decision",
    "subgroups": "subgroups",
    "availability": "availability",
    "sizes": "sizes",
}
TEXTS = {
    "modality",
    "kind",
    "with",
    "without",
    "model",
    "reference",
    "metric",
    "strategy",
    "group",
    "level",
}
TEXTS |= {"modalities", "what"}
INTACT = "intact"
COMPARED = ("increment", "comparisons")
OPTIONAL = ("low", "high", "note", "se", "n")
HONEST, SELECTED = (
    "epoch chosen on training patients",
    "epoch chosen on the scored patients",
)
NOT_RECORDED = "not recorded by this run"


def read_performance(path: Path) -> dict[str, Any]:
    """Read ``performance.json``; empty where the run wrote none.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    InputError
        When it is not a JSON object of the lists and objects that `LISTS` and
        `SCHEMA` name: tells the key and the row.
    """
    if not path.exists():
        return {}
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(found).__name__}")
    for key in LISTS:
        _require_rows(
            f"{path}: {key}",
            key,
            [] if found.get(key) is None else found[key],
        )
    _require_robustness(f"{path}: robustness", found.get("robustness") or {})
    optimism, permuted = (
        found.get("optimism") or {},
        found.get("permuted_outcome") or {},
    )
    _require(
        f"{path}: optimism",
        optimism,
        ("honest", "selected_on_test") if optimism else (),
    )
    _require(f"{path}: permuted_outcome", permuted, ("uno_c",) if permuted else ())
    for name, holder in (
        ("optimism.honest", optimism),
        ("optimism.selected_on_test", optimism),
    ):
        require_estimate(f"{path}: {name}", holder.get(name.split(".")[-1]))
    require_estimate(f"{path}: permuted_outcome.uno_c", permuted.get("uno_c"))
    _require_seeds(f"{path}: seeds", found.get("seeds") or {})
    _require_external(f"{path}: external", found.get("external") or {})
    return found


def tables(performance: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Make the tables of `SCHEMA` from the file.

    Parameters
    ----------
    performance : mapping
        As :func:`read_performance` returns it.
    """
    rows: dict[str, list[Mapping[str, Any]]] = {
        table: [
            _flat(row) if key in COMPARED else row for row in performance.get(key) or ()
        ]
        for key, table in LISTS.items()
    }
    optimism, permuted = (
        performance.get("optimism") or {},
        performance.get("permuted_outcome") or {},
    )
    metric = optimism.get("metric", "harrell_c")
    rows["optimism"] = [
        {"score": score, "metric": metric, **optimism[key]}
        for score, key in ((HONEST, "honest"), (SELECTED, "selected_on_test"))
        if optimism
    ]
    rows["seeds"] = _seeds(performance.get("seeds") or {})
    rows["permuted_outcome"] = (
        [{"metric": "uno_c", **permuted["uno_c"]}] if permuted.get("uno_c") else []
    )
    outside = performance.get("external") or {}
    scored = outside.get("metrics") or {}
    for prefix, told in (("", performance), ("external_", outside)):
        rows[f"{prefix}availability"] = told.get("availability") or []
        rows[f"{prefix}robustness"] = (told.get("robustness") or {}).get("rows") or []
    rows["external"] = [
        {"model": model, "metric": key, **estimate}
        for model, estimates in scored.items()
        for key, estimate in estimates.items()
    ]
    return {name: _frame(name, rows[name]) for name in SCHEMA}


def under_loss(performance: Mapping[str, Any]) -> set[str]:
    """Names of what is the model itself with something missing, and stands in a table of its own."""
    rows = (performance.get("robustness") or {}).get("rows") or ()
    return {str(row["model"]) for row in rows if row["kind"] != INTACT}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    brier = row.get("delta_isbs") or {}
    return {
        **{key: value for key, value in row.items() if not isinstance(value, Mapping)},
        **(row.get("delta_uno_c") or {}),
        "isbs": brier.get("value"),
        "isbs_low": brier.get("low"),
        "isbs_high": brier.get("high"),
        "isbs_note": brier.get("note") or "",
    }


def _seeds(seeds: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    values = [
        None if value is None else float(value) for value in seeds.get("values") or ()
    ]
    known = [value for value in values if value is not None]
    if not known:
        return []
    told = {
        "mean": math.fsum(known) / len(known),
        "lowest": min(known),
        "highest": max(known),
    }
    kept = {
        "metric": seeds.get("metric", "uno_c"),
        "sd": seeds.get("sd"),
        "note": seeds.get("note") or "",
    }
    return [
        {
            "values": tuple(values),
            "seeds": len(known),
            "lost": len(values) - len(known),
            **told,
            **kept,
        },
    ]


def _frame(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    columns = list(SCHEMA[name])
    frame = pd.DataFrame(
        [[row.get(key) for key in columns] for row in rows],
        columns=columns,
        dtype=object,
    )
    for key in columns:
        if key == "note" or key.endswith("_note"):
            frame[key] = [str(note or "") for note in frame[key]]
        elif key == "modalities":
            frame[key] = [tuple(str(each) for each in names) for names in frame[key]]
        elif key not in TEXTS and key not in ("values", "score"):
            frame[key] = pd.to_numeric(frame[key]).astype(float)
    return frame


def _require_rows(where: str, key: str, rows: Any) -> None:
    if not isinstance(rows, list):
        raise InputError(
            f"{where}: expected a list of objects, got {type(rows).__name__}",
        )
    wanted = {
        "increment": ("modality", "kind", "with", "without", "delta_uno_c"),
        "comparisons": ("model", "reference", "delta_uno_c"),
        "sizes": ("model", "fits", "parameters", "effective", "events_per_effective"),
    }.get(key) or tuple(
        name for name in SCHEMA[LISTS.get(key, key)] if name not in OPTIONAL
    )
    for position, row in enumerate(rows, start=1):
        _require(f"{where}, row {position}", row, wanted)
        for name in ("delta_uno_c", "delta_isbs"):
            require_estimate(f"{where}, row {position}: {name}", row.get(name))
        plain = {
            name: value
            for name, value in row.items()
            if name in SCHEMA[LISTS.get(key, key)]
        }
        _require_numbers(f"{where}, row {position}", plain)
        if not isinstance(row.get("modalities", []), list):
            got = row["modalities"]
            raise InputError(
                f"{where}, row {position}: modalities: expected a list of names, got {got!r}",
            )


def _require_robustness(where: str, told: Any) -> None:
    _require(where, told, ("rows", "left_out") if told else ())
    _require_rows(f"{where}: rows", "robustness", told.get("rows") or [])
    if not isinstance(told.get("left_out") or [], list):
        raise InputError(
            f"{where}: left_out: expected a list of reasons, got {told['left_out']!r}",
        )


def _require(where: str, value: Any, keys: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    absent = [key for key in keys if key not in value]
    if absent:
        raise InputError(
            f"{where}: expected key(s) {listed(absent)}, found {listed(value, 12) or 'none'}",
        )


def require_estimate(where: str, value: Any) -> None:
    """Refuse an estimate without a value, or with anything but numbers and texts."""
    if value is not None:
        _require(where, value, ("value",))
        _require_numbers(where, {key: value.get(key) for key in ESTIMATE})


def _require_numbers(where: str, row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        texts = key in TEXTS or key == "note" or key.endswith("_note")
        if texts and key != "modalities" and isinstance(value, (dict, list)):
            raise InputError(f"{where}: {key}: expected a text or null, got {value!r}")
        if (
            not texts
            and value is not None
            and (isinstance(value, bool) or not isinstance(value, int | float))
        ):
            raise InputError(
                f"{where}: {key}: expected a number or null, got {value!r}",
            )


def _require_seeds(where: str, seeds: Any) -> None:
    _require(where, seeds, ("values",) if seeds else ())
    values = seeds.get("values") or []
    if not isinstance(values, list):
        raise InputError(
            f"{where}: values: expected a list of numbers, got {type(values).__name__}",
        )
    _require_numbers(
        where,
        {f"value {i}": value for i, value in enumerate(values, start=1)},
    )
    _require_numbers(where, {"sd": seeds.get("sd")})


def _require_external(where: str, external: Any) -> None:
    _require(where, external, ("cohort", "metrics") if external else ())
    _require(f"{where}: cohort", external.get("cohort") or {}, ())
    _require_rows(
        f"{where}: availability",
        "availability",
        external.get("availability") or [],
    )
    _require_robustness(f"{where}: robustness", external.get("robustness") or {})
    metrics = external.get("metrics") or {}
    _require(f"{where}: metrics", metrics, ())
    for model, estimates in metrics.items():
        _require(f"{where}: metrics: {model}", estimates, ())
        for key, estimate in estimates.items():
            require_estimate(f"{where}: metrics: {model}: {key}", estimate)
            _require(f"{where}: metrics: {model}: {key}", estimate, ("value",))
