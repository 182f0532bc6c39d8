"""Moments of each patient's tiles, read once for all folds (`BagData.moments`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._types import AnyArray, FloatArray, IntArray
from survfuse.cohort.modalities import BagData

MOST_TILES = 2000  # of one patient, so that one huge slide does not set the scale
BLOCK = 16_384  # tiles added up at a time
BUDGET = 256 * 2**20  # bytes remembered per store; beyond it moments are computed anew


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of the tiles of one patient.

    Attributes
    ----------
    count : int
        Tiles of what follows: all, or `MOST_TILES`, evenly spaced.
    mean, squares, largest : array, (features,)
        Mean, sum of squared deviations, and largest absolute value.
    mean_of_all : array, (features,)
        Mean of every tile.
    """

    count: int
    mean: FloatArray
    squares: FloatArray
    largest: FloatArray
    mean_of_all: FloatArray


def tile_moments(data: BagData, patient: str) -> Moments:
    """Moments of the tiles of one patient who has some."""
    known = data.moments
    if patient in known:
        moments: Moments = known[patient]
        return moments
    moments = _moments(data, patient)
    if (len(known) + 1) * 4 * moments.mean.nbytes <= BUDGET:
        known[patient] = moments
    return moments


def spaced(rows: IntArray, most: int) -> IntArray:
    """At most so many of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _moments(data: BagData, patient: str) -> Moments:
    features: AnyArray = data.store.features
    rows = data.rows(patient)
    few = spaced(rows, MOST_TILES)
    block = np.asarray(features[few], np.float64)
    mean = mean_of_all = block.mean(axis=0)
    if len(few) < len(rows):
        sums = []
        for start in range(0, len(rows), BLOCK):
            part = features[rows[start : start + BLOCK]]
            sums.append(part.sum(axis=0, dtype=np.float64))
        mean_of_all = np.sum(sums, axis=0) / len(rows)
    squares = ((block - mean) ** 2).sum(axis=0)
    return Moments(len(few), mean, squares, np.abs(block).max(axis=0), mean_of_all)
