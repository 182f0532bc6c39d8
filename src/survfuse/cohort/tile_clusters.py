"""Clusters of tiles that look alike to the encoder, learned from training tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from survfuse._errors import InputError
from survfuse._storage import stored_array
from survfuse._types import AnyArray, FloatArray, IntArray, State
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_moments import spaced
from survfuse.cohort.transform_bags import BagScaler

CLUSTERS, SEED = 24, 0
TILES_OF_A_PATIENT = 100  # evenly spaced


@dataclass(frozen=True, eq=False)
class TileClusters:
    """K-means centres of scaled training tiles.

    Attributes
    ----------
    centres : array, (clusters, width)
        In the space of the scaled tiles, the most frequent cluster first.
    shares : array, (clusters,)
        Share of the training tiles that each has.
    """

    centres: FloatArray
    shares: FloatArray

    @classmethod
    def fit(
        cls,
        data: BagData,
        patients: Sequence[str],
        scaler: BagScaler,
        count: int = CLUSTERS,
    ) -> TileClusters:
        """Cluster the tiles of training patients, at most 100 of each.

        Parameters
        ----------
        data : BagData
        patients : sequence of str
            Training patients who have tiles; their order does not matter.
        scaler : BagScaler
        count : int
            Clusters; fewer where there are fewer tiles.
        """
        blocks = []
        for patient in sorted(patients):
            rows = spaced(data.rows(patient), TILES_OF_A_PATIENT)
            blocks.append(scaler.scale(data.store.features[rows]))
        tiles = np.concatenate(blocks)
        count = min(count, len(np.unique(tiles, axis=0)))
        means = MiniBatchKMeans(count, batch_size=4096, n_init=3, random_state=SEED)
        means.fit(tiles)
        centres = means.cluster_centers_.astype(np.float64)
        found = cls(centres, np.zeros(count))
        counts = np.bincount(found.assign(tiles), minlength=count)
        order = np.argsort(-counts, kind="stable")
        return cls(centres[order], counts[order] / counts.sum())

    def assign(self, tiles: AnyArray) -> IntArray:
        """Nearest centre of each scaled tile; (tiles,)."""
        squares = (self.centres**2).sum(axis=1) / 2
        return np.asarray((tiles @ self.centres.T - squares).argmax(axis=1))

    def state(self) -> State:
        """Everything learned."""
        return {}, {"centres": self.centres, "shares": self.shares}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        prefix: str,
        width: int,
    ) -> TileClusters:
        """Read what :meth:`state` gave under a prefix, for tiles of a width.

        Raises
        ------
        InputError
            When the arrays do not fit each other, or shares do not add up to 1.
        """
        centres = stored_array(arrays, f"{prefix}centres", (None, width))
        shares = stored_array(arrays, f"{prefix}shares", (len(centres),))
        if (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
            raise InputError(f"{prefix}shares: expected shares that add up to 1")
        return cls(centres.astype(np.float64), shares.astype(np.float64))
