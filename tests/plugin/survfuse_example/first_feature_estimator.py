"""An estimator: the first column of the clinical table is the log-risk."""

from typing import Self

from survfuse._types import FloatArray
from survfuse.cohort import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.estimators import (
    ESTIMATORS,
    Effective,
    Estimator,
    Fit,
    FoldContext,
    Patients,
    RiskModel,
    StoredModel,
)
from survfuse.estimators.base import State


class FirstFeature(RiskModel):
    """The model: its weight is all that a bundle holds of it."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def log_risk(self, source: Patients) -> FloatArray:
        """Log-risk of each patient, (patients,)."""
        values, present = source.blocks()["clinical"]
        return self.weight * values[:, 0] * present

    def state(self) -> State:
        """Plain values, and arrays by name."""
        return {"weight": self.weight}, {}

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make the model of a bundle."""
        return cls(stored.state["weight"])


@ESTIMATORS.register(
    "first_feature", summary="the first clinical feature", source="an example"
)
class FirstFeatureEstimator(Estimator):
    """Fits transforms; the weight is 1 whatever the outcome."""

    model = FirstFeature

    def fit(self, fold: FoldContext) -> Fit:
        """Fit on the training patients of a fold."""
        transforms = Transforms.fit(fold.cohort, fold.ids, self.config)
        source = BatchSource(fold.cohort, transforms, fold.ids)
        model = FirstFeature(1.0)
        risk = model.log_risk(source)
        size = Effective(0.0, "nothing is fitted")
        return Fit(model, transforms, source, risk, risk, self.inner(fold), size)
