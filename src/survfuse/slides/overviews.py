"""A whole slide at low magnification: what tissue is found on, and what people look at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from survfuse._errors import SlideError
from survfuse.slides.reading import (
    MOST_PIXELS,
    Level,
    Pixels,
    SlideReader,
    level_for,
    white,
)

MOST_LOST = 0.05
"""Share of an overview that may be damaged."""
_STRIP_PIXELS = 16 * 10**6
_SMALLEST_PART = 256  # px
_PICTURE_PX = 800
_LOOK_PX = 1024


@dataclass(frozen=True)
class Overview:
    """A whole slide at low magnification.

    Attributes
    ----------
    image : ndarray, (height, width, 3) uint8 RGB
    scale : tuple of float
        Level-0 px per overview px, along x and y.
    mpp : float, µm/px
        Of the overview (the mean of both axes).
    lost : float
        Share of the area that cannot be read and is white here.
    """

    image: Pixels
    scale: tuple[float, float]
    mpp: float
    lost: float = 0.0


def overview(
    reader: SlideReader,
    slide_mpp: float,
    target_mpp: float = 8.0,
) -> Overview:
    """Read the whole slide at about `target_mpp`, in strips, never more than 64 MP at once.

    Parameters
    ----------
    reader : SlideReader
    slide_mpp : float, µm/px
        Of level 0.
    target_mpp : float, µm/px
        Wanted; a little finer where a level of the pyramid lies near, coarser where the
        image would pass 64 MP.

    Raises
    ------
    SlideError
        When more than 5 % of the area is damaged; up to it, that is white.
    """
    import cv2

    level = level_for(reader, slide_mpp, target_mpp)
    there = reader.levels[level]
    shrink = max(1.0, target_mpp / (slide_mpp * there.downsample))
    shrink = max(
        1.0 if shrink < 1.3 else shrink,
        math.sqrt(there.width * there.height / MOST_PIXELS),
    )
    width, height = (
        max(1, round(there.width / shrink)),
        max(1, round(there.height / shrink)),
    )
    image, lost = np.empty((height, width, 3), np.uint8), 0
    for top, bottom in _strips(height, there.width * shrink):
        start, stop = (
            round(top * there.height / height),
            round(bottom * there.height / height),
        )
        strip, missing = _whole_parts(
            reader,
            level,
            (0, start, there.width, stop - start),
        )
        lost += missing
        _refuse_lost(reader, lost, there)
        same = strip.shape[:2] == (bottom - top, width)
        image[top:bottom] = (
            strip
            if same
            else cv2.resize(strip, (width, bottom - top), interpolation=cv2.INTER_AREA)
        )
    scale = (reader.levels[0].width / width, reader.levels[0].height / height)
    return Overview(
        image,
        scale,
        slide_mpp * sum(scale) / 2,
        lost / (there.width * there.height),
    )


def _whole_parts(
    reader: SlideReader,
    level: int,
    box: tuple[int, int, int, int],
) -> tuple[Pixels, int]:
    """Read what can be read of a box (x, y, width, height); the rest is white, and its px are counted."""
    x, y, width, height = box
    try:
        return reader.region(level, *box), 0
    except SlideError:
        if max(width, height) <= _SMALLEST_PART:
            return white(height, width), width * height
    if width >= height:
        cut, axis = width // 2, 1
        halves = (x, y, cut, height), (x + cut, y, width - cut, height)
    else:
        cut, axis = height // 2, 0
        halves = (x, y, width, cut), (x, y + cut, width, height - cut)
    (first, one), (second, other) = (
        _whole_parts(reader, level, half) for half in halves
    )
    return np.concatenate([first, second], axis=axis), one + other


def _refuse_lost(reader: SlideReader, lost: int, level: Level) -> None:
    if lost > MOST_LOST * level.width * level.height:
        raise SlideError(
            f"{reader.path}: more than {MOST_LOST:.0%} of the slide cannot be read even at low "
            "magnification; scan or copy the slide again",
        )


def _strips(rows: int, pixels_per_row: float) -> Iterator[tuple[int, int]]:
    step = max(1, int(_STRIP_PIXELS / pixels_per_row))
    for top in range(0, rows, step):
        yield top, min(rows, top + step)


def shrunk(image: Pixels) -> Pixels:
    """Reduce an image to at most 1,024 px a side."""
    import cv2

    height, width = image.shape[:2]
    shrink = max(height, width) / _LOOK_PX
    if shrink <= 1:
        return image
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def at_least(reader: SlideReader, view: Overview, slide_mpp: float) -> Overview:
    """Take a finer overview of a small slide, so that a picture of it shows something.

    Parameters
    ----------
    reader : SlideReader
    view : Overview
        Given back where its longest side has 400 px or more, or a finer one is damaged.
    slide_mpp : float, µm/px
        Of level 0.
    """
    longest = max(view.image.shape[:2])
    if longest >= _PICTURE_PX // 2:
        return view
    try:
        return overview(
            reader,
            slide_mpp,
            max(slide_mpp, view.mpp * longest / _PICTURE_PX),
        )
    except SlideError:
        return view
