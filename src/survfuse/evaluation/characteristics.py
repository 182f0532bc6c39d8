"""Table 1: characteristics of a cohort, of all patients and by event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.outliers import codes, fences
from survfuse.readers.cell_text import whole
from survfuse.survival.curves import follow_up_median

GROUPS = ("all", "event", "no event")
MOST_LEVELS = 12
"""Levels of a column that are counted one by one; the least frequent of more are taken together."""
SKEWED = 1.0
"""Skewness from which a number is summed up by its median rather than its mean."""
FEWEST = 20
"""Patients below which nobody can say whether a number is skewed."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Groups:
    """Patients with an outcome, and which of them are in each group.

    Attributes
    ----------
    ids : index, (patients,)
    members : mapping of group to array of bool, (patients,)
    """

    ids: pd.Index
    members: Mapping[str, BoolArray]

    def counts(
        self,
        place: Mapping[str, Any],
        having: BoolArray,
        among: BoolArray,
    ) -> Iterator[dict[str, Any]]:
        """A row per group: how many have something, and their share of those it is known of."""
        for group, members in self.members.items():
            n, known = int((having & members).sum()), int((among & members).sum())
            row = {**place, "group": group, "patients": int(members.sum()), "n": n}
            yield {**row, "share": n / known if known else None}

    def numbers(
        self,
        place: Mapping[str, Any],
        values: FloatArray,
    ) -> Iterator[dict[str, Any]]:
        """A row per group: mean, standard deviation and quartiles of the known values."""
        for group, members in self.members.items():
            known = values[members & ~np.isnan(values)]
            row = {
                **place,
                "group": group,
                "patients": int(members.sum()),
                "n": len(known),
            }
            if len(known):
                low, median, high = np.quantile(known, [0.25, 0.5, 0.75]).tolist()
                row |= {"mean": float(known.mean()), "median": median}
                row |= {"low_quartile": low, "high_quartile": high}
            if len(known) > 1:
                row["sd"] = float(known.std(ddof=1))
            yield row


def characteristics(cohort: Cohort) -> Rows:
    """Describe the patients of a cohort whose outcome is known.

    No p-values: groups are not compared (STROBE 2007, item 14; TRIPOD+AI 2024, item 20).

    Returns
    -------
    list of dict
        Rows of :class:`survfuse.results.schema.CharacteristicRow`: observed time and follow-up,
        every used column of clinical tables, who has which modality, and groups such as sites.
    """
    assert cohort.outcome is not None
    outcome = cohort.outcome[cohort.outcome["time"].notna()]
    event = outcome["event"].to_numpy(bool)
    members = dict(zip(GROUPS, (np.ones(len(event), bool), event, ~event), strict=True))
    groups = _Groups(pd.Index(outcome.index, dtype=object), members)
    rows = _of_times(groups, outcome["time"].to_numpy(float), event)
    clinical: set[str] = set()
    for data in cohort.modalities.values():
        if isinstance(data, TableData) and data.kind == "clinical":
            clinical.update(data.inputs())
            for column in data.inputs():
                rows += _of_column(groups, data, column)
    everyone = groups.members["all"]
    for name, data in cohort.modalities.items():
        has = groups.ids.isin(data.patients)
        rows += groups.counts({"modality": name, "kind": "modality"}, has, everyone)
    for name in cohort.groups.columns:
        if name not in clinical:
            cells = (
                cohort.groups[name].reindex(groups.ids).map(lambda name: name or None)
            )
            place = {"column": str(name), "kind": "group"}
            rows += _of_levels(groups, place, cells, [])
    return rows


def _of_times(
    groups: _Groups,
    time: FloatArray,
    event: BoolArray,
) -> Rows:
    """Observed time of each group, and the median follow-up of all."""
    rows = list(groups.numbers({"kind": "time", "summary": "median"}, time))
    row = {"kind": "follow-up", "summary": "median", "group": "all"}
    if len(time):
        median = follow_up_median(time, event)
        rows.append({**row, "patients": len(time), "n": len(time), "median": median})
    return rows


