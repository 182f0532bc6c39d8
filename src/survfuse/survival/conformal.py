"""A time that a patient outlives with a stated probability.

It comes from calibrated curves and from patients that the network was not trained on. The
calibrated curve may be wrong; the bound corrects it by one number. It is the time by which a share
`a` of such patients has had the event according to the curve, L_a(x), and `a` is the largest share
at which the calibration patients, weighted for censoring, are not shown to have the event before
their bound too often: ``(sum of 1/G(T−) over events with T < L_a(x) + 1) / (n + 1) <= 1 − level``.
Without censoring this is split conformal prediction (Vovk 2005; the 1 stands for the patient to
come); with it, the weighting of Candès et al. 2023 and Gui et al. 2024, with one censoring curve
for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.calibration import Calibrator
from survfuse.survival.curves import censoring_survival
from survfuse.survival.estimate import LEVEL, joined
from survfuse.survival.right_censored import Outcome

ROUNDING = 1e-9
LEAST_EFFECTIVE = 100.0  # patients; below, a note gives the range of the coverage


@dataclass(frozen=True, eq=False)
class ConformalBound:
    """A lower bound on the event time of each patient.

    Attributes
    ----------
    calibrator : Calibrator
        Turns a log-risk into the curve that the bound is read from.
    level : float
        Share of patients to come that should outlive their bound.
    share : float
        The bound is the time by which this share has had the event by the curve;
        0 where every bound is time 0.
    coverage : (float, float)
        95 % range of the share that will really outlive the bounds, given that the
        calibration patients were these few: the Beta distribution of split conformal
        prediction, with the effective number of patients of the weighted sum.
    patients, events : int
        Calibration patients.
    note : str
    assumptions : str
        What must hold for the level to be the patients'.
    """

    calibrator: Calibrator
    level: float
    share: float
    coverage: tuple[float, float]
    patients: int
    events: int
    note: str = ""
    assumptions: ClassVar[str] = (
        "patients to come are like the calibration patients; whether a patient is censored has "
        "nothing to do with their risk"
    )

    @classmethod
    def fit(
        cls,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
        log_risk: npt.ArrayLike,
        calibrator: Calibrator,
        level: float = 0.9,
    ) -> ConformalBound:
        """Estimate the share on patients whose risks the network was not trained on.

        Parameters
        ----------
        time, event : array-like, (patients,)
        log_risk : array-like, (patients,)
            Out of fold, moved to where the final network's risks lie; or of patients
            that were kept for calibration.
        calibrator : Calibrator
            Its one or two numbers may come from the same patients; the network may not.
        level : float
            Inside (0, 1).

        Raises
        ------
        InputError
            For a level outside (0, 1), or risks that do not match the patients.
        NotComputableError
            Without any event, or under a calibrator that has no curves.
        """
        if not 0 < level < 1:
            raise InputError(f"level must lie between 0 and 1, got {level}")
        outcome = Outcome.of(time, event)
        risk = as_log_risk(log_risk, len(outcome))
        if outcome.events == 0:
            raise NotComputableError(
                "conformal bound: no patient had the event, so no bound can be tried",
            )
        # Share that has had the event by each patient's own time, by their own curve.
        own = 1 - calibrator.curves(risk).own(outcome.time)
        followed = censoring_survival(outcome.time, outcome.event)
        weight = outcome.event / followed.left(outcome.time)
        seen = outcome.event
        share, note = _largest_share(own[seen], weight[seen], len(outcome), 1 - level)
        coverage = (1.0, 1.0)
        if share > 0:
            effective = _effective_patients(weight * (own < share))
            coverage = _coverage(effective, level)
            if effective < LEAST_EFFECTIVE:
                low, high = coverage
                few = (
                    f"with {len(outcome)} patients and {outcome.events} events, between {low:.0%} "
                    f"and {high:.0%} of patients to come outlive a bound made for {level:.0%}"
                )
                note = joined(note, few)
        counts = len(outcome), outcome.events
        return cls(calibrator, level, share, coverage, *counts, note)

    def lower(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Time that each patient outlives with probability `level`, (patients,).

        Never beyond the time that the curves are known for; never NaN.
        """
        curves = self.calibrator.curves(log_risk)
        if self.share <= 0:
            return np.zeros(len(curves))
        reached = curves.quantile(min(self.share, 1 - 1e-12))
        return np.where(np.isnan(reached), curves.last, reached)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON; the calibrator is written elsewhere."""
        names = ("level", "share", "coverage", "patients", "events", "note")
        values = {name: getattr(self, name) for name in names}
        return {**values, "coverage": list(self.coverage)}

    @classmethod
    def from_dict(
        cls,
        d: Mapping[str, Any],
        calibrator: Calibrator,
    ) -> ConformalBound:
        """Make the bound again from :meth:`to_dict` and its calibrator.

        Raises
        ------
        InputError
            When a share is no number from 0 to 1.
        """
        numbers = [d["level"], d["share"], *d["coverage"]]
        shares = as_log_risk(numbers, 4, "level, share and coverage")
        level, share, low, high = shares.tolist()
        if not (shares >= 0).all() or not (shares <= 1).all() or not 0 < level < 1:
            raise InputError(
                f"level, share and coverage must lie between 0 and 1, got {shares.tolist()}",
            )
        counts = int(d["patients"]), int(d["events"])
        return cls(calibrator, level, share, (low, high), *counts, str(d["note"]))


def _largest_share(
    own: FloatArray,
    weight: FloatArray,
    patients: int,
    miss: float,
) -> tuple[float, str]:
    """Largest share at which events with a smaller `own` weigh no more than allowed."""
    order = np.argsort(own, kind="stable")
    allowed = miss * (patients + 1) - 1
    if allowed < -ROUNDING:
        return 0.0, (
            f"every bound is 0: {patients} patients cannot vouch for {1 - miss:.0%}; "
            f"{int(np.ceil(1 / miss - ROUNDING)) - 1} or more are needed"
        )
    spent = np.cumsum(weight[order])
    over = np.flatnonzero(spent > allowed + ROUNDING * patients)
    if len(over) == 0:
        return float(own.max()), (
            f"too few events to reach {miss:.0%} misses; the bound stops at the last event seen"
        )
    return float(own[order][over[0]]), ""


def _effective_patients(missed: FloatArray) -> float:
    """Patients without censoring whose miss rate would be as uncertain as the weighted one."""
    n = len(missed)
    rate = missed.mean()
    spread = float(((missed - rate) ** 2).mean())
    return n if spread == 0 else float(min(n, n * rate * (1 - rate) / spread))


def _coverage(
    patients: float,
    level: float,
) -> tuple[float, float]:
    """95 % range of Beta(level · (n + 1), (1 − level) · (n + 1))."""
    tail = (1 - LEVEL) / 2
    shape = beta(level * (patients + 1), (1 - level) * (patients + 1))
    return float(shape.ppf(tail)), float(shape.ppf(1 - tail))
