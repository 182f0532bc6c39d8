"""Damage to packed tiles, as a disk would do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from survfuse.readers.bags import BagStore


def damage(store: Path, patient: str) -> None:
    """Change the first tile of a patient in a packed store."""
    first = BagStore.open(store).rows(patient)[0].start
    tiles = np.load(store / "features.npy", mmap_mode="r+")
    tiles[first] += 1
    tiles.flush()
