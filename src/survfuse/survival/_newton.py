"""Newton's method for the penalised partial likelihood, and features on rotated axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival._coordinate_descent import coordinate_descent

MOST_STEPS, MOST_HALVINGS = 60, 40
SMALL_GAIN = 1e-12  # of the penalised log-likelihood, per event
SMALL_MOVE = 1e-7  # of any patient's log-risk
FLAT = 1e-9  # information, along features of unit variance, that is none
SEPARATED = (
    1e-10  # of the information at the start: rounding, where there is no maximum
)


Point = tuple[FloatArray, FloatArray, float]
"""Coefficients (features,), log-risks (patients,), and the penalised log-likelihood there."""


class Likelihood(Protocol):
    """A Cox partial likelihood, or the sum over several strata."""

    @property
    def event(self) -> IntArray: ...
    def log_likelihood(self, log_risk: FloatArray) -> float: ...
    def derivatives(
        self,
        x: FloatArray,
        log_risk: FloatArray,
    ) -> tuple[FloatArray, FloatArray]: ...


def centred_features(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Features (patients, features) less their means, and standard deviations (features,).

    Both are exactly 0 for a feature that is constant up to rounding.
    """
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    spread[spread <= 1e-13 * np.abs(x).max(axis=0, initial=0.0)] = 0.0
    centred[:, spread == 0] = 0.0
    return centred, spread


@dataclass(frozen=True, eq=False)
class Axes:
    """Features on their singular vectors: (x − mean) / unit = z · directions.

    Attributes
    ----------
    z : array, (patients, rank)
    directions : array, (rank, features), orthonormal rows
    lengths : array, (rank,), singular values
    spread : array, (features,), standard deviations; 0 for constant features
    unit : array, (features,), the spread where features are scaled, else 1
    """

    z: FloatArray
    directions: FloatArray
    lengths: FloatArray
    spread: FloatArray
    unit: FloatArray

    @classmethod
    def of(cls, x: FloatArray, *, scale: bool) -> Axes:
        """Centre `x` (patients, features), scale it if wanted, and rotate it."""
        centred, spread = centred_features(x)
        unit = np.where((spread > 0) & scale, spread, 1.0)
        u, s, v = np.linalg.svd(centred / unit, full_matrices=False)
        smallest = s.max(initial=0.0) * max(x.shape) * np.finfo(float).eps
        rank = int((s > smallest).sum())
        return cls(u[:, :rank] * s[:rank], v[:rank], s[:rank], spread, unit)

    def leading(self, count: int) -> Axes:
        """Keep the first axes only, along which the features vary most."""
        return replace(
            self,
            z=self.z[:, :count],
            directions=self.directions[:count],
            lengths=self.lengths[:count],
        )

    def refuse_collinear(self) -> None:
        """Raise NotComputableError when features that vary do not do so independently."""
        varying, rank = int((self.spread > 0).sum()), len(self.lengths)
        if rank < varying:
            raise NotComputableError(
                f"{varying} features vary in only {rank} independent ways, so their coefficients "
                "are not determined; drop features or give a penalty > 0",
            )

    def back(self, coef: FloatArray) -> FloatArray:
        """Coefficients of the original features (features,) from the ones of `z` (rank,)."""
        return np.asarray(coef @ self.directions / self.unit)

    def errors(
        self,
        information: FloatArray,
        ridge: float,
    ) -> FloatArray:
        """Standard errors of the original features (features,) from the information on `z`."""
        covariance = np.linalg.inv(information)
        variance = ((covariance @ self.directions) * self.directions).sum(axis=0)
        if ridge > 0:
            # Directions that the features do not span are held by the penalty alone.
            outside = np.maximum(1 - (self.directions**2).sum(axis=0), 0.0)
            variance = variance + outside / ridge
        else:
            variance = np.where(self.spread > 0, variance, np.nan)
        return np.asarray(np.sqrt(variance) / self.unit)


@dataclass(frozen=True, eq=False)
class Maximum:
    """End of a climb.

    Attributes
    ----------
    coef : array, (features,)
    information : array, (features, features), penalised, one step before
    steps : int
    converged : bool
        Whether it is a maximum: False where the likelihood has none (complete separation), or is
        flat.
    flat : bool
        Whether at every event the patients at risk were alike in some direction of the
        features, so that no coefficients fit better than others along it.
    """

    coef: FloatArray
    information: FloatArray
    steps: int
    converged: bool
    flat: bool = False


