"""Maxima of quadratic functions under a lasso, one coordinate at a time."""

from __future__ import annotations

import numpy as np

from survfuse._types import FloatArray

MOST_SWEEPS = 500
SLACK = 1e-6  # relative excess of a gradient over the lasso's penalty that is rounding


def coordinate_descent(
    q: FloatArray,
    c: FloatArray,
    lasso: float,
    start: FloatArray,
) -> FloatArray:
    """Maximise ``c · t − t q t / 2 − lasso |t|_1`` until the signs of the maximum are known.

    Parameters
    ----------
    q : array, (features, features), positive semidefinite
    c, start : array, (features,)
    lasso : float

    Returns
    -------
    array, (features,)
    """
    t, curvature = start.copy(), q.diagonal()
    slope = c - q @ t
    for _ in range(MOST_SWEEPS):
        for j in np.flatnonzero(curvature > 0):
            pull = slope[j] + curvature[j] * t[j]
            new = np.sign(pull) * max(abs(pull) - lasso, 0.0) / curvature[j]
            if new != t[j]:
                slope -= q[j] * (new - t[j])
                t[j] = new
        exact = _solve_with_signs(q, c, lasso, np.sign(t))
        if exact is not None:
            return exact
    return t


def _solve_with_signs(
    q: FloatArray,
    c: FloatArray,
    lasso: float,
    sign: FloatArray,
) -> FloatArray | None:
    """Maximum among coefficients of these signs, where it is the maximum of all; else None."""
    active = np.flatnonzero(sign)
    t = np.zeros(len(c))
    try:
        right = c[active] - lasso * sign[active]
        t[active] = np.linalg.solve(q[np.ix_(active, active)], right)
    except np.linalg.LinAlgError:
        return None
    outside = np.abs(c - q @ t)[sign == 0]
    is_maximum = (np.sign(t) == sign).all() and (
        outside <= lasso * (1 + SLACK / 10)
    ).all()
    return t if is_maximum else None
