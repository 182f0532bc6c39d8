"""What a learner is: something that learns from some patients and predicts others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from survfuse.cohort.cohort import Cohort
from survfuse.estimator import Prediction
from survfuse.training import Hook

Role = Literal["model", "baseline", "increment", "control", "seed"]
"""Why a learner runs: it is judged (`model`), it must be beaten (`baseline`), it lacks one
modality (`increment`), it must fail or must not be believed (`control`), or it is the
model drawn again (`seed`)."""

MIDDLE_GROUP = 1
"""Risk group of everyone where nothing tells patients apart: neither low (0) nor high (2)."""


@dataclass(frozen=True)
class FoldResult:
    """What one learner gives on one fold.

    Attributes
    ----------
    prediction : Prediction
        Of the test patients.
    summary : mapping
        What was learned: plain values, for JSON.
    also : mapping of name to Prediction
        What the same fit says of the same patients under other inputs (a modality
        permuted, something missing); each stands under its own name.
    """

    prediction: Prediction
    summary: Mapping[str, Any]
    also: Mapping[str, Prediction] = field(default_factory=dict)


class Learner(Protocol):
    """Something that learns from some patients of a cohort and predicts others."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def role(self) -> Role:
        """Why it runs."""
        ...

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """Modalities that it reads; None for all of the cohort's."""
        ...

    def identity(self) -> dict[str, Any]:
        """Everything that the predictions depend on besides patients and data."""
        ...

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Learn from `train`, predict `test`.

        Parameters
        ----------
        cohort : Cohort
            Of the training patients.
        train, test : sequence of str
            Training patients of `cohort`; patients to predict.
        hooks : sequence of Hook
            Watchers of training runs.
        folder : path, optional
            Where a fit keeps its place, to be resumed from.
        target : Cohort, optional
            Cohort that the test patients belong to (external validation); `cohort` by
            default. Transforms are fitted on the training patients alone. Its outcomes
            are not read.
        """
        ...
