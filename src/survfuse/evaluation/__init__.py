"""Evaluation: cross-validation, baselines on the same folds, metrics with intervals, checks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from survfuse.evaluation.cells import Watcher
    from survfuse.evaluation.crossval import cross_validate
    from survfuse.evaluation.planning import plan
    from survfuse.evaluation.predictions import evaluate
    from survfuse.evaluation.study_plan import Plan
    from survfuse.results import Result

__all__ = ["Plan", "Result", "Watcher", "cross_validate", "evaluate", "plan"]

_HOMES = {
    "Plan": "survfuse.evaluation.study_plan",
    "Result": "survfuse.results",
    "Watcher": "survfuse.evaluation.cells",
    "cross_validate": "survfuse.evaluation.crossval",
    "evaluate": "survfuse.evaluation.predictions",
    "plan": "survfuse.evaluation.planning",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: judging a file needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
