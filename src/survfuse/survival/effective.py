"""How many parameters a fit really has: what shrinkage leaves of them, and what optimism tells of it."""

from __future__ import annotations

import numpy as np

from survfuse._types import FloatArray


def trace_of_fit(information: FloatArray, ridge: float | FloatArray) -> float:
    """Effective parameters of a ridge fit, ``trace H (H + ridge)^-1``.

    Without a ridge every parameter that the data determine counts 1; a ridge takes from each
    direction as much as the data say little about it (Gray 1992, JASA 87:942-951).

    Parameters
    ----------
    information : array, (features, features)
        Negative Hessian H of the log-likelihood at the solution, without the penalty.
    ridge : float or array, (features,)
        Penalty per feature, on the scale of the log-likelihood, of ``ridge/2 · b²``.
    """
    if len(information) == 0:
        return 0.0
    if not np.any(ridge):
        return float(np.linalg.matrix_rank(information, hermitian=True))
    pull = np.broadcast_to(np.asarray(ridge, np.float64), len(information))
    return float(np.trace(np.linalg.solve(information + np.diag(pull), information)))
