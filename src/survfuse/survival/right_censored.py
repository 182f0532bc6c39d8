"""Time and event: validated once by :meth:`Outcome.of`, taken as given from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import CohortError, NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival.argument_checks import as_floats
from survfuse.survival.ties import tied


@dataclass(frozen=True, eq=False)
class Outcome:
    """Follow-up of some patients; make it with :meth:`of`, which validates.

    Attributes
    ----------
    time : array, (patients,)
        Time to the event or to the end of follow-up, in any one unit, > 0. Times that
        are equal up to rounding become one (see :mod:`survfuse.survival.ties`).
    event : array, (patients,)
        True where the event was seen, False where follow-up ended first.

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

    @classmethod
    def of(
        cls,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
    ) -> Outcome:
        """Check and convert anything array-like (see the class)."""
        times = as_floats(
            time,
            "time",
            flags=False,
            error=CohortError,
        )
        flags = as_floats(event, "event", error=CohortError)
        if len(times) != len(flags):
            raise CohortError(
                f"time and event must be of one length, got {len(times)} and {len(flags)} rows",
            )
        _refuse(
            ~(np.isfinite(times) & (times > 0)),
            times,
            "time must be a finite number > 0",
        )
        _refuse(
            (flags != 0) & (flags != 1),
            flags,
            "event must be 1 (event seen) or 0 (censored), True or False",
        )
        return cls(tied(times)[0], flags == 1)

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, index: Any) -> Outcome:
        return Outcome(
            np.atleast_1d(self.time[index]),
            np.atleast_1d(self.event[index]),
        )

    @property
    def events(self) -> int:
        """How many patients had the event."""
        return int(self.event.sum())

    @property
    def last(self) -> float:
        """Longest follow-up; 0 without patients."""
        return float(np.max(self.time, initial=0.0))

    def events_by(self, horizon: float) -> int:
        """How many patients had the event at or before a time."""
        return int((self.event & (self.time <= horizon)).sum())

    def with_horizons(self, horizons: FloatArray) -> tuple[Outcome, FloatArray]:
        """Give follow-up and horizons that are equal up to rounding one value."""
        time, moved = tied(self.time, horizons)
        return (self if time is self.time else Outcome(time, self.event)), moved

    def with_horizon(self, horizon: float) -> tuple[Outcome, float]:
        """Give follow-up and a horizon that are equal up to rounding one value."""
        outcome, moved = self.with_horizons(np.array([horizon]))
        return outcome, float(moved[0])


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
        events = np.bincount(
            where,
            weights=outcome.event,
            minlength=len(time),
        )
        at_risk = np.cumsum(leaving[::-1])[::-1]
        return cls(time, at_risk, events.astype(float), leaving - events)

    @property
    def survival(self) -> FloatArray:
        """Kaplan–Meier survival from each time on, (times,)."""
        return np.cumprod(1 - self.events / self.at_risk)

    @property
    def staying(self) -> FloatArray:
        """Patients at risk after the events of each time, (times,)."""
        return self.at_risk - self.events

    def require_reach(self, horizon: float) -> None:
        """Raise NotComputableError where follow-up ends before the horizon and survival is > 0."""
        last = float(self.time[-1])
        if horizon > last and self.survival[-1] > 0:
            raise NotComputableError(
                f"follow-up ends at {last:g}, before the horizon {horizon:g}; ask for that or less",
            )


def _refuse(
    bad: BoolArray,
    values: FloatArray,
    rule: str,
) -> None:
    rows = np.flatnonzero(bad)
    if len(rows) == 0:
        return
    more = f", and {len(rows) - 1} more rows break the rule" if len(rows) > 1 else ""
    raise CohortError(f"{rule}; row {rows[0]} holds {values[rows[0]]}{more}")
