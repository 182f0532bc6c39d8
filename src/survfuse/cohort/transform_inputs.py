"""What the features of a vector modality are made from: z-scores of genes, features of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

import numpy as np

from survfuse._types import FloatArray, IntArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import ExpressionData
from survfuse.cohort.transform_bags import BagScaler
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.cohort.transforms import Prepared, Transforms

VALUES_AT_ONCE = 2**22
"""Values of inputs that are held at a time."""

Rows = TypeVar("Rows", Sequence[str], IntArray)


def input_sizes(transforms: Transforms) -> dict[str, int]:
    """Inputs of each vector modality: genes of expression, features of any other."""
    sizes = {}
    for name, one in transforms.fitted.items():
        if isinstance(one, ExpressionTransform):
            sizes[name] = len(one.genes)
        elif not isinstance(one, BagScaler):
            sizes[name] = len(one.features)
    return sizes


def mean_inputs(
    transforms: Transforms,
    cohort: Cohort,
    prepared: Prepared,
) -> dict[str, FloatArray]:
    """Mean inputs of each vector modality, over the patients who have it; (inputs,).

    Parameters
    ----------
    transforms : Transforms
    cohort : Cohort
        That `prepared` was made from.
    prepared : Prepared
        The patients. A modality that none of them has is left out.
    """
    means: dict[str, FloatArray] = {}
    for name, vectors in prepared.vectors.items():
        has, one = prepared.present[name], transforms.fitted[name]
        if not has.any():
            continue
        if isinstance(one, ExpressionTransform):
            data = cast(ExpressionData, cohort.modalities[name])
            ids = np.array(prepared.patients, dtype=object)[has].tolist()
            total = np.zeros(len(one.genes))
            for some in in_blocks(ids, len(one.genes)):
                total += one.z_scores(data, some).sum(axis=0)
            means[name] = total / len(ids)
        else:
            means[name] = vectors[has].mean(axis=0, dtype=np.float64)
    return means


def in_blocks(ids: Rows, width: int) -> Iterator[Rows]:
    """Patients or their places, so many at a time that their rows of some width fit in memory."""
    size = max(1, VALUES_AT_ONCE // max(width, 1))
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
