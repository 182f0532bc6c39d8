"""Multimodal survival prediction from slides, expression and clinical variables.

The public names are on this screen; each is imported when it is first used, so
that ``import survfuse`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from survfuse._version import __version__

if TYPE_CHECKING:
    from survfuse import losses, metrics, paper, readers
    from survfuse.cohort import Cohort, load_cohort
    from survfuse.estimator import Prediction, SurvivalFusion
    from survfuse.estimator import load as load
    from survfuse.evaluation import Plan, Result, cross_validate, plan
    from survfuse.explanations import Explanation, explain, with_agreement

__all__ = [
    "Cohort",
    "Explanation",
    "Plan",
    "Prediction",
    "Result",
    "SurvivalFusion",
    "__version__",
    "cross_validate",
    "explain",
    "load",
    "load_cohort",
    "losses",
    "metrics",
    "paper",
    "plan",
    "readers",
    "with_agreement",
]

_HOMES = {
    "Cohort": "survfuse.cohort",
    "Explanation": "survfuse.explanations",
    "Plan": "survfuse.evaluation",
    "Prediction": "survfuse.estimator",
    "Result": "survfuse.evaluation",
    "SurvivalFusion": "survfuse.estimator",
    "cross_validate": "survfuse.evaluation",
    "explain": "survfuse.explanations",
    "load": "survfuse.estimator",
    "load_cohort": "survfuse.cohort",
    "plan": "survfuse.evaluation",
    "with_agreement": "survfuse.explanations",
}
_MODULES = ("losses", "metrics", "paper", "readers")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"survfuse.{name}")
    raise AttributeError(f"module 'survfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
