"""Clinical and other tables into vectors: standardised numbers, one-hot categories, missingness told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import TransformError, listed
from survfuse.cohort.modalities import TableData
from survfuse.cohort.spec import ColumnSpec

REPORT_COLUMNS = ("patient_id", "modality", "feature", "kind", "detail")
Remark = tuple[str, str, str, str, str]  # a row of REPORT_COLUMNS


@dataclass(frozen=True)
class NumberColumn:
    """A numeric or ordinal column, as the training patients had it.

    Attributes
    ----------
    name : str
    mean, sd : float
        Of the known training values (of the level index for an ordinal column).
    low, high : float
        Range of the known training values.
    constant : bool
        The known training values were all the same: the value is not used.
    indicator : bool
        Training patients had missing values: a 0/1 feature tells them.
    levels : tuple of str or None
        Of an ordinal column, lowest first.
    """

    name: str
    mean: float
    sd: float
    low: float
    high: float
    constant: bool
    indicator: bool
    levels: tuple[str, ...] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features it becomes."""
        value = () if self.constant else (self.name,)
        return (*value, f"{self.name}=missing") if self.indicator else value


@dataclass(frozen=True)
class CategoryColumn:
    """A nominal column, as the training patients had it.

    Attributes
    ----------
    name : str
    categories : tuple of str
        Seen in training, sorted; an "unknown" feature is always added.
    shares : tuple of float, (categories,)
        Share of each among the known training values; empty in bundles that older versions wrote.
    """

    name: str
    categories: tuple[str, ...]
    shares: tuple[float, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features it becomes."""
        if not self.categories:
            return ()
        return (*(f"{self.name}={category}" for category in self.categories), f"{self.name}=unknown")


@dataclass(frozen=True)
class TableTransform:
    """A table into a vector, with means, levels and categories of the training patients.

    Numbers and level indices are standardised with the training mean and (population)
    deviation; a missing one becomes the mean, and a 0/1 feature says so where training
    patients had missing values too. Categories become 0/1 features; a missing cell, or a category
    that training never saw, becomes the training shares of the categories (the mean patient, as
    for a number), and an "unknown" feature says so. Columns that were constant or empty in training
    are dropped and noted.
    """

    name: str
    kind: str
    columns: tuple[NumberColumn | CategoryColumn, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, data: TableData, patients: Sequence[str], columns: Sequence[str]) -> TableTransform:
        """Learn from the training patients.

        Parameters
        ----------
        data : TableData
        patients : sequence of str
            Training patients that have a row.
        columns : sequence of str
            Columns to use, in order.

        Raises
        ------
        TransformError
            When nothing is left to use.
        """
        fitted: list[NumberColumn | CategoryColumn] = []
        notes: list[str] = []
        for name in columns:
            column = (
                _fit_category(data, name, patients)
                if data.columns[name].kind == "nominal"
                else _fit_number(data, name, patients)
            )
            if isinstance(column, str):
                notes.append(f"{data.name}: {column}")
            else:
                fitted.append(column)
                if isinstance(column, NumberColumn) and column.constant:
                    notes.append(f"{data.name}: {name} is constant in training; only its missingness is used")
        if not fitted:
            raise TransformError(
                f"{data.name}: no column varies among the {len(patients)} training patients; "
                "leave this modality out or declare other columns"
            )
        return cls(data.name, data.kind, tuple(fitted), tuple(notes))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature for column in self.columns for feature in column.features)

    def check(self, data: TableData) -> None:
        """Refuse a table whose columns do not mean what they meant in training.

        Raises
        ------
        TransformError
            Names the columns.
        """
        absent = [column.name for column in self.columns if column.name not in data.columns]
        if absent:
            raise TransformError(
                f"{self.name}: the model was trained with columns that this cohort does not declare: "
                f"{listed(absent, 10)}; declare them, or leave the whole modality out"
            )
        for column in self.columns:
            spec = data.columns[column.name]
            if _meaning(spec) != _fitted_meaning(column):
                raise TransformError(
                    f"{self.name}: column {column.name!r} was {_fitted_meaning(column)} in training, "
                    f"but is {_meaning(spec)} here"
                )

    def apply(self, data: TableData, patients: Sequence[str]) -> tuple[npt.NDArray[np.float32], list[Remark]]:
        """Vectors of patients that have a row, and what had to be assumed about them.

        Returns
        -------
        values : array, (patients, features) float32
        remarks : list of rows of ``REPORT_COLUMNS``
        """
        ids = np.array(patients, dtype=object)
        blocks: list[npt.NDArray[np.float64]] = [np.zeros((len(ids), 0))]
        remarks: list[Remark] = []
        for column in self.columns:
            if isinstance(column, NumberColumn):
                block, found = self._apply_number(column, data, ids)
            else:
                block, found = self._apply_category(column, data, ids)
            blocks.append(block)
            remarks.extend(found)
        return np.concatenate(blocks, axis=1).astype(np.float32), remarks

    def _apply_number(
        self, column: NumberColumn, data: TableData, ids: npt.NDArray[np.object_]
    ) -> tuple[npt.NDArray[np.float64], list[Remark]]:
        values = _numbers(data, column.name, ids, column.levels)
        missing = np.isnan(values)
        block = []
        remarks: list[Remark] = []
        if not column.constant:
            block.append(np.where(missing, 0.0, (values - column.mean) / column.sd))
            far = ~missing & ((values < column.low - 3 * column.sd) | (values > column.high + 3 * column.sd))
            remarks += [
                (
                    str(i),
                    self.name,
                    column.name,
                    "out of range",
                    f"{v:g}; training {column.low:g} to {column.high:g}",
                )
                for i, v in zip(ids[far], values[far], strict=True)
            ]
        if column.indicator:
            block.append(missing.astype(np.float64))
        else:
            detail = f"missing; training mean {column.mean:g} used"
            remarks += [(str(i), self.name, column.name, "imputed", detail) for i in ids[missing]]
        return np.stack(block, axis=1), remarks

    def _apply_category(
        self, column: CategoryColumn, data: TableData, ids: npt.NDArray[np.object_]
    ) -> tuple[npt.NDArray[np.float64], list[Remark]]:
        cells = data.texts(column.name, list(ids))
        code = pd.Index(column.categories, dtype=object).get_indexer(pd.Index(cells, dtype=object))
        new = (code < 0) & cells.notna().to_numpy(bool)
        block = np.zeros((len(ids), len(column.categories) + 1))
        block[np.arange(len(ids)), code] = 1.0  # code -1 is the last feature: unknown
        if column.shares:
            block[code < 0, :-1] = column.shares
        remarks = [
            (str(i), self.name, column.name, "unseen category", f"{cell!r}; treated as unknown")
            for i, cell in zip(ids[new], cells[new], strict=True)
        ]
        return block, remarks

    def state(self) -> dict[str, Any]:
        """Everything learned, as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "notes": list(self.notes),
            "columns": [_plain(c) for c in self.columns],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableTransform:
        """Make the transform again from :meth:`state`."""
        return cls(
            state["name"], state["kind"], tuple(_column(c) for c in state["columns"]), tuple(state["notes"])
        )


def _numbers(
    data: TableData, name: str, ids: Sequence[str] | npt.NDArray[np.object_], levels: tuple[str, ...] | None
) -> npt.NDArray[np.float64]:
    """Numbers of a column, or indices into the training `levels`; NaN where not known."""
    values = data.numbers(name, list(ids))
    declared = data.columns[name].levels
    if levels is None or declared is None or levels == declared:
        return values
    raise TransformError(
        f"{data.name}: column {name!r} had levels {list(levels)} in training, here {list(declared)}"
    )


def _fit_number(data: TableData, name: str, patients: Sequence[str]) -> NumberColumn | str:
    levels = data.columns[name].levels
    values = _numbers(data, name, patients, levels)
    known = values[~np.isnan(values)]
    if not len(known):
        return f"{name} dropped: no training patient has a value"
    constant = bool(np.ptp(known) == 0)
    indicator = len(known) < len(values)
    if constant and not indicator:
        return f"{name} dropped: constant in training"
    sd = 1.0 if constant else float(known.std())
    return NumberColumn(
        name, float(known.mean()), sd, float(known.min()), float(known.max()), constant, indicator, levels
    )


def _fit_category(data: TableData, name: str, patients: Sequence[str]) -> CategoryColumn | str:
    cells = data.texts(name, patients)
    categories = tuple(sorted(set(cells.dropna())))
    if not categories:
        return f"{name} dropped: no training patient has a value"
    if len(categories) == 1 and not cells.isna().any():
        return f"{name} dropped: constant in training"
    counts = cells.value_counts(normalize=True)
    return CategoryColumn(name, categories, tuple(float(counts[category]) for category in categories))


def _meaning(spec: ColumnSpec) -> str:
    return f"ordinal {list(spec.levels)}" if spec.levels is not None else spec.kind


def _fitted_meaning(column: NumberColumn | CategoryColumn) -> str:
    if isinstance(column, CategoryColumn):
        return "nominal"
    return f"ordinal {list(column.levels)}" if column.levels is not None else "numeric"


def _plain(column: NumberColumn | CategoryColumn) -> dict[str, Any]:
    if isinstance(column, CategoryColumn):
        return {"name": column.name, "categories": list(column.categories), "shares": list(column.shares)}
    levels = None if column.levels is None else list(column.levels)
    return {**column.__dict__, "levels": levels}


def _column(state: dict[str, Any]) -> NumberColumn | CategoryColumn:
    if "categories" in state:
        return CategoryColumn(state["name"], tuple(state["categories"]), tuple(state.get("shares", ())))
    levels = None if state["levels"] is None else tuple(state["levels"])
    return NumberColumn(**{**state, "levels": levels})
