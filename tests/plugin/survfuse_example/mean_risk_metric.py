"""A metric: the mean log-risk."""

from survfuse.evaluation.folds import Fold
from survfuse.evaluation.metric_registry import OTHER, At, Metric, Score, register


def mean_risk(fold: Fold, at: At) -> Score:
    """The value in one fold, and the influence of each patient on it."""
    share = fold.risk / len(fold)
    return Score(share.sum(), share - share.mean())


register(
    Metric(
        "mean_risk",
        "Mean log-risk",
        OTHER,
        better="",
        summary="Of all patients.",
        method="mean over patients",
        needs=("log_risk",),
        influence=mean_risk,
    )
)
