"""From a log-risk to a survival curve and a time.

A calibrator is fitted on training patients and frozen. Its `curves` are what a
patient is told; its `predicted_time` is one number per patient, NaN where a
median is not reached. The paper's rank map (`km_rank`) gives a time only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from survfuse._errors import BundleError, InputError, NotComputableError, SurvfuseError
from survfuse._registry import Registry
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.calibrators import BreslowCalibrator, KaplanMeierCalibrator
from survfuse.survival.cox import fit_cox
from survfuse.survival.curves import StepFunction, SurvivalCurves, breslow, kaplan_meier
from survfuse.survival.estimate import joined
from survfuse.survival.isotonic import IsotonicCalibrator
from survfuse.survival.rank_map import KmRankCalibrator, km_rank_time
from survfuse.survival.right_censored import Outcome

__all__ = [
    "CALIBRATORS",
    "BreslowCalibrator",
    "Calibrator",
    "IsotonicCalibrator",
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


OUT_OF_FOLD = frozenset({"breslow_oof", "isotonic_oof"})
ENOUGH_EVENTS = 50  # of a separate calibration cohort

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
    """Fit a calibrator on training patients, or on a cohort that is kept for calibration.

    Parameters
    ----------
    kind : {"breslow_oof", "isotonic_oof", "breslow", "breslow_cal", "km_rank", "km"}
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Of the final network: for its own training patients, or, for "breslow_cal",
        for patients that it never saw.
    out_of_fold : array-like, (patients,), optional
        Log-risk of each patient from a network that did not see them; needed by
        "breslow_oof" and "isotonic_oof".
    fold : array-like, (patients,), optional
        Inner fold of each out-of-fold risk, which is centred within it; needed
        where `out_of_fold` is.

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
    if kind not in OUT_OF_FOLD:
        return card.build(outcome, risk)
    if out_of_fold is None or fold is None:
        raise InputError(
            f"calibration {kind} needs out_of_fold risks and the fold of each",
        )
    return card.build(outcome, risk, centred_in_folds(out_of_fold, fold, len(outcome)))


def centred_in_folds(
    out_of_fold: npt.ArrayLike,
    fold: npt.ArrayLike,
    patients: int,
) -> FloatArray:
    """Subtract from each out-of-fold risk the mean of its fold, (patients,).

    The networks of two folds are two networks: the zero of their risks is not the same.

    Raises
    ------
    InputError
        When a length differs from `patients` or a risk is not finite.
    """
    held_out = as_log_risk(out_of_fold, patients, "out_of_fold")
    folds = np.asarray(fold)
    if folds.shape != held_out.shape:
        raise InputError(
            f"fold must have one row per patient: expected {patients}, got shape {folds.shape}",
        )
    if patients == 0:
        return held_out
    _, member = np.unique(folds, return_inverse=True)
    return (
        held_out - (np.bincount(member, weights=held_out) / np.bincount(member))[member]
    )


@CALIBRATORS.register(
    "km",
    summary="the training Kaplan-Meier curve for everyone",
    source="Kaplan and Meier 1958",
)
def _km(outcome: Outcome, risk: FloatArray) -> KaplanMeierCalibrator:
    return KaplanMeierCalibrator(kaplan_meier(outcome.time, outcome.event))


@CALIBRATORS.register(
    "breslow",
    summary="in-sample risks, slope 1, Breslow baseline",
    source="Breslow 1972",
)
def _breslow(outcome: Outcome, risk: FloatArray) -> BreslowCalibrator:
    center = float(risk.mean())
    return BreslowCalibrator(center, 1.0, _baseline(outcome, risk - center))


@CALIBRATORS.register(
    "breslow_oof",
    summary="slope and Breslow baseline on out-of-fold risks",
    source="ours, after van Houwelingen 2000",
)
def _breslow_oof(
    outcome: Outcome,
    risk: FloatArray,
    centred: FloatArray,
) -> BreslowCalibrator:
    slope, note = _slope(outcome, centred, "out-of-fold risks")
    baseline = _baseline(outcome, slope * centred)
    return BreslowCalibrator(float(risk.mean()), slope, baseline, "breslow_oof", note)


@CALIBRATORS.register(
    "isotonic_oof",
    summary="monotone hazard multiplier of out-of-fold risks, Breslow baseline",
    source="ours, after Chung et al. 2018",
)
def _isotonic_oof(
    outcome: Outcome,
    risk: FloatArray,
    centred: FloatArray,
) -> IsotonicCalibrator:
    return IsotonicCalibrator.fit(outcome, float(risk.mean()), centred)


