"""At horizons: gates for what is asked and predicted there, and Kaplan–Meier there with its influence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError, listed
from survfuse._types import FloatArray
from survfuse.survival.outcome import Outcome, Tally


def as_horizons(times: npt.ArrayLike, *, increasing: bool = False) -> FloatArray:
    """Convert to a column of horizons, in the order they are asked in.

    Parameters
    ----------
    times : array-like, (times,), or one number
        In the unit of the follow-up times.
    increasing : bool
        Whether each must be larger than the one before, as an integral needs.

    Raises
    ------
    InputError
        For none, for one that is not a finite number > 0, or a wrong order.
    """
    horizons = np.atleast_1d(_numbers(times, "times"))
    if horizons.ndim != 1 or len(horizons) == 0:
        raise InputError(f"times must be one column of at least one horizon, got shape {horizons.shape}")
    bad = np.flatnonzero(~(np.isfinite(horizons) & (horizons > 0)))
    if len(bad):
        raise InputError(f"times must be finite numbers > 0; place {bad[0]} holds {horizons[bad[0]]}")
    if increasing and (np.diff(horizons) <= 0).any():
        raise InputError("times must increase strictly; sort them and drop repeated ones")
    return horizons


def as_horizon(horizon: npt.ArrayLike, name: str = "horizon") -> float:
    """Convert to one finite number > 0, in the unit of time."""
    value = _numbers(horizon, name)
    if value.ndim or not (np.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number > 0, got {horizon!r}")
    return float(value)


def as_survival(survival: npt.ArrayLike, patients: int, times: int, name: str = "survival") -> FloatArray:
    """Convert to predicted survival, (patients, times); one column will do where there is one time.

    Raises
    ------
    InputError
        For a wrong shape, or a value that is missing or outside [0, 1]; names the first rows.
    """
    values = _numbers(survival, name)
    came = values.shape
    if values.ndim == 1 and times == 1:
        values = values[:, None]
    if values.shape != (patients, times):
        raise InputError(f"{name} must be (patients, times): expected {(patients, times)}, got {came}")
    good = (values >= 0) & (values <= 1)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        rows = listed(np.flatnonzero(~good.all(axis=1)))
        place = f", time {column}" if times > 1 else ""
        hint = ". A curve is not known beyond its training follow-up: ask for earlier times"
        raise InputError(
            f"{name} must lie within [0, 1]; row {row}{place} holds {values[row, column]}"
            f" (rows {rows}){hint if np.isnan(values[row, column]) else ''}"
        )
    return values


def as_survival_at(survival: npt.ArrayLike, patients: int, name: str = "survival") -> FloatArray:
    """Convert to predicted survival at one time, (patients,); refuses what :func:`as_survival` refuses."""
    return as_survival(survival, patients, 1, name)[:, 0]


def _numbers(values: npt.ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as cause:  # RuntimeError: a tensor with a gradient
        raise InputError(f"{name} must be numbers: {cause}") from None


@dataclass(frozen=True, eq=False)
class KaplanMeierAt:
    """Kaplan–Meier survival at one horizon.

    Attributes
    ----------
    survival : float
    influence : array, (patients,)
        Derivative by each patient's weight; sums to 0, its squares to Greenwood's
        variance.
    events : int
        Events up to the horizon.
    """

    survival: float
    influence: FloatArray
    events: int

    @classmethod
    def of(cls, outcome: Outcome, horizon: float) -> KaplanMeierAt:
        """Estimate S(horizon).

        Raises
        ------
        NotComputableError
            Without patients, or when nobody was followed to the horizon and the curve
            has not reached 0.
        """
        if len(outcome) == 0:
            raise NotComputableError("there are no patients")
        tally = Tally.of(outcome)
        hazard = np.where(tally.time <= horizon, tally.events / tally.at_risk, 0.0)
        survival = float(np.prod(1 - hazard))
        known = float(tally.time[-1])
        if horizon > known and survival > 0:
            raise NotComputableError(
                f"follow-up ends at {known:g}, before the horizon {horizon:g}; ask for that or less"
            )
        events = int((outcome.event & (outcome.time <= horizon)).sum())
        if survival == 0:  # everyone left had the event: no patient's weight moves it
            return cls(0.0, np.zeros(len(outcome)), events)
        staying = np.where(hazard > 0, tally.at_risk - tally.events, 1.0)
        own = np.searchsorted(tally.time, outcome.time)
        had = np.where(outcome.event & (outcome.time <= horizon), 1 / staying[own], 0.0)
        influence = survival * (np.cumsum(hazard / staying)[own] - had)
        return cls(survival, influence, events)
