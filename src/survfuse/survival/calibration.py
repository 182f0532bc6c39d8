"""From a log-risk to a survival curve and a time.

A calibrator is fitted on training patients and frozen. Its `curves` are the predicted
survival; its `predicted_time` is one number per patient, NaN where a median is not
reached. The paper's rank map (`km_rank`) gives a time only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from survfuse._errors import BundleError, InputError, NotComputableError, SurvfuseError
from survfuse._registry import Registry
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.cox import fit_cox
from survfuse.survival.curves import StepFunction, SurvivalCurves, breslow, kaplan_meier
from survfuse.survival.estimate import joined
from survfuse.survival.isotonic import LEAST_EVENTS, fit_multipliers
from survfuse.survival.right_censored import Outcome

OUT_OF_FOLD = frozenset({"breslow_oof", "isotonic_oof"})
ENOUGH_EVENTS = 50  # of a separate calibration cohort


class Calibrator(Protocol):
    """A frozen map from a log-risk to survival.

    Attributes
    ----------
    name : str
        Its name in configurations.
    note : str
        What a reader must know about this fit; empty when nothing.
    has_curves : bool
        False where `curves` is not computable for anyone (`km_rank`).
    """

    has_curves: ClassVar[bool] = True

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient."""
        raise NotImplementedError

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Median survival time, (patients,); NaN when not reached."""
        return self.curves(log_risk).median()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; :func:`calibrator_from_dict` reads them."""
        values: dict[str, Any] = {"name": self.name}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, StepFunction):
                value = value.to_dict()
            values[field.name] = value.tolist() if hasattr(value, "tolist") else value
        return values


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
    log_hazard = np.log(baseline.y[rises]) + log_hazard_ratio[:, None]
    # A hazard beyond a double is a survival of 0.
    with np.errstate(over="ignore", under="ignore"):
        survival = np.exp(-np.exp(log_hazard))
    return SurvivalCurves(baseline.x[rises], survival, float(baseline.x[-1]))


@dataclass(frozen=True, eq=False)
class KaplanMeierCalibrator(Calibrator):
    """The Kaplan–Meier curve of the training patients for everyone, whatever the log-risk.

    Parameters
    ----------
    survival : StepFunction
        Kaplan–Meier curve, stepping at all follow-up times.
    """

    survival: StepFunction
    name: str = "km"
    note: str = ""

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """Give each patient the same curve."""
        falls = np.diff(self.survival.y, prepend=1.0) < 0
        survival = np.tile(self.survival.y[falls], (len(as_log_risk(log_risk)), 1))
        last = float(self.survival.x[-1])
        return SurvivalCurves(self.survival.x[falls], survival, last)


