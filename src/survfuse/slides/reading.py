"""A slide as levels of pixels, whoever scanned it; below this gate a slide can be read or its error says why.

:func:`open_slide` takes the fast path (native tiles of a tiled TIFF, decoded once) where it is shown to give
OpenSlide's pixels, and OpenSlide itself everywhere else. Label and macro images are never read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError, SlideError
from survfuse._gate import regular_file
from survfuse.slides.scales import Scale

Pixels = npt.NDArray[np.uint8]

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
        exact = (
            scale.mpp
            for scale in self.scales
            if scale.plausible and scale.power is None
        )
        return next(exact, None)

    @abstractmethod
    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
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
        """Let go of the file; more than once does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_slide(path: Path | str) -> SlideReader:
    """Open a whole-slide image.

    Parameters
    ----------
    path : path
        Any format OpenSlide reads (SVS, NDPI, MRXS, SCN, BIF, DICOM, CZI, tiled TIFF).

    Raises
    ------
    SlideError
        When the file is absent, of no known format, or damaged.
    MissingExtraError
        Without the extra `slides`.
    """
    source = Path(path)
    regular_file(source, error=SlideError)
    try:
        from survfuse.slides.openslide import OpenSlideReader
        from survfuse.slides.tiff import native_or_none
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: reading slides needs {error.name or 'more packages'}: pip install 'survfuse[slides]'",
        ) from None
    reader = OpenSlideReader(source)
    return native_or_none(reader) or reader


def refuse_size(width: int, height: int) -> None:
    """Refuse the size of an image that no scanner makes: it would be worked on for hours.

    Parameters
    ----------
    width, height : int, px

    Raises
    ------
    SlideError
    """
    if (
        width < 1
        or height < 1
        or max(width, height) > LONGEST_SIDE
        or width * height > MOST_SLIDE_PIXELS
    ):
        raise SlideError(
            f"an image of {width} × {height} px, expected 1 to {LONGEST_SIDE:,} px a side and at most "
            f"{MOST_SLIDE_PIXELS:,} in all; the file is damaged: copy it again",
        )


def white(height: int, width: int) -> Pixels:
    """Return a white image, (height, width, 3)."""
    return np.full((height, width, 3), 255, np.uint8)


SAME_SCALE = 0.02
"""Relative difference below which two scales are one and pixels are taken as they are."""


def level_for(reader: SlideReader, slide_mpp: float, mpp: float) -> int:
    """Choose the coarsest level that is at least as fine as `mpp`; 0 where none is.

    Parameters
    ----------
    reader : SlideReader
    slide_mpp, mpp : float, µm/px
        Of level 0, and wanted.
    """
    fine = [
        number
        for number, level in enumerate(reader.levels)
        if slide_mpp * level.downsample <= mpp * (1 + SAME_SCALE)
    ]
    return max(fine, key=lambda number: reader.levels[number].downsample, default=0)
