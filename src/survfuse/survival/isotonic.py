"""A monotone map from out-of-fold risk to a hazard multiplier, for risks whose shape is not to be trusted.

Patients are put in order of risk and cut into bins of at least ``LEAST_EVENTS`` events.
With the baseline hazard H held, the multipliers of greatest likelihood that never fall
are the pooled ratios of observed to expected events, ΣO / ΣE with E = H(T) (pool adjacent
violators); with the multipliers held, the baseline of greatest likelihood is Breslow's.
Taking turns climbs the likelihood of the isotonic Cox model (Chung et al. 2018,
*Biometrika* 105:133) until neither moves. Every block holds a whole bin, so that nobody
is given a hazard of 0 because the few patients of lowest risk had no event.

Between the mean risks of neighbouring blocks the logarithm of the multiplier is a straight
line, and beyond the outermost it stays: steps would tell two patients who hardly differ two
different curves, and most patients the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.calibrators import proportional_curves
from survfuse.survival.curves import StepFunction, SurvivalCurves, breslow
from survfuse.survival.right_censored import Outcome

LEAST_EVENTS = 5  # of a bin
MOST_TURNS = 500
SETTLED = 1e-7  # largest change of a log-multiplier


@dataclass(frozen=True, eq=False)
class IsotonicCalibrator:
    """Proportional hazards with a monotone multiplier: S(t | r) = exp(−H(t) · m(r − center)).

    Parameters
    ----------
    center : float
        Mean log-risk of the final model's training patients.
    knots : array, (blocks,), strictly increasing
        Mean centred out-of-fold risk of each block.
    log_multiplier : array, (blocks,), strictly increasing
        Logarithm of the hazard multiplier at each knot.
    baseline : StepFunction
        Cumulative hazard H of multiplier 1, stepping at all follow-up times.
    note : str
    """

    center: float
    knots: FloatArray
    log_multiplier: FloatArray
    baseline: StepFunction
    note: str = ""
    name: ClassVar[str] = "isotonic_oof"
    has_curves: ClassVar[bool] = True

    @classmethod
    def fit(
        cls,
        outcome: Outcome,
        center: float,
        held_out: FloatArray,
    ) -> IsotonicCalibrator:
        """Fit on out-of-fold risks.

        Parameters
        ----------
        outcome : Outcome
        center : float
            Mean log-risk of the final model's training patients.
        held_out : array, (patients,)
            Out-of-fold log-risks, each fold centred on its mean.

        Raises
        ------
        NotComputableError
            When no patient had the event.
        """
        if outcome.events == 0:
            raise NotComputableError(
                "no training patient had the event, so there is no hazard to estimate",
            )
        bins = _bins(outcome, held_out)
        block, level, settled = _alternate(outcome, bins)
        knots = np.bincount(block, weights=held_out) / np.bincount(block)
        level = level - np.average(level, weights=np.bincount(block))
        note = (
            ""
            if settled
            else "the out-of-fold risks order events so well that no finite multipliers fit best"
        )
        if len(knots) == 1:
            why = (
                f"fewer than {2 * LEAST_EVENTS} events"
                if outcome.events < 2 * LEAST_EVENTS
                else "patients of higher risk did not have more events"
            )
            note = f"everyone gets the same curve: on out-of-fold risks {why}"
        baseline = breslow(
            outcome.time,
            outcome.event,
            np.interp(held_out, knots, level),
        )
        return cls(center, knots, level, baseline, note)

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient (see :class:`~survfuse.survival.calibration.Calibrator`)."""
        centred = as_log_risk(log_risk) - self.center
        return proportional_curves(
            self.baseline,
            np.interp(centred, self.knots, self.log_multiplier),
        )

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Median survival time, (patients,); NaN when not reached."""
        return self.curves(log_risk).median()

    def to_dict(self) -> dict[str, Any]:
        """See :class:`~survfuse.survival.calibration.Calibrator`."""
        return {
            "name": self.name,
            "center": self.center,
            "knots": self.knots.tolist(),
            "log_multiplier": self.log_multiplier.tolist(),
            "baseline": self.baseline.to_dict(),
            "note": self.note,
        }


def pool_adjacent_violators(observed: FloatArray, expected: FloatArray) -> IntArray:
    """Block of each bin, (bins,), such that ΣO / ΣE rises from block to block.

    Parameters
    ----------
    observed : array, (bins,)
    expected : array, (bins,), > 0

    Examples
    --------
    >>> pool_adjacent_violators(np.array([1.0, 3, 2, 9]), np.ones(4)).tolist()
    [0, 1, 1, 2]
    """
    blocks: list[tuple[float, float, int]] = []  # observed, expected, bins
    for seen, due in zip(observed.tolist(), expected.tolist(), strict=True):
        blocks.append((seen, due, 1))
        while (
            len(blocks) > 1
            and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]
        ):
            last = blocks.pop()
            blocks[-1] = tuple(a + b for a, b in zip(blocks[-1], last, strict=True))  # type: ignore[assignment]
    return np.repeat(np.arange(len(blocks)), [size for _, _, size in blocks])


def _bins(outcome: Outcome, risk: FloatArray) -> IntArray:
    """Bin of each patient, in order of risk, each with enough events; equal risks stay together."""
    _, rank = np.unique(risk, return_inverse=True)
    events = np.bincount(rank, weights=outcome.event)
    bin_of = np.zeros(len(events), dtype=np.int64)
    current, held = 0, 0.0
    left = float(events.sum())
    for step, here in enumerate(events.tolist()):
        bin_of[step] = current
        held, left = held + here, left - here
        if held >= LEAST_EVENTS and left >= LEAST_EVENTS:
            current, held = current + 1, 0.0
    return np.asarray(bin_of[rank])


def _alternate(outcome: Outcome, bins: IntArray) -> tuple[IntArray, FloatArray, bool]:
    """Block of each patient, log-multiplier of each block, and whether taking turns settled."""
    observed = np.bincount(bins, weights=outcome.event).astype(np.float64)
    log_multiplier = np.zeros(len(observed))  # of each bin
    block: IntArray = np.zeros(len(observed), dtype=np.int64)
    change = np.inf
    for _ in range(MOST_TURNS):
        hazard = breslow(outcome.time, outcome.event, log_multiplier[bins])(
            outcome.time,
        )
        expected: FloatArray = np.maximum(
            np.bincount(bins, weights=hazard),
            np.finfo(float).tiny,
        )
        block = pool_adjacent_violators(observed, expected)
        ratio = np.bincount(block, weights=observed) / np.bincount(
            block,
            weights=expected,
        )
        moved = np.log(ratio)[block]
        change = float(np.abs(moved - log_multiplier).max())
        log_multiplier = moved
        if change < SETTLED:
            break
    first = np.flatnonzero(np.diff(block, prepend=-1))
    return block[bins], log_multiplier[first], change < SETTLED
