"""Metrics of the error of predicted curves over folds: Brier scores, IPA, log-likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import estimate
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.metric_registry import (
    ERROR,
    HIGHER,
    LOWER,
    At,
    Metric,
    ModelFolds,
    Score,
    register,
)
from survfuse.evaluation.ranking import PROPER, score_at, weights_at
from survfuse.survival.brier import (
    IPA_LIMITS,
    brier_at,
    integrate_brier,
    integrate_ipa,
    ipa_at,
)
from survfuse.survival.censoring_weights import AtHorizons, CensoringWeights
from survfuse.survival.estimate import Estimate, joined
from survfuse.survival.likelihood import LikelihoodTerms
from survfuse.survival.ties import at_or_before

DECILES = np.linspace(0.1, 1.0, 10)


def _at_horizon(
    fold: Fold,
    at: At,
    *,
    compute: Callable[[CensoringWeights, FloatArray], AtHorizons],
) -> Score:
    survival = fold.survival([at.horizon])
    return score_at(compute(weights_at(fold, at), survival))


def _integrated(
    fold: Fold,
    at: At,
    *,
    compute: Callable[[CensoringWeights, FloatArray], tuple[float, FloatArray]],
) -> Score:
    survival = _on_grid(fold, at.grid)
    weights = CensoringWeights.of(fold.outcome, at.grid, fold.training)
    return Score(*compute(weights, survival), note=str(weights.notes[-1]))


def _on_grid(fold: Fold, grid: FloatArray) -> FloatArray:
    """Survival on a grid that can be integrated over."""
    if len(grid) < 2:
        raise NotComputableError(
            f"integration needs two or more times within reach, got {len(grid)}",
        )
    return fold.survival(grid)


def _log_likelihood(fold: Fold, at: At) -> Score:
    """Mean log-likelihood, the density of a curve taken as even between the times of its grid.

    A curve of ours falls only where a training patient had the event, so that a fine grid
    would give most test events probability 0: its times are the deciles of the training
    patients' event times. The times of a predictions file are its own.
    """
    grid = at.grid if at.own_grid else _deciles(fold, at.end or 0.0)
    curves = _on_grid(fold, grid)
    outcome, times = fold.outcome.with_horizons(grid)
    return Score(*LikelihoodTerms.of(outcome, curves, times).mean())


def _deciles(fold: Fold, reach: float) -> FloatArray:
    """Deciles of the event times of the training patients (of these, where there are none)."""
    source = fold.censoring_source
    times = source.time[source.event & at_or_before(source.time, reach)]
    if len(times) == 0:
        raise NotComputableError(f"no training patient had the event up to {reach:g}")
    return np.unique(np.quantile(times, DECILES, method="higher"))


def _grid_note(at: At) -> str:
    return at.grid_note


def _likelihood_note(at: At) -> str:
    reach = f"follow-up to {at.end:g}" if at.end else ""
    even = "density even between deciles of the training event times"
    return joined(reach, "" if at.own_grid else even)


register(
    Metric(
        "brier",
        "Brier score",
        ERROR,
        LOWER,
        "Mean squared error of the predicted probability.",
        "G(T−) for events, G(t) for survivors",
        needs=("survival",),
        at_horizon=True,
        influence=partial(_at_horizon, compute=brier_at),
        limits=(0.0, 1.0),
        assumptions=PROPER,
        until=lambda at: at.horizon,
    ),
)
register(
    Metric(
        "ipa",
        "IPA",
        ERROR,
        HIGHER,
        "Share of the null model's Brier score that is taken away.",
        "against Kaplan–Meier of the training patients",
        needs=("survival",),
        at_horizon=True,
        influence=partial(_at_horizon, compute=ipa_at),
        limits=IPA_LIMITS,
        assumptions=PROPER,
        until=lambda at: at.horizon,
    ),
)
ISBS = register(
    Metric(
        "isbs",
        "Integrated Brier score",
        ERROR,
        LOWER,
        "Mean squared error of the predicted curve, over time.",
        "100 times up to τ; for a predictions file its survival columns",
        needs=("survival",),
        influence=partial(_integrated, compute=integrate_brier),
        limits=(0.0, 1.0),
        assumptions=PROPER,
        until=lambda at: at.end,
        note=_grid_note,
    ),
)
register(
    Metric(
        "integrated_ipa",
        "Integrated IPA",
        ERROR,
        HIGHER,
        "Share of the null model's integrated Brier score that is taken away.",
        "as the integrated Brier score, against Kaplan–Meier of the training patients",
        needs=("survival",),
        influence=partial(_integrated, compute=integrate_ipa),
        limits=IPA_LIMITS,
        assumptions=PROPER,
        until=lambda at: at.end,
        note=_grid_note,
    ),
)
register(
    Metric(
        "log_likelihood",
        "Log-likelihood",
        ERROR,
        HIGHER,
        "How probable the observed times are under the predicted curves.",
        "right-censored, per patient",
        needs=("survival",),
        influence=_log_likelihood,
        note=_likelihood_note,
    ),
)


def isbs(
    folds: Sequence[Fold],
    scale: Scale,
    chance: float | None = None,
) -> Estimate:
    """Integrated Brier score over the grid, as far as the curves are known."""
    return estimate(ISBS, ModelFolds(folds, scale, chance=chance))
