"""Inverse-probability-of-censoring weights at horizons, and what estimating them does to standard errors.

At a horizon t a patient with an event at T <= t counts 1/G(T−), one followed
beyond t counts 1/G(t), one censored at or before t counts nothing; G is the
censoring survival curve. A metric is then a mean of weighted shares.

G is itself estimated. Where it comes from the same patients, their influence on a
metric has a second part, through G (Blanche 2013)::

    sum over censoring times u <= t of  q(u) (dN_i(u) − Y_i(u) h(u)),
    q(u) = (sum of the shares of patients followed beyond u) / Y(u),  h(u) = censorings at u / Y(u)

with Y(u) the patients followed to u or longer, those with an event at u included,
and the whole scaled by sqrt(n / (n − 1)): the standard errors of ``Score`` of R's
riskRegression, to the last digit, shared times included. (The exact jackknife
takes the events at u out of Y(u). With times rounded to years its standard errors
of the Brier score are up to 1 % larger, those of the AUC the same to 0.03 %.)

A censoring curve of other patients is taken for the truth: no second part. Its own
error is then left out: with as many training as test patients (200) 95 % intervals
of the Brier score at three horizons held the truth in 93, 93 and 89 of 100 simulated
cohorts (1,200), of the AUC in 95; with their own curve in 94 to 95, and in 95.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival.curves import StepFunction, censoring_survival
from survfuse.survival.estimate import Estimate, not_computable, wald
from survfuse.survival.horizons import as_horizons
from survfuse.survival.outcome import Outcome, Tally

Train = tuple[npt.ArrayLike, npt.ArrayLike]
ASSUMES = "censoring is independent of the predictions and of the event times"


def as_train(train: Train) -> Outcome:
    """Convert (time, event) of the patients trained on, or say that it is theirs that is wrong."""
    try:
        time, event = train
    except (TypeError, ValueError):
        raise InputError("train must be (time, event) of the patients trained on") from None
    try:
        return Outcome.of(time, event)
    except InputError as cause:
        raise type(cause)(f"train: {cause}") from None


def censoring_curve(train: Outcome) -> tuple[StepFunction, float]:
    """Give the censoring survival curve of some patients, and the last time it is known for.

    Raises
    ------
    InputError
        Without any patient.
    """
    if len(train) == 0:
        raise InputError("train must hold at least one patient")
    return censoring_survival(train.time, train.event), float(train.time.max())


@dataclass(frozen=True, eq=False)
class CensoringWeights:
    """What each patient counts at each horizon.

    Attributes
    ----------
    outcome : Outcome
    times : array, (times,)
    of_event : array, (patients,)
        1/G(T−) for events, from their time on; 0 for the censored.
    of_beyond : array, (times,)
        1/G(t), for each patient followed beyond t; 0 where G(t) is 0.
    why : tuple of str, (times,)
        Why a metric is not computable at that horizon; empty where it is.
    own : bool
        Whether G was estimated from these very patients.
    """

    outcome: Outcome
    times: FloatArray
    of_event: FloatArray
    of_beyond: FloatArray
    why: tuple[str, ...]
    own: bool

    @classmethod
    def of(
        cls, outcome: Outcome, times: npt.ArrayLike, train: Train | None = None, *, increasing: bool = False
    ) -> CensoringWeights:
        """Weigh the patients.

        Parameters
        ----------
        outcome : Outcome
        times, increasing
            As in :func:`~survfuse.survival.horizons.as_horizons`.
        train : (time, event), optional
            Patients who give G; these patients themselves otherwise.
        """
        horizons = as_horizons(times, increasing=increasing)
        other = None if train is None else censoring_curve(as_train(train))
        if len(outcome) == 0:
            why = ("there are no patients",) * len(horizons)
            return cls(outcome, horizons, np.zeros(0), np.zeros(len(horizons)), why, train is None)
        curve, last = other or censoring_curve(outcome)
        # With G of other patients a horizon beyond these patients' own follow-up is as good as any:
        # to leave such folds out would keep those that happen to hold a survivor, who weighs most.
        at_horizons, longest = curve(horizons), float(outcome.time.max()) if train is None else np.inf
        why = tuple(_why_not(t, g, longest, last) for t, g in zip(horizons, at_horizons, strict=True))
        of_event = outcome.event * _inverse(curve.left(outcome.time))
        return cls(outcome, horizons, of_event, _inverse(at_horizons), why, train is None)

    def __len__(self) -> int:
        return len(self.outcome)

    @cached_property
    def beyond(self) -> BoolArray:
        """Who was followed beyond each horizon, (patients, times)."""
        return self.outcome.time[:, None] > self.times

    @property
    def known(self) -> BoolArray:
        """At which horizons a metric is computable, (times,)."""
        return np.array([not why for why in self.why])

    @property
    def events(self) -> list[int]:
        """Events at or before each horizon, (times,)."""
        event_times = np.sort(self.outcome.time[self.outcome.event])
        return [int(count) for count in np.searchsorted(event_times, self.times, side="right")]

    def usable(self) -> CensoringWeights:
        """Keep the horizons that are computable."""
        known = self.known
        if known.all():
            return self
        kept = tuple(why for why in self.why if not why)
        return replace(self, times=self.times[known], of_beyond=self.of_beyond[known], why=kept)

    def unless(self, bad: npt.ArrayLike, why: str) -> CensoringWeights:
        """Declare horizons not computable; a reason that stands already stays.

        Parameters
        ----------
        bad : array-like, (times,)
        why : str
            ``{t}`` stands for the horizon.
        """
        flags = np.broadcast_to(np.asarray(bad), self.times.shape)
        whys = zip(self.why, flags, self.times, strict=True)
        return replace(
            self, why=tuple(old or (why.format(t=f"{t:g}") if flag else "") for old, flag, t in whys)
        )

    def demand(self) -> None:
        """Raise NotComputableError with the first reason, if some horizon is not computable."""
        for why in self.why:
            if why:
                raise NotComputableError(why)

    @property
    def restriction(self) -> str:
        """What a reader of an integral must know: where it ends and why; empty when nothing was left out."""
        left_out = [why for why in self.why if why]
        if not left_out or not self.known.any():
            return ""
        return f"restricted to t <= {self.times[self.known][-1]:g}: {left_out[0]}"

    def estimates(
        self,
        values: FloatArray,
        influence: FloatArray,
        limits: tuple[float, float],
        *,
        logit: bool = False,
    ) -> list[Estimate]:
        """Make one estimate per horizon.

        Parameters
        ----------
        values : array, (computable times,)
        influence : array, (patients, computable times)
        limits, logit
            As in :func:`~survfuse.survival.estimate.around`.
        """
        found: Iterator[tuple[float, FloatArray]] = zip(values.tolist(), influence.T, strict=True)
        estimates = []
        for why, events in zip(self.why, self.events, strict=True):
            if why:
                estimates.append(not_computable(why, len(self), events, ASSUMES))
            else:
                value, each = next(found)
                estimates.append(
                    wald(value, each, len(self), events, limits=limits, logit=logit, assumptions=ASSUMES)
                )
        return estimates

    def mean(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean share at each horizon, and each patient's influence on it through share and G.

        Parameters
        ----------
        share : array, (patients, times)
            Weighted shares whose mean is the metric; 0 for patients without weight.

        Returns
        -------
        values : array, (times,)
        influence : array, (patients, times)
            Sums to 0 over patients; the standard error is ``sqrt(sum(influence ** 2))``.
        """
        values: FloatArray = share.sum(axis=0) / max(len(self), 1)
        influence: FloatArray = share - values
        if self.own:
            influence += self._through_g(self._followed_longer(share))
        influence *= self._scale
        return values, influence

    def integral(self, share: FloatArray, width: FloatArray) -> tuple[float, FloatArray]:
        """Sum over times of `width` times the mean share: :meth:`mean` @ width at less expense.

        Parameters
        ----------
        share : array, (patients, times)
            At times that increase.
        width : array, (times,)

        Returns
        -------
        value : float
        influence : array, (patients,)
        """
        total = share @ width
        value = float(total.mean())
        influence: FloatArray = total - value
        if self.own:
            influence += self._through_g(self._followed_longer_in_all(share, width)[:, None])[:, 0]
        return value, influence * self._scale

    @property
    def _scale(self) -> float:  # one patient has no spread: influence 0
        n = len(self)
        return float((n * (n - 1)) ** -0.5) if n > 1 else 0.0

    @cached_property
    def _leaving(self) -> _Leaving:
        return _Leaving.of(self.outcome)

    def _followed_longer(self, share: FloatArray) -> FloatArray:
        """Sum of the shares of patients followed beyond u, (censoring times, times); 0 where u > t."""
        leaving = self._leaving
        tail = np.zeros((len(share) + 1, share.shape[1]))
        np.cumsum(share[leaving.order[::-1]], axis=0, out=tail[1:])
        mass: FloatArray = tail[len(share) - leaving.gone]
        mass[leaving.time[:, None] > self.times] = 0.0
        return mass

    def _followed_longer_in_all(self, share: FloatArray, width: FloatArray) -> FloatArray:
        """Give ``_followed_longer(share) @ width``, (censoring times,), without its matrix.

        Beyond u lie, of the horizons from the next one t_s on, the patients who leave
        by t_s (with the shares they have once they have left) and those who leave later.
        """
        leaving, time, horizons = self._leaving, self.outcome.time, len(self.times)
        following = np.searchsorted(self.times, time, side="left")  # next horizon of each patient
        rows = np.arange(len(time) + 1)
        per_horizon = csr_array((np.ones(len(time)), following, rows), shape=(len(time), horizons + 1)).T
        later = np.cumsum((per_horizon @ share)[:0:-1], axis=0)[
            ::-1
        ]  # (times s, times), who leaves after t_s
        later_from_s = np.triu(later) @ width
        ended = np.append(0.0, np.cumsum((np.where(self.beyond, 0.0, share) @ width)[leaving.order]))
        by_horizon = np.searchsorted(time[leaving.order], self.times, side="right")
        s = np.searchsorted(self.times, leaving.time, side="left")
        inside = s < horizons
        s, gone = s[inside], leaving.gone[inside]
        mass = np.zeros(len(inside))
        mass[inside] = ended[by_horizon[s]] - ended[gone] + later_from_s[s]
        return mass

    def _through_g(self, mass: FloatArray) -> FloatArray:
        """Second part of the influence, (patients, columns), from :meth:`_followed_longer`."""
        leaving = self._leaving
        jump = mass / leaving.at_risk[:, None]
        paid = np.zeros((len(jump) + 1, jump.shape[1]))
        np.cumsum(jump * (leaving.count / leaving.at_risk)[:, None], axis=0, out=paid[1:])
        parts = np.concatenate([-paid, jump - paid[1:]])  # of those who had the event, of the censored
        part: FloatArray = parts[leaving.passed + np.where(self.outcome.event, 0, len(jump))]
        return part


