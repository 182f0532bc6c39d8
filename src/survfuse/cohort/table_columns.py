"""Columns of a table as the training patients had them: numbers within limits, levels that enough carry."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter

from survfuse._errors import listed
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.carriers import Support
from survfuse.cohort.outliers import COPY_NUMBERS, LARGEST, codes, fences
from survfuse.readers.cell_text import only_difference

OUT_OF_RANGE = "out of range"
Remark = tuple[str, str, str]  # feature, kind, detail
Ids = npt.NDArray[np.object_]


@dataclass(frozen=True)
class NumberColumn:
    """A numeric or ordinal column, as the training patients had it.

    Attributes
    ----------
    name : str
    mean, sd : float
        Of the known training values (of the level index for an ordinal column).
    low, high : float
        Range of the known training values, implausible ones left out (`cohort.limits`).
    constant : bool
        The value is not used; in bundles that older versions wrote.
    indicator : bool
        A 0/1 feature tells missing values: enough training patients had them (`cohort.carriers`).
    levels : tuple of str or None
        Of an ordinal column, lowest first.
    limited : bool
        Values outside `low` to `high` are taken as the nearer of the two; not in bundles that older
        versions wrote.
    least, most : float
        Values beyond count as not known.
    codes : tuple of float
        Values that count as not known.
    """

    name: str
    mean: float
    sd: float
    low: float
    high: float
    constant: bool
    indicator: bool
    levels: tuple[str, ...] | None = None
    limited: bool = False
    least: float = -LARGEST
    most: float = LARGEST
    codes: tuple[float, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the features that hold the value."""
        return () if self.constant else (self.name,)

    @property
    def blank(self) -> tuple[str, ...]:
        """Name of the feature that says that the value is missing, if there is one."""
        return (f"{self.name}=missing",) if self.indicator else ()

    def apply(
        self,
        values: FloatArray,
        ids: Ids,
    ) -> tuple[FloatArray, dict[str, Remark]]:
        """Features (patients, features) of values that are NaN where missing, and remarks by patient."""
        missing = np.isnan(values)
        unknown = missing | self._implausible(values)
        block = []
        remarks: dict[str, Remark] = {}
        if not self.constant:
            within = np.clip(values, self.low, self.high) if self.limited else values
            block.append(np.where(unknown, 0.0, (within - self.mean) / self.sd))
            remarks = self._outside(values, ids)
        if self.indicator:
            block.append(unknown.astype(np.float64))
        else:
            detail = f"missing; training mean {self.mean:g} used"
            remarks |= {
                str(patient): (self.name, "imputed", detail) for patient in ids[missing]
            }
        return np.stack(block, axis=1), remarks

    def _implausible(self, values: FloatArray) -> BoolArray:
        """Which values count as not known; in bundles that older versions wrote none does."""
        if not self.limited:
            return np.zeros(len(values), dtype=bool)
        return _beyond(values, self.least, self.most, self.codes)

    def _outside(self, values: FloatArray, ids: Ids) -> dict[str, Remark]:
        """Tell values that are far outside the training range, and those that are changed."""
        implausible = self._implausible(values)
        far = (
            implausible
            | (values < self.low - 3 * self.sd)
            | (values > self.high + 3 * self.sd)
        )
        changed = implausible | (values < self.low) | (values > self.high)
        remarks = {}
        for row in np.flatnonzero(changed & (far | self.limited)):
            detail = f"{values[row]:g}; training {self.low:g} to {self.high:g}"
            if implausible[row]:
                detail += "; taken as not known"
            elif self.limited:
                detail += f"; taken as {np.clip(values[row], self.low, self.high):g}"
            remarks[str(ids[row])] = (
                self.name,
                OUT_OF_RANGE if far[row] else "limited",
                detail,
            )
        return remarks


