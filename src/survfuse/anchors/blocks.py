"""One vector per patient and modality: transformed vectors as they are, bags as their mean tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.principal_components import principal_axes

Block = tuple[FloatArray, BoolArray]
"""Values (patients, features) of one modality, and who has it (patients,)."""
Blocks = Mapping[str, Block]


def read_blocks(source: BatchSource) -> dict[str, Block]:
    """Vector, or mean tile, of each patient in each modality, and who has it."""
    prepared = source.prepared
    return {
        name: (prepared.vectors[name].astype(np.float64), has)
        if name in prepared.vectors
        else source.mean_tiles(name)
        for name, has in prepared.present.items()
    }


def rows_of(blocks: Blocks, rows: BoolArray) -> dict[str, Block]:
    """Some patients of the blocks."""
    return {name: (x[rows], has[rows]) for name, (x, has) in blocks.items()}


def outcomes(cohort: Cohort, ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
    """Times and events of patients, in their order."""
    assert cohort.outcome is not None
    outcome = cohort.outcome.loc[list(ids)]
    return outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)


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
        """Find at most `most` components of the rows of `x`.

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

    def apply(self, x: FloatArray) -> FloatArray:
        """Scores of unit variance of any rows; (rows, components)."""
        return np.asarray((x - self.centre) @ self.standard)
