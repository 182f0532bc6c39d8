"""Clinical and other tables into vectors: standardised numbers, one-hot categories, missing cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import TransformError, listed
from survfuse._storage import stored_texts
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.carriers import Support
from survfuse.cohort.modalities import TableData
from survfuse.cohort.spec import ColumnSpec
from survfuse.cohort.table_columns import (
    CategoryColumn,
    Column,
    Ids,
    NumberColumn,
    fit_category,
    fit_number,
    from_plain,
    to_plain,
)

REPORT_COLUMNS = ("patient_id", "modality", "feature", "kind", "detail")
Remark = tuple[str, str, str, str, str]  # a row of REPORT_COLUMNS


@dataclass(frozen=True)
class TableTransform:
    """A table into a vector, with means, limits, levels and categories of the training patients.

    Numbers far from all others, and codes, count as not known (`cohort.limits`); the others are limited to
    the range of the training patients. Numbers and
    level indices are standardised with the training mean and
    (population) deviation. Categories become 0/1 features; those that few have are pooled or left out
    (`cohort.carriers`). A missing number becomes the mean, a missing or unseen category the training
    shares of the categories: the mean patient. A 0/1 feature says so where enough training patients had
    missing values too. Columns that tell nothing are dropped and noted.
    """

    name: str
    kind: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        data: TableData,
        patients: Sequence[str],
        columns: Sequence[str],
        event: BoolArray | None = None,
    ) -> TableTransform:
        """Learn from the training patients.

        Parameters
        ----------
        data : TableData
        patients : sequence of str
            Training patients that have a row.
        columns : sequence of str
            Columns to use, in order.
        event : array of bool, (patients,), optional
            Who has the event: categories and missing cells without one are left out.

        Raises
        ------
        TransformError
            When nothing is left to use.
        """
        fitted, notes = _fit_columns(data, patients, columns, Support(event))
        if not fitted:
            fitted, more = _fit_columns(
                data,
                patients,
                columns,
                Support(event, lenient=True),
            )
            notes = [
                *more,
                f"used all the same, for nothing else is there: {'; '.join(notes)}",
            ]
        if not fitted:
            raise TransformError(
                f"{data.name}: no column varies among the {len(patients)} training patients; "
                "leave this modality out or declare other columns",
            )
        return cls(
            data.name,
            data.kind,
            tuple(fitted),
            tuple(f"{data.name}: {note}" for note in notes),
        )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(
            feature
            for column in self.columns
            for feature in (*column.values, *column.blank)
        )

    @property
    def blanks(self) -> dict[int, tuple[int, ...]]:
        """Of each feature that says that a cell is missing, those that hold its column's value."""
        found = {}
        start = 0
        for column in self.columns:
            blank = start + len(column.values)
            if column.blank:
                found[blank] = tuple(range(start, blank))
            start = blank + len(column.blank)
        return found

    def check(self, data: TableData) -> None:
        """Refuse a table whose columns do not mean what they meant in training.

        Raises
        ------
        TransformError
            Names the columns.
        """
        absent = [
            column.name for column in self.columns if column.name not in data.columns
        ]
        if absent:
            raise TransformError(
                f"{self.name}: the model was trained with columns that this cohort does not declare: "
                f"{listed(absent, 10)}; declare them, or leave the whole modality out",
            )
        for column in self.columns:
            spec = data.columns[column.name]
            if _meaning(spec) != _fitted_meaning(column):
                raise TransformError(
                    f"{self.name}: column {column.name!r} was {_fitted_meaning(column)} in training, "
                    f"but is {_meaning(spec)} here",
                )

    def apply(
        self,
        data: TableData,
        patients: Sequence[str],
    ) -> tuple[npt.NDArray[np.float32], list[Remark]]:
        """Vectors of patients that have a row, and what had to be assumed about them.

        Returns
        -------
        values : array, (patients, features) float32
        remarks : list of rows of ``REPORT_COLUMNS``
        """
        ids = np.array(patients, dtype=object)
        blocks: list[FloatArray] = [np.zeros((len(ids), 0))]
        remarks: list[Remark] = []
        for column in self.columns:
            if isinstance(column, NumberColumn):
                block, found = column.apply(
                    _numbers(data, column.name, ids, column.levels),
                    ids,
                )
            else:
                block, found = column.apply(data.texts(column.name, list(ids)), ids)
            blocks.append(block)
            remarks += [(patient, self.name, *told) for patient, told in found.items()]
        return np.concatenate(blocks, axis=1).astype(np.float32), remarks

    def state(self) -> dict[str, Any]:
        """Everything learned, as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "notes": list(self.notes),
            "columns": [to_plain(c) for c in self.columns],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableTransform:
        """Make the transform again from :meth:`state`."""
        return cls(
            state["name"],
            state["kind"],
            tuple(from_plain(c) for c in state["columns"]),
            stored_texts(state["notes"], "notes"),
        )


def _fit_columns(
    data: TableData,
    patients: Sequence[str],
    columns: Sequence[str],
    support: Support,
) -> tuple[list[Column], list[str]]:
    """Fit each column; those that can be used, and what is to be said."""
    ids = np.array(patients, dtype=object)
    fitted: list[Column] = []
    notes: list[str] = []
    copy_numbers = data.copy_numbers(patients)
    for name in columns:
        spec = data.columns[name]
        if spec.kind == "nominal":
            column, said = fit_category(name, data.texts(name, patients), support)
        else:
            values = _numbers(data, name, patients, spec.levels)
            column, said = fit_number(
                name,
                values,
                support,
                ids,
                spec.levels,
                name in copy_numbers,
            )
        notes += said
        fitted += [] if column is None else [column]
    return fitted, notes


def _numbers(
    data: TableData,
    name: str,
    ids: Sequence[str] | Ids,
    levels: tuple[str, ...] | None,
) -> FloatArray:
    """Numbers of a column, or indices into the training `levels`; NaN where not known."""
    values = data.numbers(name, list(ids))
    declared = data.columns[name].levels
    if levels is None or declared is None or levels == declared:
        return values
    raise TransformError(
        f"{data.name}: column {name!r} had levels {list(levels)} in training, here {list(declared)}",
    )


def _meaning(spec: ColumnSpec) -> str:
    return f"ordinal {list(spec.levels)}" if spec.levels is not None else spec.kind


def _fitted_meaning(column: Column) -> str:
    if isinstance(column, CategoryColumn):
        return "nominal"
    return f"ordinal {list(column.levels)}" if column.levels is not None else "numeric"
