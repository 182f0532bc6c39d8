"""Colours of maps: symmetric about 0, told apart by colour-blind people, grey where in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from survfuse._types import ByteArray, FloatArray
from survfuse.maps.scores import Score

BLUE_ORANGE = (
    (0x0B, 0x3C, 0x6F),
    (0x4F, 0x97, 0xC8),
    (0xF4, 0xF1, 0xEA),
    (0xE8, 0x8B, 0x3A),
    (0x8A, 0x34, 0x06),
)
"""From lowering the risk to raising it; its middle is light."""
WHITE_PURPLE = ((0xF6, 0xF2, 0xF9), (0x9A, 0x72, 0xB5), (0x3B, 0x0F, 0x55))
GREYS = ((0x3C, 0x44, 0x4B), (0xF0, 0xF1, 0xF2), (0x3C, 0x44, 0x4B))
"""Of diverging scores that do not reproduce: size is seen, direction is not."""
LIGHT_GREYS = ((0xF6, 0xF6, 0xF6), (0x3C, 0x44, 0x4B))
CATEGORIES = (
    (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E), (0x2C, 0xA0, 0x6A), (0xC4, 0x3C, 0x5C),
    (0x94, 0x67, 0xBD), (0xC8, 0xD8, 0x08), (0xF8, 0xC8, 0xA8), (0x68, 0x58, 0x08),
    (0xF8, 0x28, 0xB8), (0x68, 0xE8, 0xF8), (0x58, 0xE8, 0x58), (0x08, 0x48, 0xD8),
    (0xD8, 0xC8, 0xF8), (0xD8, 0x08, 0x18), (0x18, 0x68, 0x68), (0xD8, 0xA8, 0x38),
    (0xB8, 0xD8, 0x78), (0x78, 0x48, 0x48), (0x48, 0x88, 0x08), (0xF8, 0x88, 0xC8),
    (0x98, 0x28, 0xB8), (0xF8, 0x88, 0x68), (0x98, 0x38, 0x08), (0xA8, 0xC8, 0xA8),
    (0x08, 0xE8, 0x98), (0x18, 0x78, 0xE8), (0x98, 0x28, 0x78), (0xC8, 0x88, 0x98),
    (0x48, 0x68, 0x38), (0xE8, 0x78, 0xF8), (0xF8, 0x08, 0x58), (0x48, 0xE8, 0xC8),
    (0x78, 0x68, 0x88), (0x78, 0xB8, 0xE8), (0xA8, 0x98, 0x58), (0x88, 0x88, 0x08),
)  # fmt: skip
"""Of clusters, by number; they repeat where there are more. Each is the colour that lies farthest
(CIE 1976) from those before it, among those neither dark nor vivid: no two are nearer than 25."""
AT_ONCE = 2**16
"""Pixels that are coloured at a time; bounds memory, not the result."""


def colours(score: Score, image: FloatArray, alpha: float = 1.0) -> ByteArray:
    """Colour an image of a score.

    Parameters
    ----------
    score : Score
    image : array, (rows, columns)
        NaN is transparent.
    alpha : float
        Opacity of the rest, 0 to 1.

    Returns
    -------
    array of uint8, (rows, columns, 4)
        RGBA.
    """
    painted = np.empty((*image.shape, 4), np.uint8)
    step = max(1, AT_ONCE // max(1, image.shape[1]))
    for start in range(0, len(image), step):
        rows = slice(start, start + step)
        painted[rows] = _coloured(score, image[rows], alpha)
    return painted


def palette(score: Score) -> Sequence[tuple[int, int, int]]:
    """Colours of a score, evenly spaced from its lowest to its highest value."""
    if score.kind == "categories":
        return CATEGORIES
    if score.kind == "diverging":
        return GREYS if score.grey else BLUE_ORANGE
    return LIGHT_GREYS if score.grey else WHITE_PURPLE


def _coloured(score: Score, image: FloatArray, alpha: float) -> FloatArray:
    """RGBA of some rows of an image."""
    there = np.isfinite(image)
    numbers = np.where(there, image, score.centre)
    if score.kind == "categories":
        table = np.array(CATEGORIES, np.float64)
        rgb: FloatArray = table[numbers.astype(np.int64) % len(table)]
    else:
        share = (numbers - score.centre) / score.limit
        if score.kind == "diverging":
            share = (share + 1) / 2
        rgb = _between(palette(score), share.clip(0, 1))
    opaque = np.where(there, np.rint(255 * alpha), 0)[..., None]
    return np.concatenate([np.rint(rgb), opaque], axis=-1)


def _between(stops: Sequence[tuple[int, int, int]], share: FloatArray) -> FloatArray:
    """Colours at shares of the way from the first to the last of some colours."""
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(share, places, channel) for channel in np.array(stops).T]
    return np.stack(channels, axis=-1)
