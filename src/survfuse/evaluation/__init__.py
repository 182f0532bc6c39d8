"""Honest evaluation: cross-validation, baselines on the same folds, metrics with intervals, checks."""

from survfuse.evaluation.crossval import Watcher, cross_validate
from survfuse.evaluation.result import Result

__all__ = ["Result", "Watcher", "cross_validate"]
