"""Sparse Cox regression: an elastic net over thousands of features, penalty by cross-validation.

The penalised log-likelihood is
``log L(b) − events · penalty · (mixing |b|_1 + (1 − mixing)/2 |b|²)``
on features put to unit variance: the penalty is on the per-event scale, as in `survival.cox`, and
weighs every feature alike. It is concave, so its optimality conditions (Karush-Kuhn-Tucker) name
the solution: they are checked over all features at every penalty.

A path runs from the penalty that leaves all features out downwards, each fit starting from the
last. A fit is Newton's method on a working set of features (the ones selected, and the ones that
the strong rule of Tibshirani et al. 2012, JRSS B 74:245-266, cannot rule out), whose quadratic
model is solved by coordinate descent and finished exactly on the features selected (compare Simon
et al. 2011, J Stat Softw 39(5), who weigh patients by the diagonal of the Hessian; here it is
whole, and ties are Efron's or Breslow's).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival._coordinate_descent import SLACK
from survfuse.survival._newton import centred_features, newton
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import (
    Fit,
    PenaltyPath,
    check_folds,
    cross_validate,
    falling,
    given_penalties,
)
from survfuse.survival.cox import as_matrix, as_offset, require_event
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.estimate import joined
from survfuse.survival.right_censored import Outcome

PENALTIES = 30
PATIENCE = 6  # penalties without improvement before smaller ones, which cost most, are left out
SMALLEST_SHARE = 0.005  # of the largest penalty
SMALLEST_SHARE_WIDE = 0.05  # the same where features outnumber patients
MOST_ROUNDS = 50


@dataclass(frozen=True, eq=False)
class SparseCoxFit:
    """An elastic-net Cox regression at one penalty.

    Attributes
    ----------
    coef : array, (features,)
        Log hazard ratio per unit of each feature as given; 0 for the ones left out.
    selected : array of int
        Features whose coefficient is not 0.
    effective : float
        Effective parameters: the trace on the features selected (Zou et al. 2007, Ann Stat
        35:2173-2192); their number where `mixing` is 1.
    converged : bool
    """

    coef: FloatArray
    selected: IntArray
    effective: float
    converged: bool


@dataclass(frozen=True, eq=False)
class SparseCoxPath(PenaltyPath):
    """An elastic-net Cox regression whose penalty cross-validation chose.

    Attributes
    ----------
    mixing : float
    coef, selected, effective
        As of :class:`SparseCoxFit`, fitted on all patients at that penalty.
    """

    mixing: float
    coef: FloatArray
    selected: IntArray
    effective: float


def fit_sparse_cox(
    x: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    penalty: float,
    mixing: float = 0.5,
    ties: str = "efron",
    offset: npt.ArrayLike | None = None,
) -> SparseCoxFit:
    """Fit an elastic-net Cox regression at one penalty.

    Parameters
    ----------
    x : array-like, (patients, features)
        No missing values; put to unit variance within. A constant feature is left out.
    time, event : array-like, (patients,)
    penalty : float, > 0
        On the per-event scale (see the module).
    mixing : float, in (0, 1]
        Share of the penalty on absolute values; the rest is a ridge. 1 is the lasso.
    ties : {"efron", "breslow"}
    offset : array-like, (patients,), optional
        Log-risk that is added with coefficient 1.

    Raises
    ------
    NotComputableError
        Without events.
    InputError
        For a wrong shape, a value that is not finite, or a penalty or mixing out of range.
    """
    outcome = Outcome.of(time, event)
    features, unit = _unit_variance(as_matrix(x, len(outcome)))
    net = _ElasticNet.of(outcome, features, offset, mixing, ties)
    if not (np.isfinite(penalty) and penalty > 0):
        raise InputError(f"penalty must be a finite number > 0, got {penalty}")
    coef, converged = net.fit(penalty, np.zeros(len(unit)), penalty)
    effective = net.effective(coef, penalty)
    return SparseCoxFit(coef / unit, np.flatnonzero(coef), effective, converged)


def sparse_cox_cv(
    x: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    penalties: npt.ArrayLike | None = None,
    smallest: float = 0.0,
    mixing: float = 0.5,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    ties: str = "efron",
    offset: npt.ArrayLike | None = None,
) -> SparseCoxPath:
    """Fit an elastic-net Cox regression whose penalty is chosen by cross-validation.

    Parameters
    ----------
    x, time, event, mixing, ties, offset
        As for :func:`fit_sparse_cox`.
    penalties : array-like, optional
        Penalties > 0 to compare; otherwise 30 from the one that leaves all features out down to a
        twentieth of it, a two-hundredth where features are not more than patients, until six in
        a row are no better than the best.
    smallest, folds, repeats, seed
        As for :func:`survfuse.survival.cox.ridge_cox_cv`.

    Raises
    ------
    NotComputableError
        With fewer than two events.
    InputError
        For a wrong shape, a value that is not finite, or a penalty or mixing out of range.
    """
    outcome = Outcome.of(time, event)
    features, unit = _unit_variance(as_matrix(x, len(outcome)))
    net = _ElasticNet.of(outcome, features, offset, mixing, ties)
    check_folds(folds, repeats, outcome.events)
    if penalties is None:
        grid, patience = net.grid(smallest), PATIENCE
    else:
        grid, patience = given_penalties(penalties), None

    def start(inner: RiskSets, rows: BoolArray) -> Fit:
        part = _ElasticNet(inner, features[rows], net.base[rows], mixing)
        coef: FloatArray = np.zeros(len(unit))
        before = grid[0]

        def fit(penalty: float) -> FloatArray:
            nonlocal coef, before
            coef, _ = part.fit(penalty, coef, before)
            before = penalty
            return net.risk(coef)

        return fit

    path = cross_validate(
        outcome,
        net.sets,
        net.base,
        grid,
        start,
        ties=ties,
        folds=folds,
        repeats=repeats,
        seed=seed,
        patience=patience,
    )
    coef: FloatArray = np.zeros(len(unit))
    converged, before = True, grid[0]
    for penalty in grid[grid >= path.penalty]:
        coef, converged = net.fit(penalty, coef, before)
        before = penalty
    failure = "" if converged else "did not converge; give larger penalties"
    return SparseCoxPath(
        **{**vars(path), "note": joined(path.note, failure)},
        mixing=mixing,
        coef=coef / unit,
        selected=np.flatnonzero(coef),
        effective=net.effective(coef, path.penalty),
    )


def _unit_variance(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Features centred and of unit variance, zeros where constant; and their units (features,)."""
    centred, spread = centred_features(x)
    unit = np.where(spread > 0, spread, 1.0)
    centred /= unit
    return centred, unit


