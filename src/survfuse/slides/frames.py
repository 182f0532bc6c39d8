"""The part of a slide that a tissue mask shows: all, or the scanned area."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from survfuse._errors import SlideError
from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import Mask

if TYPE_CHECKING:
    from pathlib import Path

    from survfuse.slides.reading import SlideReader

Lengths = tuple[float, float]

ASPECT = 0.02
ALL_SCANNED = 0.99
"""Share of both sides of the slide from which on the scanned area is all of it."""
SAME_LENGTH = 0.02
MOST_OUTSIDE = 0.02
"""Share of the marked area that may lie outside the scanned area: sloppy outlines."""
LONGEST_STEP = 256


@dataclass(frozen=True)
class Frame:
    """A rectangle of a slide that a mask may show.

    Attributes
    ----------
    name : str
    x, y, width, height : int, level-0 px
    """

    name: str
    x: int
    y: int
    width: int
    height: int

    def shows(self, width: int, height: int) -> bool:
        """Whether an image of this size has the proportions of the frame."""
        ratio = width * self.height / (height * self.width)
        return abs(ratio - 1) <= ASPECT or self.fits_exactly(width, height)

    def fits_exactly(self, width: int, height: int) -> bool:
        """Whether its size differs from the frame's proportions by no more than rounding, 1 px."""
        across = abs(height * self.width / self.height - width)
        return min(across, abs(width * self.height / self.width - height)) <= 1

    def covers(self, lengths: Lengths, mpp: float) -> bool:
        """Whether its sides have these lengths, µm."""
        across, down = lengths[0] / (self.width * mpp), lengths[1] / (self.height * mpp)
        return max(abs(across - 1), abs(down - 1)) <= SAME_LENGTH

    def box(
        self,
        shape: tuple[int, ...],
        whole: Frame,
    ) -> tuple[int, int, int, int]:
        """Top, bottom, left and right px of the frame on a canvas of the whole slide."""
        down, across = shape[0] / whole.height, shape[1] / whole.width
        edges = (
            self.y * down,
            (self.y + self.height) * down,
            self.x * across,
            (self.x + self.width) * across,
        )
        top, bottom, left, right = (math.floor(edge + 0.5) for edge in edges)
        return top, bottom, left, right

    def __str__(self) -> str:
        return f"{self.name} ({self.width} × {self.height})"


def frames_of(reader: SlideReader) -> tuple[Frame, ...]:
    """Return the whole slide and, where it is smaller, the scanned area."""
    level0 = reader.levels[0]
    whole = Frame("the whole slide", 0, 0, level0.width, level0.height)
    scanned = Frame("the scanned area", *reader.bounds)
    shares = scanned.width / whole.width, scanned.height / whole.height
    return (whole,) if min(shares) >= ALL_SCANNED else (whole, scanned)


@dataclass(frozen=True)
class MaskImage:
    """A mask that was read, with what speaks for its place.

    Attributes
    ----------
    path : Path
    mask : ndarray, (height, width) bool
    size : tuple of int, px
        Width and height as stored.
    lengths : tuple of float or None, µm
        Width and height by its own tags.
    stained : ndarray or None, (height, width) bool
        What is stained on the whole slide.
    """

    path: Path
    mask: Mask
    size: tuple[int, int]
    lengths: Lengths | None
    stained: Mask | None


def choose_frame(
    image: MaskImage,
    frames: Sequence[Frame],
    mpp: float,
) -> tuple[Frame, list[str]]:
    """Choose the frame of a mask, where all evidence agrees.

    Parameters
    ----------
    image : MaskImage
    frames : sequence of Frame
        That have its proportions; not empty.
    mpp : float, µm/px
        Of level 0.

    Returns
    -------
    frame : Frame
    notes : list of str
        Which frame was taken, where there was a choice.

    Raises
    ------
    SlideError
        When the evidence contradicts itself, or there is none.
    """
    if len(frames) == 1 or image.mask.all() or not image.mask.any():
        return frames[0], []
    evidence = list(_evidence(image, frames, mpp))
    chosen = {frame for frame, _ in evidence}
    why = "; ".join(f"{reason}: {frame.name}" for frame, reason in evidence)
    if len(chosen) == 1:
        frame = chosen.pop()
        return frame, [f"the mask was taken to show {frame} ({why})"]
    sizes = " and of ".join(map(str, frames))
    doubt = f"contradictory ({why})" if why else "not certain"
    raise SlideError(
        f"{image.path}: the mask is {image.size[0]} × {image.size[1]} px, which has the "
        "proportions "
        f"of {sizes}; which of them it shows is {doubt}; write it for the whole slide, a power "
        "of 2 "
        "smaller, or with its µm/px in the resolution tags",
    )


