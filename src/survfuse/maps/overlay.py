"""A map drawn over its slide: one pixel of the map a tile, at its true place."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse._errors import InputError
from survfuse._types import ByteArray, FloatArray, IntArray
from survfuse.maps.colours import colours
from survfuse.maps.slide_map import SlideMap

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

LONGEST = 1200
"""px of the longest side of a picture."""
ALPHA = 0.6
"""Opacity of a map over its slide; over paper it is opaque."""
PAPER, HATCH = (0xFF, 0xFF, 0xFF), (0xC9, 0xD1, 0xD9)
"""Paper is hatched, so that no pale colour of a map looks like it."""
HATCH_PX = 7
MOST_SLIDES = 4
"""Sides of a slide that a tile has at most: small pictures may be less than a tile."""
MOST_TILE_PX = 24
"""Side of a tile in a picture without the slide, at most."""


@dataclass(frozen=True)
class Frame:
    """The part of level 0 that a picture shows.

    Attributes
    ----------
    x, y : float, level-0 px
        Of the upper left corner of the picture.
    scale : (float, float)
        Level-0 px per px of the picture, along x and y.
    width, height : int, px
        Of the picture.
    """

    x: float
    y: float
    scale: tuple[float, float]
    width: int
    height: int


def overlay(
    slide_map: SlideMap,
    name: str,
    reader: SlideReader | None = None,
    *,
    longest: int = LONGEST,
    alpha: float = ALPHA,
) -> ByteArray:
    """Draw a score over the slide, or over blank paper where there is no image of it.

    Parameters
    ----------
    slide_map : SlideMap
    name : str
        Of the score.
    reader : SlideReader, optional
        The open slide.
    longest : int, px
        Of the longest side of the picture.
    alpha : float
        Opacity of the map over the slide, 0 to 1; over paper it is opaque.

    Returns
    -------
    array of uint8, (height, width, 3)
        RGB; of the scanned area of the slide, or of the tiles and a margin. `framed` gives the
        place as well.

    Raises
    ------
    InputError
        For a score that the map does not have, or tiles that lie beyond the slide.
    SlideError
        When the slide cannot be read.
    MissingExtraError
        With a slide, without the extra `slides`.
    """
    return framed(slide_map, name, reader, longest=longest, alpha=alpha)[0]


def framed(
    slide_map: SlideMap,
    name: str,
    reader: SlideReader | None = None,
    *,
    longest: int = LONGEST,
    alpha: float = ALPHA,
) -> tuple[ByteArray, Frame]:
    """Draw a score as `overlay` does; the picture, and which part of level 0 it shows."""
    slide_map.score(name)
    base, frame = background(slide_map, reader, longest)
    return painted(
        slide_map, name, base, frame, 1.0 if reader is None else alpha
    ), frame


def background(
    slide_map: SlideMap,
    reader: SlideReader | None,
    longest: int = LONGEST,
) -> tuple[ByteArray, Frame]:
    """What a map is drawn on: the slide at low magnification, or paper; and its frame.

    Several scores of a slide can be drawn on one background.
    """
    if reader is None:
        frame = _around(slide_map, longest)
        return _paper(frame.height, frame.width), frame
    check_within(slide_map, reader)
    return _scanned(reader, longest)


def painted(
    slide_map: SlideMap,
    name: str,
    base: ByteArray,
    frame: Frame,
    alpha: float,
) -> ByteArray:
    """Draw a score on a background, which stays as it is.

    Parameters
    ----------
    slide_map : SlideMap
    name : str
    base : array of uint8, (height, width, 3)
    frame : Frame
        The part of level 0 that `base` shows.
    alpha : float
        Opacity of the map.

    Returns
    -------
    array of uint8, (height, width, 3)
    """
    score, lattice = slide_map.score(name), slide_map.lattice
    row = _pixels(
        frame.y, frame.scale[1], frame.height, lattice.origin[1], lattice.step[1]
    )
    column = _pixels(
        frame.x, frame.scale[0], frame.width, lattice.origin[0], lattice.step[0]
    )
    down = np.flatnonzero((row >= 0) & (row < lattice.rows))
    across = np.flatnonzero((column >= 0) & (column < lattice.columns))
    picture = base.copy()
    if len(down) and len(across):
        rgba = colours(score, slide_map.image_of(name), alpha)
        seen = rgba[row[down]][:, column[across]]
        box = np.s_[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        picture[box] = _blended(picture[box], seen)
    return picture


def png_bytes(picture: ByteArray, **options: Any) -> bytes:
    """A picture as PNG.

    Parameters
    ----------
    picture : array of uint8, (height, width, 3 or 4) or (height, width)
    **options
        Of Pillow's writer.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", **options)
    return buffer.getvalue()


