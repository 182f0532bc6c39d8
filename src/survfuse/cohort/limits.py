"""Which numbers of a column to doubt: those far from all others, and codes for "not known".

A number is far when it lies more than `FAR` robust deviations (interquartile range / 1.349) from the
median, and so does its logarithm where the column is a measurement >= 0 (or <= 0): of a skewed column
(blood values, lengths, counts) the honest tail is long on one of the two scales only. Numbers of both
signs (log-ratios, z-scores) have no logarithm and may lie twice as far. A code is a
repeated 99, 888, 9999 or the like outside the range of all others, or a lone -1 among numbers >= 0.
"""

from __future__ import annotations

import numpy as np

from survfuse._types import BoolArray, FloatArray

FAR = 5.0  # from here on a model takes the nearest usual number
CERTAINLY_FAR = 7.0  # from here on a person is asked; of HANCOCK's 11,072 blood values none is
FEWEST = 10  # numbers; fewer do not say what is usual
FEWEST_OTHERS = 3  # values besides the most frequent, for their spread to mean anything
ONE_SIGN = 0.75  # share of numbers of one sign, zero included, in a measurement
CODE_DIGITS = ("7", "8", "9")


def doubtful(values: FloatArray, far: float = FAR) -> BoolArray:
    """Mark numbers that are far from the others, or codes.

    Parameters
    ----------
    values : array, (patients,)
        Finite.
    far : float
        Robust deviations.

    Examples
    --------
    >>> ages = np.array([51.0, 58, 60, 61, 64, 66, 70, 71, 75, 83, 7000])
    >>> ages[doubtful(ages)].tolist()
    [7000.0]
    """
    if len(values) < FEWEST:
        return np.zeros(len(values), dtype=bool)
    codes = _codes(values)
    return codes | _far(values, values[~codes], far)


def _codes(values: FloatArray) -> BoolArray:
    alike = np.array([_looks_like_code(float(value)) for value in values])
    others = values[~alike]
    if not alike.any() or len(others) < FEWEST:
        return np.zeros(len(values), dtype=bool)
    others = others[~_far(others, others, FAR)]
    low, high = others.min(), others.max()
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    outside = np.maximum(low - values, values - high)
    repeated = (count[place] > 1) & (outside > _spread(others)[1])
    lone_negative = (values < 0) & (low >= 0)
    return np.asarray(alike & (repeated | lone_negative))


def _looks_like_code(value: float) -> bool:
    digits = f"{abs(value):.15g}".replace(".", "")
    if digits == "1":
        return value == -1
    one_digit = len(digits) == 1 and value > 0
    return not one_digit and any(digits == digit * len(digits) for digit in CODE_DIGITS)


def _far(values: FloatArray, usual: FloatArray, far: float) -> BoolArray:
    """Which values are far from the usual ones, of a measurement on the log scale too."""
    deviations = _deviations(values, usual)
    for sign in (1.0, -1.0):
        if (sign * usual >= 0).mean() >= ONE_SIGN:
            return (deviations > far) & _far_in_log(sign * values, sign * usual, far)
    return deviations > 2 * far


def _far_in_log(values: FloatArray, usual: FloatArray, far: float) -> BoolArray:
    """Which values have a logarithm far from those of the usual ones; no logarithm is far too."""
    found = np.ones(len(values), dtype=bool)
    logs = np.log(usual[usual > 0])
    if len(logs) >= FEWEST_OTHERS and _spread(logs)[1] > 0:
        positive = values > 0
        found[positive] = _deviations(np.log(values[positive]), logs) > far
    return found


def _deviations(values: FloatArray, usual: FloatArray) -> FloatArray:
    """Distance from the median in robust deviations, (values,); 0 where there is no spread."""
    median, spread = _spread(usual)
    return np.abs(values - median) / spread if spread > 0 else np.zeros(len(values))


def _spread(values: FloatArray) -> tuple[float, float]:
    """Median and robust deviation; that of the others where half the values are the same."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    others = values[values != median]
    if high > low or len(others) < FEWEST_OTHERS:
        return float(median), float(high - low) / 1.349
    low, middle, high = np.quantile(others, (0.25, 0.5, 0.75))
    return float(median), float(max((high - low) / 1.349, abs(middle - median)))
