"""Concordance with standard errors: Harrell, Uno, paired differences.

A pair of patients is comparable when the earlier time is an event at or before τ
and the other was followed longer, or was censored at that same time. It is
concordant when the earlier event had the higher log-risk; equal log-risks count
one half; two events at one time are no pair. Uno's C weights a pair by
1/G(T−)², with T the event time and G the censoring survival curve.

Standard errors are infinitesimal jackknife (the derivative of C with respect to
each patient's weight), with the censoring weights held fixed, as
``survival::concordance`` of R computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival.argument_checks import as_choice, as_horizon, as_log_risk
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.follow_up import Clock, Train, as_train
from survfuse.survival.right_censored import Outcome

ASSUMES = {
    "harrell": (
        "censoring does not depend on the risks; the value depends on the censoring pattern"
    ),
    "uno": "censoring is independent of the risks and of the event times",
}


def harrell_c(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    tau: float | None = None,
) -> Estimate:
    """Harrell's concordance.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Larger means an earlier event.
    tau : float, optional
        Events after it are not counted; an event at `tau` is.

    Returns
    -------
    Estimate
        With a plain Wald interval at 95 %, limited to [0, 1].

    Raises
    ------
    InputError
        For a log-risk that is not finite, or lengths that differ.
    """
    return _estimate(time, event, log_risk, "harrell", tau, None)


def uno_c(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    tau: float | None = None,
    train: Train | None = None,
) -> Estimate:
    """Uno's concordance (Uno 2011), free of the censoring distribution.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Larger means an earlier event.
    tau : float, optional
        Events after it are not counted; an event at `tau` is.
    train : (time, event), optional
        Patients whose censoring curve gives the weights; these patients' own
        otherwise. Where that curve ends before `tau`, C is restricted to where
        it is known, and `note` says so.

    Returns
    -------
    Estimate
        With a plain Wald interval at 95 %, limited to [0, 1].

    Raises
    ------
    InputError
        For a log-risk that is not finite, or lengths that differ.
    """
    return _estimate(time, event, log_risk, "uno", tau, train)


def compare_c(
    time: ArrayLike,
    event: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    kind: str = "uno",
    tau: float | None = None,
    train: Train | None = None,
) -> Estimate:
    """Difference of two concordances on the same patients, C(a) − C(b), paired.

    Parameters
    ----------
    time, event : array-like, (patients,)
    a, b : array-like, (patients,)
        Log-risks of two models for the same patients.
    kind : {"uno", "harrell"}
    tau, train
        As in :func:`uno_c`; `train` has no place in Harrell's C.

    Returns
    -------
    Estimate
        With a plain Wald interval at 95 %, limited to [−1, 1]; ``p_value()`` tests
        the difference against 0. Not meant for nested models.
    """
    outcome = Outcome.of(time, event)
    risks = [
        as_log_risk(a, len(outcome), "a"),
        as_log_risk(b, len(outcome), "b"),
    ]
    pairs = ComparablePairs.of(outcome, kind, tau, as_train(train))

    def difference() -> Estimate:
        (value_a, influence_a), (value_b, influence_b) = map(pairs.concordance, risks)
        return pairs.basis.wald(
            value_a - value_b,
            influence_a - influence_b,
            (-1.0, 1.0),
            note=pairs.note,
        )

    return pairs.basis.computed(difference, pairs.note)


def concordance_influence(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    *,
    kind: str = "uno",
    tau: float | None = None,
    train: Train | None = None,
) -> tuple[float, FloatArray]:
    """Concordance and each patient's influence on it, to combine folds.

    Parameters
    ----------
    time, event, log_risk, kind, tau, train
        As in :func:`uno_c` and :func:`compare_c`.

    Returns
    -------
    value : float
    influence : array, (patients,)
        Sums to 0; the standard error is ``sqrt(sum(influence ** 2))``.

    Raises
    ------
    NotComputableError
        When no pair is comparable.
    """
    outcome = Outcome.of(time, event)
    risk = as_log_risk(log_risk, len(outcome))
    return ComparablePairs.of(outcome, kind, tau, as_train(train)).concordance(risk)


def _estimate(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    kind: str,
    tau: float | None,
    train: Train | None,
) -> Estimate:
    outcome = Outcome.of(time, event)
    risk = as_log_risk(log_risk, len(outcome))
    pairs = ComparablePairs.of(outcome, kind, tau, as_train(train))
    return pairs.basis.computed(
        lambda: pairs.basis.wald(*pairs.concordance(risk), (0.0, 1.0), note=pairs.note),
        pairs.note,
    )


@dataclass(frozen=True, eq=False)
class ComparablePairs:
    """The pairs of patients that enter a concordance.

    Attributes
    ----------
    outcome : Outcome
    kind : {"harrell", "uno"}
    weight : array, (patients,)
        Of a pair that begins with this patient's event; 0 without an event up to τ.
    note : str
        How the pairs were restricted.
    """

    outcome: Outcome
    kind: str
    weight: FloatArray
    note: str = ""

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        kind: str,
        tau: float | None,
        training: Outcome | None,
    ) -> ComparablePairs:
        """Weigh the pairs up to `tau`, Uno's by the censoring curve."""
        kind = as_choice(kind, ("harrell", "uno"), "kind of concordance")
        if kind == "harrell" and training is not None:
            raise InputError(
                "train gives Uno's censoring weights; Harrell's C has none",
            )
        limit = np.array([] if tau is None else [as_horizon(tau, "tau")])
        clock = Clock.of(outcome, limit, training)
        time = clock.outcome.time
        counted = outcome.event & (time <= np.min(clock.horizons, initial=np.inf))
        if kind == "harrell" or not counted.any() or clock.censoring is None:
            return cls(outcome, kind, counted.astype(np.float64))
        staying = clock.censoring.left(time)
        usable = counted & (staying > 0) & (time <= clock.last)
        weight = np.zeros(len(outcome))
        weight[usable] = staying[usable] ** -2.0
        left_out = int((counted & ~usable).sum())
        note = (
            f"restricted to t <= {clock.last:g}, where the training censoring curve ends;"
            f" {left_out} later events left out"
        )
        return cls(outcome, kind, weight, note if left_out else "")

    @property
    def basis(self) -> Basis:
        """Patients, events that begin a pair, and assumptions."""
        events = int((self.weight > 0).sum())
        return Basis(len(self.outcome), events, ASSUMES[self.kind])

    def concordance(self, risk: FloatArray) -> tuple[float, FloatArray]:
        """C of log-risks (patients,) and each patient's influence on it, in O(n log² n).

        Every patient is counted as the earlier and as the later one of its pairs.

        Raises
        ------
        NotComputableError
            When no pair is comparable.
        """
        if not (self.weight > 0).any():
            raise NotComputableError(
                "no event (up to tau), so no two patients can be compared",
            )
        # Events come before censorings at one time.
        moment = _dense(self.outcome.time) * 2 + ~self.outcome.event
        rank, everyone = _dense(risk), np.zeros(len(risk), dtype=np.int64)
        one = np.ones(len(risk))

        # As the later patient: weights of earlier events, by how their risk compares with mine.
        earlier = _sum_before(everyone, moment, self.weight)
        earlier_tied = _sum_before(rank, moment, self.weight)
        earlier_lower = _sum_before_below(moment, rank, self.weight)
        later_score = earlier - earlier_lower - earlier_tied / 2
        # As the earlier event: how many later patients have a lower or the same risk.
        later = self.weight * _sum_before(everyone, -moment, one)
        lower = _sum_before_below(-moment, rank, one)
        score = self.weight * (lower + _sum_before(rank, -moment, one) / 2)

        total = later.sum()
        if not total > 0:
            raise NotComputableError(
                "no patient was followed beyond an event, so no two patients can be compared",
            )
        value = float(score.sum() / total)
        return value, (score + later_score - value * (later + earlier)) / total


