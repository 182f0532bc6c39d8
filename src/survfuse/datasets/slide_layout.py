"""Where what lies on a painted slide: the outline of its tissue, and regions of one class each.

Maps here are coarse, `STEP` pixels of 0.5 µm a cell; painting makes their edges smooth.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from survfuse.datasets.simulated_tissue import CLASSES

STEP = 8  # px of 0.5 µm per cell, that is 4 µm
BACKGROUND = CLASSES.index("background")

_REGIONS = 9
_TUMOUR_REGIONS = 3  # at least so many of them
_CANDIDATES = 4  # places tried for each region's centre; the one farthest from the others is taken
_CHIP_SHARE = 0.3  # of slides that hold several chips instead of one piece

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def draw_layout(
    height: int,
    width: int,
    shares: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[Bytes, int]:
    """Draw the class of every cell of a slide.

    Parameters
    ----------
    height, width : int, cells
    shares : ndarray, (classes - 1,)
        How likely a region is of each class of tissue; they add up to 1.
    rng : Generator

    Returns
    -------
    classes : ndarray, (height, width) uint8
        Index into :data:`survfuse.datasets.simulated_tissue.CLASSES`; glass is `BACKGROUND`.
    chips : int
        How many pieces of tissue were laid down.
    """
    chips = int(rng.integers(2, 6)) if rng.random() < _CHIP_SHARE else 1
    depth = _pieces(height, width, chips, rng)
    lumen = _noise(height, width, 9, rng) > 2.1
    tissue = (depth > 0) & ~lumen
    classes = _regions(tissue, shares, rng)
    classes[~tissue] = BACKGROUND
    return classes, chips


def _noise(height: int, width: int, period: float, rng: np.random.Generator) -> Floats:
    """Smooth noise of about unit variance, `period` cells from hill to hill."""
    small = rng.standard_normal(
        (int(height / period) + 3, int(width / period) + 3),
        dtype=np.float32,
    )
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large * 1.25, dtype=np.float32)


def _pieces(height: int, width: int, chips: int, rng: np.random.Generator) -> Floats:
    """How deep inside a piece of tissue each cell lies, above 0 inside; pieces may touch."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    side = min(height, width)
    ragged = 0.10 * _noise(height, width, 0.08 * side, rng) + 0.04 * _noise(
        height,
        width,
        0.022 * side,
        rng,
    )
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    for cy, cx, ry, rx in _places(height, width, chips, rng):
        turn = rng.uniform(0, np.pi) if chips > 1 else rng.normal(0, 0.15)
        along = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / rx
        across = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / ry
        angle = np.arctan2(across, along)
        outline = np.ones_like(angle)
        for waves in (2, 3, 5):
            outline += rng.normal(0, 0.16 / waves) * np.cos(
                waves * angle + rng.uniform(0, 2 * np.pi),
            )
        depth = np.maximum(depth, outline - np.hypot(along, across) + ragged)
    margin = np.minimum(
        np.minimum(y, height - 1 - y) / height,
        np.minimum(x, width - 1 - x) / width,
    )
    depth[margin < 0.015] = -1.0  # glass all round
    return depth


def _places(
    height: int,
    width: int,
    chips: int,
    rng: np.random.Generator,
) -> list[tuple[float, float, float, float]]:
    """Centre and half axes of each piece, in cells."""
    if chips == 1:
        cy, cx = height * rng.uniform(0.47, 0.53), width * rng.uniform(0.47, 0.53)
        return [
            (cy, cx, height * rng.uniform(0.34, 0.42), width * rng.uniform(0.34, 0.42)),
        ]
    # One chip in each of some cells of a 2 x 2 or 2 x 3 board.
    columns = 2 if chips <= 4 else 3
    chosen = rng.permutation(2 * columns)[:chips]
    places = []
    for cell in chosen:
        row, column = divmod(int(cell), columns)
        cy = height * (row + rng.uniform(0.43, 0.57)) / 2
        cx = width * (column + rng.uniform(0.43, 0.57)) / columns
        size = min(height / 2, width / columns) * rng.uniform(0.35, 0.45)
        stretch = rng.uniform(1.0, 1.35)
        places.append((cy, cx, size / stretch, size * stretch))
    return places


def _regions(
    tissue: npt.NDArray[np.bool_],
    shares: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> Bytes:
    """Class of the nearest of a few centres, by distances that are bent a little."""
    height, width = tissue.shape
    inside = np.argwhere(tissue).astype(np.float32)
    centres = [inside[rng.integers(len(inside))]]
    while len(centres) < _REGIONS:
        tried = inside[rng.integers(len(inside), size=_CANDIDATES)]
        nearest = np.min(
            [((tried - centre) ** 2).sum(axis=1) for centre in centres],
            axis=0,
        )
        centres.append(tried[int(nearest.argmax())])
    classes = rng.choice(len(shares), size=_REGIONS, p=shares)
    order = rng.permutation(_REGIONS)
    classes[order[:_TUMOUR_REGIONS]] = 0
    y, x = np.mgrid[:height, :width].astype(np.float32)
    side = min(height, width)
    for axis in (y, x):
        axis += 0.035 * side * _noise(height, width, 0.085 * side, rng)
        axis += 0.014 * side * _noise(height, width, 0.03 * side, rng)
    squared = np.stack([(y - cy) ** 2 + (x - cx) ** 2 for cy, cx in centres])
    return np.asarray(classes.astype(np.uint8)[squared.argmin(axis=0)])
