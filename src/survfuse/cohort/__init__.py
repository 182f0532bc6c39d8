"""Patients and their modalities: loading, splits, transforms, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from survfuse.cohort.cohort import load_cohort
from survfuse.cohort.cohort_data import Cohort, FlowStep
from survfuse.cohort.modalities import (
    BagData,
    ExpressionData,
    ModalityData,
    PriorData,
    TableData,
)
from survfuse.cohort.problems import Problem
from survfuse.cohort.slide_table import pack_cohort
from survfuse.cohort.spec import CohortSpec, load_spec
from survfuse.cohort.splits import (
    given_folds,
    inner_folds,
    leave_one_group_out,
    make_folds,
)
from survfuse.cohort.transforms import Prepared, Transforms
from survfuse.cohort.validate import Inspection, inspect

if TYPE_CHECKING:
    from survfuse.cohort.batch_source import BatchSource

__all__ = [
    "BagData",
    "BatchSource",
    "Cohort",
    "CohortSpec",
    "ExpressionData",
    "FlowStep",
    "Inspection",
    "ModalityData",
    "Prepared",
    "PriorData",
    "Problem",
    "TableData",
    "Transforms",
    "given_folds",
    "inner_folds",
    "inspect",
    "leave_one_group_out",
    "load_cohort",
    "load_spec",
    "make_folds",
    "pack_cohort",
]


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for: looking at a cohort does not."""
    if name == "BatchSource":
        from survfuse.cohort.batch_source import BatchSource

        return BatchSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
