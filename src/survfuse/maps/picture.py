"""A map as a picture for people: over its slide, with legend, scale bar and signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from survfuse._types import ByteArray, FloatArray
from survfuse.maps.legend import INK, TEXT_PX, WHITE, legend, typeface, with_scale_bar
from survfuse.maps.overlay import (
    ALPHA,
    LONGEST,
    Frame,
    background,
    painted,
)
from survfuse.maps.slide_map import SlideMap

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

MARGIN = 16
LEAST_WIDTH = 640
ROOM_PX = 24
"""Side of a tile in the picture from which on its category is written into it."""
MARKED = 5
"""Tiles of the highest and of the lowest score that are marked with + and −."""
NO_IMAGE = "No image of the slide was at hand: the map lies on paper."
MARKS = "Marked are the {1} highest tiles above {0:g} with +, the {1} lowest below it with −."


def map_picture(
    slide_map: SlideMap,
    name: str,
    reader: SlideReader | None = None,
    *,
    longest: int = LONGEST,
    alpha: float = ALPHA,
) -> ByteArray:
    """Draw a score over its slide, or over paper, and its legend below.

    Parameters
    ----------
    slide_map : SlideMap
    name : str
        Of the score.
    reader : SlideReader, optional
        The open slide.
    longest : int, px
        Of the longest side of the map.
    alpha : float
        Opacity of the map over the slide, 0 to 1.

    Returns
    -------
    array of uint8, (height, width, 3)

    Raises
    ------
    InputError, SlideError, MissingExtraError
        As `overlay`.
    """
    slide_map.score(name)
    base, frame = background(slide_map, reader, longest)
    return on_background(slide_map, name, reader, base, frame, alpha)


def on_background(
    slide_map: SlideMap,
    name: str,
    reader: SlideReader | None,
    base: ByteArray,
    frame: Frame,
    alpha: float = ALPHA,
) -> ByteArray:
    """Draw a score and its legend on a background that several scores share."""
    opacity = 1.0 if reader is None else alpha
    mpp = slide_map.mpp or (None if reader is None else reader.mpp)
    score, remarks = slide_map.score(name), [] if reader is not None else [NO_IMAGE]
    picture = painted(slide_map, name, base, frame, opacity)
    if score.kind == "diverging" and not score.grey:
        picture = _marked(picture, slide_map, name, frame)
        remarks.insert(0, MARKS.format(score.centre, MARKED))
    if score.kind == "categories":
        picture = _numbered(picture, slide_map, name, frame)
    if mpp is None:
        remarks.append(
            "The µm per px of the slide are not known, so there is no scale bar."
        )
    picture = with_scale_bar(picture, None if mpp is None else mpp * frame.scale[0])
    below = legend(
        slide_map,
        name,
        max(LEAST_WIDTH, picture.shape[1]),
        opacity,
        remarks=tuple(remarks),
    )
    return _stacked(picture, below)


def _marked(
    picture: ByteArray,
    slide_map: SlideMap,
    name: str,
    frame: Frame,
) -> ByteArray:
    """Mark the tiles of the highest and lowest score, so that colour is not the only sign."""
    score = slide_map.score(name)
    values = score.values - score.centre
    order = np.argsort(np.where(np.isfinite(values), values, 0.0), kind="stable")
    most = min(MARKED, len(order) // 2)
    image = Image.fromarray(picture)
    draw, centres = ImageDraw.Draw(image), _centres(slide_map, frame)
    for sign, tiles in ((-1, order[:most]), (1, order[::-1][:most])):
        for tile in tiles[np.sign(values[tiles]) == sign]:
            x, y = centres[tile].tolist()
            draw.circle((x, y), 7, fill=WHITE, outline=INK)
            draw.line((x - 4, y, x + 4, y), INK, 2)
            if sign > 0:
                draw.line((x, y - 4, x, y + 4), INK, 2)
    return np.asarray(image)


def _numbered(
    picture: ByteArray,
    slide_map: SlideMap,
    name: str,
    frame: Frame,
) -> ByteArray:
    """Write the number of its category into each tile, where there is room."""
    if slide_map.lattice.step[0] / frame.scale[0] < ROOM_PX:
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    values, face = slide_map.score(name).values, typeface(TEXT_PX)
    for (x, y), value in zip(_centres(slide_map, frame).tolist(), values, strict=True):
        if np.isfinite(value):
            draw.text(
                (x, y),
                f"{value:.0f}",
                INK,
                face,
                anchor="mm",
                stroke_width=2,
                stroke_fill=WHITE,
            )
    return np.asarray(image)


def _centres(slide_map: SlideMap, frame: Frame) -> FloatArray:
    """Centres of the tiles, px of the picture, (tiles, 2)."""
    lattice = slide_map.lattice
    pixels = np.stack([lattice.column, lattice.row], axis=1) + 0.5
    places = np.array(lattice.origin) + pixels * np.array(lattice.step)
    centres: FloatArray = (places - (frame.x, frame.y)) / frame.scale
    return centres


def _stacked(picture: ByteArray, below: ByteArray) -> ByteArray:
    """A picture and its legend on white, with a margin."""
    width = max(picture.shape[1], below.shape[1]) + 2 * MARGIN
    height = picture.shape[0] + below.shape[0] + 3 * MARGIN
    sheet = np.full((height, width, 3), 255, np.uint8)
    top = MARGIN + picture.shape[0]
    sheet[MARGIN:top, MARGIN : MARGIN + picture.shape[1]] = picture
    top += MARGIN
    sheet[top : top + below.shape[0], MARGIN : MARGIN + below.shape[1]] = below
    return sheet
