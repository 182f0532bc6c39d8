"""Cohorts whose slides have known corners, and a study of them: made once for all tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
import pandas as pd

from builders import cohort_files
from running import quick
from survfuse.cohort import load_cohort
from survfuse.estimator import SurvivalFusion
from survfuse.evaluation import cross_validate
from survfuse.slides.opening import open_slide
from survfuse.slides.reading import Pixels, SlideReader
from survfuse.viewer.bundle_study import BundleStudy

_FOLDER = tempfile.TemporaryDirectory(prefix="survfuse-viewer-")
RED, PALE = (200, 0, 0), (236, 236, 246)
FIRST, SECOND = "001_0", "001_20"
"""Slides of patient 001: at 0.5 µm/px, and at 0.25 with a scanned area that begins elsewhere."""
BOUNDS = (400, 200, 2400, 1600)
PLACES: dict[str, dict[str, Any]] = {
    FIRST: {"size": (1600, 1200), "start": (0, 0), "grid": (16, 12), "side": 100},
    SECOND: {"size": (3000, 2000), "start": (400, 200), "grid": (12, 8), "side": 200},
}
SCALES = {FIRST: 0.5, SECOND: 0.25}


class Bounded(SlideReader):
    """A reader that says where the scanned area lies, as those of MRXS and others do."""

    def __init__(self, inner: SlideReader, bounds: tuple[int, int, int, int]) -> None:
        self.inner, self.bounds = inner, bounds
        self.path, self.levels, self.scales = inner.path, inner.levels, inner.scales
        self.vendor, self.notes = inner.vendor, inner.notes
        self.sample_bits = inner.sample_bits

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        return self.inner.region(level, x, y, width, height)

    def close(self) -> None:
        self.inner.close()


def opened(path: Path) -> SlideReader:
    """Open a slide; the second one with bounds."""
    reader = open_slide(path)
    return Bounded(reader, BOUNDS) if path.stem == SECOND else reader


@cache
def cohort_file() -> Path:
    """20 patients: two slides of 001, none of 002, no picture of a grid for the others."""
    root = Path(_FOLDER.name) / "cohort"
    root.mkdir()
    files = cohort_files(root, patients=20, spec={"groups": {"site": _site()}})
    assert files.slides is not None
    files.slides = files.slides[files.slides["patient_id"] != "002"]
    files.slides["path"] = [f"images/{name}.tif" for name in files.slides["slide_id"]]
    files.slides["mpp"] = [SCALES.get(name, 0.5) for name in files.slides["slide_id"]]
    bags, files.bags = files.bags, {}
    path = files.write()
    for name in files.slides["slide_id"]:
        _write_slide(root, name, bags[name])
    return path


def _site() -> dict[str, str]:
    return {"table": "patients.csv", "column": "site"}


def _write_slide(root: Path, name: str, bag: np.ndarray) -> None:
    """A slide whose last tile is red, and features of its tiles."""
    usual = {"size": (300, 100), "start": (0, 0), "grid": (len(bag), 1), "side": 20}
    place = PLACES.get(name, usual)
    (left, top), (columns, rows) = place["start"], place["grid"]
    side, (width, height) = place["side"], place["size"]
    where = [(c, r) for r in range(rows) for c in range(columns)]
    corners = np.array([left, top]) + side * np.array(where)
    image = np.full((height, width, 3), PALE, np.uint8)
    x, y = corners[-1]
    image[y : y + side, x : x + side] = RED
    write_pyramid(root / "images" / f"{name}.tif", image, SCALES.get(name, 0.5))
    generator = np.random.default_rng(crc32(name.encode()))
    features = generator.normal(1, 2, (len(corners), bag.shape[1]))
    (root / "features").mkdir(exist_ok=True)
    with h5py.File(root / "features" / f"{name}.h5", "w") as file:
        file["features"] = features.astype(np.float32)
        coords = file.create_dataset("coords", data=corners)
        coords.attrs["patch_size_level0"] = side
        coords.attrs["patch_size"] = 100


def write_pyramid(path: Path, image: np.ndarray, mpp: float, levels: int = 2) -> Path:
    """Write an image as a tiled TIFF without loss, each level half of the one before."""
    import tifffile

    path.parent.mkdir(exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        for level in range(levels):
            file.write(
                np.ascontiguousarray(image[:: 2**level, :: 2**level]),
                photometric="rgb",
                tile=(256, 256),
                compression="deflate",
                subfiletype=1 if level else 0,
                resolution=(1e4 / (mpp * 2**level),) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path


@cache
def model() -> SurvivalFusion:
    return quick(fusion="late_cox").fit(load_cohort(cohort_file()))


@cache
def bundle() -> Path:
    return model().save(Path(_FOLDER.name) / "bundle")


@cache
def run() -> Path:
    """A run of two folds, without controls."""
    out = Path(_FOLDER.name) / "run"
    cohort = load_cohort(cohort_file())
    options: dict[str, Any] = {"folds": 2, "networks": False, "controls": False}
    cross_validate(quick(fusion="late_cox"), cohort, out=out, **options)
    return out


@cache
def study() -> BundleStudy:
    """A bundle's view of the cohort."""
    model()
    return BundleStudy(
        SurvivalFusion.load(bundle()),
        load_cohort(cohort_file(), need_outcome=False),
        bundle(),
    )


def spoilt(root: Path, how: str) -> Path:
    """The cohort again, with the image of slide SECOND "absent", "empty", "cut" or "replaced"."""
    place = root / "spoilt"
    shutil.copytree(cohort_file().parent, place)
    image = place / "images" / f"{SECOND}.tif"
    if how == "absent":
        image.unlink()
    elif how == "empty":
        image.write_bytes(b"")
    elif how == "cut":
        image.write_bytes(image.read_bytes()[:-600])
    else:
        write_pyramid(image, np.full((300, 400, 3), PALE, np.uint8), 0.25)
    return place / cohort_file().name


SPOILT = {
    "absent": r"001_20.tif is not there",
    "empty": r"001_20.tif: ",
    "cut": r"001_20.tif: ",
    "replaced": r"slide '001_20': a tile at .* of another slide",
}
"""What is said of it, by how."""


def nowhere(root: Path) -> Path:
    """The cohort again, without the places of the tiles of slide SECOND."""
    place = root / "nowhere"
    shutil.copytree(cohort_file().parent, place)
    with h5py.File(place / "features" / f"{SECOND}.h5", "a") as file:
        del file["coords"]
    return place / cohort_file().name


def renamed(root: Path, ids: Sequence[str]) -> Path:
    """The cohort again, in which the patients from 003 on are called otherwise."""
    shutil.copytree(cohort_file().parent, root)
    new = {f"{number:03d}": name for number, name in enumerate(ids, 3)}
    for name in ("patients.csv", "rna.csv", "slides.csv"):
        table = pd.read_csv(root / name, dtype=str, keep_default_na=False)
        table["patient_id"] = table["patient_id"].replace(new)
        table.to_csv(root / name, index=False)
    return root / cohort_file().name


def vast(root: Path, side: float) -> Path:
    """The cohort again, with another side of the tiles of slide SECOND."""
    place = root / "vast"
    shutil.copytree(cohort_file().parent, place)
    with h5py.File(place / "features" / f"{SECOND}.h5", "a") as file:
        file["coords"].attrs["patch_size_level0"] = side
    return place / cohort_file().name