def climb(
    sets: Likelihood,
    z: FloatArray,
    base: FloatArray,
    ridge: float,
    start: FloatArray,
    small_move: float = SMALL_MOVE,
) -> Maximum:
    """Climb log L − ridge/2 |b|², without a ridge only where there is a maximum.

    Parameters
    ----------
    sets : Likelihood
    z : array, (patients, features)
    base : array, (patients,)
        Offset of the log-risk.
    ridge : float
        On the scale of the log-likelihood.
    start : array, (features,)
    small_move : float
        See :func:`newton`.

    Raises
    ------
    NotComputableError
        When the log-risks at the start do not fit a double.
    """
    if ridge > 0 or len(start) == 0:
        return newton(sets, z, base, start, ridge=ridge, small_move=small_move)
    information = sets.derivatives(z, z @ start + base)[1]
    before = _least_information(information, z)
    if before <= FLAT:
        return Maximum(start, information, 0, False, flat=True)
    end = newton(sets, z, base, start)
    if (
        end.converged
        and not _least_information(end.information, z) > SEPARATED * before
    ):
        return replace(end, converged=False)
    return end


def no_double_holds(risk: FloatArray) -> NotComputableError:
    """Error of log-risks (patients,) whose exponentials do not fit a double."""
    return NotComputableError(
        f"Cox fit: log-risks from {risk.min():g} to {risk.max():g} do not fit a double; centre or "
        "shrink the offset",
    )


def _least_information(
    information: FloatArray,
    z: FloatArray,
) -> float:
    """Least information along any direction of features put to unit variance; NaN if not finite."""
    if not np.isfinite(information).all():
        return np.nan
    unit = z.std(axis=0)
    return float(np.linalg.eigvalsh(information / np.outer(unit, unit))[0])


def newton(
    sets: Likelihood,
    x: FloatArray,
    base: FloatArray,
    start: FloatArray,
    *,
    ridge: float = 0.0,
    lasso: float = 0.0,
    small_move: float = SMALL_MOVE,
) -> Maximum:
    """Climb ``log L − lasso |b|_1 − ridge/2 |b|²`` by Newton's method with step halving.

    It ends when neither the value nor any log-risk still moves: the last move changes no log-risk
    by more than `small_move`, which leaves an error of about its square. See :func:`climb`.
    """
    small_gain = max(SMALL_GAIN, small_move**2) * max(len(sets.event), 1)

    def value(
        coef: FloatArray,
        log_risk: FloatArray,
    ) -> float:
        penalty = lasso * np.abs(coef).sum() + ridge / 2 * coef @ coef
        return float(sets.log_likelihood(log_risk) - penalty)

    coef: FloatArray = start
    risk: FloatArray = x @ start + base
    current = value(coef, risk)
    information: FloatArray = np.eye(len(coef))
    for step in range(MOST_STEPS):
        gradient, information = sets.derivatives(x, risk)
        if not np.isfinite(information).all():
            if step == 0:
                raise no_double_holds(risk)
            return Maximum(coef, information, step, False)
        gradient = gradient - ridge * coef
        information[np.diag_indices_from(information)] += ridge
        try:
            move, end = _step(information, gradient, lasso, coef)
        except np.linalg.LinAlgError:
            # Flat to the last digit: the likelihood has no maximum.
            return Maximum(coef, information, step, False)
        shift = x @ move
        rise = gradient @ move - lasso * (np.abs(end).sum() - np.abs(coef).sum())
        moved = np.abs(shift).max(initial=0.0)
        if rise < small_gain and moved < small_move:
            return Maximum(end, information, step + 1, True)
        new = halved_until_no_lower(value, (coef, risk, current), move, shift)
        if new is None:
            return Maximum(coef, information, step, False)
        coef, risk, current = new
    return Maximum(coef, information, MOST_STEPS, False)


def halved_until_no_lower(
    value: Callable[[FloatArray, FloatArray], float],
    at: Point,
    move: FloatArray,
    shift: FloatArray,
) -> Point | None:
    """Take a move, or its half, quarter, ..., to where the value is no lower; None if nowhere.

    Parameters
    ----------
    value : callable
        Of coefficients and log-risks.
    at : (coefficients, log-risks, value)
    move, shift : array
        Of the coefficients, and what that does to the log-risks.
    """
    coef, risk, current = at
    for _ in range(MOST_HALVINGS):
        new = value(coef + move, risk + shift)
        if new >= current - 1e-13 * abs(current):
            return coef + move, risk + shift, new
        move, shift = move / 2, shift / 2
    return None


def _step(
    information: FloatArray,
    gradient: FloatArray,
    lasso: float,
    coef: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Move to the maximum of the quadratic model, and that maximum; (features,) each."""
    if lasso == 0:
        move = np.linalg.solve(information, gradient)
        return move, coef + move
    linear = gradient + information @ coef
    end = coordinate_descent(information, linear, lasso, coef)
    return end - coef, end
