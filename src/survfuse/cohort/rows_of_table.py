"""Patients from the X and y of scikit-learn: a table or an array, and a structured outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._storage import sha256_text
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.rows import CohortRows, read_structured

TIME, EVENT = "time_of_y", "event_of_y"
UNIT = (
    "unit: X is a table, and y does not say its unit of time; say it: fit(X, y, unit='months'), "
    "or cross_val_score(model, X, y, params={'unit': 'months'})"
)


def is_table(X: Any) -> bool:
    """Whether something is a DataFrame or an array of rows and columns."""
    return isinstance(X, pd.DataFrame) or (isinstance(X, np.ndarray) and X.ndim == 2)


def rows_of_table(
    X: Any,
    y: Any = None,
    *,
    unit: str | None = None,
    columns: Mapping[str, Any] | None = None,
) -> CohortRows:
    """Make a cohort of a table of clinical variables, with its patients in the order of the rows.

    Parameters
    ----------
    X : DataFrame or array, (patients, columns)
        An index of texts names the patients of a DataFrame. Rows of an array, and of a table whose
        index counts, have no names: rows of the same values are the same patient everywhere.
    y : structured array, (patients,), optional
        Events and times.
    unit : {"days", "months", "years"}, optional
        Of the times; needed with `y`.
    columns : mapping of str to dict, optional
        What the columns are, for new patients: those of the training cohort.

    Raises
    ------
    InputError
        For an outcome without a unit or of other rows, and patients that are there twice.
    CohortError
        For cells that cannot be used.
    """
    table = X if isinstance(X, pd.DataFrame) else _columns_named(X)
    if pd.api.types.is_integer_dtype(table.index):
        table = table.set_axis(_names_of_rows(table))
    ids = [str(one) for one in table.index]
    twice = [one for one, count in Counter(ids).items() if count > 1]
    if twice:
        raise InputError(
            f"X: {len(twice)} patient(s) have more than one row: {listed(twice)}; the index of a "
            "DataFrame names its patients",
        )
    index = pd.Index(ids, name="patient_id", dtype=object)
    frames: dict[str, Any] = {"clinical": table.set_axis(index), "columns": columns}
    if y is not None:
        event, time = read_structured(y)
        if len(event) != len(ids):
            raise InputError(
                f"y: expected {len(ids)} outcomes, one a row of X, got {len(event)}"
            )
        if unit is None:
            raise InputError(UNIT)
        outcome = pd.DataFrame({TIME: time, EVENT: event.astype(int)}, index=index)
        frames |= {"outcome": outcome, "time": TIME, "event": EVENT, "unit": unit}
    return CohortRows(Cohort.from_frames(name="X", **frames), tuple(ids))


def _columns_named(X: np.ndarray[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{n}" for n in range(X.shape[1])])


def _names_of_rows(table: pd.DataFrame) -> list[str]:
    """Name of each row by its values; equal rows are numbered."""
    names: list[str] = []
    counts: Counter[str] = Counter()
    for row in table.to_numpy(object):
        name = sha256_text(repr(list(map(str, row))))[:16]
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name}-{counts[name]}")
    return names
