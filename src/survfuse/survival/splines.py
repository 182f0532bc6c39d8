"""Restricted cubic splines: cubic between the knots, straight beyond the outer ones."""

from __future__ import annotations

import numpy as np

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_whole

# Harrell, Regression Modeling Strategies (2015), table 2.3
QUANTILES = {
    3: (0.1, 0.5, 0.9),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.5, 0.725, 0.95),
}
SMALL = 100  # below as many values the outer knots are the fifth smallest and the fifth largest


def knots_of(x: FloatArray, knots: int = 3) -> FloatArray:
    """Knots at Harrell's quantiles; empty where `x` has too few distinct values for them.

    Parameters
    ----------
    x : array, (patients,)
    knots : {3, 4, 5}

    Returns
    -------
    array, (knots,), strictly increasing, or (0,)

    Raises
    ------
    InputError
        For another number of knots.
    """
    if as_whole(knots, "knots", 0) not in QUANTILES:
        raise InputError(
            f"a restricted cubic spline has 3, 4 or 5 knots here, got {knots}",
        )
    if len(np.unique(x)) < knots:
        return np.zeros(0)
    places = np.quantile(x, QUANTILES[knots])
    if len(x) < SMALL:
        ordered, fifth = np.sort(x), min(4, len(x) - 1)
        places[0], places[-1] = ordered[fifth], ordered[len(x) - 1 - fifth]
    distance = 1e-9 * max(float(np.ptp(x)), 1e-300)
    return places if (np.diff(places) > distance).all() else np.zeros(0)


def spline_basis(
    x: FloatArray,
    knots: FloatArray,
) -> FloatArray:
    """Columns of a restricted cubic spline (Stone and Koo 1985), the first of them `x` itself.

    With t the knots, k of them, and u₊ = max(u, 0)³, column j + 1 is
    [(x − t_j)₊ − (x − t_{k−1})₊ (t_k − t_j)/(t_k − t_{k−1})
    + (x − t_k)₊ (t_{k−1} − t_j)/(t_k − t_{k−1})] / (t_k − t_1)².

    Parameters
    ----------
    x : array, (values,)
    knots : array, (knots,), increasing; empty for a straight line

    Returns
    -------
    array, (values, knots − 1), or (values, 1)
    """
    if len(knots) == 0:
        return x[:, None]
    cubes = np.maximum(x[:, None] - knots, 0.0) ** 3  # (values, knots)
    last, before = knots[-1], knots[-2]
    inner, gap = knots[:-2], last - before
    left = cubes[:, -2:-1] * (last - inner) / gap
    right = cubes[:, -1:] * (before - inner) / gap
    bent = cubes[:, :-2] - left + right
    return np.column_stack([x, bent / (last - knots[0]) ** 2])
