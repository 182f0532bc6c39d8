"""One vector per patient and modality: transformed vectors, and mean tiles of bags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.principal_components import principal_axes

Block = tuple[FloatArray, BoolArray]
"""Values (patients, features) of one modality, and who has it (patients,)."""
Blocks = Mapping[str, Block]


def centred(block: Block, centre: FloatArray) -> FloatArray:
    """Inputs above the training mean, 0 where the modality is absent; (patients, features)."""
    x, has = block
    return np.where(has[:, None], x - centre, 0.0)


def any_present(blocks: Blocks) -> BoolArray:
    """Who has any of the modalities; (patients,)."""
    return np.asarray(np.any([has for _, has in blocks.values()], axis=0))


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of some rows.

    Attributes
    ----------
    centre : array, (features,)
    axes : array, (components, features)
        Orthonormal.
    deviations : array, (components,)
        Standard deviation of each among the rows it was fitted on, falling.
    """

    centre: FloatArray
    axes: FloatArray
    deviations: FloatArray

    @classmethod
    def fit(cls, x: FloatArray, most: int) -> Components:
        """Fit at most `most` components to the rows of `x`.

        Raises
        ------
        NotComputableError
            When all rows are equal.
        """
        centre = x.mean(axis=0)
        axes, deviations = principal_axes(x - centre, most)
        if len(axes) == 0:
            raise NotComputableError(
                "the training patients' mean tiles are all equal; nothing to learn from",
            )
        return cls(centre, axes, deviations)

    @property
    def standard(self) -> FloatArray:
        """Map onto scores of unit variance; (features, components)."""
        return np.asarray(self.axes.T / self.deviations)

    @property
    def relative(self) -> FloatArray:
        """Map onto scores in proportion, the first of unit variance; (features, components)."""
        return np.asarray(self.axes.T / self.deviations[0])