@dataclass(frozen=True, eq=False)
class BreslowCalibrator(Calibrator):
    """Proportional hazards: S(t | r) = exp(−H(t) · exp(slope · (r − center))).

    Parameters
    ----------
    center : float
        Log-risk of a patient who has the baseline hazard.
    slope : float
        Log hazard ratio of one unit of log-risk; below 1 for an overfitted network.
    baseline : StepFunction
        Cumulative baseline hazard H, stepping at all follow-up times.
    name : {"breslow", "breslow_oof", "breslow_cal"}
    """

    center: float
    slope: float
    baseline: StepFunction
    name: str = "breslow"
    note: str = ""

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient."""
        centred = as_log_risk(log_risk) - self.center
        return proportional_curves(self.baseline, self.slope * centred)


@dataclass(frozen=True, eq=False)
class IsotonicCalibrator(Calibrator):
    """Proportional hazards with a monotone multiplier: S(t | r) = exp(−H(t) · m(r − center)).

    Between the mean risks of neighbouring blocks (:mod:`survfuse.survival.isotonic`) the
    logarithm of the multiplier is a straight line, and beyond the outermost it is constant:
    steps would give two patients who hardly differ two different curves, and most patients the
    same one.

    Parameters
    ----------
    center : float
        Mean log-risk of the final model's training patients.
    knots : array, (blocks,), strictly increasing
        Mean centred out-of-fold risk of each block.
    log_multiplier : array, (blocks,), increasing
        Logarithm of the hazard multiplier at each knot.
    baseline : StepFunction
        Cumulative hazard H of multiplier 1, stepping at all follow-up times.
    """

    center: float
    knots: FloatArray
    log_multiplier: FloatArray
    baseline: StepFunction
    name: str = "isotonic_oof"
    note: str = ""

    def __post_init__(self) -> None:
        knots, levels = self.knots, self.log_multiplier
        if not 0 < len(knots) == len(levels) or (np.diff(knots) <= 0).any():
            raise InputError(
                "knots must increase strictly and have a log_multiplier each",
            )
        if (np.diff(levels) < 0).any():
            raise InputError("log_multiplier must not fall")

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """One survival curve per patient."""
        centred = as_log_risk(log_risk) - self.center
        ratio = np.interp(centred, self.knots, self.log_multiplier)
        return proportional_curves(self.baseline, ratio)


@dataclass(frozen=True, eq=False)
class KmRankCalibrator(Calibrator):
    """The paper's map from a risk to a time (arXiv 2605.13897, as coded); never called calibrated.

    A patient's rank among the training risks, as a probability, is looked up on the
    training Kaplan–Meier curve. Patients beyond its last plateau all get the time at
    which that plateau begins: see :meth:`beyond`.

    Parameters
    ----------
    train_log_risk : array, (patients,), increasing
    survival : StepFunction
        Kaplan–Meier curve of the training patients, stepping at all follow-up times.
    """

    train_log_risk: FloatArray
    survival: StepFunction
    name: str = "km_rank"
    note: str = ""
    has_curves: ClassVar[bool] = False

    def __post_init__(self) -> None:
        risk = self.train_log_risk
        if len(risk) == 0 or (np.diff(risk) < 0).any():
            raise InputError("train_log_risk: expected risks in increasing order")

    @classmethod
    def fit(
        cls,
        outcome: Outcome,
        train_log_risk: npt.ArrayLike,
    ) -> KmRankCalibrator:
        """Sort the training risks and estimate the curve."""
        risk = as_log_risk(train_log_risk, len(outcome), "train_log_risk")
        return cls(np.sort(risk), kaplan_meier(outcome.time, outcome.event))

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """Not computable: the map gives a time and no curve.

        Raises
        ------
        NotComputableError
            Always.
        """
        raise NotComputableError(
            "km_rank gives a time and no survival curve; choose calibration breslow_oof for curves",
        )

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """A follow-up time of the training patients, or 0, in any case; (patients,)."""
        times: FloatArray = np.append(0.0, self.survival.x)
        return times[self._steps(log_risk)]

    def beyond(self, log_risk: npt.ArrayLike) -> BoolArray:
        """Whether the true answer is 'later than the predicted time', (patients,).

        True for patients on the last plateau of a curve that does not reach 0.
        """
        levels = np.append(1.0, self.survival.y)
        on_plateau = levels[self._steps(log_risk)] == levels[-1]
        return np.asarray(on_plateau & (levels[-1] > 0))

    def _steps(self, log_risk: npt.ArrayLike) -> IntArray:
        """Step of the curve whose level is nearest to each patient's probability."""
        patients = len(self.train_log_risk)
        below = np.searchsorted(self.train_log_risk, as_log_risk(log_risk), side="left")
        wanted = 1 - (patients - below) / (patients + 1)
        levels, first = np.unique(-np.append(1.0, self.survival.y), return_index=True)
        after = np.searchsorted(levels, -wanted, side="left").clip(0, len(levels) - 1)
        before = np.maximum(after - 1, 0)
        # The higher level where two are as near.
        is_before = np.abs(levels[before] + wanted) <= np.abs(levels[after] + wanted)
        return np.asarray(first[np.where(is_before, before, after)])


