"""Coefficients of agreement between two explanations of the same things.

Two models, each fitted on one half of a cohort, explain the same other patients. The agreement of
their explanations is a correlation: 1 where they give the same pattern, 0 where they are unrelated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError

NOTHING = 1e-16
"""Mean square below which an explanation counts as 0."""


@dataclass(frozen=True)
class Products:
    """Sums of products of two explanations, which can be added over patients.

    Attributes
    ----------
    shared : float
        Of one explanation with the other.
    first, second : float
        Of each with itself.
    """

    shared: float = 0.0
    first: float = 0.0
    second: float = 0.0

    def __add__(self, other: Products) -> Products:
        return Products(
            self.shared + other.shared,
            self.first + other.first,
            self.second + other.second,
        )

    @property
    def correlation(self) -> float | None:
        """The agreement; None where an explanation is constant, so that nothing is compared."""
        if 0 in (self.first, self.second):
            return None
        return float(np.clip(self.shared / math.sqrt(self.first * self.second), -1, 1))


def compared(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> Products:
    """Compare two explanations of the same things, each centred on its own mean.

    Parameters
    ----------
    first, second : array-like, (things,)
    weights : array-like, (things,), optional
        How much each thing counts; the same by default.

    Examples
    --------
    >>> round(compared([1, 2, 3], [2, 4, 7]).correlation, 3)
    0.993
    >>> compared([0, 0], [0, 0]).correlation is None
    True
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    weight = np.ones(len(a)) if weights is None else np.asarray(weights, float)
    if not weight.sum() > 0:
        return Products()
    a = a - np.average(a, weights=weight)
    b = b - np.average(b, weights=weight)
    squares = [float((weight * x**2).sum()) for x in (a, b)]
    own = [one if one > NOTHING * weight.sum() else 0.0 for one in squares]
    return Products(float((weight * a * b).sum()), *own)


def kuncheva(
    first: Iterable[str],
    second: Iterable[str],
    everything: int,
) -> float:
    """Overlap of two lists of the same length, corrected for chance (Kuncheva 2007).

    1: the same list; 0: as many in common as by chance.

    Parameters
    ----------
    first, second : iterable of str
    everything : int
        Things that the lists were chosen from; more than a list holds.

    Examples
    --------
    >>> kuncheva(["a", "b"], ["b", "c"], 4)
    0.0
    """
    one, other = set(first), set(second)
    size = len(one)
    if len(other) != size or not 0 < size < everything:
        raise InputError(
            f"expected two lists of one length, shorter than {everything}, got {size} and "
            f"{len(other)}",
        )
    by_chance = size**2 / everything
    return (len(one & other) - by_chance) / (size - by_chance)


def spearman_brown(value: float, times: float) -> float:
    """Agreement of models of `times` as many patients, where it is `value` for some.

    Each model is a common signal and an error whose variance falls as 1 / patients (Spearman
    1910, Brown 1910). Below 0 nothing is common, however many patients there are.

    Examples
    --------
    >>> round(spearman_brown(0.5, 2), 3)
    0.667
    """
    common = max(value, 0.0)
    return times * common / (1 + (times - 1) * common)
