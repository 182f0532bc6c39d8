"""Copies of a packed store: the slides of some patients, in a folder of their own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._places import staged_folder
from survfuse.readers.bag_files import Index, MatrixWriter
from survfuse.readers.bags import BagStore

_ROWS = 2**16  # copied at once


def copy_store(store: BagStore, patients: Collection[str], out: Path) -> None:
    """Write the slides of some patients as a new packed store, whole or not at all.

    Parameters
    ----------
    store : BagStore
        Its tiles are verified first.
    patients : collection of str
        Those with tiles in the store.
    out : path
        The folder to make, by convention ``NAME.bags``.

    Raises
    ------
    FeatureFileError
        When `out` exists, the disk is full, or tiles are not those that were packed.
    """
    if out.exists():
        raise FeatureFileError(f"{out}: exists; choose another folder")
    chosen = set(patients)
    store.verify(chosen)
    slides, start = [], 0
    with staged_folder(out, error=FeatureFileError) as folder:
        features = MatrixWriter(
            folder / "features.npy", store.dim, store.features.dtype
        )
        coords = MatrixWriter(folder / "coords.npy", 2, np.dtype(np.float64))
        try:
            for slide in store.slides:
                if slide.patient_id not in chosen:
                    continue
                for first in range(slide.start, slide.stop, _ROWS):
                    rows = slice(first, min(first + _ROWS, slide.stop))
                    features.append(store.features[rows])
                    coords.append(store.all_coords[rows])
                slides.append(replace(slide, start=start, stop=start + slide.tiles))
                start += slide.tiles
            features.finish()
            coords.finish()
        finally:
            features.close()
            coords.close()
        index = store.index
        Index(
            tuple(slides),
            index.dim,
            index.dtype,
            index.encoder,
            index.mpp,
            index.options,
        ).write(folder)
