"""How calibration changes: slope and observed over expected events, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.evaluation.fold_calibration import expected_events, slope
from survfuse.evaluation.folds import Curves, Fold
from survfuse.prediction import Prediction
from survfuse.survival.estimate import Estimate, joined

IN_SAMPLE = (
    "of the patients that the new calibration was fitted to: near 1 by construction, and no "
    "evidence about others"
)


@dataclass(frozen=True)
class Change:
    """A metric of the same patients under the old and the new calibration.

    Attributes
    ----------
    before : Estimate
        Honest where no patient was trained on.
    after : Estimate
        In sample; its note says so.
    """

    before: Estimate
    after: Estimate


def calibration_change(
    before: Prediction,
    after: Prediction,
    time: FloatArray,
    event: BoolArray,
    horizon: float,
) -> Mapping[str, Change]:
    """Slope and O/E of the patients that a model was recalibrated on.

    Parameters
    ----------
    before, after : Prediction
        Of the same patients, by the old and by the recalibrated model.
    time, event : array, (patients,)
    horizon : float
        Of the log cumulative hazard that the slope is of, in the unit of `time`.

    Returns
    -------
    mapping of {"calibration_slope", "observed_expected"} to Change
    """
    folds = [(_fold(one, time, event),) for one in (before, after)]
    slopes = [slope(fold, horizon) for fold in folds]
    ratios = [expected_events(fold) for fold in folds]
    return {
        "calibration_slope": _change(*slopes),
        "observed_expected": _change(*ratios),
    }


def _fold(prediction: Prediction, time: FloatArray, event: BoolArray) -> Fold:
    """Predictions as one test fold, without curves under a calibration that gives none."""
    curves: Curves | None = None
    with suppress(NotComputableError):
        curves = prediction.curves
    ids = np.array(prediction.patient_id, dtype=object)
    return Fold(0, 0, ids, time, event, prediction.log_risk, curves)


def _change(before: Estimate, after: Estimate) -> Change:
    return Change(before, replace(after, note=joined(after.note, IN_SAMPLE)))
