"""Horizons and predicted survival at them, validated once for every metric that reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError
from survfuse._types import FloatArray


def as_horizons(times: npt.ArrayLike, *, increasing: bool = False) -> FloatArray:
    """Convert to a column of horizons.

    Parameters
    ----------
    times : array-like, (times,), or one number
        In the unit of the follow-up times.
    increasing : bool
        Whether each must be larger than the one before, as an integral needs.

    Raises
    ------
    InputError
        For none, for one that is not a finite number > 0, or a wrong order.
    """
    try:
        horizons = np.atleast_1d(np.asarray(times, dtype=np.float64))
    except (TypeError, ValueError) as cause:
        raise InputError(f"times must be numbers: {cause}") from None
    if horizons.ndim != 1 or len(horizons) == 0:
        raise InputError(f"times must be one column of at least one horizon, got shape {horizons.shape}")
    bad = np.flatnonzero(~(np.isfinite(horizons) & (horizons > 0)))
    if len(bad):
        raise InputError(f"times must be finite numbers > 0; place {bad[0]} holds {horizons[bad[0]]}")
    if increasing and (np.diff(horizons) <= 0).any():
        raise InputError("times must increase strictly; sort them and drop repeated ones")
    return horizons


def as_survival(survival: npt.ArrayLike, patients: int, times: int) -> FloatArray:
    """Convert to predicted survival, (patients, times); one column will do where there is one time.

    Raises
    ------
    InputError
        For a wrong shape, or a value that is missing or outside [0, 1].
    """
    try:
        values = np.asarray(survival, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise InputError(f"survival must be numbers: {cause}") from None
    if values.ndim == 1 and times == 1:
        values = values[:, None]
    if values.shape != (patients, times):
        raise InputError(
            f"survival must be (patients, times): expected {(patients, times)}, got {values.shape}"
        )
    good = (values >= 0) & (values <= 1)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise InputError(
            f"survival must lie within [0, 1]; row {row}, time {column} holds {values[row, column]}"
            f" ({int((~good).sum())} such values). A curve is not known beyond its training follow-up:"
            " ask for earlier times"
        )
    return values
