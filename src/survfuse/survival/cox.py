"""Cox regression on arrays: ridge, both kinds of ties, any number of features.

The penalised log-likelihood is ``log L(b) − events · penalty/2 · |b|²``: a penalty
on the per-event scale means the same in cohorts of any size. A ridge does not see
rotations, so features are first rotated onto their singular vectors; with more
features than patients the fit then happens in as many dimensions as patients. Fits
that only compare penalties end earlier, and with many features use conjugate gradients.
Features are centred (which changes no coefficient), never scaled: scaling is the
caller's choice, because a ridge depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival._conjugate import climb_wide
from survfuse.survival._newton import Axes, climb
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import (
    Fit,
    PenaltyPath,
    check_folds,
    cross_validate,
    falling,
    given_penalties,
)
from survfuse.survival.argument_checks import as_log_risk, as_numbers
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.estimate import joined
from survfuse.survival.right_censored import Outcome

ENOUGH = 1e-4
"""Last move of any log-risk in fits that only compare penalties."""
WIDE = 64
"""Features beyond which these fits use conjugate gradients."""


@dataclass(frozen=True, eq=False)
class CoxFit:
    """A fitted Cox regression.

    Attributes
    ----------
    coef : array, (features,)
        Log hazard ratio per unit of each feature.
    se : array, (features,)
        From the inverse of the (penalised) information; NaN for a constant
        feature without penalty, and everywhere when the fit did not converge.
    log_likelihood, null_log_likelihood : float
        Log partial likelihood, without the penalty, at `coef` and at 0.
    iterations : int
        Newton steps.
    converged : bool
        False when the likelihood has no maximum (separation), or is flat because
        patients at risk together are alike; `note` says which.
    note : str
    """

    coef: FloatArray
    se: FloatArray
    log_likelihood: float
    null_log_likelihood: float
    iterations: int
    converged: bool
    note: str = ""


@dataclass(frozen=True, eq=False)
class RidgeCoxPath(PenaltyPath):
    """A ridge Cox regression whose penalty cross-validation chose.

    Attributes
    ----------
    coef : array, (features,)
        Fit on all patients at that penalty.
    effective : float
        Effective parameters of that fit, ``trace H (H + penalty · events)^-1``.
    """

    coef: FloatArray
    effective: float


def partial_log_likelihood(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    log_risk: npt.ArrayLike,
    ties: str = "efron",
) -> float:
    """Log partial likelihood of given log-risks, finite for any finite risks.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
    ties : {"efron", "breslow"}
    """
    outcome = Outcome.of(time, event)
    risk = as_log_risk(log_risk, len(outcome))
    return RiskSets.of(outcome, ties).log_likelihood(risk)


def fit_cox(
    x: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    penalty: float = 0.0,
    ties: str = "efron",
    offset: npt.ArrayLike | None = None,
) -> CoxFit:
    """Fit a Cox regression by Newton's method with step halving.

    Parameters
    ----------
    x : array-like, (patients, features)
        No missing values. One column (patients,) is taken as one feature.
    time, event : array-like, (patients,)
    penalty : float
        Ridge on the per-event scale (see the module); 0 for none.
    ties : {"efron", "breslow"}
    offset : array-like, (patients,), optional
        Log-risk that is added with coefficient 1.

    Returns
    -------
    CoxFit
        Without a penalty a constant feature gets coefficient 0 and no standard
        error. Where features separate the events (the likelihood has no finite
        maximum), `converged` is False, the coefficients are those of the last step
        and `se` is NaN.

    Raises
    ------
    NotComputableError
        Without events, or when features are collinear (always so with more
        features than patients) and `penalty` is 0.
    InputError
        For a wrong shape, a value that is not finite, or a negative penalty.
    """
    outcome = Outcome.of(time, event)
    features = as_matrix(x, len(outcome))
    if not (np.isfinite(penalty) and penalty >= 0):
        raise InputError(f"penalty must be a finite number >= 0, got {penalty}")
    require_event(outcome)
    base = as_offset(offset, len(outcome))
    sets = RiskSets.of(outcome, ties)
    axes = Axes.of(features, scale=penalty == 0)
    if penalty == 0:
        axes.refuse_collinear()
    ridge = penalty * outcome.events
    end = climb(sets, axes.z, base, ridge, np.zeros(len(axes.lengths)))
    note = "" if end.converged else _no_maximum(penalty, flat=end.flat)
    constant = int((axes.spread == 0).sum())
    if penalty == 0 and constant:
        alike = f"{constant} constant feature(s) tell nothing: coefficient 0"
        note = joined(note, alike)
    errors = np.full(features.shape[1], np.nan)
    if end.converged:
        errors = axes.errors(end.information, ridge)
    return CoxFit(
        coef=axes.back(end.coef),
        se=errors,
        log_likelihood=sets.log_likelihood(axes.z @ end.coef + base),
        null_log_likelihood=sets.log_likelihood(base),
        iterations=end.steps,
        converged=end.converged,
        note=note,
    )


def ridge_cox_cv(
    x: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    penalties: npt.ArrayLike | None = None,
    smallest: float = 0.0,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    ties: str = "efron",
    offset: npt.ArrayLike | None = None,
    give_up: int | None = None,
) -> RidgeCoxPath:
    """Fit a ridge Cox regression whose penalty is chosen by cross-validated partial likelihood.

    Parameters
    ----------
    x : array-like, (patients, features)
        No missing values; scale the features first.
    time, event : array-like, (patients,)
    penalties : array-like, optional
        Penalties > 0 to compare; otherwise 20 over six decades below 100 × the largest
        variance of `x` along any direction, as far as `smallest`.
    smallest : float
        No penalty of that grid lies below it.
    folds : int
        Folds, stratified on the event; fewer where there are fewer events.
    repeats : int
        Divisions into folds; a penalty's deviance is the mean over them.
    seed : int
        Seed of the folds.
    ties : {"efron", "breslow"}
    offset : array-like, (patients,), optional
        Log-risk that is added with coefficient 1; the null deviance is that of the offset alone.
    give_up : int, optional
        Penalties, from the largest down, may be worse than the best so far this many times
        running before the smaller ones, which take longest, are left out.

    Raises
    ------
    NotComputableError
        With fewer than two events.
    InputError
        For a wrong shape, a value that is not finite, or a penalty that is not > 0.
    """
    outcome = Outcome.of(time, event)
    features = as_matrix(x, len(outcome))
    check_folds(folds, repeats, outcome.events)
    axes = Axes.of(features, scale=False)
    if penalties is None:
        largest = axes.lengths.max(initial=0.0) ** 2 / len(outcome) or 1.0
        grid = falling(100 * largest, 1e-4 * largest, 20, smallest)
    else:
        grid = given_penalties(penalties)
    z, base = axes.z, as_offset(offset, len(outcome))
    sets = RiskSets.of(outcome, ties)
    zeros: FloatArray = np.zeros(len(axes.lengths))

    def start(inner: RiskSets, rows: BoolArray) -> Fit:
        own, own_base, coef = z[rows], base[rows], zeros

        def fit(penalty: float) -> FloatArray:
            nonlocal coef
            ridge = penalty * len(inner.event)
            if len(coef) > WIDE:
                coef = climb_wide(inner, own, own_base, ridge, coef)
            else:
                coef = climb(inner, own, own_base, ridge, coef, ENOUGH).coef
            return np.asarray(z @ coef + base)

        return fit

    path = cross_validate(
        outcome,
        sets,
        base,
        grid,
        start,
        ties=ties,
        folds=folds,
        repeats=repeats,
        seed=seed,
        patience=give_up,
    )
    ridge = path.penalty * outcome.events
    end = climb(sets, z, base, ridge, zeros)
    information = sets.derivatives(z, z @ end.coef + base)[1]
    failure = "" if end.converged else _no_maximum(path.penalty)
    return RidgeCoxPath(
        **{**vars(path), "note": joined(path.note, failure)},
        coef=axes.back(end.coef),
        effective=trace_of_fit(information, ridge),
    )


def as_matrix(x: npt.ArrayLike, patients: int) -> FloatArray:
    """Convert features to finite float64 (patients, features), or say which cell is wrong."""
    matrix = as_numbers(x, "x")
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or len(matrix) != patients:
        raise InputError(
            f"x must be (patients, features) with {patients} patients, got shape {matrix.shape}",
        )
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"x must be finite; row {row}, feature {column} holds {matrix[row, column]}",
        )
    return matrix


def as_offset(
    offset: npt.ArrayLike | None,
    patients: int,
) -> FloatArray:
    """Convert an offset to float64 (patients,); zeros for none."""
    if offset is None:
        return np.zeros(patients)
    return as_log_risk(offset, patients, "offset")


def require_event(outcome: Outcome) -> None:
    """Raise NotComputableError where no patient had the event."""
    if outcome.events == 0:
        raise NotComputableError("a Cox fit needs at least one event, got none")


def _no_maximum(penalty: float, *, flat: bool = False) -> str:
    advice = "give a penalty > 0" if penalty == 0 else "give a larger penalty"
    reason = "the likelihood has no maximum, so features separate the events"
    if flat:
        reason = (
            "at every event the patients at risk were alike in some features, so these have no"
            " coefficient"
        )
    return f"did not converge: {reason}; {advice}"
