"""Curves over time: step functions, Kaplan–Meier, censoring, Breslow, survival per patient.

At a shared time events come before censorings: a patient censored at t was at risk
for the events at t, and a patient with an event at t was not at risk of being
censored at t.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival._partial import RiskSets
from survfuse.survival.argument_checks import as_log_risk, as_numbers, as_share
from survfuse.survival.right_censored import Outcome, Tally
from survfuse.survival.ties import tolerance

ROUNDING = 1e-12  # a curve this close above a level has reached it: 1 - 3/6 is 0.5


@dataclass(frozen=True, eq=False)
class StepFunction:
    """A right-continuous step function.

    Parameters
    ----------
    x : array, (steps,), strictly increasing
        Where it steps.
    y : array, (steps,)
        Its value from each step on.
    before : float
        Its value left of the first step.

    Examples
    --------
    >>> f = StepFunction([1.0, 3.0], [0.5, 0.2], 1.0)
    >>> f([0, 1, 2, 3]).tolist(), f.left([1, 3]).tolist()
    ([1.0, 0.5, 0.5, 0.2], [1.0, 0.5])
    """

    x: FloatArray
    y: FloatArray
    before: float

    def __post_init__(self) -> None:
        x = np.asarray(self.x, dtype=np.float64)
        y = np.asarray(self.y, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape:
            raise InputError(
                f"a step function needs as many x as y, got shapes {x.shape} and {y.shape}",
            )
        if not (np.diff(x) > 0).all():
            raise InputError("the x of a step function must increase strictly")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    def __call__(self, t: npt.ArrayLike) -> FloatArray:
        """Value at `t`, any shape; a `t` that equals a step up to rounding is that step."""
        steps = np.searchsorted(self.x - tolerance(self.x), _times(t), side="right")
        return np.asarray(np.append(self.before, self.y)[steps])

    def left(self, t: npt.ArrayLike) -> FloatArray:
        """Limit from the left at `t`; a `t` that equals a step up to rounding is that step."""
        steps = np.searchsorted(self.x + tolerance(self.x), _times(t), side="left")
        return np.asarray(np.append(self.before, self.y)[steps])

    def first_at_most(self, level: float) -> float | None:
        """First x at which the value is `level` or less; None where it never falls so far."""
        reached = np.flatnonzero(self.y <= level + ROUNDING)
        return float(self.x[reached[0]]) if len(reached) else None

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return {"x": self.x.tolist(), "y": self.y.tolist(), "before": self.before}


def kaplan_meier(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> StepFunction:
    """Kaplan–Meier survival; steps lie at all distinct follow-up times, censorings included.

    Parameters
    ----------
    time, event : array-like, (patients,)
        See :class:`~survfuse.survival.right_censored.Outcome`.

    Raises
    ------
    NotComputableError
        Without any patient.
    """
    tally = _tally(time, event)
    return StepFunction(tally.time, np.cumprod(1 - tally.events / tally.at_risk), 1.0)


def censoring_survival(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> StepFunction:
    """Probability G(t) of still being followed after t: the reverse Kaplan–Meier curve.

    Patients with an event at t have left the risk set of the censorings at t.
    Weights read it as ``G.left(t)`` for events at t and ``G(t)`` for survivors of t.

    Parameters
    ----------
    time, event : array-like, (patients,)

    Raises
    ------
    NotComputableError
        Without any patient.
    """
    tally = _tally(time, event)
    staying = tally.at_risk - tally.events
    # Without anyone left there is no censoring either.
    lost = tally.censored / np.maximum(staying, 1.0)
    return StepFunction(tally.time, np.cumprod(1 - lost), 1.0)


def follow_up_median(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> float | None:
    """Median follow-up by reverse Kaplan–Meier (Schemper 1996); None when not reached."""
    return censoring_survival(time, event).first_at_most(0.5)


@dataclass(frozen=True, eq=False)
class KaplanMeierTable:
    """A Kaplan–Meier curve with its interval, for figures; the first row is time 0.

    Attributes
    ----------
    time, survival, low, high, at_risk, events : array, (rows,)
        Intervals are log-log; 1 before the first event, NaN once survival is 0,
        where the variance is not defined.
    """

    time: FloatArray
    survival: FloatArray
    low: FloatArray
    high: FloatArray
    at_risk: FloatArray
    events: FloatArray


def kaplan_meier_table(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    level: float = 0.95,
) -> KaplanMeierTable:
    """Kaplan–Meier survival with pointwise log-log intervals (Greenwood variance).

    Parameters
    ----------
    time, event : array-like, (patients,)
    level : float
        Coverage of the interval, inside (0, 1).
    """
    level, tally = as_share(level, "level"), _tally(time, event)
    survival = np.cumprod(1 - tally.events / tally.at_risk)
    inside = (survival > 0) & (survival < 1)
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        surviving = tally.at_risk - tally.events
        variance = np.cumsum(tally.events / (tally.at_risk * surviving))
        width = z * np.sqrt(variance) / -np.log(survival)
        low, high = survival ** np.exp(width), survival ** np.exp(-width)
    outside = np.where(survival > 0, 1.0, np.nan)
    return KaplanMeierTable(
        time=np.append(0.0, tally.time),
        survival=np.append(1.0, survival),
        low=np.append(1.0, np.where(inside, low, outside)),
        high=np.append(1.0, np.where(inside, high, outside)),
        at_risk=np.append(tally.at_risk[0], tally.at_risk),
        events=np.append(0.0, tally.events),
    )


def breslow(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    log_risk: npt.ArrayLike,
    ties: str = "breslow",
) -> StepFunction:
    """Cumulative baseline hazard of a patient whose log-risk is 0 (Breslow 1972, Efron 1977).

    Steps lie at all distinct follow-up times, so that the last x is the last
    time the hazard is known for.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
    ties : {"breslow", "efron"}
        Whether events at one time leave the risk set together or, as in Efron's
        partial likelihood, one after another.

    Raises
    ------
    NotComputableError
        Without any patient, or when the log-risks lie so far from 0 that a
        double cannot hold the hazard; centre them first.
    InputError
        For unknown `ties`.
    """
    outcome = Outcome.of(time, event)
    tally = _tally(time, event)
    risk = as_log_risk(log_risk, len(outcome))
    sets = RiskSets.of(outcome, ties)
    ordered = risk[sets.order]
    log_sum = sets.log_sums(ordered)  # (events,), over everyone followed as long
    own = np.exp(np.minimum(ordered[sets.event] - log_sum, 0.0))
    part = np.bincount(sets.tied, weights=own)[sets.tied]
    # Share of the risk set that left by earlier tied events.
    gone = np.minimum(sets.share * part, sets.share)
    with np.errstate(over="ignore", under="ignore"):
        steps = np.exp(-log_sum) / (1 - gone)
    where = np.searchsorted(tally.time, outcome.time[sets.order][sets.event])
    hazard = np.bincount(
        where,
        weights=steps,
        minlength=len(tally.time),
    )
    if not np.isfinite(hazard).all() or (hazard[tally.events > 0] == 0).any():
        raise NotComputableError(
            f"baseline hazard: log-risks from {risk.min():g} to {risk.max():g} do not fit a double;"
            " centre them, or look for a network that diverged",
        )
    return StepFunction(tally.time, np.cumsum(hazard), 0.0)


@dataclass(frozen=True, eq=False)
class SurvivalCurves:
    """One survival curve per patient, all stepping at the same times.

    Parameters
    ----------
    times : array, (steps,), strictly increasing, > 0
        Where the curves step; before the first S is 1.
    survival : array, (patients, steps)
        Survival from each step on, never rising, within [0, 1].
    last : float
        Last time the curves are known for (the longest training follow-up).
    """

    times: FloatArray
    survival: FloatArray
    last: float

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64)
        survival = np.asarray(self.survival, dtype=np.float64)
        if times.ndim != 1 or survival.ndim != 2 or survival.shape[1] != len(times):
            raise InputError(
                f"expected survival (patients, {times.shape[0] if times.ndim else 0}),"
                f" got {survival.shape} for times {times.shape}",
            )
        if not (np.diff(times, prepend=0.0) > 0).all() or (times > self.last).any():
            raise InputError(
                f"curve times must increase strictly from above 0 to at most last = {self.last:g}",
            )
        if (
            not ((survival >= 0) & (survival <= 1)).all()
            or (np.diff(survival, axis=1) > 0).any()
        ):
            raise InputError("survival must lie within [0, 1] and never rise")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "survival", survival)

    def __len__(self) -> int:
        return len(self.survival)

    @property
    def _padded(self) -> FloatArray:  # (patients, 1 + steps), S(0) = 1 first
        return np.hstack([np.ones((len(self), 1)), self.survival])

    def at(self, times: npt.ArrayLike) -> FloatArray:
        """Survival at `times`.

        Parameters
        ----------
        times : array-like, (horizons,)
            In the unit of the curves.

        Returns
        -------
        array, (patients, horizons)
            NaN beyond `last`, where nothing is known, except that a curve that
            has reached 0 stays there. 1 before the first step.
        """
        horizons = np.atleast_1d(_times(times))
        values = np.take(self._padded, self._steps(horizons), axis=1)
        unknown = (horizons > self.last + tolerance(self.times)) & (values > 0)
        return np.where(unknown, np.nan, values)

    def own(self, time: FloatArray) -> FloatArray:
        """Survival of each patient at one time of its own, (patients,); at `last` beyond it."""
        return self._padded[np.arange(len(self)), self._steps(time)]

    def _steps(self, times: FloatArray) -> IntArray:
        """How many steps lie at or before each time, up to rounding."""
        return np.searchsorted(self.times - tolerance(self.times), times, side="right")

    def quantile(self, q: float) -> FloatArray:
        """First time at which S <= 1 - q, (patients,); NaN when not reached.

        By it a share `q` of such patients has had the event.

        Raises
        ------
        InputError
            When `q` is not inside (0, 1).
        """
        if not 0 < q < 1:
            raise InputError(f"a quantile lies between 0 and 1, got {q}")
        reached = self.survival <= 1 - q + ROUNDING
        if len(self.times) == 0:
            return np.full(len(self), np.nan)
        return np.where(reached.any(axis=1), self.times[reached.argmax(axis=1)], np.nan)

    def median(self) -> FloatArray:
        """Median survival time, (patients,); NaN when not reached by `last`."""
        return self.quantile(0.5)

    def rmst(self, horizon: float) -> FloatArray:
        """Restricted mean survival time: the area under each curve from 0 to `horizon`.

        Parameters
        ----------
        horizon : float
            In the unit of the curves.

        Returns
        -------
        array, (patients,)
            Exact for the step function.

        Raises
        ------
        NotComputableError
            When some curve is not known up to `horizon`.
        InputError
            When `horizon` is not a number above 0.
        """
        if not (np.isfinite(horizon) and horizon > 0):
            raise InputError(f"a horizon must be a finite number > 0, got {horizon}")
        if horizon > self.last and (self._padded[:, -1] > 0).any():
            raise NotComputableError(
                f"RMST to {horizon:g}: the curves are known up to {self.last:g} only; ask for that "
                "or less",
            )
        steps = np.concatenate([[0.0], self.times, [np.inf]])
        widths = np.diff(np.clip(steps, 0.0, horizon))
        return np.asarray(self._padded @ widths)

    def select(self, rows: Any) -> SurvivalCurves:
        """Select the patients that `rows` (indices, mask or slice) names, in that order."""
        return SurvivalCurves(self.times, self.survival[rows], self.last)


def _times(t: npt.ArrayLike) -> FloatArray:
    times = as_numbers(t, "times", flags=False)
    if np.isnan(times).any():
        raise InputError("times must be numbers, got NaN")
    return times


def _tally(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> Tally:
    outcome = Outcome.of(time, event)
    if len(outcome) == 0:
        raise NotComputableError(
            "a curve over time needs at least one patient, got none",
        )
    return Tally.of(outcome)
