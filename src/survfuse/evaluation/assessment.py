"""Every metric of one model: discrimination, error, calibration; each with an interval or a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import Interval, over_folds, over_pairs
from survfuse.evaluation.fold_calibration import calibration
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.ranking import concordance
from survfuse.evaluation.training_variance import chance_share
from survfuse.survival.brier import (
    brier_influence,
    integrated_brier_influence,
    integrated_ipa_influence,
    ipa_influence,
)
from survfuse.survival.censoring_weights import end_note
from survfuse.survival.discrimination import auc_influence
from survfuse.survival.estimate import Estimate, joined
from survfuse.survival.follow_up import known_up_to
from survfuse.survival.likelihood import log_likelihood_influence
from survfuse.survival.ties import at_or_before

PROPER = "censoring is independent of covariates and event times"


def assess(folds: Sequence[Fold], scale: Scale) -> dict[str, Estimate]:
    """Compute every metric of a model's predictions.

    Parameters
    ----------
    folds : sequence of Fold
    scale : Scale

    Returns
    -------
    dict of metric to Estimate
        A metric that these predictions or patients cannot give has no value, and
        its note says why.
    """
    chance = chance_share(folds)
    found = {
        "uno_c": concordance(
            folds,
            "uno",
            scale.tau,
            interval=scale.interval,
            chance=chance,
        ),
        "harrell_c": concordance(
            folds,
            "harrell",
            None,
            interval=scale.interval,
            chance=chance,
        ),
    }
    for h in scale.horizons:
        found[f"auc_{h:g}"] = auc_at(folds, h, scale.interval, chance)
    for h in scale.horizons:
        found[f"brier_{h:g}"] = brier_at(folds, h, scale.interval, chance)
        found[f"ipa_{h:g}"] = _ipa(folds, h, scale.interval, chance)
    found["isbs"] = isbs(folds, scale, chance)
    found["integrated_ipa"] = _integrated_ipa(folds, scale, chance)
    found["log_likelihood"] = _likelihood(folds, scale, chance)
    return {**found, **calibration(folds, scale)}


def auc_at(
    folds: Sequence[Fold],
    horizon: float,
    interval: Interval,
    chance: float | None = None,
) -> Estimate:
    """Cumulative/dynamic AUC at one horizon."""

    def one(fold: Fold) -> tuple[float, FloatArray]:
        risk = (
            fold.risk if fold.log_risk is not None else -fold.survival([horizon])[:, 0]
        )
        return _first(
            auc_influence(fold.time, fold.event, risk, [horizon], train=fold.train),
        )

    found = over_folds(
        folds,
        one,
        limits=(0.0, 1.0),
        logit=True,
        assumptions=PROPER,
        interval=interval,
        chance=chance,
        until=horizon,
    )
    return _at_end(found, folds, horizon)


def brier_at(
    folds: Sequence[Fold],
    horizon: float,
    interval: Interval,
    chance: float | None = None,
) -> Estimate:
    """Brier score at one horizon."""

    def one(fold: Fold) -> tuple[float, FloatArray]:
        curve = fold.survival([horizon])
        return _first(
            brier_influence(fold.time, fold.event, curve, [horizon], train=fold.train),
        )

    found = over_folds(
        folds,
        one,
        limits=(0.0, 1.0),
        assumptions=PROPER,
        interval=interval,
        chance=chance,
        until=horizon,
    )
    return _at_end(found, folds, horizon)


def isbs(folds: Sequence[Fold], scale: Scale, chance: float | None = None) -> Estimate:
    """Integrated Brier score from the first time of the grid to τ, or as far as the curves are known."""
    grid, note = _known_grid(folds, scale)

    def one(fold: Fold) -> tuple[float, FloatArray]:
        return _isbs(fold, grid)

    found = over_folds(
        folds,
        one,
        limits=(0.0, 1.0),
        assumptions=PROPER,
        interval=scale.interval,
        chance=chance,
        until=_last(grid),
    )
    return _at_end(replace(found, note=joined(found.note, note)), folds, _last(grid))


def isbs_difference(a: Sequence[Fold], b: Sequence[Fold], scale: Scale) -> Estimate:
    """ISBS of `a` minus that of `b`, paired; below 0 `a` has the smaller error."""
    grid, note = _known_grid((*a, *b), scale)

    def one(first: Fold, second: Fold) -> tuple[float, FloatArray]:
        x, y = _isbs(first, grid), _isbs(second, grid)
        return x[0] - y[0], x[1] - y[1]

    end = _last(grid)
    found = over_pairs(
        a,
        b,
        one,
        limits=(-1.0, 1.0),
        assumptions=PROPER,
        interval=scale.interval,
        until=end,
    )
    return _at_end(replace(found, note=joined(found.note, note)), a, end)


def _at_end(found: Estimate, folds: Sequence[Fold], horizon: float | None) -> Estimate:
    """Add what a reader must know of a horizon at which the follow-up of some fold ends."""
    if found.value is None or horizon is None:
        return found
    notes = [
        end_note(fold.time, fold.event, horizon, fold.train)
        for fold in folds
        if len(fold)
    ]
    return replace(found, note=joined(found.note, *dict.fromkeys(notes)))


def _last(grid: FloatArray) -> float | None:
    return float(grid[-1]) if len(grid) else None


def _first(found: tuple[FloatArray, FloatArray]) -> tuple[float, FloatArray]:
    """Value and influence (patients,) at the one horizon that was asked for."""
    values, influence = found
    return float(values[0]), influence[:, 0]


def _isbs(fold: Fold, grid: FloatArray) -> tuple[float, FloatArray]:
    return integrated_brier_influence(
        fold.time,
        fold.event,
        _at(fold, grid),
        grid,
        train=fold.train,
    )


def _known_grid(folds: Sequence[Fold], scale: Scale) -> tuple[FloatArray, str]:
    """Grid as far as all curves and the censoring weights of all folds are known, and what was left out."""
    lasts = [fold.curves.last for fold in folds if fold.curves is not None]
    seen = [known_up_to(fold.time, fold.train) for fold in folds if len(fold)]
    reach = min([scale.tau, *lasts, *seen])
    grid = scale.grid[at_or_before(scale.grid, reach)]
    if len(grid) == len(scale.grid):
        return grid, ""
    end = f"{grid[-1]:g}" if len(grid) else "nothing"
    return (
        grid,
        f"integrated to {end} instead of {scale.grid[-1]:g}: beyond it some fold knows nothing",
    )


def _at(fold: Fold, grid: FloatArray) -> FloatArray:
    """Survival on a grid that can be integrated over."""
    if len(grid) < 2:
        raise NotComputableError(
            f"integration needs two or more times within reach, got {len(grid)}",
        )
    return fold.survival(grid)


def _ipa(
    folds: Sequence[Fold],
    horizon: float,
    interval: Interval,
    chance: float | None,
) -> Estimate:
    def one(fold: Fold) -> tuple[float, FloatArray]:
        curve = fold.survival([horizon])
        return _first(
            ipa_influence(fold.time, fold.event, curve, [horizon], train=fold.train),
        )

    found = over_folds(
        folds,
        one,
        limits=(-np.inf, 1.0),
        assumptions=PROPER,
        interval=interval,
        chance=chance,
        until=horizon,
    )
    return _at_end(found, folds, horizon)


def _integrated_ipa(
    folds: Sequence[Fold],
    scale: Scale,
    chance: float | None,
) -> Estimate:
    grid, note = _known_grid(folds, scale)

    def one(fold: Fold) -> tuple[float, FloatArray]:
        return integrated_ipa_influence(
            fold.time,
            fold.event,
            _at(fold, grid),
            grid,
            train=fold.train,
        )

    found = over_folds(
        folds,
        one,
        limits=(-np.inf, 1.0),
        assumptions=PROPER,
        interval=scale.interval,
        chance=chance,
        until=_last(grid),
    )
    return _at_end(replace(found, note=joined(found.note, note)), folds, _last(grid))


def _likelihood(folds: Sequence[Fold], scale: Scale, chance: float | None) -> Estimate:
    """Mean log-likelihood, the density of a curve taken as even between the times of its grid.

    A curve of ours falls only where a training patient had the event, so that a fine grid
    would give most test events probability 0: its times are the deciles of the training
    patients' event times. The times of a predictions file are its own.
    """
    known, _ = _known_grid(folds, scale)
    reach = float(known[-1]) if len(known) else 0.0

    def one(fold: Fold) -> tuple[float, FloatArray]:
        grid = _deciles(fold, reach) if scale.times is None else known
        return log_likelihood_influence(fold.time, fold.event, _at(fold, grid), grid)

    found = over_folds(folds, one, interval=scale.interval, chance=chance)
    bins = (
        ""
        if scale.times is not None
        else "density even between deciles of the training event times"
    )
    return replace(
        found,
        note=joined(found.note, f"follow-up to {reach:g}" if reach else "", bins),
    )


def _deciles(fold: Fold, reach: float) -> FloatArray:
    """Deciles of the event times of the training patients (of these, where there are none), up to `reach`."""
    time, event = fold.train if fold.train is not None else (fold.time, fold.event)
    seen = time[event.astype(bool) & at_or_before(time, reach)]
    if len(seen) == 0:
        raise NotComputableError(f"no training patient had the event up to {reach:g}")
    deciles: FloatArray = np.unique(
        np.quantile(seen, np.linspace(0.1, 1.0, 10), method="higher"),
    )
    return deciles
