"""Sparse Cox regression: an elastic net over thousands of features, its penalty by cross-validation.

The penalised log-likelihood is ``log L(b) − events · penalty · (mixing |b|_1 + (1 − mixing)/2 |b|²)``
on features put to unit variance: the penalty is on the per-event scale, as in `survival.cox`, and
weighs every feature alike. It is concave, so the solution is the one that its optimality conditions
(Karush-Kuhn-Tucker) name: they are checked over all features at every penalty.

A path runs from the penalty that keeps nothing downwards, each fit starting from the last. A fit is
Newton's method on a working set of features (those kept, and those that the strong rule of Tibshirani
et al. 2012, JRSS B 74:245-266, cannot rule out), whose quadratic model is solved by coordinate descent
and finished exactly on the features found (compare Simon et al. 2011, J Stat Softw 39(5), who weigh
patients by the diagonal of the Hessian; here it is whole, and ties are Efron's or Breslow's).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import worths
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.cox import as_matrix, falling, refuse_too_few, repeated_folds
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.right_censored import Outcome

PENALTIES = 30
PATIENCE = 6  # penalties without improvement before smaller ones are left; they cost most and fit noise
SMALLEST_SHARE = {
    True: 0.05,
    False: 0.005,
}  # of the largest penalty; whether features outnumber patients
MOST_ROUNDS, MOST_STEPS, MOST_SWEEPS = 50, 60, 500
SMALL_GAIN = 1e-12  # of the penalised log-likelihood, per event
SMALL_MOVE = 1e-7  # of any patient's log-risk
SLACK = 1e-6  # by which a feature left out may pull harder than the penalty, relative


@dataclass(frozen=True, eq=False)
class SparseCoxFit:
    """An elastic-net Cox regression at one penalty.

    Attributes
    ----------
    coef : array, (features,)
        Log hazard ratio per unit of each feature as given; 0 for those left out.
    kept : array of int
        Features whose coefficient is not 0.
    effective : float
        Effective parameters: the trace on the features kept (Zou et al. 2007, Ann Stat 35:2173-2192);
        how many there are where `mixing` is 1.
    converged : bool
    """

    coef: FloatArray
    kept: IntArray
    effective: float
    converged: bool


@dataclass(frozen=True, eq=False)
class SparseCoxPath:
    """An elastic-net Cox regression whose penalty cross-validation chose.

    Attributes
    ----------
    penalty, mixing : float
    coef, kept, effective
        As of :class:`SparseCoxFit`, fitted on all patients at that penalty.
    penalties, deviance : array, (penalties,)
        Those compared, largest first: it keeps nothing. Deviance is −2 × the cross-validated log partial
        likelihood (Verweij and van Houwelingen 1993) per event.
    null_deviance : float
        The same without any feature.
    folds : int
        Folds used.
    note : str
        Fewer folds than asked for, nothing found, no convergence.
    """

    penalty: float
    mixing: float
    coef: FloatArray
    kept: IntArray
    effective: float
    penalties: FloatArray
    deviance: FloatArray
    null_deviance: float
    folds: int
    note: str = ""


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
    problem = _Problem.of(x, time, event, mixing, ties, offset)
    if not (np.isfinite(penalty) and penalty > 0):
        raise InputError(f"penalty must be a finite number > 0, got {penalty}")
    coef, converged = problem.all.fit(
        penalty,
        np.zeros(problem.all.x.shape[1]),
        penalty,
    )
    return SparseCoxFit(
        problem.back(coef),
        np.flatnonzero(coef),
        problem.all.effective(coef, penalty),
        converged,
    )


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
    """Fit an elastic-net Cox regression whose penalty is chosen by cross-validated partial likelihood.

    Parameters
    ----------
    x, time, event, mixing, ties, offset
        As for :func:`fit_sparse_cox`.
    penalties : array-like, optional
        Penalties > 0 to compare; otherwise 30 from the one that keeps nothing down to a
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
    refuse_too_few(folds, repeats)
    problem = _Problem.of(x, time, event, mixing, ties, offset)
    events = problem.outcome.events
    if events < 2:
        raise NotComputableError(
            f"cross-validating a Cox fit needs two events or more, got {events}",
        )
    used = min(folds, events)
    grid = problem.grid(penalties, smallest)
    parts = [
        _Held.of(problem, held, grid[0])
        for held in repeated_folds(problem.outcome.event, used, repeats, seed)
    ]
    null_gain = sum(part.gain(problem.all.base) for part in parts) / repeats
    patience = PATIENCE if penalties is None else None
    gain = worths(
        grid,
        lambda penalty: sum(part.climbed(penalty) for part in parts) / repeats,
        patience,
    )
    best, grid = int(gain.argmax()), grid[: len(gain)]
    coef, converged = problem.all.path(grid[: best + 1])
    notes = [
        f"{used} folds, because there are {events} events" if used < folds else "",
        "no penalty beats a model without features" if gain[best] <= null_gain else "",
        "" if converged else "did not converge; give larger penalties",
    ]
    return SparseCoxPath(
        penalty=float(grid[best]),
        mixing=mixing,
        coef=problem.back(coef),
        kept=np.flatnonzero(coef),
        effective=problem.all.effective(coef, grid[best]),
        penalties=grid,
        deviance=-2 * gain / events,
        null_deviance=-2 * null_gain / events,
        folds=used,
        note="; ".join(filter(None, notes)),
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """Everyone, with features centred and of unit variance, and what it takes to go back."""

    all: _Part
    unit: FloatArray  # (features,), 0 where constant
    outcome: Outcome
    ties: str

    @classmethod
    def of(
        cls,
        x: npt.ArrayLike,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
        mixing: float,
        ties: str,
        offset: npt.ArrayLike | None,
    ) -> _Problem:
        outcome = Outcome.of(time, event)
        features = as_matrix(x, len(outcome))
        if not 0 < mixing <= 1:
            raise InputError(f"mixing must lie in (0, 1], got {mixing}")
        if outcome.events == 0:
            raise NotComputableError("a Cox fit needs at least one event, got none")
        base = (
            np.zeros(len(outcome))
            if offset is None
            else as_log_risk(offset, len(outcome), "offset")
        )
        largest = np.abs(features).max(axis=0, initial=0.0)
        features -= features.mean(axis=0)
        unit = features.std(axis=0)
        unit[unit <= 1e-13 * largest] = 0.0
        features[:, unit == 0] = 0.0
        features /= np.where(unit > 0, unit, 1.0)
        everyone = _Part(RiskSets.of(outcome, ties), features, base, mixing)
        return cls(everyone, unit, outcome, ties)

    def part(self, rows: BoolArray) -> _Part:
        sets = RiskSets.of(self.outcome[rows], self.ties)
        return _Part(sets, self.all.x[rows], self.all.base[rows], self.all.mixing)

    def back(self, coef: FloatArray) -> FloatArray:
        """Coefficients of the features as given."""
        return np.asarray(coef / np.where(self.unit > 0, self.unit, 1.0))

    def grid(self, penalties: npt.ArrayLike | None, smallest: float) -> FloatArray:
        if penalties is not None:
            given = np.atleast_1d(np.asarray(penalties, dtype=np.float64))
            if (
                given.ndim != 1
                or len(given) == 0
                or not (np.isfinite(given) & (given > 0)).all()
            ):
                raise InputError(
                    f"penalties must be finite numbers > 0, got {penalties}",
                )
            return np.sort(given)[::-1]
        pull = np.abs(self.all.pull(self.all.base)).max(initial=0.0)
        largest = pull / (self.all.mixing * self.outcome.events) or 1.0
        patients, features = self.all.x.shape
        return falling(
            largest,
            SMALLEST_SHARE[features > patients] * largest,
            PENALTIES,
            smallest,
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """Some patients to fit on."""

    sets: RiskSets
    x: FloatArray  # (patients, features); zeros where constant
    base: FloatArray  # (patients,), the offset
    mixing: float

    def worth(self, log_risk: FloatArray) -> float:
        return self.sets.log_likelihood(log_risk)

    def pull(self, log_risk: FloatArray) -> FloatArray:
        """Gradient of the log-likelihood by every coefficient; (features,)."""
        return np.asarray(self.sets.residuals(log_risk) @ self.x)

    def path(self, grid: FloatArray) -> tuple[FloatArray, bool]:
        """Coefficients at the last penalty of a falling grid, and whether they converged."""
        coef: FloatArray = np.zeros(self.x.shape[1])
        converged = True
        for before, penalty in zip([grid[0], *grid], grid, strict=False):
            coef, converged = self.fit(penalty, coef, before)
        return coef, converged

    def strengths(self, penalty: float) -> tuple[float, float]:
        """Penalty on absolute values and on half squares, on the scale of the log-likelihood."""
        whole = penalty * len(self.sets.event)
        return whole * self.mixing, whole * (1 - self.mixing)

    def effective(self, coef: FloatArray, penalty: float) -> float:
        kept = np.flatnonzero(coef)
        information = self.sets.derivatives(
            self.x[:, kept],
            _risk(self.x, coef, self.base),
        )[1]
        return trace_of_fit(information, self.strengths(penalty)[1])

    def fit(
        self,
        penalty: float,
        start: FloatArray,
        before: float,
    ) -> tuple[FloatArray, bool]:
        """Solve at one penalty, from the solution at a larger one (`before`)."""
        l1, l2 = self.strengths(penalty)
        coef, converged = start.copy(), True
        pull = self.pull(_risk(self.x, coef, self.base))
        working = (coef != 0) | (np.abs(pull) > 2 * l1 - self.strengths(before)[0])
        for _ in range(MOST_ROUNDS):
            at = np.flatnonzero(working)
            coef[at], converged = _climb(
                self.sets,
                self.x[:, at],
                self.base,
                l1,
                l2,
                coef[at],
            )
            pull = self.pull(_risk(self.x, coef, self.base))
            wrong = ~working & (np.abs(pull) > l1 * (1 + SLACK))
            if not wrong.any():
                return coef, converged
            working |= wrong
        return coef, False


@dataclass(eq=False)
class _Held:
    """All folds but one: what is fitted there, and what it is worth to the one left out."""

    everyone: _Part
    part: _Part
    kept: BoolArray
    coef: FloatArray
    before: float

    @classmethod
    def of(cls, problem: _Problem, held: BoolArray, largest: float) -> _Held:
        return cls(
            problem.all,
            problem.part(~held),
            ~held,
            np.zeros(problem.all.x.shape[1]),
            largest,
        )

    def gain(self, risk: FloatArray) -> float:
        """Log-likelihood of everyone without that of those fitted on (Verweij and van Houwelingen 1993)."""
        return self.everyone.worth(risk) - self.part.worth(risk[self.kept])

    def climbed(self, penalty: float) -> float:
        """Fit at this penalty, from where the last one ended, and tell the gain."""
        self.coef, _ = self.part.fit(penalty, self.coef, self.before)
        self.before = penalty
        return self.gain(_risk(self.everyone.x, self.coef, self.everyone.base))


def _risk(x: FloatArray, coef: FloatArray, base: FloatArray) -> FloatArray:
    kept = np.flatnonzero(coef)
    return np.asarray(x[:, kept] @ coef[kept] + base)


def _climb(
    sets: RiskSets,
    x: FloatArray,
    base: FloatArray,
    l1: float,
    l2: float,
    coef: FloatArray,
) -> tuple[FloatArray, bool]:
    """Climb ``log L − l1 |b|_1 − l2/2 |b|²``; stops when neither it nor any log-risk still moves."""

    def value(at: FloatArray, log_risk: FloatArray) -> float:
        return float(
            sets.log_likelihood(log_risk) - l1 * np.abs(at).sum() - l2 / 2 * at @ at,
        )

    risk = x @ coef + base
    present = value(coef, risk)
    for _ in range(MOST_STEPS):
        gradient, information = sets.derivatives(x, risk)
        if not np.isfinite(information).all():
            return coef, False
        gradient = gradient - l2 * coef
        information[np.diag_indices_from(information)] += l2
        target = _lasso(information, gradient + information @ coef, l1, coef)
        move = target - coef
        shift = x @ move
        rise = gradient @ move - l1 * (np.abs(target).sum() - np.abs(coef).sum())
        if (
            rise < SMALL_GAIN * len(sets.event)
            and np.abs(shift).max(initial=0.0) < SMALL_MOVE
        ):
            return target, True
        for _ in range(40):
            new = value(coef + move, risk + shift)
            if new >= present - 1e-13 * abs(present):
                break
            move, shift = move / 2, shift / 2
        else:
            return coef, False
        coef, risk, present = coef + move, risk + shift, new
    return coef, False


def _lasso(q: FloatArray, c: FloatArray, l1: float, start: FloatArray) -> FloatArray:
    """Maximise ``c · t − t q t / 2 − l1 |t|_1``: coordinate descent until the exact solution is in sight."""
    t, own = start.copy(), q.diagonal()
    slope = c - q @ t
    for _ in range(MOST_SWEEPS):
        for j in np.flatnonzero(own > 0):
            pull = slope[j] + own[j] * t[j]
            new = np.sign(pull) * max(abs(pull) - l1, 0.0) / own[j]
            if new != t[j]:
                slope -= q[j] * (new - t[j])
                t[j] = new
        exact = _with_these_signs(q, c, l1, np.sign(t))
        if exact is not None:
            return exact
    return t


def _with_these_signs(
    q: FloatArray,
    c: FloatArray,
    l1: float,
    sign: FloatArray,
) -> FloatArray | None:
    """Maximum among coefficients of these signs, where it is the maximum of all; None otherwise."""
    kept = np.flatnonzero(sign)
    t = np.zeros(len(c))
    try:
        t[kept] = np.linalg.solve(q[np.ix_(kept, kept)], c[kept] - l1 * sign[kept])
    except np.linalg.LinAlgError:
        return None
    left_out = sign == 0
    holds = (np.sign(t) == sign).all() and (
        np.abs(c - q @ t)[left_out] <= l1 * (1 + SLACK / 10)
    ).all()
    return t if holds else None
