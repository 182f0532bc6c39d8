"""Median time to the event with its interval (Brookmeyer and Crowley 1982, Biometrics 38:29)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._types import FloatArray
from survfuse.survival.curves import ROUNDING, kaplan_meier_table
from survfuse.survival.estimate import LEVEL, Basis, Estimate
from survfuse.survival.right_censored import Outcome


def median_time(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    level: float = LEVEL,
) -> Estimate:
    """Median of the Kaplan–Meier curve.

    The ends of the interval are the times at which the ends of the curve's own log-log
    interval reach one half, as in R's ``survfit(conf.type = "log-log")``: where a curve lies
    flat at one half, the middle of that time is taken.

    Parameters
    ----------
    time, event : array-like, (patients,)
    level : float
        Coverage of the interval, inside (0, 1).

    Returns
    -------
    Estimate
        No value where the curve does not fall to one half, and an open end (None) where its
        interval does not; `note` says which.

    Raises
    ------
    NotComputableError
        Without any patient.
    """
    outcome = Outcome.of(time, event)
    table = kaplan_meier_table(outcome.time, outcome.event, level)
    curves = (table.survival, table.low, table.high)
    value, low, high = (_first_half(table.time, curve) for curve in curves)
    last = float(table.time[-1])
    note = ""
    if value is None:
        note = f"not reached: more than one half are without the event at {last:g}"
    elif high is None:
        note = "no upper end: the upper limit of the curve stays above one half"
    basis = Basis(len(outcome), outcome.events)
    return basis.without_se(value, note, low, high)


def _first_half(
    time: FloatArray,
    curve: FloatArray,
) -> float | None:
    """Time at which a falling curve reaches one half; None where it never does."""
    reached = np.flatnonzero(curve <= 0.5 + ROUNDING)
    if not len(reached):
        return None
    first = reached[0]
    if curve[first] < 0.5 - ROUNDING:
        return float(time[first])
    below = np.flatnonzero(curve < 0.5 - ROUNDING)
    end = time[below[0]] if len(below) else time[-1]
    return float((time[first] + end) / 2)