@dataclass(frozen=True)
class CategoryColumn:
    """A nominal column, as the training patients had it.

    Attributes
    ----------
    name : str
    categories : tuple of str
        Those that enough training patients had (`cohort.carriers`), sorted.
    shares : tuple of float, (categories,) or (categories + 1,)
        Share of each feature's patients among those who have any of them; empty in bundles that
        older versions wrote.
    rare : tuple of str
        Categories that too few had, sorted.
    pooled : bool
        The rare ones are one feature, "other"; otherwise they are the average patient.
    indicator : bool
        A feature says that the category is missing or unknown.
    """

    name: str
    categories: tuple[str, ...]
    shares: tuple[float, ...] = ()
    rare: tuple[str, ...] = ()
    pooled: bool = False
    indicator: bool = True

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the features that hold the category."""
        named = tuple(f"{self.name}={category}" for category in self.categories)
        return (*named, f"{self.name}=other") if self.pooled else named

    @property
    def blank(self) -> tuple[str, ...]:
        """Name of the feature that says that the category is not known, if there is one."""
        return (f"{self.name}=unknown",) if self.indicator and self.categories else ()

    def apply(
        self,
        cells: pd.Series[str],
        ids: Ids,
    ) -> tuple[FloatArray, dict[str, Remark]]:
        """Features (patients, features) of cells that are None where missing, and remarks by patient."""
        code = pd.Index(self.categories, dtype=object).get_indexer(
            pd.Index(cells, dtype=object),
        )
        rare = cells.isin(self.rare).to_numpy(bool)
        if self.pooled:
            code[rare] = len(self.categories)
        average = code < 0
        block = np.zeros((len(cells), len(self.values) + len(self.blank)))
        block[np.flatnonzero(~average), code[~average]] = 1.0
        if self.shares:
            block[average, : len(self.values)] = self.shares
        if self.indicator:
            block[average & ~rare, -1] = 1.0
        return block, self._remarks(cells, ids, average, rare)

    def _remarks(
        self,
        cells: pd.Series[str],
        ids: Ids,
        average: BoolArray,
        rare: BoolArray,
    ) -> dict[str, Remark]:
        remarks = {}
        for row in np.flatnonzero(average):
            cell = cells.iloc[row]
            if cell is None:
                if self.indicator:
                    continue
                remark = (self.name, "imputed", "missing; training shares used")
            elif rare[row]:
                remark = (self.name, "rare category", f"{cell!r}; training shares used")
            else:
                trifle = only_difference([cell], [*self.categories, *self.rare])
                detail = f"{cell!r}; treated as unknown" + (
                    f" ({trifle})" if trifle else ""
                )
                remark = (self.name, "unseen category", detail)
            remarks[str(ids[row])] = remark
        return remarks


Column = NumberColumn | CategoryColumn
Learned = tuple[Column | None, list[str]]
"""A column, None where it is not used, and what is to be said about it."""


def fit_number(
    name: str,
    values: FloatArray,
    support: Support,
    ids: Ids,
    levels: tuple[str, ...] | None,
    copy_number: bool = False,
) -> Learned:
    """Learn a numeric or ordinal column.

    Parameters
    ----------
    name : str
    values : array, (patients,)
        NaN where missing.
    support : Support
    ids : array of str, (patients,)
    levels : tuple of str or None
        Of an ordinal column; its level indices are never doubted.
    copy_number : bool
        Whether the numbers are copy numbers from -2 to 2, none of which is doubted.
    """
    if np.isnan(values).all():
        return None, [f"{name} dropped: no training patient has a value"]
    least, most, found = (
        _plausible(values) if levels is None else (-LARGEST, LARGEST, ())
    )
    if copy_number:
        least, most, found = min(COPY_NUMBERS), max(COPY_NUMBERS), ()
    wrong = _beyond(values, least, most, found)
    missing = np.isnan(values) | wrong
    known, of_known = values[~missing], support.of(~missing)
    low, high = float(known.min()), float(known.max())
    fate = f"far outside {low:g} to {high:g}, or a code: taken as not known"
    told = listed(
        [
            f"{value:g} ({patient})"
            for value, patient in zip(values[wrong], ids[wrong], strict=True)
        ],
    )
    notes = [f"{name}: {told}: {fate}"] if told else []
    if low == high:
        return None, [*notes, _constant(name, missing)]
    common, counts = np.unique(known, return_counts=True)
    others = known != common[counts.argmax()]
    if 2 * others.sum() <= len(known) and not of_known.enough(others):
        told = f"{of_known.counted(others)} differ from {common[counts.argmax()]:g}"
        return None, [*notes, f"{name} dropped: {told}, too few to learn from"]
    indicator, note = _indicator(name, missing, support, "mean")
    column = NumberColumn(
        name=name,
        mean=float(known.mean()),
        sd=float(known.std()),
        low=low,
        high=high,
        constant=False,
        indicator=indicator,
        levels=levels,
        limited=levels is None,
        least=least,
        most=most,
        codes=found,
    )
    return column, notes + note


def _plausible(values: FloatArray) -> tuple[float, float, tuple[float, ...]]:
    """Fences beyond which a number is taken as not known, and codes within them."""
    known = values[~np.isnan(values)]
    coded = tuple(float(value) for value in np.unique(known[codes(known)]))
    return *fences(known), coded


def _beyond(
    values: FloatArray,
    least: float,
    most: float,
    coded: tuple[float, ...],
) -> BoolArray:
    """Which numbers are taken as not known; False where missing."""
    return np.asarray((values < least) | (values > most) | np.isin(values, coded))


def _constant(name: str, missing: BoolArray) -> str:
    """Say that a column has one value, and what to do where its blanks are meant as another."""
    blanks = ""
    if missing.any():
        blanks = ", but for missing cells; if a blank cell means something, write it as a value"
    return f"{name} dropped: constant in training{blanks}"


def _indicator(
    name: str,
    missing: BoolArray,
    support: Support,
    average: str,
) -> tuple[bool, list[str]]:
    """Decide whether a feature tells missing cells, and say so where it does not."""
    if not missing.any():
        return False, []
    if support.enough(missing, blank=True):
        return True, []
    told = support.counted(missing)
    return False, [
        f"{name}: missing in {told}: too few to learn from, the training {average} is used",
    ]


def fit_category(name: str, cells: pd.Series[str], support: Support) -> Learned:
    """Learn a nominal column.

    Parameters
    ----------
    name : str
    cells : Series of str, (patients,)
        None where missing.
    support : Support
    """
    missing = cells.isna().to_numpy(bool)
    known, of_known = cells[~missing], support.of(~missing)
    if known.empty:
        return None, [f"{name} dropped: no training patient has a value"]
    place, levels = pd.factorize(known, sort=True)
    if len(levels) == 1:
        return None, [_constant(name, missing)]
    enough = np.array([of_known.enough(place == code) for code in range(len(levels))])
    kept = tuple(str(level) for level in levels[enough])
    rare = tuple(str(level) for level in levels[~enough])
    in_pool = ~enough[place]
    pooled = len(rare) > 1 and of_known.enough(in_pool)
    few = [
        f"{level!r} ({of_known.counted(place == levels.get_loc(level))})"
        for level in rare
    ]
    told = listed(few, 5)
    if not kept:
        return None, [
            f"{name} dropped: no category on which enough patients differ: {told}",
        ]
    fate = 'pooled as "other"' if pooled else "taken as the average patient"
    notes = [f"{name}: too few to learn from, {fate}: {told}"] if rare else []
    indicator, note = _indicator(name, missing, support, "shares")
    counts = np.append(np.bincount(place)[enough], [in_pool.sum()] * pooled)
    shares = tuple(float(share) for share in counts / counts.sum())
    return CategoryColumn(name, kept, shares, rare, pooled, indicator), notes + note


def to_plain(column: Column) -> dict[str, Any]:
    """Return a column as JSON."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(column).items()
    }


@functools.cache
def _field_types(kind: type[Column]) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(hint) for name, hint in get_type_hints(kind).items()}


def from_plain(state: dict[str, Any]) -> Column:
    """Make a column again from :func:`to_plain`, of older versions too.

    Raises
    ------
    ValueError
        When a field is of another type, or fields do not fit each other.
    """
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in state.items()
    }
    kind = CategoryColumn if "categories" in state else NumberColumn
    column: Column = kind(**fields)
    for name, field_type in _field_types(kind).items():
        field_type.validate_python(getattr(column, name), strict=True)
    if isinstance(column, CategoryColumn):
        names = (*column.categories, *column.rare)
        if len(set(names)) < len(names) or len(column.shares) not in (
            0,
            len(column.values),
        ):
            raise ValueError(
                f"{column.name}: its categories are not distinct, or have no share each",
            )
    elif not (column.sd > 0 or column.constant) or column.low > column.high:
        raise ValueError(f"{column.name}: expected sd > 0 and low <= high")
    return column
