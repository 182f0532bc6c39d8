"""Falling penalties of a Cox regression, compared by cross-validated partial likelihood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival._partial import RiskSets
from survfuse.survival.right_censored import Outcome

Fit = Callable[[float], FloatArray]
"""Fits at a penalty, from where the last one ended; returns the log-risk of every patient."""


@dataclass(frozen=True, eq=False)
class PenaltyPath:
    """Penalties compared by cross-validation.

    Attributes
    ----------
    penalty : float
        The penalty of least cross-validated deviance, per-event scale.
    penalties, deviance : array, (penalties,)
        Largest penalty first. Deviance is −2 × the cross-validated log partial likelihood
        (Verweij and van Houwelingen 1993) per event.
    null_deviance : float
        The same without any feature: a path that never falls below it has no information.
    folds : int
        Folds used.
    note : str
        Fewer folds than wanted, no penalty that helps, no convergence; empty when nothing.
    """

    penalty: float
    penalties: FloatArray
    deviance: FloatArray
    null_deviance: float
    folds: int
    note: str


def cross_validate(
    outcome: Outcome,
    sets: RiskSets,
    base: FloatArray,
    grid: FloatArray,
    start: Callable[[RiskSets, BoolArray], Fit],
    *,
    ties: str,
    folds: int,
    repeats: int,
    seed: int,
    patience: int | None,
) -> PenaltyPath:
    """Compare the penalties of a grid, largest first.

    Parameters
    ----------
    outcome, sets
        Of all patients.
    base : array, (patients,)
        Offset of the log-risk.
    grid : array, (penalties,)
    start : callable
        Makes the :data:`Fit` for the patients of a mask and their risk sets.
    ties, folds, repeats, seed
        See :func:`survfuse.survival.cox.ridge_cox_cv`.
    patience : int or None
        See :func:`gains_along`.
    """
    used = min(folds, outcome.events)
    parts = []
    for held_out in repeated_folds(outcome.event, used, repeats, seed):
        rows = ~held_out
        inner = RiskSets.of(outcome[rows], ties)
        parts.append((rows, inner, start(inner, rows)))

    def gain(penalty: float | None) -> float:
        """Log-likelihood of everyone less that of the patients fitted on; None: no feature."""
        total = 0.0
        for rows, inner, fit in parts:
            risk = base if penalty is None else fit(penalty)
            total += sets.log_likelihood(risk) - inner.log_likelihood(risk[rows])
        return total / repeats

    gains, null_gain = gains_along(grid, gain, patience), gain(None)
    best = int(gains.argmax())
    notes = []
    if used < folds:
        notes.append(f"{used} folds, because there are {outcome.events} events")
    if gains[best] <= null_gain:
        notes.append("no penalty beats a model without features")
    return PenaltyPath(
        penalty=float(grid[best]),
        penalties=grid[: len(gains)],
        deviance=-2 * gains / outcome.events,
        null_deviance=-2 * null_gain / outcome.events,
        folds=used,
        note="; ".join(notes),
    )


def gains_along(
    grid: Iterable[float],
    gain: Callable[[float], float],
    patience: int | None,
) -> FloatArray:
    """Gain of each penalty until `patience` in a row are no better than the best.

    Smaller penalties take longest to fit and fit noise, and each fit starts from that of the next
    larger one, so `gain` is called in the order of `grid`. Without a patience all are tried.
    """
    gains: list[float] = []
    for penalty in grid:
        gains.append(gain(penalty))
        since_best = len(gains) - 1 - int(np.argmax(gains))
        if patience is not None and since_best >= patience:
            break
    return np.array(gains)


def given_penalties(penalties: npt.ArrayLike) -> FloatArray:
    """Penalties of a caller, largest first; InputError where one is not > 0."""
    grid = np.atleast_1d(np.asarray(penalties, dtype=np.float64))
    if grid.ndim != 1 or len(grid) == 0 or not (np.isfinite(grid) & (grid > 0)).all():
        raise InputError(f"penalties must be finite numbers > 0, got {penalties!s}")
    return np.sort(grid)[::-1]


def falling(
    largest: float,
    least: float,
    count: int,
    smallest: float,
) -> FloatArray:
    """Penalties in equal ratios, largest first, none below `smallest`; (at most `count`,)."""
    if largest <= smallest:
        return np.array([smallest])
    return np.asarray(np.geomspace(largest, max(least, smallest), count))


def check_folds(
    folds: int,
    repeats: int,
    events: int,
) -> None:
    """Refuse numbers of folds, repeats and events that hold no patient out.

    Raises
    ------
    InputError
        For fewer than 2 folds or 1 repeat.
    NotComputableError
        For fewer than 2 events.
    """
    if folds < 2:
        raise InputError(f"cross-validation needs at least 2 folds, got {folds}")
    if repeats < 1:
        raise InputError(f"cross-validation needs at least 1 repeat, got {repeats}")
    if events < 2:
        raise NotComputableError(
            f"cross-validating a Cox fit needs two events or more, got {events}",
        )


def repeated_folds(
    event: BoolArray,
    folds: int,
    repeats: int,
    seed: int,
) -> Iterator[BoolArray]:
    """Held-out rows of each fold, (patients,), of several divisions into folds."""
    generator = np.random.default_rng(seed)
    for _ in range(repeats):
        yield from stratified_folds(event, folds, generator)


def stratified_folds(
    event: BoolArray,
    folds: int,
    rng: np.random.Generator,
) -> list[BoolArray]:
    """Divide patients into folds, events first; the held-out rows of each fold."""
    fold: IntArray = np.empty(len(event), dtype=np.int64)
    dealt = 0
    for stratum in (event, ~event):
        rows = rng.permutation(np.flatnonzero(stratum))
        fold[rows] = (dealt + np.arange(len(rows))) % folds
        dealt += len(rows)
    return [fold == k for k in range(folds)]
