"""The risk of one patient: at a horizon, over time, and beside the training patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.default_horizons import main_horizon
from survfuse.explanations import Explanation
from survfuse.explanations.explained import FLAT, Explained, is_flat
from survfuse.results.prognosis import GROUP_NAMES
from survfuse.survival.argument_checks import as_numbers
from survfuse.survival.curves import StepFunction, SurvivalCurves

GROUPS = tuple(name.removesuffix(" risk") for name in GROUP_NAMES)
CENTRAL = 0.8
"""Share of such patients whose event lies inside the interval of times."""
MEAN_CURVE = (
    "mean of the curves predicted for {patients} {who}; the bundle, of an older version, does not "
    "hold the Kaplan–Meier curve of the training patients"
)

NOT_COMPUTED = dict.fromkeys(
    ("risk", "curve", "members", "elsewhere", "time_low", "time_high")
)


@dataclass(frozen=True, eq=False)
class Population:
    """Survival of the training patients.

    Attributes
    ----------
    time, survival : array, (steps,)
        From time 0.
    low, high : array, (steps,), or None
        95 % interval, NaN where there is none.
    name : str
        What the curve is.
    note : str
        What a reader must know of it.
    observed : bool
        Whether it is what happened to them, and no prediction.
    """

    time: FloatArray
    survival: FloatArray
    low: FloatArray | None
    high: FloatArray | None
    name: str
    note: str = ""
    observed: bool = True

    def risk_at(self, horizon: float) -> dict[str, float | None]:
        """Share with the event by a horizon, and its interval; None where not known."""
        step = int(np.searchsorted(self.time, horizon, side="right")) - 1
        known = horizon <= self.time[-1] or self.survival[-1] == 0
        risk = float(1 - self.survival[step]) if known else None
        ends: dict[str, float | None] = {"low": None, "high": None}
        if known and self.low is not None and self.high is not None:
            low, high = float(1 - self.high[step]), float(1 - self.low[step])
            if np.isfinite(low + high) and low < high:
                ends = {"low": low, "high": high}
        return {"risk": risk, **ends}


def page_horizon(explanation: Explanation, horizon: float | None = None) -> float:
    """Horizon of a page: the one that is given, or 3 years, the nearest default, or the last time.

    Parameters
    ----------
    explanation : Explanation
    horizon : float, optional

    Returns
    -------
    float
        In the unit of the model.

    Raises
    ------
    InputError
        For one that is no finite number > 0.
    """
    if horizon is not None:
        value = as_numbers(horizon, "horizon", flags=False)
        if value.ndim or not (np.isfinite(value) and value > 0):
            raise InputError(f"horizon must be a finite number > 0, got {horizon!r}")
        return float(value)
    return main_horizon(explanation.explained.fitted.summary)


def outlook(
    explanation: Explanation,
    row: int,
    horizon: float,
) -> dict[str, Any]:
    """Risk, curve and times of a patient, beside the training patients.

    Parameters
    ----------
    explanation : Explanation
    row : int
        Of the patient.
    horizon : float
        In the unit of the model.

    Returns
    -------
    dict
        `risk` at the horizon (None where `why_no_risk` says why), `members` (its range over the
        members of the model, or None), `elsewhere` (what models of other cohorts of this size
        would say, or `why` that is not known), `population` and `average` (its risk), `curve`
        (times and survival, or None), `flat` (why nobody is ordered, or empty), `time`,
        `time_low` and `time_high`, `bound`, `group`, `log_risk`.
    """
    prediction, population = explanation.prediction, population_of(explanation)
    log_risk = prediction.log_risk[row : row + 1]
    return {
        "horizon": horizon,
        "unit": prediction.unit,
        "log_risk": float(log_risk[0]),
        "group": GROUPS[int(prediction.risk_group[row])],
        "time": _known(prediction.predicted_time[row]),
        "population": population,
        "average": population.risk_at(horizon),
        "calibration_note": prediction.calibrator.note,
        "flat": FLAT if is_flat(explanation.explained.fitted) else "",
        "bound": _bound(explanation, log_risk),
        **NOT_COMPUTED,
        **_of_curve(explanation.explained, row, horizon),
        "elsewhere": _elsewhere(explanation, row, horizon),
    }


def _of_curve(explained: Explained, row: int, horizon: float) -> dict[str, Any]:
    """What the calibrated curve of a patient says, or why there is none."""
    calibrator, unit = explained.prediction.calibrator, explained.prediction.unit
    if not calibrator.has_curves:
        return {
            "why_no_risk": f"calibration {calibrator.name} gives a time and no probability"
        }
    curves = calibrator.curves(explained.prediction.log_risk[row : row + 1])
    risk, why, tail = _known(1 - curves.at([horizon])[0, 0]), "", (1 - CENTRAL) / 2
    if risk is None:
        why = (
            f"{horizon:g} {unit} lie beyond the {curves.last:g} {unit} that training patients were "
            "followed"
        )
    return {
        "risk": risk,
        "why_no_risk": why,
        "curve": _steps(curves),
        "members": _range_of_members(explained, row, horizon),
        "time_low": _known(curves.quantile(tail)[0]),
        "time_high": _known(curves.quantile(1 - tail)[0]),
    }


def population_of(explanation: Explanation) -> Population:
    """Survival of the training patients; computed once for all pages."""
    explained = explanation.explained
    training: Population = explained.computed.setdefault(
        "population", _population(explained)
    )
    return training


def _population(explained: Explained) -> Population:
    """Kaplan–Meier curve of the training patients, or the nearest thing that is known."""
    stored = explained.fitted.summary.get("kaplan_meier")
    name = "training patients (Kaplan–Meier)"
    if stored:
        time, survival, low, high = (
            np.array(stored[key], np.float64)
            for key in ("time", "survival", "low", "high")
        )
        return Population(time, survival, low, high, name)
    calibrator = explained.prediction.calibrator
    curve = getattr(calibrator, "survival", None)
    if isinstance(curve, StepFunction):
        time, survival = np.append(0.0, curve.x), np.append(1.0, curve.y)
        note = "the bundle does not hold its interval"
        return Population(time, survival, None, None, name, note)
    background = explained.reference.background
    curves = calibrator.curves(explained.parts.log_risk(background))
    time = np.concatenate([[0.0], curves.times, [curves.last]])
    mean = curves.survival.mean(axis=0)
    survival = np.concatenate([[1.0], mean, mean[-1:]])
    who = "training patients"
    if explained.reference is not explained.fitted.reference:
        who = "reference patients"  # other ones were given
    note = MEAN_CURVE.format(patients=len(background), who=who)
    name = f"{who} (mean prediction)"
    return Population(time, survival, None, None, name, note, observed=False)


def _steps(curves: SurvivalCurves) -> dict[str, FloatArray]:
    """The curve of one patient, from time 0 to the last time that is known."""
    survival = np.append(1.0, curves.survival[0])
    return {
        "time": np.concatenate([[0.0], curves.times, [curves.last]]),
        "survival": np.append(survival, survival[-1]),
    }


def _range_of_members(
    explained: Explained,
    row: int,
    horizon: float,
) -> Mapping[str, Any] | None:
    """Smallest and largest risk that a member of the model gives; None where it has one member."""
    if len(explained.parts.members) < 2:
        return None
    readings = explained.readings.take(np.array([row]))
    log_risks = explained.parts.member_log_risks(readings)[:, 0]
    curves = explained.prediction.calibrator.curves(log_risks)
    risks = 1 - curves.at([horizon])[:, 0]
    if np.isnan(risks).any():
        return None
    return {"count": len(risks), "low": float(risks.min()), "high": float(risks.max())}


def _elsewhere(
    explanation: Explanation,
    row: int,
    horizon: float,
) -> dict[str, Any]:
    """Risks that models of other cohorts of this size would give, or why that is not known."""
    computed = explanation.explained.computed
    key = ("risk_range", horizon)
    if key not in computed:
        try:
            computed[key] = explanation.risk_range(horizon)
        except NotComputableError as error:
            computed[key] = str(error)
    ranges = computed[key]
    if isinstance(ranges, str):
        return {"level": None, "why": ranges}
    low, high = ranges["low"].iloc[row], ranges["high"].iloc[row]
    return {"low": float(low), "high": float(high), "level": ranges.attrs["level"]}


def _bound(explanation: Explanation, log_risk: FloatArray) -> dict[str, Any] | None:
    """Time that the patient outlives with a stated probability, where the model has a bound."""
    bound = explanation.prediction.bound
    if bound is None:
        return None
    return {
        "level": bound.level,
        "time": float(bound.lower(log_risk)[0]),
        "note": bound.note,
        "assumptions": bound.assumptions,
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
