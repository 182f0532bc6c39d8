"""Clinical and other tables into vectors: standardised numbers, one-hot categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from survfuse._errors import TransformError, listed
from survfuse._storage import stored_texts
from survfuse._types import Arrays, BoolArray, Float32Array, FloatArray, State
from survfuse.cohort.carriers import Support
from survfuse.cohort.members import without
from survfuse.cohort.modalities import TableData
from survfuse.cohort.table_columns import (
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
Vectors = tuple[Float32Array, FloatArray | None, list[Remark]]
"""Values (patients, features), share of the training genes of each patient or None, and remarks."""


@dataclass(frozen=True)
class TableTransform:
    """A table into a vector, with means, limits, levels and categories of the training patients.

    FloatArray far from all others, and codes, count as not known (`cohort.outliers`); the others
    are
    limited to the range of the training patients. FloatArray and level indices are standardised
    with
    the training mean and (population) deviation. Categories become 0/1 features; those that few
    have are pooled or left out (`cohort.carriers`). A missing number becomes the mean, a missing
    or unseen category the training shares of the categories: the mean patient. A 0/1 feature says
    so where enough training patients had missing values too. Columns that say nothing are dropped
    and noted.
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
        event: BoolArray | None = None,
    ) -> TableTransform:
        """Learn from the training patients.

        Parameters
        ----------
        data : TableData
        patients : sequence of str
            Training patients that have a row.
        event : array of bool, (patients,), optional
            Who has the event: categories and missing cells without one are left out.

        Raises
        ------
        TransformError
            When nothing is left to use.
        """
        columns, notes = _fit_columns(data, patients, Support(event))
        if not columns:
            lenient = Support(event, lenient=True)
            columns, more = _fit_columns(data, patients, lenient)
            reasons = "; ".join(notes)
            notes = [*more, f"used all the same, for nothing else is there: {reasons}"]
        if not columns:
            raise TransformError(
                f"{data.name}: no column varies among the {len(patients)} training patients; "
                "leave this modality out or declare other columns",
            )
        named = tuple(f"{data.name}: {note}" for note in notes)
        return cls(data.name, data.kind, tuple(columns), named)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        names: list[str] = []
        for column in self.columns:
            names += (*column.values, *column.blank)
        return tuple(names)

    @property
    def blanks(self) -> dict[int, tuple[int, ...]]:
        """Of each feature that says that a cell is missing, those that hold its column's value."""
        blanks = {}
        start = 0
        for column in self.columns:
            blank = start + len(column.values)
            if column.blank:
                blanks[blank] = tuple(range(start, blank))
            start = blank + len(column.blank)
        return blanks

    def check(self, data: TableData) -> None:
        """Refuse a table whose columns do not mean what they meant in training.

        Raises
        ------
        TransformError
            Names the columns.
        """
        names = map(attrgetter("name"), self.columns)
        absent = without(names, data.columns)
        if absent:
            raise TransformError(
                f"{self.name}: the model was trained with columns that this cohort does not "
                f"declare: {listed(absent, 10)}; declare them, or leave the whole modality out",
            )
        for column in self.columns:
            spec = data.columns[column.name]
            here = _meaning(spec.kind, spec.levels)
            trained = "nominal"
            if isinstance(column, NumberColumn):
                kind = "numeric" if column.levels is None else "ordinal"
                trained = _meaning(kind, column.levels)
            if here != trained:
                raise TransformError(
                    f"{self.name}: column {column.name!r} was {trained} in training, but is {here} "
                    "here",
                )

    def apply(
        self,
        data: TableData,
        patients: Sequence[str],
    ) -> Vectors:
        """Vectors of patients that have a row, and what had to be assumed about them.

        Returns
        -------
        values : array, (patients, features) float32
        coverage : None
        remarks : list of rows of ``REPORT_COLUMNS``
        """
        ids: Ids = np.array(patients, dtype=object)
        blocks: list[FloatArray] = [np.zeros((len(ids), 0))]
        remarks: list[Remark] = []
        for column in self.columns:
            if isinstance(column, NumberColumn):
                block, about = column.apply(data.numbers(column.name, patients), ids)
            else:
                block, about = column.apply(data.texts(column.name, patients), ids)
            blocks.append(block)
            remarks += [(who, self.name, *remark) for who, remark in about.items()]
        return np.concatenate(blocks, axis=1).astype(np.float32), None, remarks

    def state(self) -> State:
        """Everything learned, as JSON; no arrays."""
        return {
            "name": self.name,
            "kind": self.kind,
            "notes": list(self.notes),
            "columns": list(map(to_plain, self.columns)),
        }, {}

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        arrays: Arrays,
    ) -> TableTransform:
        """Make the transform again from :meth:`state`."""
        columns = tuple(map(from_plain, state["columns"]))
        notes = stored_texts(state["notes"], "notes")
        return cls(state["name"], state["kind"], columns, notes)


def _fit_columns(
    data: TableData,
    patients: Sequence[str],
    support: Support,
) -> tuple[list[Column], list[str]]:
    """Fit each column; those that can be used, and notes."""
    ids: Ids = np.array(patients, dtype=object)
    fitted: list[Column] = []
    notes: list[str] = []
    copy_numbers = data.copy_numbers(patients)
    for name in data.inputs():
        spec = data.columns[name]
        if spec.kind == "nominal":
            column, about = fit_category(name, data.texts(name, patients), support)
        else:
            values = data.numbers(name, patients)
            is_copy_number = name in copy_numbers
            column, about = fit_number(
                name,
                values,
                support,
                ids,
                spec.levels,
                is_copy_number,
            )
        notes += about
        if column is not None:
            fitted.append(column)
    return fitted, notes


def _meaning(
    kind: str,
    levels: tuple[str, ...] | None,
) -> str:
    return kind if levels is None else f"ordinal {list(levels)}"
