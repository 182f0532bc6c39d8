"""A whole slide at low magnification: tissue is found on it, people look at it.

A slide that is nearly black or without colour cannot be judged: it fails and is not `empty`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from survfuse._errors import SlideError
from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import (
    MOST_PIXELS,
    Pixels,
    SlideReader,
    level_for,
    white,
)

MOST_LOST = 0.05
"""Share of an overview that may be damaged."""
DARK, DARK_DEEP = 48, 128
"""Grey levels that the brightest px reach on glass and in tissue, of 8-bit slides and of 16-bit
ones
(15 used bits of 16 end at 127)."""
_STRIP_PIXELS = 16 * 10**6
_SMALLEST_PART = 256  # px
_PICTURE_PX = 800
_LOOK_PX = 1024
_BRIGHTEST = 99.5  # percentile
_MOST_DARK = 0.5  # share of px, black padding left out
_PADDING = 4
_GREY = 8  # largest colour less smallest of a px, after JPEG
_SHADE = 0.85  # of the glass
_MOST_SHADE = 0.02  # share of px: dust and the edge of a coverslip


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
    level = level_for(reader, slide_mpp, target_mpp)
    there = reader.levels[level]
    pixels = there.width * there.height
    shrink = target_mpp / (slide_mpp * there.downsample)
    shrink = max(1.0 if shrink < 1.3 else shrink, math.sqrt(pixels / MOST_PIXELS))
    width, height = (
        max(1, round(side / shrink)) for side in (there.width, there.height)
    )
    image, lost = np.empty((height, width, 3), np.uint8), 0
    step = max(1, int(_STRIP_PIXELS / (there.width * shrink)))
    for top in range(0, height, step):
        bottom = min(height, top + step)
        start, stop = (round(row * there.height / height) for row in (top, bottom))
        strip, missing = _whole_parts(
            reader,
            level,
            (0, start, there.width, stop - start),
        )
        lost += missing
        if lost > MOST_LOST * pixels:
            raise SlideError(
                f"{reader.path}: more than {MOST_LOST:.0%} of the slide cannot be read even at "
                "low magnification; scan or copy the slide again",
            )
        if strip.shape[:2] != (bottom - top, width):
            size = (width, bottom - top)
            strip = cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
        image[top:bottom] = strip
    scale = (reader.levels[0].width / width, reader.levels[0].height / height)
    return Overview(image, scale, slide_mpp * sum(scale) / 2, lost / pixels)


def _whole_parts(
    reader: SlideReader,
    level: int,
    box: tuple[int, int, int, int],
) -> tuple[Pixels, int]:
    """Read a box (x, y, width, height); what cannot be read is white, its px are counted."""
    x, y, width, height = box
    try:
        return reader.region(level, *box), 0
    except SlideError:
        if max(width, height) <= _SMALLEST_PART:
            return white(height, width), width * height
    axis = 1 if width >= height else 0
    half = max(width, height) // 2
    if axis:
        boxes = (x, y, half, height), (x + half, y, width - half, height)
    else:
        boxes = (x, y, width, half), (x, y + half, width, height - half)
    first, missing = _whole_parts(reader, level, boxes[0])
    second, more = _whole_parts(reader, level, boxes[1])
    return np.concatenate([first, second], axis=axis), missing + more


def shrunk(image: Pixels) -> Pixels:
    """Reduce an image to at most 1,024 px a side."""
    shrink = max(image.shape[:2]) / _LOOK_PX
    if shrink <= 1:
        return image
    height, width = (max(1, round(side / shrink)) for side in image.shape[:2])
    small: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small


def at_least(
    reader: SlideReader,
    view: Overview,
    slide_mpp: float,
) -> Overview:
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
        mpp = max(slide_mpp, view.mpp * longest / _PICTURE_PX)
        return overview(reader, slide_mpp, mpp)
    except SlideError:
        return view


def check_overview(
    reader: SlideReader,
    view: Overview,
) -> None:
    """Refuse a slide that shows nothing by which tissue could be told.

    Parameters
    ----------
    reader : SlideReader
    view : Overview
        Of that slide.

    Raises
    ------
    SlideError
        When it is nearly black, or grey things lie on it and nothing has a colour.
    """
    image = shrunk(view.image).reshape(-1, 3)
    scanned = image[image.min(axis=1) < 255]
    if not len(scanned):
        return
    most = scanned.max(axis=1)
    brightest = float(np.percentile(most, _BRIGHTEST))
    deep = reader.sample_bits > 8
    if brightest < (DARK_DEEP if deep else DARK):
        cause = "it is no bright-field scan, or a converter spoilt its colours"
        if deep:
            cause = (
                f"it stores samples of {reader.sample_bits} bits, of which fewer seem to be used "
                "(12-bit data?): scale them to 8 bits"
            )
        raise SlideError(
            f"{reader.path}: nearly black: its brightest pixels have {brightest:.0f} of 255; "
            f"{cause}",
        )
    dark = float((most[most > _PADDING] < DARK).mean())
    if dark > _MOST_DARK:
        raise SlideError(
            f"{reader.path}: {dark:.0%} of what was scanned is nearly black (below {DARK} of 255); "
            "stained tissue on bright glass is expected. Is it a fluorescence scan, or inverted?",
        )
    green = scanned[:, 1]
    shade = float((green < _SHADE * np.percentile(green, 95)).mean())
    spread = np.percentile(most - scanned.min(axis=1), _BRIGHTEST)
    if spread < _GREY and shade > _MOST_SHADE:
        raise SlideError(
            f"{reader.path}: no colour: all its pixels are grey, {shade:.0%} of them dark; tissue "
            "and its stains are told by colour. Scan or convert it in colour",
        )
