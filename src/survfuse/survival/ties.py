"""Times that are equal up to rounding are one time.

Follow-up computed from two dates or ages differs in its last digits between patients
who were followed equally long: 5.2 and 5.199999999999996. As in ``aeqSurv`` of R's
survival, neighbours among the sorted times are one time where they differ by 1.5e-8 (the
square root of the machine epsilon) or less, absolutely or relative to the mean time.
"""

from __future__ import annotations

import numpy as np

from survfuse._types import BoolArray, FloatArray

SAME = float(np.sqrt(np.finfo(np.float64).eps))


def tolerance(times: FloatArray) -> float:
    """How far apart two neighbours of the distinct `times` may lie and be one time."""
    return SAME * max(1.0, float(np.abs(times).mean())) if len(times) else SAME


def tied(*columns: FloatArray) -> list[FloatArray]:
    """Give times that are equal up to rounding one value, the lowest of them.

    Parameters
    ----------
    columns : array, (times,) each
        Of one clock: follow-up, that of the training patients, horizons.

    Returns
    -------
    list of array
        The columns themselves where no two times were to be joined.

    Examples
    --------
    >>> tied(np.array([5.2, 7.0]), np.array([45.2 - 40.0]))
    [array([5.2, 7. ]), array([5.2])]
    """
    distinct = np.unique(np.concatenate(columns))
    same = np.diff(distinct) <= tolerance(distinct)
    if not same.any():
        return list(columns)
    first = distinct[np.append(True, ~same)]
    return [
        first[np.searchsorted(first, column, side="right") - 1] for column in columns
    ]


def at_or_before(time: FloatArray, until: float) -> BoolArray:
    """Whether each time is `until` or less, up to rounding; (times,)."""
    own, limit = tied(time, np.array([until]))
    return np.asarray(own <= limit)


def at_or_after(time: FloatArray, since: float) -> BoolArray:
    """Whether each time is `since` or more, up to rounding; (times,)."""
    own, limit = tied(time, np.array([since]))
    return np.asarray(own >= limit)
