"""Moments of each patient's tiles, read once however many folds ask for them.

What is kept is about one patient's own tiles, never about several patients, so that it
carries nothing from one fold to another.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse.cohort.modalities import BagData

MOST_TILES = 2000  # of one patient for mean and deviation, so that one huge slide does not set the scale
BLOCK = 16_384  # tiles added up at a time
BUDGET = 256 * 2**20  # bytes kept per store; beyond it moments are computed anew

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of the tiles of one patient.

    Attributes
    ----------
    count : int
        Tiles looked at for what follows: all, or `MOST_TILES`, evenly spaced.
    mean, squares, largest : array, (features,)
        Mean, sum of squared deviations, and largest absolute value.
    mean_of_all : array, (features,)
        Mean of every tile.
    """

    count: int
    mean: Vector
    squares: Vector
    largest: Vector
    mean_of_all: Vector


_KNOWN: weakref.WeakKeyDictionary[Any, dict[str, Moments]] = weakref.WeakKeyDictionary()


def tile_moments(data: BagData, patient: str) -> Moments:
    """Moments of the tiles of one patient who has some."""
    known = _KNOWN.setdefault(data.store, {})
    if patient not in known:
        found = _moments(data, patient)
        if (len(known) + 1) * 4 * found.mean.nbytes > BUDGET:
            return found
        known[patient] = found
    return known[patient]


def _moments(data: BagData, patient: str) -> Moments:
    slices = data.store.rows(patient)
    rows = np.concatenate([np.arange(s.start, s.stop) for s in slices])
    few = rows
    if len(rows) > MOST_TILES:
        few = rows[np.linspace(0, len(rows) - 1, MOST_TILES).round().astype(np.int64)]
    block = np.asarray(data.store.features[few], np.float64)
    mean = block.mean(axis=0)
    total = mean
    if len(few) < len(rows):
        parts = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        total = np.sum(
            [data.store.features[part].sum(axis=0, dtype=np.float64) for part in parts],
            axis=0,
        )
        total /= len(rows)
    return Moments(
        len(few),
        mean,
        ((block - mean) ** 2).sum(axis=0),
        np.abs(block).max(axis=0),
        total,
    )