@CALIBRATORS.register(
    "breslow_cal",
    summary="slope and Breslow baseline on a cohort kept for calibration (`recalibrate`)",
    source="van Houwelingen 2000",
)
def _breslow_cal(outcome: Outcome, risk: FloatArray) -> BreslowCalibrator:
    center = float(risk.mean())
    slope, note = _slope(outcome, risk - center, "the calibration patients' risks")
    baseline = _baseline(outcome, slope * (risk - center))
    few = ""
    if outcome.events < ENOUGH_EVENTS:
        few = (
            f"calibrated on {outcome.events} events; slope and baseline are uncertain with fewer "
            f"than {ENOUGH_EVENTS}"
        )
    return BreslowCalibrator(center, slope, baseline, "breslow_cal", joined(note, few))


@CALIBRATORS.register(
    "km_rank",
    summary="rank among training risks, read on the KM curve",
    source="arXiv 2605.13897",
)
def _km_rank(outcome: Outcome, risk: FloatArray) -> KmRankCalibrator:
    return KmRankCalibrator.fit(outcome, risk)


def _baseline(outcome: Outcome, risk: FloatArray) -> StepFunction:
    if outcome.events == 0:
        raise NotComputableError(
            "no training patient had the event, so there is no hazard to estimate",
        )
    return breslow(outcome.time, outcome.event, risk)


def _slope(outcome: Outcome, centred: FloatArray, risks: str) -> tuple[float, str]:
    """Calibration slope of risks not trained on, limited to what can be used, and what was done about it."""
    if outcome.events == 0 or np.ptp(centred) == 0:
        return 0.0, f"slope 0: the {risks.removeprefix('the ')} do not differ"
    fit = fit_cox(centred, outcome.time, outcome.event)
    slope = float(fit.coef[0])
    if not fit.converged and slope > 0:
        return (
            1.0,
            f"slope 1: the {risks.removeprefix('the ')} order every event, so no finite slope fits best",
        )
    if slope > 0:
        return slope, ""
    return (
        0.0,
        f"slope 0: on {risks} it was {slope:.3g}, so the risks are not shown to carry information",
    )


def _number(d: Mapping[str, Any], name: str) -> float:
    if type(d[name]) not in (int, float):
        raise InputError(f"{name}: expected a number, got {type(d[name]).__name__}")
    return float(d[name])


def _steps(d: Mapping[str, Any], what: str) -> StepFunction:
    function = StepFunction(
        as_log_risk(d["x"], name="x"),
        as_log_risk(d["y"], name="y"),
        _number(d, "before"),
    )
    if len(function.x) == 0 or function.x[0] < 0:
        raise InputError(f"{what}: expected steps at times from 0 on")
    return function


def _survival(d: Mapping[str, Any]) -> StepFunction:
    curve = _steps(d["survival"], "survival")
    if (
        curve.before != 1
        or (np.diff(curve.y, prepend=1.0) > 0).any()
        or curve.y[-1] < 0
    ):
        raise InputError(
            "survival: expected a curve that falls from 1 and stays above 0",
        )
    return curve


def _hazard(d: Mapping[str, Any]) -> StepFunction:
    curve = _steps(d["baseline"], "baseline")
    if curve.before != 0 or (np.diff(curve.y, prepend=0.0) < 0).any():
        raise InputError("baseline: expected a cumulative hazard that rises from 0")
    return curve


def _read_km_rank(d: Mapping[str, Any]) -> KmRankCalibrator:
    risk = as_log_risk(d["train_log_risk"], name="train_log_risk")
    if len(risk) == 0 or (np.diff(risk) < 0).any():
        raise InputError("train_log_risk: expected risks in increasing order")
    return KmRankCalibrator(risk, _survival(d), str(d["note"]))


def _read_isotonic(d: Mapping[str, Any]) -> IsotonicCalibrator:
    knots = as_log_risk(d["knots"], name="knots")
    level = as_log_risk(d["log_multiplier"], name="log_multiplier")
    if len(knots) != len(level) or len(knots) == 0 or not (np.diff(knots) > 0).all():
        raise InputError("knots must increase strictly and have a log_multiplier each")
    if (np.diff(level) < 0).any():
        raise InputError("log_multiplier must not fall")
    return IsotonicCalibrator(
        _number(d, "center"),
        knots,
        level,
        _hazard(d),
        str(d["note"]),
    )


def _read_breslow(d: Mapping[str, Any]) -> BreslowCalibrator:
    return BreslowCalibrator(
        _number(d, "center"),
        _number(d, "slope"),
        _hazard(d),
        str(d["name"]),
        str(d["note"]),
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], Calibrator]] = {
    "km": lambda d: KaplanMeierCalibrator(_survival(d), str(d["note"])),
    "breslow": _read_breslow,
    "breslow_oof": _read_breslow,
    "breslow_cal": _read_breslow,
    "isotonic_oof": _read_isotonic,
    "km_rank": _read_km_rank,
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
            f"unknown calibrator {name!r} in a saved model; known: {', '.join(sorted(_READERS))}",
        )
    try:
        return _READERS[name](d)
    except (KeyError, TypeError, ValueError, SurvfuseError) as error:
        raise BundleError(
            f"the saved calibrator {name!r} is broken: {type(error).__name__}: {error}",
        ) from None
