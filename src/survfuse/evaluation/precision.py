"""How a standard error falls as patients are added, from the numbers of one run.

A standard error of a run is ``sqrt(plain × (1 + share))``: `plain` comes from influence functions
inside the test folds, `share` is what training changes
(:mod:`survfuse.evaluation.training_variance`). `plain` falls as 1/n, but for the part that the
smallness of the test folds adds, which falls as 1/n². Of `share`, the part that comes from
standardising risks in small folds falls as 1/n; the rest is the chance in what models learned
beside the signal, and its odds fall as 1/n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import difference, estimate
from survfuse.evaluation.folds import Fold, select
from survfuse.evaluation.metric_registry import Metric, ModelFolds
from survfuse.evaluation.training_variance import (
    chance_share,
    chance_share_of_difference,
)
from survfuse.survival.estimate import Z

GROUPS = 10  # of patients, each left out once
MOST_PATIENTS = 10_000_000
Kind = Literal["score", "difference", "slope"]
Parts = tuple[float, float]
"""Squared standard error before it is widened, and the share that widens it."""


@dataclass(frozen=True)
class Precision:
    """The standard error of an estimate, at the size of its run and at others.

    Attributes
    ----------
    kind : {"score", "difference", "slope"}
        Of one model, of two models on the same patients, or of the calibration slope.
    patients : int
        Of the run.
    plain : float
        Squared standard error before it is widened.
    share : float
        Share of the risks, or of the difference, that changes with the training patients, as it
        is estimated: it may be above 1.
    small_folds : float
        Share of `plain` that is due to the smallness of the test folds.
    share_of_folds : float
        Part of `share` that is due to it.
    known_share : bool
        Whether `share` was measured: not where one repeat leaves it unknown.
    left_out : tuple of Precision
        The same without each of some groups of patients, for its uncertainty.
    """

    kind: Kind
    patients: int
    plain: float
    share: float = 0.0
    small_folds: float = 0.0
    share_of_folds: float = 0.0
    known_share: bool = True
    left_out: tuple[Precision, ...] = ()

    def se(self, patients: float) -> float:
        """Standard error that a run of so many patients would report."""
        widening = 1.0 if self.kind == "slope" else 1 + self._share_at(patients)
        return float(np.sqrt(self._plain_at(patients) * widening))

    def spread(self, patients: float) -> float:
        """Standard deviation that an estimate of so many patients would have."""
        return float(np.sqrt(self._plain_at(patients)))

    @property
    def cautious(self) -> Precision:
        """The same if training went on to change as much as it does at the size of the run."""
        return replace(self, known_share=False)

    def uncertainty(self, patients: float) -> float | None:
        """Standard error of the standard error, as a share of it; None where it is not known."""
        values = [one.se(patients) for one in self.left_out]
        return jackknifed(np.log(values)) if values else None

    def power(
        self,
        delta: float,
        patients: float,
    ) -> float:
        """Chance that the 95 % interval of a difference `delta` of so many patients excludes 0."""
        se, spread = self.se(patients), self.spread(patients)
        normal = NormalDist()
        above = normal.cdf((delta - Z * se) / spread)
        below = normal.cdf((-delta - Z * se) / spread)
        return above + below

    def patients_for(
        self,
        delta: float,
        power: float,
    ) -> float:
        """Fewest patients that show a difference `delta` with this power, not rounded.

        Raises
        ------
        NotComputableError
            When ten million patients would not do.
        """
        low, high = 0.0, float(np.log(MOST_PATIENTS))
        if self.power(delta, MOST_PATIENTS) < power:
            raise NotComputableError(
                f"more than {MOST_PATIENTS:,} patients would be needed",
            )
        while high - low > 1e-6:
            middle = (low + high) / 2
            enough = self.power(delta, float(np.exp(middle))) >= power
            low, high = (low, middle) if enough else (middle, high)
        return float(np.exp(high))

    def scaled_to(self, se: float) -> Precision:
        """The same with another standard error at the size of the run."""
        factor = (se / self.se(self.patients)) ** 2
        left_out = tuple(
            replace(one, plain=one.plain * factor) for one in self.left_out
        )
        return replace(self, plain=self.plain * factor, left_out=left_out)

    def _share_at(self, patients: float) -> float:
        """What training changes, of a run of so many patients."""
        if not self.known_share:
            return min(self.share, 1.0)
        more = patients / self.patients
        learned = min(self.share - self.share_of_folds, 1.0)
        later = learned / (learned + more * (1 - learned)) if learned > 0 else 0.0
        return min(self.share_of_folds / more + later, 1.0)

    def _plain_at(self, patients: float) -> float:
        more, falling = patients / self.patients, self.small_folds
        if self.kind == "slope":
            return self.plain / more * self._spread_of_risks(more)
        return self.plain * ((1 - falling) / more + falling / more**2)

    def _spread_of_risks(self, more: float) -> float:
        """Variance of calibrated log-risks of the run, as a share of that of a larger one."""
        now, later = self._share_at(self.patients), self._share_at(more * self.patients)
        return 1.0 if now >= 1 or later >= 1 else (1 - now) / (1 - later)


def jackknifed(values: FloatArray) -> float:
    """Standard error from values that each leave out one group of patients."""
    groups = len(values)
    return float(np.sqrt((groups - 1) / groups * np.sum((values - values.mean()) ** 2)))


def measured(
    kind: Kind,
    parts: Callable[[frozenset[str] | None], Parts],
    folds: Sequence[Fold],
    *,
    known_share: bool,
) -> Precision:
    """Measure the parts of a standard error among all patients, and without each group of them.

    Leaving out a group makes the test folds smaller by its share, which tells how much of the
    squared standard error is due to their size.

    Parameters
    ----------
    kind : {"score", "difference", "slope"}
    parts : callable
        Gives the parts among some patients, among all for None.
    folds : sequence of Fold
        Of the model.
    known_share : bool
        Whether the share that training changes is measured.
    """
    outcome = outcomes_of(folds)
    plain, share = parts(None)
    whole = Precision(kind, len(outcome), plain, share, known_share=known_share)
    groups = np.array(sorted(outcome), dtype=object)
    numbers = np.random.default_rng(0).permutation(len(groups)) % GROUPS
    left_out = []
    for number in range(GROUPS):
        rest = groups[numbers != number]
        plain, share = parts(frozenset(rest))
        plain *= len(rest) / len(groups)
        left_out.append(replace(whole, plain=plain, share=share))
    growth = np.mean([one.plain for one in left_out]) / whole.plain - 1
    more_share = np.mean([one.share for one in left_out]) - whole.share
    small_folds = float(np.clip((GROUPS - 1) * growth, 0.0, 1.0))
    share_of_folds = float(np.clip((GROUPS - 1) * more_share, 0.0, whole.share))
    if kind == "slope":  # not made fold by fold
        small_folds = 0.0
    fixed: dict[str, Any] = {
        "small_folds": small_folds,
        "share_of_folds": share_of_folds,
    }
    return replace(
        whole,
        **fixed,
        left_out=tuple(replace(one, **fixed) for one in left_out),
    )


def outcomes_of(folds: Sequence[Fold]) -> dict[str, bool]:
    """Whether each patient had the event."""
    event: dict[str, bool] = {}
    for fold in folds:
        event.update(zip(fold.patient_id, fold.event.tolist(), strict=True))
    return event


def events_among(
    folds: Sequence[Fold],
    patients: frozenset[str] | None,
) -> int:
    """Events of some patients, of all for None."""
    outcome = outcomes_of(folds)
    chosen = outcome if patients is None else patients
    return sum(outcome[one] for one in chosen)


def of_score(
    metric: Metric,
    folds: Sequence[Fold],
    scale: Scale,
    *,
    known_share: bool,
    kind: Kind = "score",
) -> Precision:
    """Precision of a metric of one model.

    Raises
    ------
    NotComputableError
        When the predictions cannot give it, or it has no standard error.
    """

    def parts(patients: frozenset[str] | None) -> Parts:
        own = folds if patients is None else select(folds, patients)
        share = chance_share(own, capped=False)
        model = ModelFolds(own, scale, chance=min(share, 1.0))
        return _parts(estimate(metric, model).se, share, kind)

    return measured(kind, parts, folds, known_share=known_share)


def of_difference(
    metric: Metric,
    a: Sequence[Fold],
    b: Sequence[Fold],
    scale: Scale,
    *,
    known_share: bool,
) -> Precision:
    """Precision of a metric of `a` minus that of `b`, on the same patients and folds.

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds, or the difference has no
        standard error.
    """

    def parts(patients: frozenset[str] | None) -> Parts:
        one, two = a, b
        if patients is not None:
            one, two = select(a, patients), select(b, patients)
        share = chance_share_of_difference(one, two, capped=False)
        se = difference(metric, one, two, scale, chance=min(share, 1.0)).se
        return _parts(se, share, "difference")

    return measured("difference", parts, a, known_share=known_share)


def _parts(
    se: float | None,
    share: float,
    kind: Kind,
) -> Parts:
    """Parts of a standard error; that of a slope is not widened."""
    if se is None:
        raise NotComputableError("the run gives it no standard error")
    widening = 1.0 if kind == "slope" else 1 + min(share, 1.0)
    return se**2 / widening, share
