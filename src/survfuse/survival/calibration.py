"""From a log-risk to a survival curve and a time.

A calibrator is fitted on training patients and frozen. Its `curves` are what a
patient is told; its `predicted_time` is one number per patient, NaN where a
median is not reached. The paper's rank map (`km_rank`) gives a time only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from survfuse._errors import BundleError, InputError, NotComputableError, SurvfuseError
from survfuse._registry import Registry
from survfuse._types import FloatArray
from survfuse.survival.cox import fit_cox
from survfuse.survival.curves import StepFunction, SurvivalCurves, breslow, kaplan_meier
from survfuse.survival.outcome import Outcome, as_log_risk
from survfuse.survival.rank_map import KmRankCalibrator, km_rank_time

__all__ = [
    "CALIBRATORS",
    "BreslowCalibrator",
    "Calibrator",
    "KaplanMeierCalibrator",
    "KmRankCalibrator",
    "calibrator_from_dict",
    "fit_calibrator",
    "km_rank_time",
]


class Calibrator(Protocol):
    """What every calibrator can do.

    Attributes
    ----------
    name : str
        Its word in configurations.
    note : str
        What a reader must know about this fit; empty when nothing.
    has_curves : bool
        False where `curves` is not computable for anyone (`km_rank`).
    """

    has_curves: ClassVar[bool]

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient."""
        ...

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """One time per patient, (patients,); NaN where a median is not reached."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; :func:`calibrator_from_dict` reads them."""
        ...


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
        """Give each patient the same curve (see :class:`Calibrator`)."""
        patients = len(as_log_risk(log_risk))
        falls = np.diff(self.survival.y, prepend=1.0) < 0
        steps = self.survival.y[falls]
        return SurvivalCurves(
            self.survival.x[falls], np.tile(steps, (patients, 1)), float(self.survival.x[-1])
        )

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Give the Kaplan–Meier median, (patients,); NaN when not reached."""
        return self.curves(log_risk).median()

    def to_dict(self) -> dict[str, Any]:
        """See :class:`Calibrator`."""
        return {"name": self.name, "survival": self.survival.to_dict(), "note": self.note}


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
    name : {"breslow", "breslow_oof"}
    note : str
    """

    center: float
    slope: float
    baseline: StepFunction
    name: str = "breslow"
    note: str = ""
    has_curves: ClassVar[bool] = True

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient (see :class:`Calibrator`)."""
        relative = self.slope * (as_log_risk(log_risk) - self.center)
        rises = np.diff(self.baseline.y, prepend=0.0) > 0
        with np.errstate(over="ignore", under="ignore"):  # a hazard beyond a double is a survival of 0
            survival = np.exp(-np.exp(np.log(self.baseline.y[rises]) + relative[:, None]))
        return SurvivalCurves(self.baseline.x[rises], survival, float(self.baseline.x[-1]))

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Median survival time, (patients,); NaN when not reached."""
        return self.curves(log_risk).median()

    def to_dict(self) -> dict[str, Any]:
        """See :class:`Calibrator`."""
        return {
            "name": self.name,
            "center": self.center,
            "slope": self.slope,
            "baseline": self.baseline.to_dict(),
            "note": self.note,
        }


CALIBRATORS: Registry[Calibrator] = Registry("calibration")


def fit_calibrator(
    kind: str,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    log_risk: npt.ArrayLike,
    *,
    out_of_fold: npt.ArrayLike | None = None,
    fold: npt.ArrayLike | None = None,
) -> Calibrator:
    """Fit a calibrator on training patients.

    Parameters
    ----------
    kind : {"breslow_oof", "breslow", "km_rank", "km"}
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Of the final network, for its own training patients.
    out_of_fold : array-like, (patients,), optional
        Log-risk of each patient from a network that did not see them; needed by
        "breslow_oof".
    fold : array-like, (patients,), optional
        Inner fold of each out-of-fold risk, which is centred within it; needed
        by "breslow_oof".

    Raises
    ------
    ConfigError
        For an unknown `kind`.
    InputError
        When `out_of_fold` or `fold` is needed and absent, or a risk is not finite.
    NotComputableError
        When there are no patients, or no event for a hazard.
    """
    outcome = Outcome.of(time, event)
    risk = as_log_risk(log_risk, len(outcome))
    card = CALIBRATORS[kind]
    if len(outcome) == 0:
        raise NotComputableError(f"calibration {kind}: there are no training patients")
    if kind != "breslow_oof":
        return card.build(outcome, risk)
    if out_of_fold is None or fold is None:
        raise InputError("calibration breslow_oof needs out_of_fold risks and the fold of each")
    held_out = as_log_risk(out_of_fold, len(outcome), "out_of_fold")
    folds = np.asarray(fold)
    if folds.shape != held_out.shape:
        raise InputError(
            f"fold must have one row per patient: expected {len(outcome)}, got shape {folds.shape}"
        )
    return card.build(outcome, risk, held_out, folds)


