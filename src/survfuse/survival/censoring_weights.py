"""Inverse-probability-of-censoring weights at horizons, with their effect on standard errors.

At a horizon t a patient with an event at T <= t counts 1/G(T−), one followed
beyond t counts 1/G(t), one censored at or before t counts nothing; G is the
censoring survival curve. A metric is then a mean of weighted shares.

All is known up to the last follow-up of the patients who give G. Where everyone left is
censored at that time (a study that ends after 60 months), nobody is followed beyond it and
G is 0 there. Those censored at it are then known to be free of the event: at this horizon
they count as followed beyond, 1/G(t−).

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

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival.estimate import UNLIMITED, Basis, Estimate, joined
from survfuse.survival.follow_up import Clock
from survfuse.survival.right_censored import Outcome, Tally

NO_PATIENTS = "there are no patients"
BEYOND = "t = {t:g} lies beyond all follow-up, which ends at {last:g}"
BEYOND_TRAIN = (
    "t = {t:g} lies beyond the training censoring curve, which ends at {last:g}"
)
END = (
    "everyone's follow-up ends by t = {t:g}: patients followed to it count as free of"
    " the event there, by the censoring curve just before it"
)
ASSUMES = "censoring is independent of the predictions and of the event times"
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class CensoringWeights:
    """The weight of each patient at each horizon.

    Attributes
    ----------
    outcome : Outcome
    training : Outcome or None
        Patients who give G; None where G is estimated from `outcome` itself.
    times : array, (times,)
    of_event : array, (patients,)
        1/G(T−) for events, from their time on; 0 for the censored.
    of_beyond : array, (times,)
        1/G(t), for each patient followed beyond t; 1/G(t−) where all follow-up ends at t.
    followed : array, (patients,)
        Beyond which horizons a patient is known to be free of the event: all smaller ones.
    why : array of str, (times,)
        Why a metric is not computable at that horizon; empty where it is.
    notes : array of str, (times,)
        What a reader must know of that horizon.
    """

    outcome: Outcome
    training: Outcome | None
    times: FloatArray
    of_event: FloatArray
    of_beyond: FloatArray
    followed: FloatArray
    why: Texts
    notes: Texts

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        times: FloatArray,
        training: Outcome | None = None,
    ) -> CensoringWeights:
        """Estimate the weights.

        Parameters
        ----------
        outcome : Outcome
        times : array, (times,)
            Horizons (see :func:`~survfuse.survival.argument_checks.as_horizons`).
        training : Outcome, optional
            Patients who give G; these patients themselves otherwise.
        """
        clock = Clock.of(outcome, times, training)
        outcome, times, curve = clock.outcome, clock.horizons, clock.censoring
        why, notes = _texts(times, ""), _texts(times, "")
        if curve is None:
            none, zeros = np.zeros(0), np.zeros(len(times))
            why = _texts(times, NO_PATIENTS)
            return cls(outcome, training, times, none, zeros, none, why, notes)
        # With G of other patients a horizon beyond these patients' own follow-up is as good as
        # any: leaving such folds out would keep those that happen to hold a survivor, who weighs
        # most.
        late = BEYOND if training is None else BEYOND_TRAIN
        why[times > clock.last] = _texts(times, late, last=clock.last)[
            times > clock.last
        ]
        of_event = outcome.event * _inverse(curve.left(outcome.time))
        followed, at_horizons = outcome.time, curve(times)
        ends = (times == clock.last) & (at_horizons == 0)
        if ends.any():
            free = (outcome.time == clock.last) & ~outcome.event
            followed = np.where(free, np.nextafter(outcome.time, np.inf), outcome.time)
            at_horizons = np.where(ends, curve.left(times), at_horizons)
            notes[ends] = _texts(times, END)[ends]
        of_beyond = _inverse(at_horizons)
        return cls(outcome, training, times, of_event, of_beyond, followed, why, notes)

    def __len__(self) -> int:
        return len(self.outcome)

    @cached_property
    def beyond(self) -> BoolArray:
        """Who was followed beyond each horizon, (patients, times)."""
        return self.followed[:, None] > self.times

    @property
    def known(self) -> BoolArray:
        """At which horizons a metric is computable, (times,)."""
        return np.asarray(self.why == "", dtype=bool)

    @property
    def events(self) -> IntArray:
        """Events at or before each horizon, (times,)."""
        event_times = np.sort(self.outcome.time[self.outcome.event])
        return np.searchsorted(event_times, self.times, side="right")

    def usable(self) -> CensoringWeights:
        """Keep the horizons that are computable."""
        known = self.known
        if known.all():
            return self
        return replace(
            self,
            times=self.times[known],
            of_beyond=self.of_beyond[known],
            why=self.why[known],
            notes=self.notes[known],
        )

    def unless(
        self,
        bad: BoolArray,
        why: str,
    ) -> CensoringWeights:
        """Declare horizons not computable; a reason that is there already stays.

        Parameters
        ----------
        bad : array, (times,)
        why : str
            ``{t:g}`` stands for the horizon.
        """
        reasons = np.where(bad & self.known, _texts(self.times, why), self.why)
        return replace(self, why=reasons)

    @property
    def restriction(self) -> str:
        """Where an integral over the horizons ends and why, and the notes of those within."""
        if not self.known.any():
            return ""
        end = ""
        if not self.known.all():
            last, why = self.times[self.known][-1], self.why[~self.known][0]
            end = f"restricted to t <= {last:g}: {why}"
        return joined(end, *self.usable().notes)

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
        if self.training is None:
            influence += self._through_g(self._followed_longer(share))
        influence *= self._scale
        return values, influence

    def integral(
        self,
        share: FloatArray,
        width: FloatArray,
    ) -> tuple[float, FloatArray]:
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
        if self.training is None:
            mass = self._followed_longer_in_all(share, width)
            influence += self._through_g(mass[:, None])[:, 0]
        return value, influence * self._scale

    @property
    def _scale(self) -> float:  # one patient has no spread: influence 0
        n = len(self)
        return float((n * (n - 1)) ** -0.5) if n > 1 else 0.0

    @cached_property
    def _leaving(self) -> _Leaving:
        return _Leaving.of(self.outcome)

    def _followed_longer(self, share: FloatArray) -> FloatArray:
        """Shares of patients followed beyond u, summed, (censoring times, times); 0 where u > t."""
        leaving = self._leaving
        tail = np.zeros((len(share) + 1, share.shape[1]))
        np.cumsum(
            share[leaving.order[::-1]],
            axis=0,
            out=tail[1:],
        )
        mass: FloatArray = tail[len(share) - leaving.gone]
        mass[leaving.time[:, None] > self.times] = 0.0
        return mass

    def _followed_longer_in_all(
        self,
        share: FloatArray,
        width: FloatArray,
    ) -> FloatArray:
        """Give ``_followed_longer(share) @ width``, (censoring times,), without its matrix.

        Beyond u lie, of the horizons from the next one t_s on, the patients who leave
        by t_s (with the shares they have once they have left) and those who leave later.
        """
        leaving, time, horizons = self._leaving, self.outcome.time, len(self.times)
        # The first horizon that each patient has not lived beyond.
        following = np.searchsorted(self.times, self.followed, side="left")
        per_horizon = csr_array(
            (np.ones(len(time)), following, np.arange(len(time) + 1)),
            shape=(len(time), horizons + 1),
        ).T
        per_leaver = (per_horizon @ share)[:0:-1]
        later = np.cumsum(per_leaver, axis=0)[::-1]  # (times s, times), leave after t_s
        later_from_s = np.triu(later) @ width
        after_leaving = np.where(self.beyond, 0.0, share) @ width
        ended = np.append(0.0, np.cumsum(after_leaving[leaving.order]))
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
        hazard = (leaving.count / leaving.at_risk)[:, None]
        paid = np.zeros((len(jump) + 1, jump.shape[1]))
        np.cumsum(
            jump * hazard,
            axis=0,
            out=paid[1:],
        )
        # Of those who had the event, then of the censored.
        parts = np.concatenate([-paid, jump - paid[1:]])
        rows = leaving.passed + np.where(self.outcome.event, 0, len(jump))
        part: FloatArray = parts[rows]
        return part


@dataclass(frozen=True, eq=False)
class AtHorizons:
    """A metric at horizons.

    Attributes
    ----------
    weights : CensoringWeights
    values : array, (computable times,)
    influence : array, (patients, computable times)
    limits, logit
        As in :meth:`~survfuse.survival.estimate.Basis.around`.
    """

    weights: CensoringWeights
    values: FloatArray
    influence: FloatArray
    limits: tuple[float, float] = UNLIMITED
    logit: bool = False

    def estimates(self) -> list[Estimate]:
        """One estimate per horizon, with the reason where there is no value."""
        weights, computed, estimates = self.weights, 0, []
        for why, note, events in zip(
            weights.why,
            weights.notes,
            weights.events.tolist(),
            strict=True,
        ):
            basis = Basis(len(weights), events, ASSUMES)
            if why:
                estimates.append(basis.missing(why))
                continue
            value, influence = (
                float(self.values[computed]),
                self.influence[:, computed],
            )
            estimates.append(
                basis.wald(
                    value,
                    influence,
                    self.limits,
                    logit=self.logit,
                    note=note,
                ),
            )
            computed += 1
        return estimates

    def at_all(self) -> tuple[FloatArray, FloatArray]:
        """Values (times,) and influence (patients, times).

        Raises
        ------
        NotComputableError
            With the first reason, where some horizon is not computable.
        """
        for why in self.weights.why:
            if why:
                raise NotComputableError(why)
        return self.values, self.influence


@dataclass(frozen=True, eq=False)
class _Leaving:
    """Censoring times in increasing order, and the place of the patients among them."""

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


def _inverse(g: FloatArray) -> FloatArray:
    return np.divide(
        1.0,
        g,
        out=np.zeros_like(g),
        where=g > 0,
    )


def _texts(
    times: FloatArray,
    text: str,
    **values: Any,
) -> Texts:
    """One text per horizon, (times,)."""
    return np.array([text.format(t=t, **values) for t in times], dtype=object)
