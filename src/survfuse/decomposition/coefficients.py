"""Coefficients of agreement between two explanations of the same things.

Two models, each fitted on one half of a cohort, explain the same other patients. The agreement of
their explanations a and b is an intraclass correlation, ``2 cov(a, b) / (var a + var b)``: 1 where
they are the same, 0 where they are unrelated. It is lower than a correlation where one model gives
the same pattern with a larger spread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError

NOTHING = 1e-16
"""Mean square below which an explanation counts as 0."""


@dataclass(frozen=True)
class Sums:
    """Numerator and denominator of an agreement, which can be added over splits and patients.

    Attributes
    ----------
    shared : float
        Twice the sum of products of two explanations.
    total : float
        The sum of the squares of both.
    """

    shared: float = 0.0
    total: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.shared + other.shared, self.total + other.total)

    @property
    def value(self) -> float | None:
        """The agreement; None where both explanations are 0."""
        return self.shared / self.total if self.total > 0 else None


def compared(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> Sums:
    """Compare two explanations of the same things, each centred on its own mean.

    Parameters
    ----------
    first, second : array-like, (things,)
    weights : array-like, (things,), optional
        How much each thing counts; the same by default.

    Examples
    --------
    >>> compared([1, 2, 3], [2, 4, 6]).value
    0.8
    >>> compared([0, 0], [0, 0]).value is None
    True
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    weight = np.ones(len(a)) if weights is None else np.asarray(weights, float)
    if not weight.sum() > 0:
        return Sums()
    a = a - np.average(a, weights=weight)
    b = b - np.average(b, weights=weight)
    total = float((weight * (a**2 + b**2)).sum())
    if total <= NOTHING * weight.sum():
        return Sums()
    return Sums(float(2 * (weight * a * b).sum()), total)


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
