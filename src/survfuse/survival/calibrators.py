"""Frozen maps from a log-risk to a survival curve: Kaplan–Meier for everyone, proportional hazards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.curves import StepFunction, SurvivalCurves


def proportional_curves(
    baseline: StepFunction,
    log_hazard_ratio: FloatArray,
) -> SurvivalCurves:
    """Curves exp(−H(t) · ratio), one per patient.

    Parameters
    ----------
    baseline : StepFunction
        Cumulative hazard H, stepping at all follow-up times.
    log_hazard_ratio : array, (patients,)
        Against the baseline.
    """
    rises = np.diff(baseline.y, prepend=0.0) > 0
    with np.errstate(
        over="ignore",
        under="ignore",
    ):  # a hazard beyond a double is a survival of 0
        survival = np.exp(
            -np.exp(np.log(baseline.y[rises]) + log_hazard_ratio[:, None]),
        )
    return SurvivalCurves(baseline.x[rises], survival, float(baseline.x[-1]))


@dataclass(frozen=True, eq=False)
class KaplanMeierCalibrator:
    """Everyone gets the Kaplan–Meier curve of the training patients, whatever the log-risk.

    Parameters
    ----------
    survival : StepFunction
        Kaplan–Meier curve, stepping at all follow-up times.
    note : str
    """

    survival: StepFunction
    note: str = ""
    name: ClassVar[str] = "km"
    has_curves: ClassVar[bool] = True

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """Give each patient the same curve (see :class:`~survfuse.survival.calibration.Calibrator`)."""
        patients = len(as_log_risk(log_risk))
        falls = np.diff(self.survival.y, prepend=1.0) < 0
        steps = self.survival.y[falls]
        return SurvivalCurves(
            self.survival.x[falls],
            np.tile(steps, (patients, 1)),
            float(self.survival.x[-1]),
        )

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Give the Kaplan–Meier median, (patients,); NaN when not reached."""
        return self.curves(log_risk).median()

    def to_dict(self) -> dict[str, Any]:
        """See :class:`~survfuse.survival.calibration.Calibrator`."""
        return {
            "name": self.name,
            "survival": self.survival.to_dict(),
            "note": self.note,
        }


@dataclass(frozen=True, eq=False)
class BreslowCalibrator:
    """Proportional hazards: S(t | r) = exp(−H(t) · exp(slope · (r − center))).

    Parameters
    ----------
    center : float
        Log-risk of a patient who has the baseline hazard.
    slope : float
        What one unit of log-risk is worth; below 1 for an overfitted network.
    baseline : StepFunction
        Cumulative baseline hazard H, stepping at all follow-up times.
    name : {"breslow", "breslow_oof", "breslow_cal"}
    note : str
    """

    center: float
    slope: float
    baseline: StepFunction
    name: str = "breslow"
    note: str = ""
    has_curves: ClassVar[bool] = True

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient (see :class:`~survfuse.survival.calibration.Calibrator`)."""
        return proportional_curves(
            self.baseline,
            self.slope * (as_log_risk(log_risk) - self.center),
        )

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Median survival time, (patients,); NaN when not reached."""
        return self.curves(log_risk).median()

    def to_dict(self) -> dict[str, Any]:
        """See :class:`~survfuse.survival.calibration.Calibrator`."""
        return {
            "name": self.name,
            "center": self.center,
            "slope": self.slope,
            "baseline": self.baseline.to_dict(),
            "note": self.note,
        }
