"""A slide as levels of pixels: what every reader offers. Label and macro images are never read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from survfuse._errors import SlideError
from survfuse._types import BoolArray, ByteArray, IntArray
from survfuse.slides.scales import Scale

Pixels = ByteArray
Mask = BoolArray  # (height, width)
Indices = IntArray

MOST_PIXELS = 64 * 10**6
"""An image larger than this is never held whole."""
LONGEST_SIDE, MOST_SLIDE_PIXELS = 10**7, 10**11
"""Of a slide. Glass of 76 x 50 mm has 6 · 10^10 px at 0.25 µm/px."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid.

    Attributes
    ----------
    width, height : int, px
        Of this level.
    downsample : float
        Level-0 px per px of this level.
    """

    width: int
    height: int
    downsample: float


class SlideReader(ABC):
    """A slide that is open for reading; also a context manager.

    Attributes
    ----------
    path : Path
    levels : tuple of Level
        Finest first.
    scales : tuple of Scale
        Everything that the file says of µm/px of level 0, best source first.
    bounds : tuple of int, level-0 px
        x, y, width and height of the scanned area.
    vendor : str
        As OpenSlide names it.
    sample_bits : int
        Of one stored value of one colour; read as 8.
    notes : tuple of str
        What a person should know of the file.
    """

    path: Path
    levels: tuple[Level, ...]
    scales: tuple[Scale, ...]
    bounds: tuple[int, int, int, int]
    vendor: str
    sample_bits: int
    notes: tuple[str, ...]

    @property
    def mpp(self) -> float | None:
        """µm/px of level 0 as the file says it; None when it does not, or not plausibly."""
        for scale in self.scales:
            if scale.plausible and scale.power is None:
                return scale.mpp
        return None

    @abstractmethod
    def region(
        self,
        level: int,
        x: int,
        y: int,
        width: int,
        height: int,
    ) -> Pixels:
        """Read a rectangle of one level, (height, width, 3) RGB; outside the slide it is white.

        Parameters
        ----------
        level : int
        x, y, width, height : int, px of that level
            May reach beyond the slide.

        Raises
        ------
        SlideError
            When the stored pixels are damaged. Later reads work again.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file; it may be called more than once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refuse_size(width: int, height: int) -> None:
    """Refuse the size of an image that no scanner makes: it would be worked on for hours.

    Parameters
    ----------
    width, height : int, px

    Raises
    ------
    SlideError
    """
    longest = max(width, height)
    if (
        min(width, height) < 1
        or longest > LONGEST_SIDE
        or width * height > MOST_SLIDE_PIXELS
    ):
        raise SlideError(
            f"an image of {width} × {height} px, expected 1 to {LONGEST_SIDE:,} px a side and at "
            f"most {MOST_SLIDE_PIXELS:,} in all; the file is damaged: copy it again",
        )


def white(height: int, width: int) -> Pixels:
    """Return a white image, (height, width, 3)."""
    return np.full((height, width, 3), 255, np.uint8)


SAME_SCALE = 0.02
"""Relative difference below which two scales are one and pixels are taken as they are."""


def level_for(
    reader: SlideReader,
    slide_mpp: float,
    mpp: float,
) -> int:
    """Choose the coarsest level that is at least as fine as `mpp`; 0 where none is.

    Parameters
    ----------
    reader : SlideReader
    slide_mpp, mpp : float, µm/px
        Of level 0, and wanted.
    """
    best, coarsest = 0, -math.inf
    for number, level in enumerate(reader.levels):
        is_fine = slide_mpp * level.downsample <= mpp * (1 + SAME_SCALE)
        if is_fine and level.downsample > coarsest:
            best, coarsest = number, level.downsample
    return best
