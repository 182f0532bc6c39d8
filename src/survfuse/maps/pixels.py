"""A score as numbers and as a picture of one pixel a tile, for viewers that place it themselves."""

from __future__ import annotations

import numpy as np

from survfuse.maps.colours import colours
from survfuse.maps.overlay import png_bytes
from survfuse.maps.slide_map import SlideMap


def pixel_png(slide_map: SlideMap, name: str) -> bytes:
    """A score as PNG of one pixel a tile, RGBA; transparent where no tile lies.

    `SlideMap.described` says where it belongs: `origin` and `step`.

    Raises
    ------
    InputError
        For a score that the map does not have.
    """
    return png_bytes(colours(slide_map.score(name), slide_map.image_of(name)))


def float32_bytes(slide_map: SlideMap, name: str) -> bytes:
    """A score as numbers: float32, little endian, row after row; NaN where no tile lies.

    Raises
    ------
    InputError
        For a score that the map does not have.
    """
    return slide_map.image_of(name).astype(np.dtype("<f4")).tobytes()
