"""Made-up characteristics and clinical hazard ratios of a made-up run, as crossval writes them."""

from __future__ import annotations

from typing import Any

LABELS: dict[str, Any] = {
    "clinical": {
        "label": "Clinical variables",
        "columns": {
            "age": {"label": "Age (years)", "values": {}},
            "sex": {"label": None, "values": {"1": "women", "2": "men"}},
        },
    },
    "rna": {"label": "RNA-seq", "columns": {}},
}
MEMBERS = {"all": 150, "event": 61, "no event": 89}
NONE = dict.fromkeys(("mean", "sd", "median", "low_quartile", "high_quartile"))


def characteristics() -> list[dict[str, Any]]:
    """Times, follow-up, two numbers, a category with missing cells, modalities and sites."""
    rows: list[dict[str, Any]] = _numbers({"kind": "time", "summary": "median"}, 30)
    rows.append(
        {"kind": "follow-up", "summary": "median", "group": "all", "median": 41.5}
        | {"patients": 150, "n": 150},
    )
    column = {"modality": "clinical", "kind": "numeric"}
    rows += _numbers({**column, "column": "age", "summary": "mean"}, 64)
    rows += _numbers({**column, "column": "psa", "summary": "median"}, 4)
    sex = {"modality": "clinical", "column": "sex", "kind": "nominal"}
    rows += _counts({**sex, "level": "1"}, 0.4)
    rows += _counts({**sex, "level": "2"}, 0.6)
    rows += _counts({**sex, "level": "", "summary": "missing"}, 0.05)
    for name, share in (("clinical", 1.0), ("rna", 0.62)):
        rows += _counts({"modality": name, "kind": "modality"}, share)
    for level, share in (("north", 0.7), ("south", 0.3)):
        rows += _counts({"column": "site", "kind": "group", "level": level}, share)
    return rows


def clinical_hazards() -> dict[str, Any]:
    """Ratios of a number and of a category, one of which other columns determine."""
    empty: dict[str, Any] = dict.fromkeys(("level", "reference", "step", "pooled"))
    place = {"modality": "clinical", **empty, "patients": 150, "events": 61}
    age = {**place, "column": "age", "kind": "numeric", "step": 10.0}
    sex = {**place, "column": "sex", "kind": "nominal"}
    grade = {**place, "column": "grade", "kind": "ordinal", "step": 1.0}
    rows = [
        {**age, **_ratio("univariable", 1.31), **_ratio("multivariable", 1.28)},
        {**sex, "level": "2", **_reference()},
        {**sex, "level": "1", "reference": "2", "patients": 60, "events": 20}
        | {**_ratio("univariable", 0.74), **_ratio("multivariable", 0.8)},
        {**sex, "level": "other", "reference": "2", "patients": 14, "events": 7}
        | {"pooled": ["3", "4"], **_ratio("univariable", 1.1)}
        | _without("multivariable", "not computable: other columns determine it"),
        {
            **sex,
            "level": "(missing)",
            "reference": "(mean)",
            "patients": 12,
            "events": 5,
        }
        | {**_ratio("univariable", 1.2), **_ratio("multivariable", 1.3)},
        {**grade, **_ratio("univariable", 1.9), **_ratio("multivariable", 1.7)},
    ]
    return {
        "rows": rows,
        "parameters": 4,
        "patients": 150,
        "events": 61,
        "cohort_patients": 150,
        "note": "",
    }


def refused_hazards() -> dict[str, Any]:
    """The same with too few events for a fit of all columns."""
    record = clinical_hazards()
    note = "not computable: 61 events for 16 parameters, fewer than 5 for each"
    for row in record["rows"]:
        if row["univariable_note"] != "reference":
            row |= _without("multivariable", note)
    return {**record, "note": note, "parameters": 16}


def _numbers(place: dict[str, Any], middle: float) -> list[dict[str, Any]]:
    rows = []
    for group, patients in MEMBERS.items():
        row = {**place, "group": group, "patients": patients, "n": patients}
        row |= {"mean": middle + 0.4, "sd": middle / 4, "median": middle}
        rows.append(row | {"low_quartile": middle * 0.8, "high_quartile": middle * 1.3})
    return rows


def _counts(place: dict[str, Any], share: float) -> list[dict[str, Any]]:
    rows = []
    for group, patients in MEMBERS.items():
        row = {**place, "group": group, "patients": patients, "share": share}
        rows.append({**NONE, **row, "n": round(patients * share)})
    return rows


def _ratio(way: str, value: float) -> dict[str, Any]:
    ends = {f"{way}_low": value * 0.8, f"{way}_high": value * 1.25}
    return {way: value, **ends, f"{way}_note": ""}


def _reference() -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for way in ("univariable", "multivariable"):
        cells |= {way: 1.0, f"{way}_low": None, f"{way}_high": None}
        cells[f"{way}_note"] = "reference"
    return cells


def _without(way: str, why: str) -> dict[str, Any]:
    return {way: None, f"{way}_low": None, f"{way}_high": None, f"{way}_note": why}
