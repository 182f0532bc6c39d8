"""Which numbers of a column to doubt: those far from all others, and codes for "not known".

A number is far when it lies more than `FAR` robust deviations (interquartile range / 1.349) from
the median, and so does its logarithm where the column is a measurement >= 0 (or <= 0): of a skewed
column (blood values, lengths, counts) the true tail is long on one of the two scales only. Numbers
of both signs (log-ratios, z-scores) have no logarithm and may lie twice as far. A code is a
repeated 99, 888, 9999 or the like outside the range of all others, or a lone -1 among numbers >= 0.
In a table of copy numbers (-2 to 2, as GISTIC writes them) -1 is a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from survfuse._types import BoolArray, FloatArray

FAR = 7.0  # none of HANCOCK's 11,072 blood values lies so far
LARGEST = 1e30  # in size; the squares of larger numbers leave the range of float32
FEWEST = 10  # numbers; fewer do not say what is usual
FEWEST_OTHERS = 3  # values besides the most frequent, for their spread to mean anything
ONE_SIGN = 0.75  # share of numbers of one sign, zero included, in a measurement
COPY_NUMBERS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Both copies lost, one lost, none, gained, amplified."""


def doubtful(values: FloatArray) -> BoolArray:
    """Mark numbers that are far from the others, or codes.

    Parameters
    ----------
    values : array, (patients,)
        Finite.

    Examples
    --------
    >>> ages = np.array([51.0, 58, 60, 61, 64, 66, 70, 71, 75, 83, 7000])
    >>> ages[doubtful(ages)].tolist()
    [7000.0]
    """
    low, high = fences(values)
    return codes(values) | (values < low) | (values > high)


def fences(values: FloatArray) -> tuple[float, float]:
    """Limits beyond which a number is far from these, without codes; +-1e30 where none is."""
    return _fences(values[~codes(values)])


def codes(values: FloatArray) -> BoolArray:
    """Mark numbers that stand for "not known"; (patients,)."""
    alike = np.isin(values, KNOWN_CODES)
    others = values[~alike]
    if not alike.any() or len(others) < FEWEST:
        return np.zeros(len(values), dtype=bool)
    least, most = _fences(others)
    others = others[(others >= least) & (others <= most)]
    low, high = others.min(), others.max()
    _, place, count = np.unique(
        values,
        return_inverse=True,
        return_counts=True,
    )
    outside = np.maximum(low - values, values - high)
    repeated = (count[place] > 1) & (outside > _spread(others)[1])
    lone_negative = (values < 0) & (low >= 0)
    return np.asarray(alike & (repeated | lone_negative))


def copy_number_columns(columns: Mapping[str, FloatArray]) -> frozenset[str]:
    """Names of columns of a table that hold copy numbers, in which a lone -1 is no code.

    One column is not enough: a gene that nobody lost twice looks like a score with -1 for "not
    known". So the columns of nothing but -2 to 2 must have all five of these between them.

    Parameters
    ----------
    columns : mapping of str to array, (patients,)
        Numeric columns of one table; NaN where missing.

    Examples
    --------
    >>> genes = {"A": np.array([-2.0, 0, 2]), "B": np.array([-1.0, 0, 1])}
    >>> sorted(copy_number_columns(genes))
    ['A', 'B']
    >>> copy_number_columns({"B": genes["B"]})
    frozenset()
    """
    names: list[str] = []
    reached: set[float] = set()
    for name, values in columns.items():
        held = set(values[~np.isnan(values)].tolist())
        if held <= set(COPY_NUMBERS):
            names.append(name)
            reached |= held
    return frozenset(names) if len(reached) == len(COPY_NUMBERS) else frozenset()


def _known_codes() -> FloatArray:
    """-1, and 7, 8 or 9 repeated, with a point anywhere; one digit alone only if negative."""
    numbers = [-1.0, -7.0, -8.0, -9.0]
    for digit in "789":
        for count in range(2, 16):
            for whole in range(1, count + 1):
                code = float(f"{digit * whole}.{digit * (count - whole)}")
                numbers += [code, -code]
    return np.array(numbers)


KNOWN_CODES = _known_codes()


def _fences(usual: FloatArray) -> tuple[float, float]:
    median, spread = _spread(usual) if len(usual) >= FEWEST else (0.0, 0.0)
    if spread == 0:
        return -LARGEST, LARGEST
    for sign in (1.0, -1.0):
        if (sign * usual >= 0).mean() >= ONE_SIGN:
            inner, outer = _fences_in_log(sign * usual)
            low, high = sorted((sign * inner, sign * outer))
            return min(low, median - FAR * spread), max(high, median + FAR * spread)
    return median - 2 * FAR * spread, median + 2 * FAR * spread


def _fences_in_log(usual: FloatArray) -> tuple[float, float]:
    """Fences of the logarithms, as numbers; the median twice where these have no spread."""
    logs = np.log(usual[usual > 0])
    median, spread = _spread(logs) if len(logs) >= FEWEST_OTHERS else (0.0, 0.0)
    reach = FAR * spread
    ends = np.minimum([median - reach, median + reach], np.log(LARGEST))
    low, high = np.exp(ends).tolist()
    return low, high


def _spread(values: FloatArray) -> tuple[float, float]:
    """Median and robust deviation; that of the others where half the values are the same."""
    low, median, high = _quartiles(values)
    others = values[values != median]
    if high > low or len(others) < FEWEST_OTHERS:
        return float(median), float(high - low) / 1.349
    low, middle, high = _quartiles(others)
    return float(median), float(max((high - low) / 1.349, abs(middle - median)))


def _quartiles(values: FloatArray) -> tuple[float, float, float]:
    """Quartiles that are values themselves, so that a score has no tenth of a step."""
    ordered, last = np.sort(values), len(values) - 1
    low, high = ordered[math.floor(last / 4)], ordered[math.ceil(3 * last / 4)]
    median = (ordered[last // 2] + ordered[(last + 1) // 2]) / 2
    return float(low), float(median), float(high)
