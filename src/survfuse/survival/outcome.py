"""Time and event, validated once: below this gate a wrong value cannot exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import CohortError, InputError, listed
from survfuse._types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Outcome:
    """Follow-up of some patients.

    Parameters
    ----------
    time : array-like, (patients,)
        Time to the event or to the end of follow-up, in any one unit, > 0.
    event : array-like, (patients,)
        True or 1 where the event was seen, False or 0 where follow-up ended first.

    Raises
    ------
    CohortError
        For a time that is missing, not finite or not positive, an event other
        than 0 or 1, or lengths that differ. Names the first rows concerned.

    Examples
    --------
    >>> Outcome.of([5, 3, 8], [1, 0, 1]).events
    2
    >>> Outcome.of([5, -3], [1, 0])
    Traceback (most recent call last):
    survfuse._errors.CohortError: time must be a finite number > 0; row 1 holds -3.0
    """

    time: FloatArray
    event: BoolArray

    def __post_init__(self) -> None:
        time = as_floats(self.time, "time", error=CohortError)
        flags = as_floats(self.event, "event", error=CohortError)
        if len(time) != len(flags):
            raise CohortError(f"time and event must be of one length, got {len(time)} and {len(flags)} rows")
        _refuse(~(np.isfinite(time) & (time > 0)), time, "time must be a finite number > 0")
        _refuse(
            (flags != 0) & (flags != 1), flags, "event must be 1 (event seen) or 0 (censored), True or False"
        )
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "event", flags == 1)

    @classmethod
    def of(cls, time: npt.ArrayLike, event: npt.ArrayLike) -> Outcome:
        """Make an outcome from anything array-like (see the class)."""
        return cls(time, event)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, index: Any) -> Outcome:
        return Outcome(np.atleast_1d(self.time[index]), np.atleast_1d(self.event[index]))

    @property
    def events(self) -> int:
        """How many patients had the event."""
        return int(self.event.sum())


@dataclass(frozen=True)
class Tally:
    """What happened at each distinct follow-up time.

    Attributes
    ----------
    time : array, (times,), increasing
    at_risk : array, (times,), patients followed to this time or longer
    events : array, (times,), events at this time
    censored : array, (times,), follow-ups that end at this time, after its events
    """

    time: FloatArray
    at_risk: FloatArray
    events: FloatArray
    censored: FloatArray

    @classmethod
    def of(cls, outcome: Outcome) -> Tally:
        """Count patients, events and censorings per distinct time."""
        time, where = np.unique(outcome.time, return_inverse=True)
        leaving = np.bincount(where, minlength=len(time)).astype(float)
        events = np.bincount(where, weights=outcome.event, minlength=len(time))
        at_risk = np.cumsum(leaving[::-1])[::-1]
        return cls(time, at_risk, events.astype(float), leaving - events)


def as_floats(values: npt.ArrayLike, name: str, *, error: type[InputError] = InputError) -> FloatArray:
    """Convert to one float64 column, or say which row is no number.

    Parameters
    ----------
    values : array-like, (patients,)
        Numbers, booleans, a pandas column or a detached tensor.
    name : str
        What it is, for the message.
    error : type of InputError
        Raised for anything else.
    """
    try:
        column = np.asarray(values)
        column = np.array([float(value) for value in column]) if column.dtype.kind in "OUS" else column
        column = column.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as cause:  # RuntimeError: a tensor with a gradient
        raise error(f"{name} must be a column of numbers: {cause}") from None
    if column.ndim != 1:
        raise error(f"{name} must be one column (patients,), got shape {column.shape}")
    return column


def as_log_risk(log_risk: npt.ArrayLike, patients: int | None = None, name: str = "log_risk") -> FloatArray:
    """Convert log-risks to a finite float64 column of the right length.

    Parameters
    ----------
    log_risk : array-like, (patients,)
        Larger means an earlier event.
    patients : int, optional
        How many rows there must be.
    name : str
        What it is, for the message.

    Raises
    ------
    InputError
        Names the first rows that are missing or infinite.
    """
    column = as_floats(log_risk, name)
    if patients is not None and len(column) != patients:
        raise InputError(f"{name} must have one row per patient: expected {patients}, got {len(column)}")
    bad = np.flatnonzero(~np.isfinite(column))
    if len(bad):
        raise InputError(f"{name} must be finite; row {bad[0]} holds {column[bad[0]]} (rows {listed(bad)})")
    return column


def _refuse(bad: BoolArray, values: FloatArray, rule: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows) == 0:
        return
    more = f", and {len(rows) - 1} more rows break the rule" if len(rows) > 1 else ""
    raise CohortError(f"{rule}; row {rows[0]} holds {values[rows[0]]}{more}")