def _of_column(
    groups: _Groups,
    data: TableData,
    column: str,
) -> Rows:
    """Rows of one column: of a number, or of each level; then those whose value is not known."""
    spec, place = data.columns[column], {"modality": data.name, "column": column}
    place["kind"] = spec.kind
    has = [patient for patient in groups.ids if patient in data.frame.index]
    cells = data.texts(column, has).reindex(groups.ids)
    if spec.kind != "numeric":
        order = spec.levels or tuple(spec.labels)
        return _of_levels(groups, place, cells.map(whole, na_action="ignore"), order)
    values = pd.Series(data.numbers(column, has), has, dtype=float)
    numbers = _plausible(values.reindex(groups.ids).to_numpy(float))
    known = numbers[~np.isnan(numbers)]
    distinct = [f"{value:g}" for value in np.unique(known)]
    labelled = set(map(whole, spec.labels))
    if 0 < len(distinct) <= 2 or (distinct and labelled.issuperset(distinct)):
        texts = pd.Series([None if np.isnan(one) else f"{one:g}" for one in numbers])
        return _of_levels(groups, place, texts.set_axis(groups.ids), distinct)
    place["summary"] = "median" if _is_skewed(known) else "mean"
    return [
        *groups.numbers(place, numbers),
        *_missing(groups, place, np.isnan(numbers)),
    ]


def _plausible(values: FloatArray) -> FloatArray:
    """The numbers without codes and values far from all others, as models read them."""
    known = values[~np.isnan(values)]
    if not len(known):
        return values
    least, most = fences(known)
    coded = np.unique(known[codes(known)])
    wrong = (values < least) | (values > most) | np.isin(values, coded)
    return np.where(wrong, np.nan, values)


def _is_skewed(known: FloatArray) -> bool:
    if len(known) < FEWEST:
        return True
    return bool(abs(stats.skew(known)) >= SKEWED)


def _of_levels(
    groups: _Groups,
    place: Mapping[str, Any],
    cells: pd.Series[str],
    order: Any,
) -> Rows:
    """Rows of each level: those of `order` first and in it, then numbers, or the most frequent."""
    counts = cells.value_counts(sort=True)
    first = [whole(one) for one in order if whole(one) in counts.index]
    levels = list(dict.fromkeys([*first, *_in_order(map(str, counts.index))]))
    listed_levels = levels
    if len(levels) > MOST_LEVELS:
        frequent = set(counts.index[: MOST_LEVELS - 1])
        listed_levels = [level for level in levels if level in frequent]
    known = cells.notna().to_numpy(bool)
    rows: Rows = []
    for level in listed_levels:
        has = (cells == level).to_numpy(bool)
        rows += groups.counts({**place, "level": level}, has, known)
    if len(listed_levels) < len(levels):
        level = f"{len(levels) - len(listed_levels)} other values"
        has = known & ~cells.isin(listed_levels).to_numpy(bool)
        rows += groups.counts({**place, "level": level}, has, known)
    return [*rows, *_missing(groups, place, ~known)]


def _in_order(levels: Iterable[str]) -> list[str]:
    """Levels as they come, or by their size where all are numbers."""
    ordered_levels = list(levels)
    numbers = pd.to_numeric(pd.Series(ordered_levels, dtype=object), errors="coerce")
    if numbers.isna().any():
        return ordered_levels
    return [
        ordered_levels[place]
        for place in np.argsort(numbers.to_numpy(float), kind="stable")
    ]


def _missing(
    groups: _Groups,
    place: Mapping[str, Any],
    missing: BoolArray,
) -> Rows:
    """Rows of those whose value is not known, where there are any; shares of all patients."""
    if not missing.any():
        return []
    everyone = groups.members["all"]
    row = {**place, "level": "", "summary": "missing"}
    return list(groups.counts(row, missing, everyone))
