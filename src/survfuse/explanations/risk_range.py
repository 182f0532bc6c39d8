"""What models of other cohorts of the same size would say of a patient's risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from survfuse._errors import NotComputableError
from survfuse.explanations.agreement_tables import GREY, MEASURE
from survfuse.explanations.compare_halves import log_hazards
from survfuse.explanations.explained import Explained
from survfuse.explanations.points import at_horizon, checked_horizon
from survfuse.survival.argument_checks import as_share

LEVEL = 0.95


def risk_range(
    explained: Explained,
    horizon: float,
    *,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Range in which models of other cohorts of this size would put each patient's risk.

    Models of two halves of the training patients were calibrated and applied to the same other
    patients. How far their log cumulative hazards lie apart, carried to the size of the whole
    cohort, is the standard deviation of the difference between this model and another one. Its
    normal quantiles about this model's log cumulative hazard give the range. Between disjoint
    cohorts it held 88 to 96 % of the risks where 95 % are meant (docs/results_tables.md). It says
    nothing of what all models of such cohorts share, as where another hospital's patients are
    different.

    Parameters
    ----------
    explained : Explained
    horizon : float
        Time in the unit of the model.
    level : float
        Share of such models that give a risk inside.

    Returns
    -------
    DataFrame
        Index `patient_id`; `risk` as predicted, `low` and `high`, shares of 1. ``attrs`` has
        `horizon`, `unit` and `level`.

    Raises
    ------
    InputError
        For a horizon or a level that is no such thing.
    NotComputableError
        When the difference was not measured, or the calibration gives no risk at the horizon; when
        other cohorts would order patients otherwise: what half models leave out, such as slides
        of small cohorts, is not in their difference.
    """
    horizon, level = checked_horizon(horizon), as_share(level, "level")
    agreement = explained.fitted.agreement
    if agreement is None or agreement.expected_difference is None:
        raise NotComputableError(
            f"how far risks of models of other cohorts lie apart was {MEASURE}",
        )
    row = agreement.row("prediction", name="log-risk")
    expected = None if row is None else agreement.expected(row)
    if expected is None or expected < GREY:
        known = "" if expected is None else f" (expected agreement {expected:.2f})"
        raise NotComputableError(
            f"models of other cohorts of this size would give other risks altogether{known}",
        )
    calibrator = at_horizon(explained, horizon)
    survival = calibrator.curves(explained.prediction.log_risk).at([horizon])[:, 0]
    middle = log_hazards(survival)
    reach = stats.norm.ppf((1 + level) / 2) * agreement.expected_difference
    columns = {
        "risk": 1 - survival,
        "low": 1 - np.exp(-np.exp(middle - reach)),
        "high": 1 - np.exp(-np.exp(middle + reach)),
    }
    index = pd.Index(explained.ids, name="patient_id", dtype=object)
    frame = pd.DataFrame(columns, index=index)
    unit = explained.prediction.unit
    frame.attrs |= {"horizon": horizon, "unit": unit, "level": level}
    return frame
