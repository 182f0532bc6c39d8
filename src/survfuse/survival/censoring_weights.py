"""Inverse-probability-of-censoring weights at horizons, and what estimating them does to standard errors.

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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival.argument_checks import as_horizons
from survfuse.survival.estimate import Estimate, joined, not_computable, wald
from survfuse.survival.follow_up import Clock, Train, known_up_to
from survfuse.survival.right_censored import Outcome, Tally

BEYOND = "t = {t:g} lies beyond all follow-up, which ends at {last:g}"
BEYOND_TRAIN = (
    "t = {t:g} lies beyond the training censoring curve, which ends at {last:g}"
)
END = (
    "everyone's follow-up ends by t = {t:g}: patients followed to it count as free of the event there,"
    " by the censoring curve just before it"
)
ASSUMES = "censoring is independent of the predictions and of the event times"


def end_note(
    time: FloatArray,
    event: BoolArray,
    horizon: float,
    train: Train | None = None,
) -> str:
    """What a reader must know of a horizon at which all follow-up ends; empty at every other."""
    if not np.isclose(horizon, known_up_to(time, train)):  # spares the curve
        return ""
    return CensoringWeights.of(Outcome.of(time, event), [horizon], train).notes[0]


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
        1/G(t), for each patient followed beyond t; 1/G(t−) where all follow-up ends at t.
    followed : array, (patients,)
        Beyond which horizons a patient is known to be free of the event: all smaller ones.
    why : tuple of str, (times,)
        Why a metric is not computable at that horizon; empty where it is.
    notes : tuple of str, (times,)
        What a reader must know of that horizon.
    own : bool
        Whether G was estimated from these very patients.
    """

    outcome: Outcome
    times: FloatArray
    of_event: FloatArray
    of_beyond: FloatArray
    followed: FloatArray
    why: tuple[str, ...]
    notes: tuple[str, ...]
    own: bool

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        times: npt.ArrayLike,
        train: Train | None = None,
        *,
        increasing: bool = False,
    ) -> CensoringWeights:
        """Weigh the patients.

        Parameters
        ----------
        outcome : Outcome
        times, increasing
            As in :func:`~survfuse.survival.kaplan_meier_at.as_horizons`.
        train : (time, event), optional
            Patients who give G; these patients themselves otherwise.
        """
        own = train is None
        clock = Clock.of(outcome, as_horizons(times, increasing=increasing), train)
        outcome, horizons, curve = clock.outcome, clock.horizons, clock.censoring
        empty = ("",) * len(horizons)
        if curve is None:
            why = ("there are no patients",) * len(horizons)
            return cls(
                outcome,
                horizons,
                np.zeros(0),
                np.zeros(len(horizons)),
                np.zeros(0),
                why,
                empty,
                own,
            )
        # With G of other patients a horizon beyond these patients' own follow-up is as good as any:
        # to leave such folds out would keep those that happen to hold a survivor, who weighs most.
        beyond = BEYOND if own else BEYOND_TRAIN
        why = tuple(
            beyond.format(t=t, last=clock.last) if t > clock.last else ""
            for t in horizons
        )
        of_event = outcome.event * _inverse(curve.left(outcome.time))
        followed, at_horizons, notes = outcome.time, curve(horizons), empty
        ends = (horizons == clock.last) & (at_horizons == 0)
        if ends.any():
            free = (outcome.time == clock.last) & ~outcome.event
            followed = np.where(free, np.nextafter(outcome.time, np.inf), outcome.time)
            at_horizons = np.where(ends, curve.left(horizons), at_horizons)
            notes = tuple(
                END.format(t=t) if end else ""
                for t, end in zip(horizons, ends, strict=True)
            )
        return cls(
            outcome,
            horizons,
            of_event,
            _inverse(at_horizons),
            followed,
            why,
            notes,
            own,
        )

    def __len__(self) -> int:
        return len(self.outcome)

    @cached_property
    def beyond(self) -> BoolArray:
        """Who was followed beyond each horizon, (patients, times)."""
        return self.followed[:, None] > self.times

    @property
    def known(self) -> BoolArray:
        """At which horizons a metric is computable, (times,)."""
        return np.array([not why for why in self.why])

    @property
    def events(self) -> list[int]:
        """Events at or before each horizon, (times,)."""
        event_times = np.sort(self.outcome.time[self.outcome.event])
        return [
            int(count)
            for count in np.searchsorted(event_times, self.times, side="right")
        ]

    def usable(self) -> CensoringWeights:
        """Keep the horizons that are computable."""
        known = self.known
        if known.all():
            return self
        notes = tuple(
            note for note, keep in zip(self.notes, known, strict=True) if keep
        )
        return replace(
            self,
            times=self.times[known],
            of_beyond=self.of_beyond[known],
            why=("",) * len(notes),
            notes=notes,
        )

    def one_by_one(self) -> Iterator[CensoringWeights]:
        """The same weights at each horizon alone, for what would not fit at all of them at once."""
        for k in range(len(self.times)):
            yield replace(
                self,
                times=self.times[[k]],
                of_beyond=self.of_beyond[[k]],
                why=self.why[k : k + 1],
                notes=self.notes[k : k + 1],
            )

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
            self,
            why=tuple(
                old or (why.format(t=f"{t:g}") if flag else "") for old, flag, t in whys
            ),
        )

    def demand(self) -> None:
        """Raise NotComputableError with the first reason, if some horizon is not computable."""
        for why in self.why:
            if why:
                raise NotComputableError(why)

    @property
    def restriction(self) -> str:
        """What a reader of an integral must know: where it ends and why, and of the horizons within."""
        if not self.known.any():
            return ""
        left_out = [why for why in self.why if why]
        end = (
            f"restricted to t <= {self.times[self.known][-1]:g}: {left_out[0]}"
            if left_out
            else ""
        )
        return joined(end, *self.usable().notes)

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
        found: Iterator[tuple[float, FloatArray]] = zip(
            values.tolist(),
            influence.T,
            strict=True,
        )
        estimates = []
        for why, note, events in zip(self.why, self.notes, self.events, strict=True):
            if why:
                estimates.append(not_computable(why, len(self), events, ASSUMES))
            else:
                value, each = next(found)
                estimates.append(
                    wald(
                        value,
                        each,
                        len(self),
                        events,
                        limits=limits,
                        logit=logit,
                        note=note,
                        assumptions=ASSUMES,
                    ),
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
        if self.own:
            influence += self._through_g(
                self._followed_longer_in_all(share, width)[:, None],
            )[:, 0]
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
        following = np.searchsorted(
            self.times,
            self.followed,
            side="left",
        )  # first not lived beyond
        rows = np.arange(len(time) + 1)
        per_horizon = csr_array(
            (np.ones(len(time)), following, rows),
            shape=(len(time), horizons + 1),
        ).T
        later = np.cumsum((per_horizon @ share)[:0:-1], axis=0)[
            ::-1
        ]  # (times s, times), who leaves after t_s
        later_from_s = np.triu(later) @ width
        ended = np.append(
            0.0,
            np.cumsum((np.where(self.beyond, 0.0, share) @ width)[leaving.order]),
        )
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
        np.cumsum(
            jump * (leaving.count / leaving.at_risk)[:, None],
            axis=0,
            out=paid[1:],
        )
        parts = np.concatenate(
            [-paid, jump - paid[1:]],
        )  # of those who had the event, of the censored
        part: FloatArray = parts[
            leaving.passed + np.where(self.outcome.event, 0, len(jump))
        ]
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


def _inverse(g: FloatArray) -> FloatArray:
    return np.divide(1.0, g, out=np.zeros_like(g), where=g > 0)
