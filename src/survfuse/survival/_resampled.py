"""Many weighted Cox fits at once: the patient bootstrap of a small Cox model.

A resample is a weight per patient: how often they were drawn. Tied events share
the mean of their weights, as in ``survival::coxph`` of R with case weights, so
that equal weights give the Efron fit itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._types import BoolArray, FloatArray
from survfuse.survival._partial import RiskSets
from survfuse.survival.right_censored import Outcome

MOST_STEPS = 25
SMALL_MOVE = 1e-5  # of any patient's log-risk; Newton squares it, so 1e-10 is left
LARGEST_STEP = 5.0


@dataclass(frozen=True, eq=False)
class ResampledCox:
    """Cox fits of resampled patients, read at one horizon.

    Attributes
    ----------
    coef : array, (resamples, features)
    hazard : array, (resamples,)
        Cumulative baseline hazard at the horizon, of features that are all 0.
    converged : array, (resamples,)
        False where a resample has no event up to the horizon, or none that its
        features do not separate.
    """

    coef: FloatArray
    hazard: FloatArray
    converged: BoolArray


def resampled_cox(
    outcome: Outcome,
    x: FloatArray,
    weight: FloatArray,
    start: FloatArray,
    horizon: float,
) -> ResampledCox:
    """Fit a Cox model to each resample by Newton's method from `start`.

    Parameters
    ----------
    outcome : Outcome
    x : array, (patients, features)
    weight : array, (resamples, patients), how often each patient was drawn
    start : array, (features,), coefficients to start from
    horizon : float
    """
    sets = RiskSets.of(outcome, "efron")
    x, weight = x[sets.order], weight[:, sets.order]
    events = _EventTimes.of(sets, weight)
    coef = np.tile(start, (len(weight), 1))
    converged = np.zeros(len(weight), dtype=bool)
    for _ in range(MOST_STEPS):
        move = _solve(*events.derivatives(x, weight, coef))
        shift = np.abs(move @ x.T).max(axis=1)
        move *= np.minimum(LARGEST_STEP / np.maximum(shift, 1e-300), 1.0)[:, None]
        coef = coef + np.where(np.isfinite(move), move, 0.0)
        converged = shift < SMALL_MOVE
        if converged.all():
            break
    upto = outcome.time[sets.order][sets.event] <= horizon
    hazard = events.hazard(x, weight, coef, upto)
    return ResampledCox(coef, hazard, converged & np.isfinite(hazard) & (hazard > 0))


@dataclass(frozen=True, eq=False)
class _EventTimes:
    """Risk sets with the weight that each event carries in each resample."""

    sets: RiskSets
    starts: np.ndarray  # (event times,), first event of each
    weight: FloatArray  # (resamples, events), mean over the events at one time

    @classmethod
    def of(
        cls,
        sets: RiskSets,
        weight: FloatArray,
    ) -> _EventTimes:
        starts = np.flatnonzero(np.diff(sets.tied, prepend=-1))
        total = np.add.reduceat(weight[:, sets.event], starts, axis=1)
        mean = total / np.bincount(sets.tied)
        return cls(sets, starts, mean[:, sets.tied])

    def _sums(self, mass: FloatArray) -> FloatArray:
        """Mass at risk at each event, less Efron's share; (resamples, events)."""
        at_risk = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1][:, self.sets.first]
        if not self.sets.share.any():
            return at_risk
        tied = self._over_ties(mass[:, self.sets.event])
        less: FloatArray = at_risk - self.sets.share * tied
        return less

    def _over_ties(self, values: FloatArray) -> FloatArray:
        """Sum over the events at one time, (resamples, events)."""
        return np.add.reduceat(values, self.starts, axis=1)[:, self.sets.tied]

    def derivatives(
        self,
        x: FloatArray,
        weight: FloatArray,
        coef: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Information (resamples, features, features) and gradient (resamples, features)."""
        mass, _ = _masses(x, weight, coef)
        size = np.maximum(self._sums(mass), 1e-300)
        mean = np.stack([self._sums(mass * column) / size for column in x.T], axis=1)
        pull = self.weight / size
        hazard = np.pad(np.cumsum(pull, axis=1), ((0, 0), (1, 0)))[:, self.sets.until]
        if self.sets.share.any():
            hazard[:, self.sets.event] -= self._over_ties(self.sets.share * pull)
        lost = mass * hazard
        residual = -lost
        residual[:, self.sets.event] += weight[:, self.sets.event]
        features = x.shape[1]
        squares = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        spread = (lost @ squares).reshape(-1, features, features)
        weighted = mean * self.weight[:, None]
        return spread - weighted @ mean.transpose(0, 2, 1), residual @ x

    def hazard(
        self,
        x: FloatArray,
        weight: FloatArray,
        coef: FloatArray,
        upto: BoolArray,
    ) -> FloatArray:
        """Cumulative baseline hazard over the events that `upto` marks, (resamples,)."""
        mass, top = _masses(x, weight, coef)
        with np.errstate(
            over="ignore",
            divide="ignore",
            invalid="ignore",
        ):
            steps = np.where(self.weight > 0, self.weight / self._sums(mass), 0.0)
            total: FloatArray = steps[:, upto].sum(axis=1) * np.exp(-top)
        return total


def _masses(
    x: FloatArray,
    weight: FloatArray,
    coef: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Weight times relative risk, (resamples, patients), and the log of what it was divided by."""
    risk = coef @ x.T
    top = risk.max(axis=1)
    return weight * np.exp(risk - top[:, None]), top


def _solve(
    information: FloatArray,
    gradient: FloatArray,
) -> FloatArray:
    """Newton's move of each resample; NaN where its likelihood is flat."""
    usable = np.isfinite(information).all(axis=(1, 2))
    usable &= np.linalg.det(information) > 1e-12
    solution = np.linalg.solve(information[usable], gradient[usable][:, :, None])
    move = np.full_like(gradient, np.nan)
    move[usable] = solution[:, :, 0]
    return move


def resampled_risk(
    outcome: Outcome,
    weight: FloatArray,
    horizon: float,
) -> FloatArray:
    """Kaplan–Meier risk at the horizon in each resample, (resamples,).

    Parameters
    ----------
    outcome : Outcome
    weight : array, (resamples, patients), how often each patient was drawn
    horizon : float
    """
    sets = RiskSets.of(outcome, "breslow")
    mass = weight[:, sets.order]
    starts = np.flatnonzero(np.diff(sets.tied, prepend=-1))
    # (resamples, event times)
    events = np.add.reduceat(mass[:, sets.event], starts, axis=1)
    at_risk = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1][:, sets.first[starts]]
    upto = outcome.time[sets.order][sets.event][starts] <= horizon
    share = np.divide(
        events,
        at_risk,
        out=np.zeros_like(events),
        where=at_risk > 0,
    )
    risk: FloatArray = 1 - np.prod(1 - share[:, upto], axis=1)
    return risk
