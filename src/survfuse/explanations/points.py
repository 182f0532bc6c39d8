"""Percentage points of the risk at a horizon, and terms on the scale on which curves are sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.decomposition import Term, shapley_values
from survfuse.decomposition.readings import CONSTANT, differences, subsets
from survfuse.explanations.explained import Explained
from survfuse.explanations.terms import term_frame
from survfuse.survival.argument_checks import as_numbers
from survfuse.survival.calibration import BreslowCalibrator, Calibrator
from survfuse.survival.curves import StepFunction

MOST_MODALITIES = 8
"""Their 256 sets are computed one by one."""
ROWS = 2**16
"""Patients, each with the modalities of another one, whose risk is computed at a time."""


def points(explained: Explained, horizon: float) -> pd.DataFrame:
    """Split each patient's risk at a horizon into percentage points of the modalities.

    Exact Shapley values on the scale of the risk, on which terms are no sums. With only some
    modalities of a patient known, the risk is the mean over background patients of the calibrated
    risk that the patient would have with their other modalities (Lundberg & Lee 2017,
    arXiv:1705.07874, the interventional form).

    Parameters
    ----------
    explained : Explained
    horizon : float
        Time in the unit of the model.

    Returns
    -------
    DataFrame
        Index `patient_id`; `risk` (predicted, percent), `reference` (mean predicted risk of the
        background patients, percent), and a column per modality (percentage points):
        risk = reference + their sum.

    Raises
    ------
    InputError
        For a horizon that is no number, negative or not finite.
    NotComputableError
        When the calibration gives no risk at a horizon, or none at this one; for more than 8
        modalities.
    """
    horizon = checked_horizon(horizon)
    calibrator = at_horizon(explained, horizon)
    modalities = _used(explained)
    if len(modalities) > MOST_MODALITIES:
        raise NotComputableError(
            f"percentage points of {len(modalities)} modalities need {2 ** len(modalities):,} sets "
            f"of them; at most {MOST_MODALITIES} modalities are computed; read the terms of the "
            "log-risk instead",
        )
    values: dict[Term, FloatArray] = {}
    for known in subsets(modalities):
        values[known] = _mean_risk(explained, calibrator, horizon, known)
    added, zeros = shapley_values(differences(values)), np.zeros(len(explained.ids))
    columns = {"risk": values[modalities], "reference": values[()]}
    for name in explained.modalities:
        columns[name] = added.get(name, zeros)
    index = pd.Index(explained.ids, name="patient_id", dtype=object)
    frame = 100 * pd.DataFrame(columns, index=index)
    frame.attrs |= {"horizon": horizon, "unit": explained.prediction.unit}
    return frame


def cloglog(explained: Explained, horizon: float) -> pd.DataFrame:
    """Terms of ``log(−log S(horizon))``, which add up exactly on this scale at every horizon.

    Parameters
    ----------
    explained : Explained
    horizon : float
        Time in the unit of the model.

    Returns
    -------
    DataFrame
        As the terms of the log-risk, each times the slope of the calibration; the constant holds
        the logarithm of the baseline's cumulative hazard at the horizon.

    Raises
    ------
    InputError
        For a horizon that is no number, negative or not finite.
    NotComputableError
        Under a calibration that is not linear in the log-risk, or for a horizon without a hazard.
    """
    horizon = checked_horizon(horizon)
    calibrator = at_horizon(explained, horizon)
    if not isinstance(calibrator, BreslowCalibrator):
        raise NotComputableError(
            f"calibration {calibrator.name}: the curve is not linear in the log-risk on the "
            "complementary log-log scale; breslow_oof, breslow and breslow_cal are",
        )
    hazard = float(calibrator.baseline(horizon))
    if hazard == 0:
        raise NotComputableError(
            f"no training patient had the event by {horizon:g}: log(−log S) is minus infinity",
        )
    frame = calibrator.slope * term_frame(explained)
    frame[CONSTANT] += math.log(hazard) - calibrator.slope * calibrator.center
    return frame


def checked_horizon(horizon: float) -> float:
    """Convert a horizon to one finite number >= 0."""
    value = as_numbers(horizon, "horizon", flags=False)
    if value.ndim or not (np.isfinite(value) and value >= 0):
        raise InputError(f"horizon must be a finite number >= 0, got {horizon!r}")
    return float(value)


def at_horizon(explained: Explained, horizon: float) -> Calibrator:
    """Calibrator that knows curves at one time only, where a whole one would fill the memory."""
    calibrator = explained.prediction.calibrator
    if not calibrator.has_curves:
        raise NotComputableError(
            f"calibration {calibrator.name} gives no risk at a horizon; read the terms of the "
            "log-risk instead, or choose calibration breslow_oof",
        )
    if np.isnan(explained.prediction.survival([horizon])).any():
        raise NotComputableError(
            f"horizon {horizon:g} {explained.prediction.unit} is beyond the follow-up that the "
            "model was calibrated on; choose an earlier one",
        )
    shortened: dict[str, Any] = {}
    for field in fields(calibrator):  # type: ignore[arg-type]
        curve = getattr(calibrator, field.name)
        if isinstance(curve, StepFunction):
            time, value = np.array([horizon]), np.array([curve(horizon)])
            shortened[field.name] = StepFunction(time, value, curve.before)
    return replace(calibrator, **shortened)  # type: ignore[type-var]


def _used(explained: Explained) -> Term:
    """Modalities that any part of the model reads."""
    read: set[str] = set()
    for part in explained.parts.all_parts():
        read.update(part.modalities)
    return tuple(name for name in explained.modalities if name in read)


def _mean_risk(
    explained: Explained,
    calibrator: Calibrator,
    horizon: float,
    known: Term,
) -> FloatArray:
    """Mean risk over the background, which gives the modalities that are not known; (patients,)."""
    background, patients = explained.reference.background, len(explained.ids)
    if not known:
        log_risk = explained.parts.log_risk(background)
        mean = _risk(calibrator, log_risk, horizon).mean()
        return np.full(patients, mean)
    if known == _used(explained):
        return _risk(calibrator, explained.prediction.log_risk, horizon)
    risks = np.empty(patients)
    for rows in _blocks(patients, len(background)):
        own = explained.readings.take(np.repeat(rows, len(background)))
        others = background.take(np.tile(np.arange(len(background)), len(rows)))
        log_risk = explained.parts.log_risk(own.mixed(others, known))
        risk = _risk(calibrator, log_risk, horizon)
        risks[rows] = risk.reshape(len(rows), -1).mean(axis=1)
    return risks


def _risk(
    calibrator: Calibrator,
    log_risk: FloatArray,
    horizon: float,
) -> FloatArray:
    return 1 - calibrator.curves(log_risk).at([horizon])[:, 0]


def _blocks(
    patients: int,
    background: int,
) -> Iterator[IntArray]:
    size = max(1, ROWS // background)
    for start in range(0, patients, size):
        yield np.arange(start, min(start + size, patients))