def km_rank_time(
    query_log_risk: npt.ArrayLike,
    train_log_risk: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> FloatArray:
    """Predict times as the paper does.

    Each query risk is appended to the training risks; with ``rank`` the number of
    them that are at least as high, ``p = 1 − (rank − 1)/(n + 1)``. The time is where
    the training Kaplan–Meier curve (t = 0 and censoring times included) is nearest
    to p, the first such time where several are.

    Parameters
    ----------
    query_log_risk : array-like, (queries,)
    train_log_risk, time, event : array-like, (patients,)
        The training patients.

    Returns
    -------
    array, (queries,)
    """
    calibrator = KmRankCalibrator.fit(Outcome.of(time, event), train_log_risk)
    return calibrator.predicted_time(query_log_risk)


CALIBRATORS: Registry[Calibrator] = Registry("calibration")
"""Name -> ``build(outcome, risk)``, or ``build(outcome, risk, centred)`` for `OUT_OF_FOLD`."""


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
    build = CALIBRATORS[kind].build
    if len(outcome) == 0:
        raise NotComputableError(f"calibration {kind}: there are no training patients")
    if kind not in OUT_OF_FOLD:
        return build(outcome, risk)
    if out_of_fold is None or fold is None:
        raise InputError(
            f"calibration {kind} needs out_of_fold risks and the fold of each",
        )
    return build(outcome, risk, centred_in_folds(out_of_fold, fold, len(outcome)))


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
    risk = as_log_risk(out_of_fold, patients, "out_of_fold")
    folds = np.asarray(fold)
    if folds.shape != risk.shape:
        raise InputError(
            f"fold must have one row per patient: expected {patients}, got shape {folds.shape}",
        )
    _, member = np.unique(folds, return_inverse=True)
    counts = np.bincount(member)
    return risk - (np.bincount(member, weights=risk) / counts)[member]


@CALIBRATORS.register(
    "km",
    summary="the training Kaplan-Meier curve for everyone",
    source="Kaplan and Meier 1958",
)
def _km(outcome: Outcome, risk: FloatArray) -> Calibrator:
    return KaplanMeierCalibrator(kaplan_meier(outcome.time, outcome.event))


@CALIBRATORS.register(
    "breslow",
    summary="in-sample risks, slope 1, Breslow baseline",
    source="Breslow 1972",
)
def _breslow(
    outcome: Outcome,
    risk: FloatArray,
) -> Calibrator:
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
) -> Calibrator:
    slope, note = _slope(outcome, centred, "out-of-fold risks")
    center, baseline = float(risk.mean()), _baseline(outcome, slope * centred)
    return BreslowCalibrator(center, slope, baseline, "breslow_oof", note)


@CALIBRATORS.register(
    "breslow_cal",
    summary="slope and Breslow baseline on a cohort kept for calibration (`recalibrate`)",
    source="van Houwelingen 2000",
)
def _breslow_cal(
    outcome: Outcome,
    risk: FloatArray,
) -> Calibrator:
    center = float(risk.mean())
    slope, note = _slope(outcome, risk - center, "the calibration patients' risks")
    baseline = _baseline(outcome, slope * (risk - center))
    if outcome.events < ENOUGH_EVENTS:
        few = (
            f"calibrated on {outcome.events} events; slope and baseline are uncertain with fewer "
            f"than {ENOUGH_EVENTS}"
        )
        note = joined(note, few)
    return BreslowCalibrator(center, slope, baseline, "breslow_cal", note)


@CALIBRATORS.register(
    "isotonic_oof",
    summary="monotone hazard multiplier of out-of-fold risks, Breslow baseline",
    source="ours, after Chung et al. 2018",
)
def _isotonic_oof(
    outcome: Outcome,
    risk: FloatArray,
    centred: FloatArray,
) -> Calibrator:
    _require_event(outcome)
    block, levels, settled = fit_multipliers(outcome, centred)
    sizes = np.bincount(block)
    knots = np.bincount(block, weights=centred) / sizes
    levels = levels - np.average(levels, weights=sizes)
    note = ""
    if len(knots) == 1:
        note = "everyone gets the same curve: on out-of-fold risks "
        if outcome.events < 2 * LEAST_EVENTS:
            note += f"fewer than {2 * LEAST_EVENTS} events"
        else:
            note += "patients of higher risk did not have more events"
    elif not settled:
        note = "the out-of-fold risks order events so well that no finite multipliers fit best"
    baseline = _baseline(outcome, np.interp(centred, knots, levels))
    return IsotonicCalibrator(float(risk.mean()), knots, levels, baseline, note=note)


