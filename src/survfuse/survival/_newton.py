"""Newton's method for the ridge-penalised partial likelihood, on rotated features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray

MOST_STEPS = 60
SMALL_GAIN = 1e-12  # of the penalised log-likelihood, per event
SMALL_MOVE = 1e-7  # of any patient's log-risk
FLAT = 1e-9  # information, along features of unit variance, that is none
SEPARATED = 1e-10  # of the information at the start: rounding, where the likelihood rises for ever


class Likelihood(Protocol):
    """What is climbed: a Cox partial likelihood, or several of strata added up."""

    @property
    def event(self) -> IntArray: ...
    def log_likelihood(self, log_risk: FloatArray) -> float: ...
    def derivatives(
        self,
        x: FloatArray,
        log_risk: FloatArray,
    ) -> tuple[FloatArray, FloatArray]: ...


@dataclass(frozen=True, eq=False)
class Axes:
    """Features on their singular vectors: (x − mean) / unit = z · directions.

    Attributes
    ----------
    z : array, (patients, rank)
    directions : array, (rank, features), orthonormal rows
    lengths : array, (rank,), singular values
    spread : array, (features,), standard deviations; 0 for constant features
    scaled : bool
        Whether `unit` is the spread; 1 otherwise.
    """

    z: FloatArray
    directions: FloatArray
    lengths: FloatArray
    spread: FloatArray
    scaled: bool

    @classmethod
    def of(cls, x: FloatArray, *, scale: bool) -> Axes:
        """Centre `x` (patients, features), scale it if asked, and rotate it."""
        centred = x - x.mean(axis=0)
        spread = centred.std(axis=0)
        spread[spread <= 1e-13 * np.abs(x).max(axis=0, initial=0.0)] = 0.0
        centred[:, spread == 0] = 0.0
        if scale:
            centred /= np.where(spread > 0, spread, 1.0)
        u, s, v = np.linalg.svd(centred, full_matrices=False)
        rank = int((s > s.max(initial=0.0) * max(x.shape) * np.finfo(float).eps).sum())
        return cls(u[:, :rank] * s[:rank], v[:rank], s[:rank], spread, scale)

    def refuse_collinear(self) -> None:
        """Raise NotComputableError when features that vary do not do so independently."""
        varying = int((self.spread > 0).sum())
        rank = len(self.lengths)
        if rank < varying:
            raise NotComputableError(
                f"{varying} features vary in only {rank} independent ways, so their coefficients are not"
                " determined; drop features or give a penalty > 0",
            )

    @property
    def _unit(self) -> FloatArray:
        return (
            np.where(self.spread > 0, self.spread, 1.0)
            if self.scaled
            else np.ones(len(self.spread))
        )

    def back(self, coef: FloatArray) -> FloatArray:
        """Coefficients of the original features (features,) from those of `z` (rank,)."""
        original: FloatArray = coef @ self.directions / self._unit
        return original

    def errors(self, information: FloatArray, ridge: float) -> FloatArray:
        """Give standard errors of the original features (features,) from the information on `z`."""
        covariance = np.linalg.inv(information)
        variance = ((covariance @ self.directions) * self.directions).sum(axis=0)
        if (
            ridge > 0
        ):  # directions the features do not span are held by the penalty alone
            variance = (
                variance + np.maximum(1 - (self.directions**2).sum(axis=0), 0.0) / ridge
            )
        else:
            variance = np.where(self.spread > 0, variance, np.nan)
        errors: FloatArray = np.sqrt(variance) / self._unit
        return errors


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a climb ended.

    Attributes
    ----------
    coef : array, (features,)
    information : array, (features, features), penalised, one step before
    steps : int
    converged : bool
        Whether it is a maximum: False where the likelihood rises for ever, or is flat.
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
) -> Maximum:
    """Climb log L − ridge/2 |b|²; stops when neither the likelihood nor any log-risk still moves."""
    if ridge > 0 or len(start) == 0:
        return _climb(sets, z, base, ridge, start)
    information = sets.derivatives(z, z @ start + base)[1]
    before = _least(information, z)
    if before <= FLAT:
        return Maximum(start, information, 0, False, flat=True)
    found = _climb(sets, z, base, ridge, start)
    if found.converged and not _least(found.information, z) > SEPARATED * before:
        return replace(found, converged=False)
    return found


def _least(information: FloatArray, z: FloatArray) -> float:
    """Information along the direction that has least, of features put to unit variance; NaN if not finite."""
    if not np.isfinite(information).all():
        return np.nan
    unit = z.std(axis=0)
    return float(np.linalg.eigvalsh(information / np.outer(unit, unit))[0])


def _climb(
    sets: Likelihood,
    z: FloatArray,
    base: FloatArray,
    ridge: float,
    start: FloatArray,
) -> Maximum:
    coef: FloatArray = start
    events = max(len(sets.event), 1)
    risk = z @ coef + base
    value = sets.log_likelihood(risk) - ridge / 2 * coef @ coef
    information: FloatArray = np.eye(len(coef))
    for step in range(MOST_STEPS):
        gradient, information = sets.derivatives(z, risk)
        if not np.isfinite(information).all():
            if step == 0:
                raise NotComputableError(
                    f"Cox fit: log-risks from {risk.min():g} to {risk.max():g} do not fit a double; centre or"
                    " shrink the offset",
                )
            return Maximum(coef, information, step, False)
        gradient = gradient - ridge * coef
        information[np.diag_indices_from(information)] += ridge
        try:
            move = np.linalg.solve(information, gradient)
        except (
            np.linalg.LinAlgError
        ):  # flat to the last digit: the likelihood has no maximum
            return Maximum(coef, information, step, False)
        shift = z @ move
        if (
            gradient @ move < SMALL_GAIN * events
            and np.abs(shift).max(initial=0.0) < SMALL_MOVE
        ):
            return Maximum(coef + move, information, step + 1, True)
        for _ in range(40):
            new_value = sets.log_likelihood(risk + shift) - ridge / 2 * (
                coef + move
            ) @ (coef + move)
            if new_value >= value - 1e-13 * abs(value):
                break
            move, shift = move / 2, shift / 2
        else:
            return Maximum(coef, information, step, False)
        coef, risk, value = coef + move, risk + shift, new_value
    return Maximum(coef, information, MOST_STEPS, False)
