"""What X, y and ids of patients stand for: some patients of a cohort, in an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from survfuse._errors import InputError, listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.rows import CohortRows, is_structured, read_structured
from survfuse.cohort.rows_of_table import is_table, rows_of_table


def rows_of(
    X: Any,
    y: Any = None,
    patients: Sequence[str] | None = None,
    *,
    unit: str | None = None,
    columns: Mapping[str, Any] | None = None,
) -> CohortRows:
    """Patients that X stands for, with the outcome that is given.

    Parameters
    ----------
    X : Cohort, CohortRows, DataFrame or array (patients, columns)
    y : structured array, (patients,), optional
        Of a cohort: its own outcome, in its order.
    patients : sequence of str, optional
        Those of X that are meant; all by default.
    unit : {"days", "months", "years"}, optional
        Of the times; needed with `y` of a table.
    columns : mapping of str to dict, optional
        What the columns of a table are.

    Raises
    ------
    InputError
        For another X, outcomes or a unit that are not those of the cohort, and patients that are
        not among the rows.
    CohortError
        For cells of a table that cannot be used.
    """
    if is_table(X):
        rows = rows_of_table(X, y, unit=unit, columns=columns)
    elif isinstance(X, (Cohort, CohortRows)):
        rows = X[:] if isinstance(X, Cohort) else X
        if unit is not None and unit != rows.cohort.unit:
            raise InputError(
                f"unit: the cohort counts in {rows.cohort.unit}, not in {unit}"
            )
        if y is not None:
            rows.check_outcome(y)
    else:
        raise InputError(
            f"X: expected a Cohort, a DataFrame or an array (patients, columns), got "
            f"{type(X).__name__}; see load_cohort and Cohort.from_frames",
        )
    if patients is None:
        return rows
    others = set(rows.cohort.patients) - set(rows.patients)
    outside = [one for one in patients if one in others]
    if outside:
        raise InputError(
            f"patients: {listed(outside)} are of the cohort, but not among the {len(rows)} rows of "
            "X; give the whole cohort as X, or ids of the rows",
        )
    return CohortRows(rows.cohort, tuple(patients))


def outcome_or_patients(
    y: Any,
    patients: Sequence[str] | None,
) -> tuple[Any, Sequence[str] | None]:
    """Outcome and ids, where ids may stand in the place of the outcome.

    Raises
    ------
    InputError
        For something that is neither, and ids that are given twice.
    """
    if y is None or is_structured(y):
        return y, patients
    several = isinstance(y, Iterable) and not isinstance(y, str)
    ids = list(y) if several else []
    if not several or not all(isinstance(one, str) for one in ids):
        read_structured(y)
    if patients is not None:
        raise InputError("patients are given twice; give them once")
    return None, [str(one) for one in ids]