@CALIBRATORS.register(
    "km_rank",
    summary="rank among training risks, read on the KM curve",
    source="arXiv 2605.13897",
)
def _km_rank(
    outcome: Outcome,
    risk: FloatArray,
) -> Calibrator:
    return KmRankCalibrator.fit(outcome, risk)


def _require_event(outcome: Outcome) -> None:
    if outcome.events == 0:
        raise NotComputableError(
            "no training patient had the event, so there is no hazard to estimate",
        )


def _baseline(
    outcome: Outcome,
    risk: FloatArray,
) -> StepFunction:
    _require_event(outcome)
    return breslow(outcome.time, outcome.event, risk)


def _slope(
    outcome: Outcome,
    centred: FloatArray,
    risks: str,
) -> tuple[float, str]:
    """Calibration slope of risks not trained on, within usable limits, and a note on a limit."""
    these = f"the {risks.removeprefix('the ')}"
    if outcome.events == 0 or np.ptp(centred) == 0:
        return 0.0, f"slope 0: {these} do not differ"
    fit = fit_cox(centred, outcome.time, outcome.event)
    slope = float(fit.coef[0])
    if slope <= 0:
        return 0.0, (
            f"slope 0: on {risks} it was {slope:.3g}, so the risks are not shown to carry "
            "information"
        )
    if not fit.converged:
        return (
            1.0,
            f"slope 1: {these} order every event, so no finite slope fits best",
        )
    return slope, ""


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float):
        raise InputError(f"{name}: expected a number, got {type(value).__name__}")
    return float(value)


def _array(value: Any, name: str) -> FloatArray:
    return as_log_risk(value, name=name)


def _step_function(value: Any, name: str) -> StepFunction:
    x, y = _array(value["x"], "x"), _array(value["y"], "y")
    curve = StepFunction(x, y, _number(value["before"], "before"))
    if len(x) == 0 or x[0] < 0:
        raise InputError(f"{name}: expected steps at times from 0 on")
    changes = np.diff(y, prepend=curve.before)
    if name == "survival" and (curve.before != 1 or changes.max() > 0 or y[-1] < 0):
        raise InputError(
            "survival: expected a curve that falls from 1 and stays above 0",
        )
    if name == "baseline" and (curve.before != 0 or changes.min() < 0):
        raise InputError("baseline: expected a cumulative hazard that rises from 0")
    return curve


def _text(value: Any, name: str) -> str:
    return str(value)


_CLASSES: dict[str, type[Calibrator]] = {
    "km": KaplanMeierCalibrator,
    "breslow": BreslowCalibrator,
    "breslow_oof": BreslowCalibrator,
    "breslow_cal": BreslowCalibrator,
    "isotonic_oof": IsotonicCalibrator,
    "km_rank": KmRankCalibrator,
}
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "name": _text,
    "note": _text,
    "center": _number,
    "slope": _number,
    "knots": _array,
    "log_multiplier": _array,
    "train_log_risk": _array,
    "survival": _step_function,
    "baseline": _step_function,
}


def calibrator_from_dict(d: Mapping[str, Any]) -> Calibrator:
    """Make the calibrator that `to_dict` described.

    Raises
    ------
    BundleError
        When the name is unknown or a field is absent or malformed.
    """
    name = d.get("name")
    if name not in _CLASSES:
        raise BundleError(
            f"unknown calibrator {name!r} in a saved model; known: {', '.join(sorted(_CLASSES))}",
        )
    kind = _CLASSES[name]
    try:
        values = {}
        for field in fields(kind):  # type: ignore[arg-type]
            values[field.name] = _READERS[field.name](d[field.name], field.name)
        return kind(**values)
    except (KeyError, TypeError, ValueError, SurvfuseError) as error:
        raise BundleError(
            f"the saved calibrator {name!r} is broken: {type(error).__name__}: {error}",
        ) from None
