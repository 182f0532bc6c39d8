"""Hazard ratios of the clinical columns, from Cox regressions without a penalty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._errors import NotComputableError, TransformError
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.table_columns import CategoryColumn, Column, Ids, NumberColumn
from survfuse.cohort.transform_tables import TableTransform
from survfuse.survival.estimate import Estimate
from survfuse.survival.hazard_ratios import hazard_ratios

MISSING, MEAN = "(missing)", "(mean)"
SAME = 1e-8
"""Share of its variance that a feature has to itself, below which others determine it."""
DEPENDENT = "not computable: other columns determine it"
WAYS = ("univariable", "multivariable")


@dataclass(frozen=True, eq=False)
class _Parameter:
    """One coefficient: what it is, whom it is of, and its feature.

    Attributes
    ----------
    place : dict
        `column`, `kind`, `level`, `reference`, `step` and `pooled` of a row.
    having : array of bool, (patients,)
        Who has the level, or a known number.
    feature : array, (patients,), or None
        None of a reference level, whose ratio is 1.
    """

    place: dict[str, Any]
    having: BoolArray
    feature: FloatArray | None


def clinical_hazards(cohort: Cohort) -> dict[str, Any] | None:
    """Fit the clinical columns on the whole cohort, each by itself and all together.

    Columns are read as the clinical model reads them (:class:`TableTransform`): rare levels are
    pooled, a value that is not known counts as the mean patient and, where enough patients lack
    it, has a coefficient of its own, so that nobody who has the table is left out.

    Returns
    -------
    dict or None
        As :class:`survfuse.results.schema.ClinicalHazards`; None without a clinical table.
    """
    data = next(filter(_is_clinical, cohort.modalities.values()), None)
    if not isinstance(data, TableData):
        return None
    assert cohort.outcome is not None
    outcome = cohort.outcome[cohort.outcome["time"].notna()]
    outcome = outcome[outcome.index.isin(data.patients)]
    time, event = outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)
    ids = list(map(str, outcome.index))
    try:
        transform = TableTransform.fit(data, ids, event)
    except TransformError as why:
        return _record([], [], event, cohort, str(why))
    parameters = list(_parameters(transform, data, ids))
    ratios: dict[str, dict[int, Estimate]] = {way: {} for way in WAYS}
    notes: dict[int, str] = {}
    everything = range(len(parameters))
    for column in transform.columns:
        own = [
            place
            for place in everything
            if parameters[place].place["column"] == column.name
        ]
        note = _fit(
            parameters,
            _independent(parameters, own),
            time,
            event,
            ratios["univariable"],
        )
        notes |= dict.fromkeys(own, note)
    fitted = _independent(parameters, everything)
    note = _fit(parameters, fitted, time, event, ratios["multivariable"])
    rows = []
    for place, one in enumerate(parameters):
        n, events = int(one.having.sum()), int((one.having & event).sum())
        row = {"modality": data.name, **one.place, "patients": n, "events": events}
        reasons = {"univariable": notes.get(place, ""), "multivariable": note}
        for way in WAYS:
            row |= _cells(way, one, ratios[way].get(place), reasons[way] or DEPENDENT)
        rows.append(row)
    return _record(rows, fitted, event, cohort, note)


def _is_clinical(data: Any) -> bool:
    return isinstance(data, TableData) and data.kind == "clinical"


def _record(
    rows: list[dict[str, Any]],
    fitted: Sequence[int],
    event: BoolArray,
    cohort: Cohort,
    note: str,
) -> dict[str, Any]:
    return {
        "rows": rows,
        "parameters": len(fitted),
        "patients": len(event),
        "events": int(event.sum()),
        "cohort_patients": len(cohort),
        "note": note,
    }


def _fit(
    parameters: Sequence[_Parameter],
    chosen: Sequence[int],
    time: FloatArray,
    event: BoolArray,
    ratios: dict[int, Estimate],
) -> str:
    """Fit some parameters together, adding their ratios; why not, where that cannot be done."""
    features = [parameters[place].feature for place in chosen]
    if not features:
        return ""
    try:
        estimates = hazard_ratios(np.column_stack(features), time, event)  # type: ignore[arg-type]
    except NotComputableError as why:
        return f"not computable: {why}"
    ratios |= dict(zip(chosen, estimates, strict=True))
    return ""


def _cells(
    way: str,
    parameter: _Parameter,
    estimate: Estimate | None,
    reason: str,
) -> dict[str, Any]:
    """Cells of one fit: the ratio and its interval; 1 of a reference; otherwise the reason."""
    cells: dict[str, Any] = dict.fromkeys((way, f"{way}_low", f"{way}_high"))
    if parameter.feature is None:
        return cells | {way: 1.0, f"{way}_note": "reference"}
    if estimate is None:
        return cells | {f"{way}_note": reason}
    if estimate.value is None:
        return cells | {f"{way}_note": f"not computable: {estimate.note}"}
    values = (estimate.value, estimate.low, estimate.high, estimate.note)
    return dict(zip((*cells, f"{way}_note"), values, strict=True))


def _parameters(
    transform: TableTransform,
    data: TableData,
    ids: Sequence[str],
) -> Iterator[_Parameter]:
    """Parameters of every column, in the order of the table."""
    known_ids: Ids = np.array(ids, dtype=object)
    for column in transform.columns:
        place = {
            "column": column.name,
            "kind": data.columns[column.name].kind,
            **dict.fromkeys(("level", "reference", "step", "pooled")),
        }
        if isinstance(column, CategoryColumn):
            texts = data.texts(column.name, ids)
            block = column.apply(texts, known_ids)[0]
            yield from _of_category(column, place, block, texts.to_numpy(object))
            known = texts.notna().to_numpy(bool)
        else:
            numbers = data.numbers(column.name, ids)
            block, known = column.apply(numbers, known_ids)[0], column.known(numbers)
            yield _of_number(column, place, block[:, 0], numbers, known)
        if _has_blank(column):
            blank = {**place, "level": MISSING, "reference": MEAN}
            yield _Parameter(blank, ~known, block[:, -1])


def _has_blank(column: Column) -> bool:
    return bool(column.blank)


def _of_number(
    column: NumberColumn,
    place: dict[str, Any],
    feature: FloatArray,
    numbers: FloatArray,
    known: BoolArray,
) -> _Parameter:
    """A number per power of ten of a half to five deviations, an ordered category per level."""
    distinct = np.unique(numbers[known])
    step = 1.0
    if column.levels is None:
        step = 10.0 ** math.floor(math.log10(2 * column.sd))
        if len(distinct) == 2:
            step = float(distinct[1] - distinct[0])
            low, high = (f"{value:g}" for value in distinct)
            place = {**place, "level": high, "reference": low}
    return _Parameter({**place, "step": step}, known, feature * column.sd / step)


def _of_category(
    column: CategoryColumn,
    place: dict[str, Any],
    block: FloatArray,
    texts: Ids,
) -> Iterator[_Parameter]:
    """The most frequent level as reference, then every other one against it."""
    levels = [*column.categories, *(["other"] if column.pooled else [])]
    carriers = [texts == level for level in column.categories]
    if column.pooled:
        carriers.append(np.isin(texts, column.rare))
    most = int(np.argmax(column.shares))
    reference = levels[most]
    yield _Parameter({**place, "level": reference}, carriers[most], None)
    for number, level in enumerate(levels):
        if number != most:
            own = {**place, "level": level, "reference": reference}
            if number == len(column.categories):
                own["pooled"] = list(column.rare)
            yield _Parameter(own, carriers[number], block[:, number])


def _independent(
    parameters: Sequence[_Parameter],
    chosen_from: Sequence[int],
) -> list[int]:
    """Those of the places whose features others do not determine; missing cells come last."""
    places = [place for place in chosen_from if parameters[place].feature is not None]
    places.sort(key=lambda place: parameters[place].place["level"] == MISSING)
    basis: list[FloatArray] = []
    chosen = []
    for place in places:
        feature = parameters[place].feature
        assert feature is not None
        rest = feature - feature.mean()
        size = float(rest @ rest)
        for axis in (*basis, *basis):  # twice, against rounding
            rest = rest - (axis @ rest) * axis
        left = float(rest @ rest)
        if left > SAME * size > 0:
            basis.append(rest / math.sqrt(left))
            chosen.append(place)
    return sorted(chosen)
