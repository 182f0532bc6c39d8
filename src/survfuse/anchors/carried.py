"""Coefficients that rest on few patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from survfuse._types import BoolArray, FloatArray
from survfuse.anchors.blocks import Block

FEW_PATIENTS, FEW_EVENTS = 20, 3


def carried_by_few(
    features: Sequence[str],
    block: Block,
    coef: FloatArray,
    event: BoolArray,
) -> list[dict[str, Any]]:
    """Features of a table that few patients carry, with what they weigh.

    Carriers are those who differ from the most frequent value, where half the patients or more have it.

    Parameters
    ----------
    features : sequence of str
    block : (values, presence) of the training patients
    coef : array, (features,)
    event : array of bool, (patients,)

    Returns
    -------
    list of dict
        `feature, coefficient` (log hazard ratio of its carriers against the others), `patients, events`
        of those features with fewer than 20 patients or three events.
    """
    x, has = block
    found = []
    for name, values, weight in zip(features, x[has].T, coef, strict=True):
        common, count = np.unique(values, return_counts=True)
        usual = common[count.argmax()]
        carriers = values != usual
        patients, events = int(carriers.sum()), int(event[has][carriers].sum())
        rare = patients < FEW_PATIENTS or events < FEW_EVENTS
        if rare and 0 < 2 * patients <= len(values):
            ratio = float(weight * (values[carriers].mean() - usual))
            found.append(
                {
                    "feature": name,
                    "coefficient": ratio,
                    "patients": patients,
                    "events": events,
                },
            )
    return found