@CALIBRATORS.register(
    "km", summary="the training Kaplan-Meier curve for everyone", source="Kaplan and Meier 1958"
)
def _km(outcome: Outcome, risk: FloatArray) -> KaplanMeierCalibrator:
    return KaplanMeierCalibrator(kaplan_meier(outcome.time, outcome.event))


@CALIBRATORS.register("breslow", summary="in-sample risks, slope 1, Breslow baseline", source="Breslow 1972")
def _breslow(outcome: Outcome, risk: FloatArray) -> BreslowCalibrator:
    center = float(risk.mean())
    return BreslowCalibrator(center, 1.0, _baseline(outcome, risk - center))


@CALIBRATORS.register(
    "breslow_oof",
    summary="slope and Breslow baseline on out-of-fold risks",
    source="ours, after van Houwelingen 2000",
)
def _breslow_oof(
    outcome: Outcome, risk: FloatArray, held_out: FloatArray, fold: npt.NDArray[Any]
) -> BreslowCalibrator:
    _, member = np.unique(fold, return_inverse=True)
    centred = held_out - (np.bincount(member, weights=held_out) / np.bincount(member))[member]
    slope, note = _slope(outcome, centred)
    baseline = _baseline(outcome, slope * centred)
    return BreslowCalibrator(float(risk.mean()), slope, baseline, "breslow_oof", note)


@CALIBRATORS.register(
    "km_rank", summary="rank among training risks, read on the KM curve", source="arXiv 2605.13897"
)
def _km_rank(outcome: Outcome, risk: FloatArray) -> KmRankCalibrator:
    return KmRankCalibrator.fit(outcome, risk)


def _baseline(outcome: Outcome, risk: FloatArray) -> StepFunction:
    if outcome.events == 0:
        raise NotComputableError("no training patient had the event, so there is no hazard to estimate")
    return breslow(outcome.time, outcome.event, risk)


def _slope(outcome: Outcome, centred: FloatArray) -> tuple[float, str]:
    """Calibration slope of out-of-fold risks, limited to what can be used, and what was done about it."""
    if outcome.events == 0 or np.ptp(centred) == 0:
        return 0.0, "slope 0: the out-of-fold risks do not differ"
    fit = fit_cox(centred, outcome.time, outcome.event)
    slope = float(fit.coef[0])
    if not fit.converged and slope > 0:
        return 1.0, "slope 1: the out-of-fold risks order every event, so no finite slope fits best"
    if slope > 0:
        return slope, ""
    return 0.0, f"slope 0: on out-of-fold risks it was {slope:.3g}, so the risks carry no information"


def _step_function(d: Mapping[str, Any]) -> StepFunction:
    return StepFunction(np.array(d["x"], dtype=float), np.array(d["y"], dtype=float), float(d["before"]))


def _read_breslow(d: Mapping[str, Any]) -> BreslowCalibrator:
    return BreslowCalibrator(
        float(d["center"]), float(d["slope"]), _step_function(d["baseline"]), str(d["name"]), str(d["note"])
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], Calibrator]] = {
    "km": lambda d: KaplanMeierCalibrator(_step_function(d["survival"]), str(d["note"])),
    "breslow": _read_breslow,
    "breslow_oof": _read_breslow,
    "km_rank": lambda d: KmRankCalibrator(
        as_log_risk(d["train_log_risk"]), _step_function(d["survival"]), str(d["note"])
    ),
}


def calibrator_from_dict(d: Mapping[str, Any]) -> Calibrator:
    """Make the calibrator that `to_dict` described.

    Raises
    ------
    BundleError
        When the name is unknown or a field is absent or malformed.
    """
    name = d.get("name")
    if name not in _READERS:
        raise BundleError(
            f"unknown calibrator {name!r} in a saved model; known: {', '.join(sorted(_READERS))}"
        )
    try:
        return _READERS[name](d)
    except (KeyError, TypeError, ValueError, SurvfuseError) as error:
        raise BundleError(
            f"the saved calibrator {name!r} is broken: {type(error).__name__}: {error}"
        ) from None
