"""Layout of a painted slide: the outline of its tissue, and regions of one class each.

Maps are coarse, `STEP` pixels of 0.5 µm a cell; painting makes their edges smooth.
"""

from __future__ import annotations

import cv2
import numpy as np

from survfuse._types import BoolArray, ByteArray, Float32Array, FloatArray
from survfuse.datasets.simulated_tissue import CLASSES

STEP = 8  # px of 0.5 µm per cell, that is 4 µm
BACKGROUND = CLASSES.index("background")

_REGIONS = 9
_TUMOUR_REGIONS = 3  # at least so many of them
_CHIP_SHARE = 0.3  # of slides that hold several chips instead of one piece


def draw_layout(
    height: int,
    width: int,
    shares: FloatArray,
    rng: np.random.Generator,
) -> tuple[ByteArray, int]:
    """Draw the class of every cell of a slide.

    Parameters
    ----------
    height, width : int, cells
    shares : ndarray, (classes - 1,)
        Probability of each class of tissue in a region; they add up to 1.
    rng : Generator

    Returns
    -------
    classes : ndarray, (height, width) uint8
        Index into :data:`survfuse.datasets.simulated_tissue.CLASSES`; glass is `BACKGROUND`.
    chips : int
        Number of pieces of tissue.
    """
    chips = int(rng.integers(2, 6)) if rng.random() < _CHIP_SHARE else 1
    lumen = _noise(height, width, 9, rng) > 2.1
    tissue = _outline(height, width, chips, rng) & ~lumen
    classes = _regions(tissue, shares, rng)
    classes[~tissue] = BACKGROUND
    return classes, chips


def _noise(
    height: int,
    width: int,
    period: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Smooth noise of about unit variance, `period` cells from hill to hill."""
    shape = (int(height / period) + 3, int(width / period) + 3)
    small = rng.standard_normal(shape, dtype=np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large * 1.25, dtype=np.float32)


def _outline(
    height: int,
    width: int,
    chips: int,
    rng: np.random.Generator,
) -> BoolArray:
    """Where tissue is: one large ragged ellipse, or several small ones in cells of a board."""
    rows, columns = (1, 1) if chips == 1 else (2, 2 if chips <= 4 else 3)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    side = min(height, width)
    ragged = 0.12 * _noise(height, width, 0.08 * side, rng)
    ragged += 0.04 * _noise(height, width, 0.022 * side, rng)
    tissue = np.zeros((height, width), dtype=bool)
    for cell in rng.permutation(rows * columns)[:chips].tolist():
        row, column = divmod(cell, columns)
        centre_y = height * (row + rng.uniform(0.45, 0.55)) / rows
        centre_x = width * (column + rng.uniform(0.45, 0.55)) / columns
        radius_y = height / rows * rng.uniform(0.3, 0.42)
        radius_x = width / columns * rng.uniform(0.3, 0.42)
        away = np.hypot((y - centre_y) / radius_y, (x - centre_x) / radius_x)
        tissue |= away < 1 + ragged
    rim = max(1, round(0.015 * side))
    glass = np.ones_like(tissue)  # all round
    glass[rim:-rim, rim:-rim] = False
    return tissue & ~glass


def _regions(
    tissue: BoolArray,
    shares: FloatArray,
    rng: np.random.Generator,
) -> ByteArray:
    """Class of the nearest of a few centres, by distances that are bent a little."""
    height, width = tissue.shape
    inside = np.argwhere(tissue).astype(np.float32)
    centres = inside[rng.integers(len(inside), size=_REGIONS)]
    classes = rng.choice(
        len(shares),
        size=_REGIONS,
        p=shares,
    ).astype(np.uint8)
    classes[:_TUMOUR_REGIONS] = 0
    y, x = np.mgrid[:height, :width].astype(np.float32)
    side = min(height, width)
    y += 0.04 * side * _noise(height, width, 0.085 * side, rng)
    x += 0.04 * side * _noise(height, width, 0.085 * side, rng)
    squared = [(y - cy) ** 2 + (x - cx) ** 2 for cy, cx in centres]
    return np.asarray(classes[np.argmin(squared, axis=0)])