def _dense(values: FloatArray) -> IntArray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _sum_before(
    key: IntArray,
    moment: IntArray,
    weight: FloatArray,
) -> FloatArray:
    """For each row, the weight of rows with the same key and a strictly smaller moment."""
    order = np.lexsort((moment, key))
    k, m, w = key[order], moment[order], weight[order]
    before = np.cumsum(w) - w
    row = np.arange(len(k))
    new_key = np.diff(k, prepend=k[0]) != 0
    new_run = new_key | (np.diff(m, prepend=m[0]) != 0)
    start_of_key = np.maximum.accumulate(np.where(new_key, row, 0))
    start_of_run = np.maximum.accumulate(np.where(new_run, row, 0))
    result = np.empty(len(k))
    result[order] = before[start_of_run] - before[start_of_key]
    return result


def _sum_before_below(
    moment: IntArray,
    rank: IntArray,
    weight: FloatArray,
) -> FloatArray:
    """For each row, the weight of rows with a strictly smaller moment and a strictly smaller rank.

    Two ranks first differ at one bit: going through the bits, a row with the bit
    set collects the rows that share its higher bits and have this one clear.
    """
    result = np.zeros(len(rank))
    for bit in range(int(rank.max()).bit_length()):
        is_set = (rank >> bit) & 1 == 1
        collected = _sum_before(
            rank >> (bit + 1),
            moment,
            np.where(is_set, 0.0, weight),
        )
        result += np.where(is_set, collected, 0.0)
    return result
