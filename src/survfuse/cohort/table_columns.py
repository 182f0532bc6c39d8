"""Columns of a table as learned from the training patients: numbers and categories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ConfigDict, TypeAdapter

from survfuse._errors import listed
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.carriers import Support
from survfuse.cohort.outliers import COPY_NUMBERS, LARGEST, codes, fences
from survfuse.readers.cell_text import only_difference

OUT_OF_RANGE = "out of range"
STRICT = ConfigDict(strict=True, extra="forbid")
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

    __pydantic_config__ = STRICT

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
        """Features (patients, features) of values, NaN where missing, and remarks by patient."""
        missing, implausible = np.isnan(values), self._implausible(values)
        unknown = missing | implausible
        block = []
        remarks: dict[str, Remark] = {}
        if not self.constant:
            within = np.clip(values, self.low, self.high) if self.limited else values
            block.append(np.where(unknown, 0.0, (within - self.mean) / self.sd))
            remarks = self._outside(values, implausible, ids)
        if self.indicator:
            block.append(unknown.astype(np.float64))
        else:
            detail = f"missing; training mean {self.mean:g} used"
            remarks |= dict.fromkeys(ids[missing], (self.name, "imputed", detail))
        return np.stack(block, axis=1), remarks

    def known(self, values: FloatArray) -> BoolArray:
        """Which values are read, not taken as missing; (patients,)."""
        return np.asarray(~(np.isnan(values) | self._implausible(values)))

    def _implausible(self, values: FloatArray) -> BoolArray:
        if not self.limited:  # in bundles that older versions wrote every value counts
            return np.zeros(len(values), bool)
        return _beyond(values, self.least, self.most, self.codes)

    def _outside(
        self,
        values: FloatArray,
        implausible: BoolArray,
        ids: Ids,
    ) -> dict[str, Remark]:
        """Remarks on values far outside the training range, and on changed ones."""
        below, above = self.low - 3 * self.sd, self.high + 3 * self.sd
        far = implausible | (values < below) | (values > above)
        changed = implausible | (values < self.low) | (values > self.high)
        remarks = {}
        for row in np.flatnonzero(changed & (far | self.limited)):
            detail = f"{values[row]:g}; training {self.low:g} to {self.high:g}"
            if implausible[row]:
                detail += "; taken as not known"
            elif self.limited:
                detail += f"; taken as {np.clip(values[row], self.low, self.high):g}"
            kind = OUT_OF_RANGE if far[row] else "limited"
            remarks[str(ids[row])] = (self.name, kind, detail)
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

    __pydantic_config__ = STRICT

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
        """Features (patients, features) of cells, None where missing, and remarks by patient."""
        code, rare = self._codes(cells)
        average = code < 0
        block = np.zeros((len(cells), len(self.values) + len(self.blank)))
        block[np.flatnonzero(~average), code[~average]] = 1.0
        if self.shares:
            block[average, : len(self.values)] = self.shares
        if self.indicator:
            block[average & ~rare, -1] = 1.0
        remarks = {}
        for row in np.flatnonzero(average):
            cell = cells.iloc[row]
            if cell is not None or not self.indicator:
                remarks[str(ids[row])] = self._remark(cell)
        return block, remarks

    def known(self, cells: pd.Series[str]) -> BoolArray:
        """Which cells hold a category of training with a feature; (patients,)."""
        return np.asarray(self._codes(cells)[0] >= 0)

    def _codes(self, cells: pd.Series[str]) -> tuple[IntArray, BoolArray]:
        """Feature of each cell, -1 without one, and whether its category is rare."""
        index = pd.Index(self.categories, dtype=object)
        code = index.get_indexer(pd.Index(cells, dtype=object))
        rare = cells.isin(self.rare).to_numpy(bool)
        if self.pooled:
            code[rare] = len(self.categories)
        return np.asarray(code), rare

    def _remark(self, cell: str | None) -> Remark:
        """What is assumed of a patient whose category is missing, rare or unseen."""
        if cell is None:
            return self.name, "imputed", "missing; training shares used"
        if cell in self.rare:
            return self.name, "rare category", f"{cell!r}; training shares used"
        near = only_difference([cell], [*self.categories, *self.rare])
        detail = f"{cell!r}; treated as unknown" + (f" ({near})" if near else "")
        return self.name, "unseen category", detail


Column = NumberColumn | CategoryColumn
Learned = tuple[Column | None, list[str]]
"""A column, None where it is not used, and notes about it."""


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
    known = values[~np.isnan(values)]
    if not len(known):
        return None, [f"{name} dropped: no training patient has a value"]
    least, most, coded = -LARGEST, LARGEST, np.empty(0)
    if copy_number:
        least, most = min(COPY_NUMBERS), max(COPY_NUMBERS)
    elif levels is None:
        least, most = fences(known)
        coded = np.unique(known[codes(known)])
    wrong = _beyond(values, least, most, coded)
    missing = np.isnan(values) | wrong
    known, of_known = values[~missing], support.of(~missing)
    low, high = float(known.min()), float(known.max())
    notes = []
    if wrong.any():
        pairs = zip(values[wrong], ids[wrong], strict=True)
        examples = listed(f"{value:g} ({patient})" for value, patient in pairs)
        notes.append(
            f"{name}: {examples}: far outside {low:g} to {high:g}, or a code: taken as not known",
        )
    if low == high:
        return None, [*notes, _constant(name, missing)]
    common, counts = np.unique(known, return_counts=True)
    mode = common[counts.argmax()]
    others = known != mode
    if 2 * others.sum() <= len(known) and not of_known.enough(others):
        reason = (
            f"{of_known.counted(others)} differ from {mode:g}, too few to learn from"
        )
        return None, [*notes, f"{name} dropped: {reason}"]
    indicator, about = _indicator(name, missing, support, "mean")
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
        codes=tuple(coded.tolist()),
    )
    return column, notes + about


def _beyond(
    values: FloatArray,
    least: float,
    most: float,
    coded: npt.ArrayLike,
) -> BoolArray:
    """Which numbers are taken as not known; False where missing."""
    return np.asarray((values < least) | (values > most) | np.isin(values, coded))


def _constant(name: str, missing: BoolArray) -> str:
    """Note that a column has one value, and what to do where its blanks are meant as another."""
    note = f"{name} dropped: constant in training"
    if missing.any():
        note += ", but for missing cells; if a blank cell means something, write it as a value"
    return note


def _indicator(
    name: str,
    missing: BoolArray,
    support: Support,
    average: str,
) -> tuple[bool, list[str]]:
    """Whether a feature says that a cell is missing, and a note where it does not."""
    if not missing.any() or support.enough(missing, blank=True):
        return bool(missing.any()), []
    reason = f"missing in {support.counted(missing)}: too few to learn from"
    return False, [f"{name}: {reason}, the training {average} is used"]


def fit_category(
    name: str,
    cells: pd.Series[str],
    support: Support,
) -> Learned:
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
    enough = np.zeros(len(levels), bool)
    few = []
    for code, level in enumerate(levels):
        carriers = place == code
        enough[code] = of_known.enough(carriers)
        if not enough[code]:
            few.append(f"{level!r} ({of_known.counted(carriers)})")
    common = tuple(map(str, levels[enough]))
    rare = tuple(map(str, levels[~enough]))
    in_pool = ~enough[place]
    pooled = len(rare) > 1 and of_known.enough(in_pool)
    examples = listed(few, 5)
    if not common:
        reason = f"no category on which enough patients differ: {examples}"
        return None, [f"{name} dropped: {reason}"]
    notes = []
    if rare:
        fate = 'pooled as "other"' if pooled else "taken as the average patient"
        notes.append(f"{name}: too few to learn from, {fate}: {examples}")
    indicator, about = _indicator(name, missing, support, "shares")
    counts = np.append(np.bincount(place)[enough], [in_pool.sum()] * pooled)
    shares = tuple((counts / counts.sum()).tolist())
    column = CategoryColumn(name, common, shares, rare, pooled, indicator)
    return column, notes + about


def to_plain(column: Column) -> dict[str, Any]:
    """Return a column as JSON."""
    plain: dict[str, Any] = _ADAPTERS[type(column)].dump_python(column, mode="json")
    return plain


_ADAPTERS: dict[type[Column], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (NumberColumn, CategoryColumn)
}


def from_plain(state: dict[str, Any]) -> Column:
    """Make a column again from :func:`to_plain`, of older versions too.

    Raises
    ------
    ValueError
        When a field is of another type, or fields do not fit each other.
    """
    kind = CategoryColumn if "categories" in state else NumberColumn
    column: Column = _ADAPTERS[kind].validate_json(json.dumps(state))
    if isinstance(column, NumberColumn):
        if not (column.sd > 0 or column.constant) or column.low > column.high:
            raise ValueError(f"{column.name}: expected sd > 0 and low <= high")
        return column
    names = (*column.categories, *column.rare)
    counts = (0, len(column.values))
    if len(set(names)) < len(names) or len(column.shares) not in counts:
        raise ValueError(
            f"{column.name}: its categories are not distinct, or have no share each",
        )
    return column