@dataclass(frozen=True, eq=False)
class _ElasticNet:
    """Patients to fit on.

    Attributes
    ----------
    sets : RiskSets
    x : array, (patients, features), of unit variance; zeros where constant
    base : array, (patients,), the offset
    mixing : float
    """

    sets: RiskSets
    x: FloatArray
    base: FloatArray
    mixing: float

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        x: FloatArray,
        offset: npt.ArrayLike | None,
        mixing: float,
        ties: str,
    ) -> _ElasticNet:
        if not 0 < mixing <= 1:
            raise InputError(f"mixing must lie in (0, 1], got {mixing}")
        require_event(outcome)
        base = as_offset(offset, len(outcome))
        return cls(RiskSets.of(outcome, ties), x, base, mixing)

    def grid(self, smallest: float) -> FloatArray:
        """Penalties from the one that leaves all features out downwards."""
        steepest = np.abs(self._gradient(self.base)).max(initial=0.0)
        largest = steepest / (self.mixing * len(self.sets.event)) or 1.0
        patients, features = self.x.shape
        share = SMALLEST_SHARE_WIDE if features > patients else SMALLEST_SHARE
        return falling(largest, share * largest, PENALTIES, smallest)

    def risk(self, coef: FloatArray) -> FloatArray:
        """Log-risk of each patient, (patients,)."""
        selected = np.flatnonzero(coef)
        return np.asarray(self.x[:, selected] @ coef[selected] + self.base)

    def effective(
        self,
        coef: FloatArray,
        penalty: float,
    ) -> float:
        """Effective parameters: the trace on the features selected."""
        selected = self.x[:, np.flatnonzero(coef)]
        information = self.sets.derivatives(selected, self.risk(coef))[1]
        return trace_of_fit(information, self._strengths(penalty)[1])

    def fit(
        self,
        penalty: float,
        start: FloatArray,
        before: float,
    ) -> tuple[FloatArray, bool]:
        """Solve at one penalty, from the solution at a larger one (`before`)."""
        lasso, ridge = self._strengths(penalty)
        coef, converged = start.copy(), True
        gradient = np.abs(self._gradient(self.risk(coef)))
        working = (coef != 0) | (gradient > 2 * lasso - self._strengths(before)[0])
        for _ in range(MOST_ROUNDS):
            at = np.flatnonzero(working)
            end = self._newton(self.x[:, at], coef[at], lasso, ridge)
            coef[at], converged = end
            gradient = np.abs(self._gradient(self.risk(coef)))
            wrong = ~working & (gradient > lasso * (1 + SLACK))
            if not wrong.any():
                return coef, converged
            working |= wrong
        return coef, False

    def _newton(
        self,
        x: FloatArray,
        start: FloatArray,
        lasso: float,
        ridge: float,
    ) -> tuple[FloatArray, bool]:
        try:
            end = newton(
                self.sets,
                x,
                self.base,
                start,
                ridge=ridge,
                lasso=lasso,
            )
        except NotComputableError:
            return start, False
        return end.coef, end.converged

    def _gradient(self, log_risk: FloatArray) -> FloatArray:
        """Gradient of the log-likelihood by every coefficient; (features,)."""
        return np.asarray(self.sets.residuals(log_risk) @ self.x)

    def _strengths(self, penalty: float) -> tuple[float, float]:
        """Penalty on absolute values and on half squares, on the scale of the log-likelihood."""
        total = penalty * len(self.sets.event)
        return total * self.mixing, total * (1 - self.mixing)
