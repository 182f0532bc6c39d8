"""Every metric of one model, each with an interval or a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from survfuse.evaluation import fold_calibration
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import estimate
from survfuse.evaluation.curve_errors import isbs
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.metric_registry import FAMILIES, METRICS, Metric, ModelFolds
from survfuse.survival.estimate import Estimate

__all__ = ["METRICS", "assess", "cards", "fold_calibration", "isbs"]


def cards(keys: Iterable[str] | None = None) -> list[Metric]:
    """Cards of the metrics with these keys, of all by default, by family."""
    metrics = [METRICS.build(key) for key in (METRICS if keys is None else keys)]
    return sorted(metrics, key=lambda metric: FAMILIES.index(metric.family))


def assess(
    folds: Sequence[Fold],
    scale: Scale,
    keys: Iterable[str] | None = None,
) -> dict[str, Estimate]:
    """Compute the metrics of a model's predictions.

    Parameters
    ----------
    folds : sequence of Fold
    scale : Scale
    keys : iterable of str, optional
        Which metrics; all by default.

    Returns
    -------
    dict of metric to Estimate
        A metric that these predictions or patients cannot give has no value, and
        its note says why.
    """
    model = ModelFolds(folds, scale)
    estimates = {}
    # Metrics of one family at horizons are listed horizon by horizon.
    for (at_horizon, _), group in groupby(cards(keys), _place):
        metrics = list(group)
        for horizon in scale.horizons if at_horizon else scale.horizons[-1:]:
            for metric in metrics:
                estimates[metric.name(horizon)] = estimate(metric, model, horizon)
    return estimates


def _place(metric: Metric) -> tuple[bool, str]:
    return metric.at_horizon, metric.family
