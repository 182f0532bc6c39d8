"""Multimodal survival prediction from slides, expression and clinical variables.

The public names are on this screen; each is imported when it is first used, so
that ``import survfuse`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from survfuse._version import __version__

if TYPE_CHECKING:
    from survfuse import datasets, losses, metrics, paper, readers
    from survfuse._errors import NothingLearnedWarning
    from survfuse.cohort import Cohort, load_cohort
    from survfuse.datasets import simulate
    from survfuse.estimator import Prediction, SurvivalFusion
    from survfuse.estimator import load as load
    from survfuse.estimators.other_model import OtherModel
    from survfuse.evaluation import Plan, Result, cross_validate, plan
    from survfuse.evaluation.in_memory import evaluate
    from survfuse.evaluation.validation import validate
    from survfuse.explanations import Explanation, explain, with_agreement
    from survfuse.extraction import extract

__all__ = [
    "Cohort",
    "Explanation",
    "NothingLearnedWarning",
    "OtherModel",
    "Plan",
    "Prediction",
    "Result",
    "SurvivalFusion",
    "__version__",
    "cross_validate",
    "datasets",
    "evaluate",
    "explain",
    "extract",
    "load",
    "load_cohort",
    "losses",
    "metrics",
    "paper",
    "plan",
    "readers",
    "simulate",
    "validate",
    "with_agreement",
]

_HOMES = {
    "Cohort": "survfuse.cohort",
    "Explanation": "survfuse.explanations",
    "NothingLearnedWarning": "survfuse._errors",
    "OtherModel": "survfuse.estimators.other_model",
    "Plan": "survfuse.evaluation",
    "Prediction": "survfuse.estimator",
    "Result": "survfuse.evaluation",
    "SurvivalFusion": "survfuse.estimator",
    "cross_validate": "survfuse.evaluation",
    "evaluate": "survfuse.evaluation.in_memory",
    "explain": "survfuse.explanations",
    "extract": "survfuse.extraction",
    "load": "survfuse.estimator",
    "load_cohort": "survfuse.cohort",
    "plan": "survfuse.evaluation",
    "simulate": "survfuse.datasets",
    "validate": "survfuse.evaluation.validation",
    "with_agreement": "survfuse.explanations",
}
_MODULES = ("datasets", "losses", "metrics", "paper", "readers")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"survfuse.{name}")
    raise AttributeError(f"module 'survfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
