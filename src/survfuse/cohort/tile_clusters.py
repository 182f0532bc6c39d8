"""Clusters of tiles that look alike to the encoder, learned from training tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._errors import InputError
from survfuse._storage import stored_array
from survfuse._types import AnyArray, FloatArray, IntArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_moments import spaced
from survfuse.cohort.transform_bags import BagScaler

CLUSTERS, SEED = 24, 0
TILES_OF_A_PATIENT = 100  # evenly spaced
LEAST_TILES = 10  # of a cluster, on average
MOST_TILES = 50_000
"""Tiles of all patients that are clustered, so that memory does not grow with the cohort."""


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
        """Cluster the tiles of training patients, evenly many of each and at most 100.

        Parameters
        ----------
        data : BagData
        patients : sequence of str
            Training patients who have tiles; their order does not matter.
        scaler : BagScaler
        count : int
            Clusters; fewer where they would have fewer than ten tiles, so that a centre is no
            single patient's tile, or where tiles do not differ.
        """
        # not at the top: assigning tiles needs no scikit-learn
        from sklearn.cluster import MiniBatchKMeans

        most = max(1, min(TILES_OF_A_PATIENT, MOST_TILES // len(patients)))
        blocks = []
        for patient in sorted(patients):
            rows = spaced(data.rows(patient), most)
            blocks.append(scaler.scale(data.store.features[rows]))
        tiles = np.concatenate(blocks)
        count = _distinct(tiles, max(1, min(count, len(tiles) // LEAST_TILES)))
        means = MiniBatchKMeans(count, batch_size=4096, n_init=3, random_state=SEED)
        means.fit(tiles)
        unordered = cls(means.cluster_centers_.astype(np.float64), np.zeros(count))
        counts = np.bincount(unordered.assign(tiles), minlength=count)
        order = np.argsort(-counts, kind="stable")
        return cls(unordered.centres[order], counts[order] / counts.sum())

    def __len__(self) -> int:
        return len(self.shares)

    def assign(self, tiles: AnyArray) -> IntArray:
        """Nearest centre of each scaled tile (tiles, width); (tiles,)."""
        return self._nearest(np.asarray(tiles, np.float64) @ self.centres.T)

    def assign_stored(self, tiles: AnyArray, scaler: BagScaler) -> IntArray:
        """Nearest centre of each tile (tiles, dim) as it is stored; (tiles,)."""
        return self._nearest(scaler.products(tiles, self.centres))

    def distances(self, tiles: AnyArray) -> FloatArray:
        """Squared distance of each scaled tile to each centre; (tiles, clusters)."""
        scaled = np.asarray(tiles, np.float64)
        squares = (scaled**2).sum(axis=1, keepdims=True) + (self.centres**2).sum(axis=1)
        return np.asarray(np.maximum(squares - 2 * scaled @ self.centres.T, 0.0))

    def _nearest(self, products: FloatArray) -> IntArray:
        squares = (self.centres**2).sum(axis=1) / 2
        return np.asarray((products - squares).argmax(axis=1))

    def arrays(self) -> dict[str, FloatArray]:
        """Everything learned."""
        return {"centres": self.centres, "shares": self.shares}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        prefix: str,
        width: int,
    ) -> TileClusters:
        """Read what :meth:`arrays` gave under a prefix, for tiles of a width.

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


def fit_clusters(
    cohort: Cohort,
    patients: Sequence[str],
    scalers: Mapping[str, BagScaler],
) -> dict[str, TileClusters]:
    """Cluster the training tiles of each bag.

    Parameters
    ----------
    cohort : Cohort
    patients : sequence of str
        Training patients.
    scalers : mapping of bag to BagScaler
    """
    clusters = {}
    for name, scaler in scalers.items():
        data = cohort.modalities[name]
        assert isinstance(data, BagData)
        own = set(data.patients).intersection(patients)
        clusters[name] = TileClusters.fit(data, sorted(own), scaler)
    return clusters


def _distinct(tiles: AnyArray, most: int) -> int:
    """Count different tiles, up to so many."""
    seen = set()
    for tile in tiles:
        seen.add((tile + 0.0).tobytes())
        if len(seen) == most:
            break
    return len(seen)
