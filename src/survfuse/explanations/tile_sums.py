"""Sums over the tiles of one patient that make up a term."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class TileSums:
    """Tiles of one patient: the term is the presence, a weighted sum over tiles, and a remainder.

    A reader of tiles has one pooling; members of an ensemble, and models within a stack, each
    have their own.

    Attributes
    ----------
    risks : array, (tiles, poolings)
        What each pooling averages: weights times what is read of a tile, minus the reference.
    scores : array, (tiles, poolings)
        The weights of a pooling are the softmax of its scores.
    clusters : array of int, (tiles,), or None
        Where the model holds no clusters.
    value, presence : float
        The term; its value for a bag with the mean reading, or without any tile.
    linear : bool
        Whether the term is linear in the weighted sums.
    removal : array, (tiles,), or None
        Exact change of the term without each tile; None where it was not computed.
    """

    risks: FloatArray
    scores: FloatArray
    clusters: IntArray | None
    value: float
    presence: float
    linear: bool = True
    removal: FloatArray | None = None

    @classmethod
    def none(cls, value: float) -> TileSums:
        """Of a patient without tiles: the term is that of absence."""
        nothing = np.zeros((0, 1))
        return cls(
            nothing,
            nothing,
            np.zeros(0, np.int64),
            value,
            value,
            removal=np.zeros(0),
        )

    def __len__(self) -> int:
        return len(self.risks)

    def with_removal(self, removal: FloatArray | None) -> Self:
        """Add the change of the term without each tile."""
        return replace(self, removal=removal)

    @cached_property
    def weights(self) -> FloatArray:
        """Weights of each pooling, which add up to 1; (tiles, poolings)."""
        return softmax(self.scores)

    @property
    def tile_risk(self) -> FloatArray:
        """The term, but for the presence, had the patient only such tiles; (tiles,)."""
        return np.asarray(self.risks.sum(axis=1))

    @property
    def share(self) -> FloatArray:
        """Weight of each tile: of several poolings, their mean by what each adds; (tiles,)."""
        weights = self.weights
        added = np.abs(weights * self.risks).sum(axis=0)
        if not added.any():
            added = np.ones(len(added))
        return np.asarray(weights @ (added / added.sum()))

    @property
    def contribution(self) -> FloatArray:
        """Part of the term that each tile is; (tiles,)."""
        return np.asarray((self.weights * self.risks).sum(axis=1))

    @property
    def remainder(self) -> float:
        """Part of the term that is neither tiles nor presence: rounding where it is linear."""
        return float(self.value - self.presence - self.contribution.sum())

    def removed_linearly(self) -> FloatArray:
        """Change of a linear term without each tile; (tiles,), of two or more."""
        pooled = (self.weights * self.risks).sum(axis=0)
        return np.asarray(
            (self.pooled_without(self.risks, self.scores) - pooled).sum(axis=1)
        )

    @staticmethod
    def pooled_without(values: FloatArray, scores: FloatArray) -> FloatArray:
        """Weighted mean of values without each tile.

        Parameters
        ----------
        values, scores : array, (tiles, columns)
            Of two tiles or more.

        Returns
        -------
        array, (tiles, columns)
        """
        weights = softmax(scores)
        pooled, rest = (weights * values).sum(axis=0), 1 - weights
        # a tile that has all the weight leaves a rest of rounding: pool the others anew
        peaks = scores.argmax(axis=0)
        columns = np.arange(scores.shape[1])
        rest[peaks, columns] = 1.0
        without = (pooled - weights * values) / rest
        others = scores.copy()
        others[peaks, columns] = -np.inf
        without[peaks, columns] = (softmax(others) * values).sum(axis=0)
        return np.asarray(without)

    def removed(self, order: IntArray) -> FloatArray:
        """The term while tiles are taken away one after another: a deletion curve.

        Parameters
        ----------
        order : array of int, (tiles,)
            Which tile goes first, second, and so on.

        Returns
        -------
        array, (tiles,)
            After 0, 1, ... tiles; the last one is of a single tile. Costs one pass.

        Raises
        ------
        NotComputableError
            When the term is not linear in what is read of the bag.
        """
        if not self.linear:
            raise NotComputableError(
                "removed: the term is not linear in what is read of the bag; predict without the "
                "tiles instead",
            )
        weights = self.weights[order]
        left = _summed_from_the_end(weights)
        risks = _summed_from_the_end(weights * self.risks[order])
        means = np.divide(risks, left, out=np.full_like(left, np.nan), where=left > 0)
        return np.asarray(self.presence + means.sum(axis=1))


def softmax(scores: FloatArray) -> FloatArray:
    """Positive weights that add up to 1 over tiles (tiles, poolings)."""
    weights = np.exp(scores - scores.max(axis=0, initial=-np.inf))
    return np.asarray(weights / weights.sum(axis=0))


def _summed_from_the_end(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values[::-1], axis=0)[::-1])