def check_within(slide_map: SlideMap, reader: SlideReader) -> None:
    """Refuse a map whose tiles lie beyond the slide: it is of another slide, or another level.

    Raises
    ------
    InputError
    """
    places = slide_map.places
    check_corners(slide_map.slide_id, places.corners, slide_map.side, reader)


def check_corners(
    slide_id: str,
    corners: FloatArray,
    side: float,
    reader: SlideReader,
) -> None:
    """Refuse tiles that lie beyond a slide, or are larger, as :func:`check_within` does.

    Parameters
    ----------
    slide_id : str
    corners : array, (tiles, 2)
        x, y, level-0 px.
    side : float, level-0 px
        Of a tile.
    reader : SlideReader
    """
    level = reader.levels[0]
    if side > MOST_SLIDES * max(level.width, level.height):
        raise InputError(
            f"slide {slide_id!r}: tiles of {side:.6g} px, but {reader.path} has {level.width} × "
            f"{level.height} px: this is another slide, or the tiles are not in level-0 px; "
            "extract the features of this file",
        )
    beyond = (corners >= (level.width, level.height)) | (corners < 0)
    if beyond.any():
        x, y = corners[beyond.any(axis=1)][0]
        raise InputError(
            f"slide {slide_id!r}: a tile at ({x:.0f}, {y:.0f}), but {reader.path} has "
            f"{level.width} × {level.height} px: these are the coordinates of another slide, or "
            "not level-0 px; extract the features of this file",
        )


def _paper(height: int, width: int) -> ByteArray:
    """Hatched paper."""
    paper = np.full((height, width, 3), PAPER, np.uint8)
    row, column = np.ogrid[:height, :width]
    paper[(row + column) % HATCH_PX == 0] = HATCH
    return paper


def _around(slide_map: SlideMap, longest: int) -> Frame:
    """The tiles and a margin of two of them."""
    lattice = slide_map.lattice
    step, shape = np.array(lattice.step), np.array([lattice.columns, lattice.rows]) + 4
    origin = np.array(lattice.origin) - 2 * step
    extent = shape * step
    scale = max(float(extent.max()) / longest, float(step.max()) / MOST_TILE_PX)
    width, height = np.maximum(1, np.rint(extent / scale)).astype(int).tolist()
    return Frame(float(origin[0]), float(origin[1]), (scale, scale), width, height)


def _scanned(reader: SlideReader, longest: int) -> tuple[ByteArray, Frame]:
    """The scanned area of a slide at low magnification."""
    from PIL import Image

    from survfuse.slides.overviews import overview

    x, y, width, height = reader.bounds
    view = overview(reader, 1.0, max(1.0, max(width, height) / longest))
    scale = np.array(view.scale)
    most = view.image.shape[1::-1]
    left, top = np.floor(np.array([x, y]) / scale).astype(int).clip(0, most)
    ends = np.ceil(np.array([x + width, y + height]) / scale).astype(int)
    right, bottom = ends.clip((left + 1, top + 1), most)
    image = view.image[top:bottom, left:right]
    size = np.array(image.shape[1::-1])
    wanted = np.maximum(1, np.rint(size * min(1.0, longest / size.max()))).astype(int)
    if (wanted != size).any():
        small = Image.fromarray(image).resize(wanted.tolist(), Image.Resampling.BOX)
        image = np.asarray(small)
    unit = (scale * size / wanted).tolist()
    frame = Frame(left * scale[0], top * scale[1], (unit[0], unit[1]), *wanted.tolist())
    return image, frame


def _pixels(
    start: float, scale: float, count: int, origin: float, step: float
) -> IntArray:
    """Pixel of the map under the centre of each pixel of a picture, along one axis."""
    centres = start + (np.arange(count) + 0.5) * scale
    pixels: IntArray = np.floor((centres - origin) / step).astype(np.int64)
    return pixels


def _blended(base: ByteArray, rgba: ByteArray) -> ByteArray:
    """Colours over a picture."""
    opacity = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., :3] * opacity + base * (1 - opacity)
    return np.rint(mixed).astype(np.uint8)
