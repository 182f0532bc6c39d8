"""Metrics of ranking over folds: concordance and AUC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse.evaluation.assessment_settings import DEFAULT, Interval, Scale
from survfuse.evaluation.combine import difference, estimate
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.metric_registry import (
    HIGHER,
    RANKING,
    At,
    Metric,
    ModelFolds,
    Score,
    register,
)
from survfuse.survival.censoring_weights import AtHorizons, CensoringWeights
from survfuse.survival.concordance import ASSUMES, ComparablePairs
from survfuse.survival.discrimination import auc_at
from survfuse.survival.estimate import Estimate

PROPER = "censoring is independent of covariates and event times"


def _uno(fold: Fold, at: At) -> Score:
    pairs = ComparablePairs.of(fold.outcome, "uno", at.tau, fold.training)
    return Score(*pairs.concordance(fold.risk), restriction=pairs.note)


def _harrell(fold: Fold, at: At) -> Score:
    pairs = ComparablePairs.of(fold.outcome, "harrell", None, None)
    return Score(*pairs.concordance(fold.risk))


def _auc(fold: Fold, at: At) -> Score:
    has_risk = fold.log_risk is not None
    risk = fold.risk[:, None] if has_risk else -fold.survival([at.horizon])
    return score_at(auc_at(weights_at(fold, at), risk))


def weights_at(fold: Fold, at: At) -> CensoringWeights:
    """Censoring weights of a fold at the horizon."""
    return CensoringWeights.of(fold.outcome, np.array([at.horizon]), fold.training)


def score_at(result: AtHorizons) -> Score:
    """Score at the only horizon of `result`."""
    values, influence = result.at_all()
    return Score(float(values[0]), influence[:, 0], str(result.weights.notes[0]))


UNO_C = register(
    Metric(
        "uno_c",
        "Uno C",
        RANKING,
        HIGHER,
        "Share of comparable pairs in the right order, whatever the censoring.",
        "weights 1/G(T−)²; τ inclusive; ties in risk count one half",
        needs=("log_risk",),
        influence=_uno,
        limits=(0.0, 1.0),
        assumptions=ASSUMES["uno"],
        until=lambda at: at.tau,
    ),
)
HARRELL_C = register(
    Metric(
        "harrell_c",
        "Harrell C",
        RANKING,
        HIGHER,
        "Share of comparable pairs in the right order; depends on the censoring.",
        "all follow-up; ties in risk count one half",
        needs=("log_risk",),
        influence=_harrell,
        limits=(0.0, 1.0),
        assumptions=ASSUMES["harrell"],
    ),
)
register(
    Metric(
        "auc",
        "AUC",
        RANKING,
        HIGHER,
        "Cumulative/dynamic: those with the event by then against the rest.",
        "weighted by inverse probability of censoring; of the curves where there is no log-risk",
        needs=("log_risk", "survival"),
        at_horizon=True,
        influence=_auc,
        limits=(0.0, 1.0),
        logit=True,
        assumptions=PROPER,
        until=lambda at: at.horizon,
    ),
)


def concordance(
    folds: Sequence[Fold],
    kind: str,
    tau: float | None,
    interval: Interval = DEFAULT,
    chance: float | None = None,
) -> Estimate:
    """Concordance of cross-validated risks.

    Parameters
    ----------
    folds : sequence of Fold
    kind : {"harrell", "uno"}
    tau : float or None
        Truncation time of Uno's C, in the unit of `time`; Harrell's has none.
    interval : Interval
    chance : float, optional
        See :class:`~survfuse.evaluation.metric_registry.ModelFolds`.
    """
    model = ModelFolds(folds, _scale(tau, interval), chance=chance)
    return estimate({"uno": UNO_C, "harrell": HARRELL_C}[kind], model)


def concordance_difference(
    a: Sequence[Fold],
    b: Sequence[Fold],
    tau: float | None,
    interval: Interval = DEFAULT,
    chance: float | None = None,
) -> Estimate:
    """Uno's C of `a` minus that of `b`, paired on the same patients and folds.

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds.
    """
    return difference(UNO_C, a, b, _scale(tau, interval), chance)


def _scale(tau: float | None, interval: Interval) -> Scale:
    """Scale of a metric that needs no horizons and no grid."""
    return Scale((np.inf,), np.inf if tau is None else tau, interval, times=())