@dataclass(frozen=True, eq=False)
class _Leaving:
    """Censoring times in increasing order, and where the patients stand among them."""

    order: IntArray  # (patients,), rows by increasing time
    time: FloatArray  # (censoring times,)
    at_risk: FloatArray  # (censoring times,)
    count: FloatArray  # (censoring times,)
    gone: IntArray  # (censoring times,), patients followed to it or less
    passed: IntArray  # (patients,), censoring times at or before the patient's own

    @classmethod
    def of(cls, outcome: Outcome) -> _Leaving:
        tally = Tally.of(outcome)
        some = tally.censored > 0
        time, order = tally.time[some], np.argsort(outcome.time, kind="stable")
        gone = np.searchsorted(outcome.time[order], time, side="right")
        passed = np.searchsorted(time, outcome.time, side="right")
        return cls(order, time, tally.at_risk[some], tally.censored[some], gone, passed)


def _why_not(t: float, g: float, longest: float, last: float) -> str:
    if t > longest:
        return f"t = {t:g} lies beyond all follow-up, which ends at {longest:g}"
    if t > last:
        return f"t = {t:g} lies beyond the training censoring curve, which ends at {last:g}"
    if not g > 0:
        return f"t = {t:g} lies where the censoring curve has reached 0: nobody is followed beyond it"
    return ""


def _inverse(g: FloatArray) -> FloatArray:
    return np.divide(1.0, g, out=np.zeros_like(g), where=g > 0)
