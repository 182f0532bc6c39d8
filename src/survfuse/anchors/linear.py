"""A fitted log-risk that is linear in the inputs of some modalities, whichever way it was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from survfuse._types import BoolArray, FloatArray
from survfuse.anchors.blocks import Block, Blocks


@dataclass(frozen=True, eq=False)
class LinearCox:
    """One fitted Cox regression on one or several blocks.

    Attributes
    ----------
    centre, coef : mapping of modality to array, (features,)
        Mean of each input over the training patients who have the modality; weights of the
        inputs themselves (mean tiles, not their components).
    penalty : float
        NaN where nothing was fitted.
    note : str
    effective : float
        Effective parameters (`survival.effective`).
    """

    centre: Mapping[str, FloatArray]
    coef: Mapping[str, FloatArray]
    penalty: float
    note: str
    effective: float = 0.0

    @classmethod
    def nothing(cls, blocks: Blocks, why: str) -> Self:
        """Tell nobody apart, and say why."""
        zeros = {name: np.zeros(x.shape[1]) for name, (x, _) in blocks.items()}
        return cls(zeros, zeros, np.nan, why)

    def risk(self, blocks: Blocks) -> tuple[FloatArray, BoolArray]:
        """Log-risk above the training mean, and who has any modality; (patients,) each.

        A patient without a modality gets its training mean; without any, 0.
        """
        risk = np.sum(
            [
                centred(blocks[name], self.centre[name]) @ coef
                for name, coef in self.coef.items()
            ],
            axis=0,
        )
        return np.asarray(risk), anyone({name: blocks[name] for name in self.coef})


def centred(block: Block, centre: FloatArray) -> FloatArray:
    """Inputs above the training mean, 0 where the modality is absent; (patients, features)."""
    x, has = block
    return np.where(has[:, None], x - centre, 0.0)


def anyone(blocks: Blocks) -> BoolArray:
    """Who has any of the modalities; (patients,)."""
    return np.asarray(np.any([has for _, has in blocks.values()], axis=0))
