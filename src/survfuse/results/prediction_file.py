"""The file that `predict` writes: a row per patient, with unit, words and sensible digits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.prediction import Prediction
from survfuse.results.prognosis import GROUP_NAMES

RISK_DIGITS = (
    10  # significant: scores that are computed from the file are the same to 1e-9
)
TIME_DIGITS = 5  # significant: whole days of a lifetime
PLACES = 6  # of a probability, after the point
TIMES = ("predicted_time", "time_low", "time_high", "lower_bound", "rmst_")
PROBABILITIES = ("survival_", "drift_")


def prediction_table(
    prediction: Prediction,
    horizons: tuple[float, ...],
) -> pd.DataFrame:
    """Rows of :meth:`survfuse.Prediction.frame` with details, rounded, with unit and group words.

    Parameters
    ----------
    prediction : Prediction
    horizons : tuple of float
        Times of the survival columns.

    Returns
    -------
    DataFrame
        With the further columns `unit` (of every time) and `risk_group_name`.

    Raises
    ------
    InputError
        For a horizon that is negative or not finite.
    """
    table = prediction.frame(horizons, details=True)
    table["log_risk"] = _significant(table["log_risk"].to_numpy(float), RISK_DIGITS)
    for name in table.columns:
        if name.startswith(TIMES):
            table[name] = _significant(table[name].to_numpy(float), TIME_DIGITS)
        elif name.startswith(PROBABILITIES):
            table[name] = table[name].round(PLACES)
    names = [GROUP_NAMES[group].removesuffix(" risk") for group in table["risk_group"]]
    columns = list(table.columns)
    table.insert(columns.index("risk_group") + 1, "risk_group_name", names)
    table.insert(columns.index("time_high") + 1, "unit", prediction.unit)
    return table


def _significant(values: FloatArray, digits: int) -> FloatArray:
    """Values rounded to so many significant digits."""
    return np.array([float(f"{value:.{digits}g}") for value in values])
