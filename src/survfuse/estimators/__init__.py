"""Models that are fitted on the training patients of a fold, all by one protocol.

An :class:`Estimator` learns a :class:`RiskModel` from a :class:`FoldContext`; :func:`calibrated`
gives any of them survival curves and risk groups; :func:`fit_model` is the fit of
:class:`survfuse.SurvivalFusion`.
"""

from survfuse.estimators.base import (
    ESTIMATORS,
    Estimator,
    Fit,
    Patients,
    RiskModel,
    StoredModel,
    foreign_code,
    make_estimator,
)
from survfuse.estimators.cox_baselines import (
    KaplanMeier,
    LateFusion,
    RidgeCox,
    SparseCox,
)
from survfuse.estimators.fitted import Fitted, calibrated, fit_model
from survfuse.estimators.fold_context import FoldContext, outcomes
from survfuse.estimators.neural_network import NeuralNetwork, watched_log_risks
from survfuse.estimators.stacked_cox import StackedCox
from survfuse.survival.degrees_of_freedom import Effective

__all__ = [
    "ESTIMATORS",
    "Effective",
    "Estimator",
    "Fit",
    "Fitted",
    "FoldContext",
    "KaplanMeier",
    "LateFusion",
    "NeuralNetwork",
    "Patients",
    "RidgeCox",
    "RiskModel",
    "SparseCox",
    "StackedCox",
    "StoredModel",
    "calibrated",
    "fit_model",
    "foreign_code",
    "make_estimator",
    "outcomes",
    "watched_log_risks",
]
