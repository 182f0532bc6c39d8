"""Slides of simulated patients as bags of made-up features, and the class of every tile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._storage import atomic_path
from survfuse._types import ByteArray, FloatArray
from survfuse.datasets.population import Patients
from survfuse.datasets.simulated_tissue import (
    CLASSES,
    TILE_MPP,
    TissueWorld,
    draw_slides,
)
from survfuse.datasets.writing import write_bags

ENCODER = "simulated"


def write_slide_bags(
    folder: Path,
    world: TissueWorld,
    patients: Patients,
    present: pd.Series[bool],
    *,
    tiles: int,
    slides: int,
    seed: np.random.SeedSequence,
) -> FloatArray:
    """Write ``slides.bags``, and ``truth_tissue.npy`` with the class of each of its tiles.

    Parameters
    ----------
    folder : path
    world : TissueWorld
    patients : Patients
    present : Series of bool, indexed by patient id
        Whose slides are written.
    tiles, slides, seed
        As :func:`survfuse.datasets.simulated_tissue.draw_slides` takes them.

    Returns
    -------
    ndarray, (patients, classes)
        Share of each class in all tiles of a patient, written or not.

    Raises
    ------
    InputError
        When nobody has a slide.
    """
    row_of = {name: row for row, name in enumerate(patients.ids)}
    counts = np.zeros((len(row_of), len(CLASSES)), dtype=np.int64)
    written: list[ByteArray] = []

    def bags() -> Iterator[tuple[str, str, npt.NDArray[np.float16], FloatArray]]:
        for slide in draw_slides(
            world,
            patients,
            tiles=tiles,
            slides=slides,
            seed=seed,
        ):
            tissue = np.bincount(slide.tissue, minlength=len(CLASSES))
            counts[row_of[slide.patient_id]] += tissue
            if present[slide.patient_id]:
                written.append(slide.tissue)
                yield slide.slide_id, slide.patient_id, slide.features, slide.coords

    write_bags(bags(), folder / "slides.bags", encoder=ENCODER, mpp=TILE_MPP)
    with atomic_path(folder / "truth_tissue.npy") as path, path.open("wb") as file:
        np.save(file, np.concatenate(written))
    shares: FloatArray = counts / counts.sum(axis=1, keepdims=True)
    return shares
