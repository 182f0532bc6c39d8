"""Cox regression on arrays: ridge, both kinds of ties, any number of features.

The penalised log-likelihood is ``log L(b) − events · penalty/2 · |b|²``: a penalty
on the per-event scale means the same in cohorts of any size. A ridge does not see
rotations, so features are first rotated onto their singular vectors; with more
features than patients the fit then happens in as many dimensions as patients.
Features are centred (which changes no coefficient), never scaled: scaling is the
caller's choice, because a ridge depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival._newton import Axes, climb
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import worths
from survfuse.survival.argument_checks import as_log_risk, as_numbers
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.right_censored import Outcome


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
class RidgeCoxPath:
    """A ridge Cox regression whose penalty cross-validation chose.

    Attributes
    ----------
    penalty : float
        The penalty of least cross-validated deviance, per-event scale.
    coef : array, (features,)
        Fit on all patients at that penalty.
    penalties, deviance : array, (penalties,)
        Those compared, largest first. Deviance is −2 × the cross-validated log partial
        likelihood (Verweij and van Houwelingen 1993) per event.
    null_deviance : float
        The same without any feature: a path that never falls below it has found nothing.
    folds : int
        Folds used.
    note : str
    effective : float
        Effective parameters of the fit on all patients, ``trace H (H + penalty · events)^-1``.
    """

    penalty: float
    coef: FloatArray
    penalties: FloatArray
    deviance: FloatArray
    null_deviance: float
    folds: int
    note: str = ""
    effective: float = 0.0


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
    return RiskSets.of(outcome, ties).log_likelihood(
        as_log_risk(log_risk, len(outcome)),
    )


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
        error. Where features separate the events (the likelihood rises for
        ever), `converged` is False, the coefficients are those of the last step
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
    if outcome.events == 0:
        raise NotComputableError("a Cox fit needs at least one event, got none")
    base = (
        np.zeros(len(outcome))
        if offset is None
        else as_log_risk(offset, len(outcome), "offset")
    )
    sets = RiskSets.of(outcome, ties)
    axes = Axes.of(features, scale=penalty == 0)
    if penalty == 0:
        axes.refuse_collinear()
    ridge = penalty * outcome.events
    start = np.zeros(axes.z.shape[1])
    found = climb(sets, axes.z, base, ridge, start)
    note = "" if found.converged else _no_maximum(penalty, flat=found.flat)
    constant = axes.spread == 0
    if penalty == 0 and constant.any():
        note = "; ".join(
            filter(
                None,
                [
                    note,
                    f"{int(constant.sum())} constant feature(s) tell nothing: coefficient 0",
                ],
            ),
        )
    return CoxFit(
        coef=axes.back(found.coef),
        se=axes.errors(found.information, ridge)
        if found.converged
        else np.full(features.shape[1], np.nan),
        log_likelihood=sets.log_likelihood(axes.z @ found.coef + base),
        null_log_likelihood=sets.log_likelihood(base),
        iterations=found.steps,
        converged=found.converged,
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
        How often patients are dealt into folds anew; a penalty's deviance is the mean over them.
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
    refuse_too_few(folds, repeats)
    if outcome.events < 2:
        raise NotComputableError(
            f"cross-validating a Cox fit needs two events or more, got {outcome.events}",
        )
    used = min(folds, outcome.events)
    axes = Axes.of(features, scale=False)
    grid = _penalty_grid(axes, len(outcome), penalties, smallest)
    sets = RiskSets.of(outcome, ties)
    base = (
        np.zeros(len(outcome))
        if offset is None
        else as_log_risk(offset, len(outcome), "offset")
    )
    parts = [
        _Part.of(sets, outcome, axes, base, ~held, ties)
        for held in repeated_folds(outcome.event, used, repeats, seed)
    ]
    null_gain = sum(part.gain(base) for part in parts) / repeats
    gain = worths(
        grid,
        lambda penalty: sum(part.climbed(penalty) for part in parts) / repeats,
        give_up,
    )
    best, grid = int(gain.argmax()), grid[: len(gain)]
    final = climb(
        sets,
        axes.z,
        base,
        grid[best] * outcome.events,
        np.zeros(axes.z.shape[1]),
    )
    information = sets.derivatives(axes.z, axes.z @ final.coef + base)[1]
    notes = [
        f"{used} folds, because there are {outcome.events} events"
        if used < folds
        else "",
        "no penalty beats a model without features" if gain[best] <= null_gain else "",
        "" if final.converged else _no_maximum(grid[best]),
    ]
    return RidgeCoxPath(
        penalty=float(grid[best]),
        coef=axes.back(final.coef),
        penalties=grid,
        deviance=-2 * gain / outcome.events,
        null_deviance=-2 * null_gain / outcome.events,
        folds=used,
        note="; ".join(filter(None, notes)),
        effective=trace_of_fit(information, grid[best] * outcome.events),
    )


@dataclass(eq=False)
class _Part:
    """All folds but one: what is fitted there, and what it is worth to the one left out."""

    sets: RiskSets
    inner: RiskSets
    z: FloatArray
    base: FloatArray
    kept: BoolArray
    coef: FloatArray

    @classmethod
    def of(
        cls,
        sets: RiskSets,
        outcome: Outcome,
        axes: Axes,
        base: FloatArray,
        kept: BoolArray,
        ties: str,
    ) -> _Part:
        inner = RiskSets.of(outcome[kept], ties)
        return cls(sets, inner, axes.z, base, kept, np.zeros(axes.z.shape[1]))

    def gain(self, risk: FloatArray) -> float:
        """Log-likelihood of everyone without that of those fitted on (Verweij and van Houwelingen 1993)."""
        return self.sets.log_likelihood(risk) - self.inner.log_likelihood(
            risk[self.kept],
        )

    def climbed(self, penalty: float) -> float:
        """Fit with this penalty, from where the last one ended, and tell the gain."""
        ridge = penalty * len(self.inner.event)
        self.coef = climb(
            self.inner,
            self.z[self.kept],
            self.base[self.kept],
            ridge,
            self.coef,
        ).coef
        return self.gain(self.z @ self.coef + self.base)


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


def _no_maximum(penalty: float, *, flat: bool = False) -> str:
    advice = "give a penalty > 0" if penalty == 0 else "give a larger penalty"
    if flat:
        return (
            "did not converge: at every event the patients at risk were alike in some features, so these have"
            f" no coefficient; {advice}"
        )
    return f"did not converge: the likelihood has no maximum, so features separate the events; {advice}"


def _penalty_grid(
    axes: Axes,
    patients: int,
    penalties: npt.ArrayLike | None,
    smallest: float,
) -> FloatArray:
    if penalties is None:
        largest = axes.lengths.max(initial=0.0) ** 2 / patients or 1.0
        return falling(100 * largest, 1e-4 * largest, 20, smallest)
    grid = np.atleast_1d(np.asarray(penalties, dtype=np.float64))
    if grid.ndim != 1 or len(grid) == 0 or not (np.isfinite(grid) & (grid > 0)).all():
        raise InputError(f"penalties must be finite numbers > 0, got {penalties}")
    return np.sort(grid)[::-1]


def falling(largest: float, least: float, count: int, smallest: float) -> FloatArray:
    """Penalties in equal ratios, largest first, none below `smallest`; (at most `count`,)."""
    if largest <= smallest:
        return np.array([smallest])
    return np.asarray(np.geomspace(largest, max(least, smallest), count))


def refuse_too_few(folds: int, repeats: int) -> None:
    """Refuse numbers that deal nobody out."""
    if folds < 2:
        raise InputError(f"cross-validation needs at least 2 folds, got {folds}")
    if repeats < 1:
        raise InputError(f"cross-validation needs at least 1 repeat, got {repeats}")


def repeated_folds(
    event: BoolArray,
    folds: int,
    repeats: int,
    seed: int,
) -> list[BoolArray]:
    """Deal patients into folds as often as `repeats`; the held-out rows of each."""
    generator = np.random.default_rng(seed)
    held = []
    for _ in range(repeats):
        held += stratified_folds(event, folds, generator)
    return held


def stratified_folds(
    event: BoolArray,
    folds: int,
    rng: np.random.Generator,
) -> list[BoolArray]:
    """Deal patients into folds, events first; the held-out rows of each."""
    fold: IntArray = np.empty(len(event), dtype=np.int64)
    dealt = 0
    for stratum in (event, ~event):
        rows = rng.permutation(np.flatnonzero(stratum))
        fold[rows] = (dealt + np.arange(len(rows))) % folds
        dealt += len(rows)
    return [fold == k for k in range(folds)]
