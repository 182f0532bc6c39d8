"""A slide as tiles of a DeepZoom pyramid: any level at any power of two, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from survfuse._errors import InputError
from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import Pixels, SlideReader, level_for
from survfuse.viewer.recent import Recent

TILE_PX = 512
"""Side of a tile of the pyramid; those at the right and lower edge are smaller."""
MOST_READ = 16 * 10**6
"""Px of the slide that are read for a tile at once; larger ones are put together from four."""
MOST_CACHED = 64
"""Tiles kept that were put together: a slide without coarse levels is read whole for each."""
QUALITY = 85  # of JPEG


@dataclass(frozen=True)
class Picture:
    """Where the image of a viewer lies on the slide.

    Attributes
    ----------
    width, height : int, level-0 px
        Of the image.
    left, top : int, level-0 px
        Upper left corner of the image: the scanned area of the slide begins there.
    tile : int, px
        Side of a tile.
    levels : int
        Of the pyramid; the last one is the image itself.
    """

    width: int
    height: int
    left: int
    top: int
    tile: int = TILE_PX

    @property
    def levels(self) -> int:
        """Levels of the pyramid, the coarsest of which is one px."""
        return math.ceil(math.log2(max(self.width, self.height, 1))) + 1

    def grid(self, level: int) -> tuple[int, int]:
        """Columns and rows of tiles of a level.

        Raises
        ------
        InputError
            For a level that is none.
        """
        if not 0 <= level < self.levels:
            raise InputError(f"level: expected 0 to {self.levels - 1}, got {level}")
        across = self.tile * 2 ** (self.levels - 1 - level)
        return math.ceil(self.width / across), math.ceil(self.height / across)


class DeepZoom:
    """Tiles of the scanned area of a slide.

    Parameters
    ----------
    reader : SlideReader
        Used by one thread at a time.
    """

    def __init__(self, reader: SlideReader) -> None:
        self.reader = reader
        left, top, width, height = reader.bounds
        self.picture = Picture(width, height, left, top)
        self._combined: Recent[tuple[int, int, int], Pixels] = Recent(MOST_CACHED)

    def jpeg(self, level: int, column: int, row: int) -> bytes:
        """A tile as JPEG.

        Raises
        ------
        InputError
            When there is no such tile.
        SlideError
            When the slide is damaged there.
        """
        columns, rows = self.picture.grid(level)
        if not (0 <= column < columns and 0 <= row < rows):
            raise InputError(
                f"tile: expected column 0 to {columns - 1} and row 0 to {rows - 1} of level "
                f"{level}, got {column}, {row}",
            )
        return encoded(self.pixels(level, column, row))

    def pixels(self, level: int, column: int, row: int) -> Pixels:
        """A tile that is there, (height, width, 3) RGB."""
        key = level, column, row
        scale = 2 ** (self.picture.levels - 1 - level)
        side = self.picture.tile * scale
        x, y = column * side, row * side
        width = min(side, self.picture.width - x)
        height = min(side, self.picture.height - y)
        size = max(1, round(width / scale)), max(1, round(height / scale))
        number = level_for(self.reader, 1.0, scale)
        down = self.reader.levels[number].downsample
        if width * height / down**2 > MOST_READ:
            return self._combined.get(key, lambda: self._from_four(key, size))
        return self._region(number, (x, y, width, height), size)

    def thumbnail(self, x: float, y: float, side: float, px: int) -> bytes:
        """A square of the slide as JPEG.

        Parameters
        ----------
        x, y, side : float, level-0 px
            Upper left corner, and side.
        px : int
            Side of the picture.
        """
        number = level_for(self.reader, 1.0, max(side / px, 1.0))
        left, top = x - self.picture.left, y - self.picture.top
        return encoded(self._region(number, (left, top, side, side), (px, px)))

    def _region(
        self,
        number: int,
        box: tuple[float, float, float, float],
        size: tuple[int, int],
    ) -> Pixels:
        """Read a box (x, y, width, height in level-0 px of the scanned area) at a size."""
        down = self.reader.levels[number].downsample
        left = round((box[0] + self.picture.left) / down)
        top = round((box[1] + self.picture.top) / down)
        width, height = (max(1, round(side / down)) for side in box[2:])
        image = self.reader.region(number, left, top, width, height)
        return _resized(image, size)

    def _from_four(self, key: tuple[int, int, int], size: tuple[int, int]) -> Pixels:
        """Put a tile together from the four of the next finer level."""
        level, column, row = key
        columns, rows = self.picture.grid(level + 1)
        lines = []
        for below in range(2 * row, min(2 * row + 2, rows)):
            parts = []
            for child in range(2 * column, min(2 * column + 2, columns)):
                parts.append(self.pixels(level + 1, child, below))
            lines.append(np.concatenate(parts, axis=1))
        return _resized(np.concatenate(lines), size)


def _resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """An image at a size (width, height), as means of its px."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    resized: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return resized


def encoded(image: Pixels) -> bytes:
    """RGB pixels, (height, width, 3), as JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    content: bytes = cv2.imencode(".jpg", image[..., ::-1], options)[1].tobytes()
    return content
