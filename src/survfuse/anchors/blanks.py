"""What a blank cell may contribute to a log-risk: no more than a known value of its column does.

A table's column enters as its value and, where enough training patients lack it, as a 0/1 feature that
says so; a missing value stands at the training mean. The weight of the 0/1 feature is held so that the
blank's contribution lies within the contributions of the column's known values in the training patients:
to leave a cell blank then moves nobody's risk further than the column itself can. Pairs of modalities read
blanks as the mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from survfuse._types import FloatArray
from survfuse.anchors.blocks import Block

Blanks = Mapping[str, Mapping[int, tuple[int, ...]]]
"""By modality: of each feature that says that a cell is missing, those that hold its column's value."""


def hold_blanks(
    block: Block,
    coef: FloatArray,
    blanks: Mapping[int, tuple[int, ...]],
) -> FloatArray:
    """Hold the weights of a table's blanks within what known values contribute; (features,).

    Parameters
    ----------
    block : (values, presence) of the training patients
    coef : array, (features,)
    blanks : mapping of feature to features
    """
    x, has = block
    held = coef.copy()
    for feature, values in blanks.items():
        contribution = x[has][:, values] @ coef[list(values)]
        blank = x[has][:, feature] > 0
        known = contribution[~blank]
        at_mean = contribution[blank].mean()
        held[feature] = np.clip(
            coef[feature],
            known.min() - at_mean,
            known.max() - at_mean,
        )
    return held


def without_blanks(block: Block, blanks: Mapping[int, tuple[int, ...]]) -> Block:
    """Make blanks of a table read as the mean alone."""
    x, has = block
    plain = x.copy()
    plain[:, list(blanks)] = 0.0
    return plain, has