def _evidence(
    image: MaskImage,
    frames: Sequence[Frame],
    mpp: float,
) -> Iterator[tuple[Frame, str]]:
    """Frames that something speaks for, with the reason."""
    whole, scanned = frames
    if image.lengths is not None:
        fitting = [frame for frame in frames if frame.covers(image.lengths, mpp)]
        if len(fitting) == 1:
            width = f"{image.lengths[0] / 1000:.4g} mm wide"
            yield fitting[0], f"its own scale makes it {width}"
    steps = [_step_strength(frame, image.size) for frame in frames]
    if steps[0] != steps[1]:
        best = whole if steps[0] > steps[1] else scanned
        yield (
            best,
            f"its pixels are {best.width / image.size[0]:g} px of the slide wide",
        )
    share = outside(image.mask, whole, scanned)
    if share > MOST_OUTSIDE:
        yield (
            scanned,
            f"of the whole slide, {share:.0%} of what it marks would lie outside the scanned area",
        )
    if image.stained is not None:
        yield from _by_stain(image.mask, image.stained, whole, scanned)


def _step_strength(
    frame: Frame,
    size: tuple[int, int],
) -> int:
    """Whether a size is the frame's over a power of 2 (2), over a whole number (1), or none (0)."""
    step = round(frame.width / size[0])
    if not 1 <= step <= LONGEST_STEP:
        return 0
    sides = (frame.width, frame.height)
    if step & (step - 1) == 0:
        down = tuple(side // step for side in sides)
        up = tuple(-(-side // step) for side in sides)
        if size[0] in (down[0], up[0]) and size[1] in (down[1], up[1]):
            return 2
    return 1 if sides == (size[0] * step, size[1] * step) else 0


def outside(
    mask: Mask,
    whole: Frame,
    scanned: Frame,
) -> float:
    """Share of the marked px that lie outside the scanned area by more than 1 px."""
    top, bottom, left, right = scanned.box(mask.shape, whole)
    inside = mask[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1]
    return 1 - float(np.count_nonzero(inside) / max(1, int(np.count_nonzero(mask))))


def _by_stain(
    mask: Mask,
    stained: Mask,
    whole: Frame,
    scanned: Frame,
) -> Iterator[tuple[Frame, str]]:
    """The frame in which what is marked is stained, or all that is stained is marked."""
    fits = {}
    for frame in (whole, scanned):
        fits[frame] = overlap(place(mask, whole, frame, stained.shape), stained)
    for number, least, apart in ((0, 0.6, 0.3), (1, 0.7, 0.1)):
        other, best = sorted(fits, key=lambda frame: fits[frame][number])
        most, less = fits[best][number], fits[other][number]
        if most >= least and most - less >= apart:
            on, elsewhere = fits[best][0], fits[other][0]
            yield (
                best,
                f"{on:.0%} of what it marks is stained there, else {elsewhere:.0%}",
            )
            return


def overlap(
    marked: Mask,
    stained: Mask,
) -> tuple[float, float]:
    """Share of the marked px that are stained; intersection over union."""
    both = int(np.count_nonzero(marked & stained))
    either = int(np.count_nonzero(marked | stained))
    return both / max(1, int(np.count_nonzero(marked))), both / max(1, either)


def resized(
    mask: Mask,
    width: int,
    height: int,
) -> Mask:
    """Resize a mask: a px is marked where half of it is."""
    area = mask.astype(np.uint8) * 255
    grey = cv2.resize(area, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(grey >= 128)


def place(
    mask: Mask,
    whole: Frame,
    frame: Frame,
    shape: tuple[int, ...],
) -> Mask:
    """Put a mask of `frame` on an empty canvas of the whole slide, (height, width) bool."""
    top, bottom, left, right = frame.box(shape, whole)
    canvas = np.zeros(shape, bool)
    part = resized(mask, max(1, right - left), max(1, bottom - top))
    room = canvas[top : top + part.shape[0], left : left + part.shape[1]]
    room[...] = part[: room.shape[0], : room.shape[1]]
    return canvas


def frame_part(
    canvas: Mask,
    whole: Frame,
    frame: Frame,
) -> Mask:
    """Cut a frame out of a canvas of the whole slide."""
    top, bottom, left, right = frame.box(canvas.shape, whole)
    return canvas[top:bottom, left:right]
