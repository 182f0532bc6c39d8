"""Ridge Cox fits with many features: Newton's method whose moves conjugate gradients find.

A move solves ``(X' A X + ridge) move = gradient``. Conjugate gradients need that matrix times a
vector alone, which takes as many steps as `X` has entries; the matrix itself takes as many times
more as there are features. On singular vectors the matrix is nearly diagonal, so that a few
products suffice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from survfuse._types import FloatArray
from survfuse.survival._newton import (
    MOST_STEPS,
    halved_until_no_lower,
    no_double_holds,
)
from survfuse.survival._partial import RiskSets

SMALL_MOVE = 1e-5  # of any patient's log-risk, the last one
RELATIVE_RESIDUAL = 1e-3  # of a move, in the norm of the diagonal
MOST_PRODUCTS = 500


def climb_wide(
    sets: RiskSets,
    z: FloatArray,
    base: FloatArray,
    ridge: float,
    start: FloatArray,
) -> FloatArray:
    """Climb log L - ridge/2 |b|^2 to within about 1e-8 of every patient's log-risk.

    Parameters
    ----------
    sets : RiskSets
    z : array, (patients, features)
        On singular vectors, or nearly.
    base : array, (patients,)
        Offset of the log-risk.
    ridge : float
        > 0, on the scale of the log-likelihood.
    start : array, (features,)

    Returns
    -------
    array, (features,)
        Where it does not converge, the coefficients of the last step.

    Raises
    ------
    NotComputableError
        When the log-risks at the start do not fit a double.
    """

    def value(
        coef: FloatArray,
        log_risk: FloatArray,
    ) -> float:
        return float(sets.log_likelihood(log_risk) - ridge / 2 * coef @ coef)

    diagonal = len(sets.event) * (z**2).mean(axis=0) + ridge
    coef: FloatArray = start
    risk: FloatArray = z @ start + base
    current = value(coef, risk)
    for step in range(MOST_STEPS):
        curvature = sets.curvature(risk)
        if curvature is None:
            if step == 0:
                raise no_double_holds(risk)
            break
        residual, product = curvature

        def times(
            move: FloatArray,
            product: Callable[[FloatArray], FloatArray] = product,
        ) -> FloatArray:
            return np.asarray(product(z @ move) @ z + ridge * move)

        move = conjugate_gradients(times, residual @ z - ridge * coef, diagonal)
        shift = z @ move
        if np.abs(shift).max(initial=0.0) < SMALL_MOVE:
            return coef + move
        new = halved_until_no_lower(value, (coef, risk, current), move, shift)
        if new is None:
            break
        coef, risk, current = new
    return coef


def conjugate_gradients(
    times: Callable[[FloatArray], FloatArray],
    right: FloatArray,
    diagonal: FloatArray,
) -> FloatArray:
    """Solve ``matrix x = right`` approximately (Hestenes and Stiefel 1952), preconditioned.

    Parameters
    ----------
    times : callable
        The positive definite matrix times a vector.
    right : array, (features,)
    diagonal : array, (features,)
        About that of the matrix.
    """
    x, rest = np.zeros_like(right), right.copy()
    scaled = rest / diagonal
    direction, size = scaled, float(rest @ scaled)
    enough = RELATIVE_RESIDUAL**2 * size
    for _ in range(MOST_PRODUCTS):
        if size <= enough:
            break
        image = times(direction)
        length = size / float(direction @ image)
        x, rest = x + length * direction, rest - length * image
        scaled = rest / diagonal
        before, size = size, float(rest @ scaled)
        direction = scaled + size / before * direction
    return x
