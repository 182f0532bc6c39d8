"""Simulated tiles: tissue classes in regions, and factors that only tumour tiles show.

Each slide is a set of regions (Voronoi cells on the tile grid) of one tissue class
each. A tile's features are its class mean, plus the patient's own shift, plus noise.
The prognostic factors move tumour tiles along fixed directions. Immune tiles move
along the *same* directions by unrelated amounts, so that the mean over all tiles
blurs what the mean over tumour tiles shows: attention has something to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._types import ByteArray, Float32Array, FloatArray
from survfuse.datasets.population import FACTORS, Patients

CLASSES = ("tumour", "immune", "stroma", "muscle", "necrosis", "background")
TILE_PIXELS = (
    448  # level-0 pixels per tile edge: 224 px at 0.5 µm/px on a 0.25 µm/px slide
)
TILE_MPP = 0.5  # µm per pixel of the tile as an encoder would see it

_CLASS_SD = 0.7
_FACTOR_SD = 0.15  # shift per dimension of a tumour tile for a factor of 1
_NUISANCE = 6  # directions of a patient's own shift (stain, scanner)
_NUISANCE_SD = 0.08
_NOISE_SD = 0.65
_REGIONS = 14
_TUMOUR_REGIONS = 3  # at least so many of them
_SHARES = np.array([3.0, 2.0, 3.0, 1.5, 0.7, 1.5])
_SPREAD = 0.5  # log-sd of the number of tiles


@dataclass(frozen=True)
class TissueWorld:
    """What all slides share.

    Attributes
    ----------
    means : ndarray, (classes, dim)
    directions : ndarray, (FACTORS, dim)
    nuisance : ndarray, (directions, dim)
    """

    means: Float32Array
    directions: Float32Array
    nuisance: Float32Array

    @property
    def dim(self) -> int:
        """Features per tile."""
        return int(self.means.shape[1])


@dataclass(frozen=True)
class Slide:
    """One simulated slide as its bag.

    Attributes
    ----------
    slide_id, patient_id : str
    features : ndarray, (tiles, dim) float16
    coords : ndarray, (tiles, 2) float64, level-0 px
    tissue : ndarray, (tiles,) uint8, index into `CLASSES`
    """

    slide_id: str
    patient_id: str
    features: npt.NDArray[np.float16]
    coords: FloatArray
    tissue: ByteArray


def tissue_world(
    dim: int,
    rng: np.random.Generator,
) -> TissueWorld:
    """Draw class means and factor directions for features of width `dim`."""

    def normal(rows: int, sd: float) -> Float32Array:
        return rng.standard_normal((rows, dim), dtype=np.float32) * np.float32(sd)

    return TissueWorld(
        normal(len(CLASSES), _CLASS_SD),
        normal(FACTORS, _FACTOR_SD),
        normal(_NUISANCE, _NUISANCE_SD),
    )


def draw_slides(
    world: TissueWorld,
    patients: Patients,
    *,
    tiles: int,
    slides: int,
    seed: np.random.SeedSequence,
) -> Iterator[Slide]:
    """Yield the slides of all patients, one at a time.

    Parameters
    ----------
    world : TissueWorld
    patients : Patients
    tiles : int
        Median number of tiles of a slide (lognormal).
    slides : int
        Most slides per patient; each has 1 to `slides`, uniformly.
    seed : SeedSequence
        Each patient gets a stream of its own, so that a patient's tiles do not
        depend on how many patients came before.
    """
    for row, (patient_id, child) in enumerate(
        zip(patients.ids, seed.spawn(len(patients.ids)), strict=True),
    ):
        rng = np.random.default_rng(child)
        shares = rng.dirichlet(_SHARES)
        shift = (
            rng.standard_normal(len(world.nuisance), dtype=np.float32) @ world.nuisance
        )
        decoy = rng.standard_normal(FACTORS)
        mean = world.means + shift
        mean[0] += patients.slide_factor[row].astype(np.float32) @ world.directions
        mean[1] += decoy.astype(np.float32) @ world.directions
        for number in range(1, int(rng.integers(1, slides + 1)) + 1):
            count = _tile_count(tiles, rng)
            coords = _grid(count, rng)
            tissue = _regions(coords, shares, rng)
            features = rng.standard_normal((count, world.dim), dtype=np.float32)
            features *= np.float32(_NOISE_SD)
            features += mean[tissue]
            yield Slide(
                f"{patient_id}_HE{number}",
                patient_id,
                features.astype(np.float16),
                coords,
                tissue,
            )


def _tile_count(median: int, rng: np.random.Generator) -> int:
    drawn = median * np.exp(np.clip(_SPREAD * rng.standard_normal(), -1.5, 1.5))
    return max(4, round(float(drawn)))


def _grid(count: int, rng: np.random.Generator) -> FloatArray:
    """Tile corners on the grid inside a rough ellipse: `count` cells nearest to its centre."""
    half = int(np.ceil(np.sqrt(count))) + 1
    x, y = np.meshgrid(np.arange(2 * half), np.arange(2 * half))
    aspect = np.exp(rng.uniform(-0.4, 0.4))
    distance = ((x - half) * aspect) ** 2 + ((y - half) / aspect) ** 2
    nearest = np.sort(
        np.argsort(
            distance,
            axis=None,
            kind="stable",
        )[:count],
    )
    cells = np.stack([x.ravel()[nearest], y.ravel()[nearest]], axis=1)
    return cells.astype(np.float64) * TILE_PIXELS


def _regions(
    coords: FloatArray,
    shares: FloatArray,
    rng: np.random.Generator,
) -> ByteArray:
    """Tissue class of each tile: that of the nearest of a few random centres."""
    centres = coords[rng.integers(0, len(coords), _REGIONS)] + rng.uniform(
        -1,
        1,
        (_REGIONS, 2),
    )
    classes = rng.choice(
        len(CLASSES),
        size=_REGIONS,
        p=shares,
    )
    classes[:_TUMOUR_REGIONS] = 0
    squared = ((coords[:, None, :] - centres[None]) ** 2).sum(
        axis=2,
    )  # (tiles, regions)
    tissue: ByteArray = classes[squared.argmin(axis=1)].astype(np.uint8)
    return tissue
