"""What part of a slide a tissue mask shows: all, or the scanned area only; what is not certain is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from survfuse.slides.reading import SlideReader

Mask = npt.NDArray[np.bool_]

ASPECT = 0.02
ALL_SCANNED = 0.99
"""Share of both sides of the slide from which on the scanned area is all of it."""
SAME_LENGTH = 0.02
MOST_OUTSIDE = 0.02
"""Share of the marked area that may lie outside the scanned area: sloppy outlines."""
LONGEST_STEP = 256
_EXACT, _BINARY = 1, 2


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
        return (
            abs(width * self.height / self.width - height) <= 1
            or abs(height * self.width / self.height - width) <= 1
        )

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
class Evidence:
    """What speaks for one of the frames that a mask may have.

    Attributes
    ----------
    frame : Frame
    why : str
    """

    frame: Frame
    why: str


def settle_frame(
    path: Path,
    mask: Mask,
    size: tuple[int, int],
    frames: Sequence[Frame],
    evidence: Sequence[Evidence],
) -> tuple[Frame, list[str]]:
    """Choose the frame of a mask, where the evidence is of one mind.

    Parameters
    ----------
    path : Path
        Of the mask.
    mask : ndarray, (height, width) bool
    size : tuple of int, px
        Width and height of the mask as stored.
    frames : sequence of Frame
        That have its proportions; not empty.
    evidence : sequence of Evidence

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
    if len(frames) == 1 or mask.all() or not mask.any():
        return frames[0], []
    chosen = {one.frame for one in evidence}
    why = "; ".join(f"{one.why}: {one.frame.name}" for one in evidence)
    if len(chosen) == 1:
        frame = chosen.pop()
        return frame, [f"the mask was taken to show {frame} ({why})"]
    sizes = " and of ".join(map(str, frames))
    doubt = f"contradictory ({why})" if why else "not certain"
    raise SlideError(
        f"{path}: the mask is {size[0]} × {size[1]} px, which has the proportions of {sizes}; which of them "
        f"it shows is {doubt}; write it for the whole slide, a power of 2 smaller, or with its µm/px in the "
        "resolution tags",
    )


def by_length(
    frames: Sequence[Frame],
    lengths: tuple[float, float] | None,
    mpp: float,
) -> Iterator[Evidence]:
    """Hold the µm that a mask says it covers, by its own tags, against the frames.

    Parameters
    ----------
    frames : sequence of Frame
    lengths : tuple of float or None, µm
        Width and height.
    mpp : float, µm/px
        Of level 0.
    """
    if lengths is None:
        return
    fitting = [frame for frame in frames if _same_lengths(frame, lengths, mpp)]
    if len(fitting) == 1:
        yield Evidence(
            fitting[0],
            f"its own scale makes it {lengths[0] / 1000:.4g} mm wide",
        )


def covers(frames: Sequence[Frame], lengths: tuple[float, float], mpp: float) -> bool:
    """Tell whether a mask of these lengths, µm, covers one of the frames."""
    return any(_same_lengths(frame, lengths, mpp) for frame in frames)


def _same_lengths(frame: Frame, lengths: tuple[float, float], mpp: float) -> bool:
    sides = frame.width * mpp, frame.height * mpp
    return all(
        abs(one / other - 1) <= SAME_LENGTH
        for one, other in zip(lengths, sides, strict=True)
    )


def by_step(frames: Sequence[Frame], size: tuple[int, int]) -> Iterator[Evidence]:
    """Look which frame is so many times larger that it was halved, or else divided without a rest."""
    strength = {frame: _step_strength(frame, size) for frame in frames}
    most = max(strength.values())
    best = [frame for frame in frames if strength[frame] == most]
    if most and len(best) == 1:
        yield Evidence(
            best[0],
            f"its pixels are {best[0].width / size[0]:g} px of the slide wide",
        )


def _step_strength(frame: Frame, size: tuple[int, int]) -> int:
    step = round(frame.width / size[0])
    if not 1 <= step <= LONGEST_STEP:
        return 0
    sides = ((frame.width, size[0]), (frame.height, size[1]))
    if step & (step - 1) == 0 and all(
        small in (long // step, -(-long // step)) for long, small in sides
    ):
        return _BINARY
    return _EXACT if all(long == small * step for long, small in sides) else 0


def by_outside(frames: Sequence[Frame], mask: Mask) -> Iterator[Evidence]:
    """Look whether a mask of the whole slide would mark what was never scanned; then it is none."""
    whole, scanned = frames
    share = outside(mask, whole, scanned)
    if share > MOST_OUTSIDE:
        yield Evidence(
            scanned,
            f"of the whole slide, {share:.0%} of what it marks would lie outside the scanned area",
        )


def outside(mask: Mask, whole: Frame, scanned: Frame) -> float:
    """Share of the marked px of a mask of the whole slide that lie outside the scanned area, by over 1 px."""
    rows, columns = (
        slice(max(0, start - 1), stop + 1)
        for start, stop in _box(mask.shape, whole, scanned)
    )
    return 1 - float(
        np.count_nonzero(mask[rows, columns]) / max(1, int(np.count_nonzero(mask))),
    )


def by_stain(frames: Sequence[Frame], mask: Mask, stained: Mask) -> Iterator[Evidence]:
    """Look in which frame what is marked is stained, or all that is stained is marked."""
    fits = {frame: stain_fit(mask, stained, frames[0], frame) for frame in frames}
    for number, least, apart in ((0, 0.6, 0.3), (1, 0.7, 0.1)):
        ordered = sorted(frames, key=lambda frame: fits[frame][number])
        best, other = ordered[-1], ordered[0]
        most, less = fits[best][number], fits[other][number]
        if most >= least and most - less >= apart:
            yield Evidence(
                best,
                f"{fits[best][0]:.0%} of what it marks is stained there, else {fits[other][0]:.0%}",
            )
            return


def stain_fit(
    mask: Mask,
    stained: Mask,
    whole: Frame,
    frame: Frame,
) -> tuple[float, float]:
    """Hold a mask of `frame` against the stain of the whole slide.

    Returns
    -------
    share : float
        Of the marked area that is stained.
    overlap : float
        Intersection over union.
    """
    return overlap(place(mask, whole, frame, stained.shape), stained)


def overlap(marked: Mask, stained: Mask) -> tuple[float, float]:
    """Share of the marked px that are stained; intersection over union."""
    both = int(np.count_nonzero(marked & stained))
    either = int(np.count_nonzero(marked | stained))
    return both / max(1, int(np.count_nonzero(marked))), both / max(1, either)


def place(mask: Mask, whole: Frame, frame: Frame, shape: tuple[int, ...]) -> Mask:
    """Put a mask of `frame` on an empty canvas of the whole slide, (height, width) bool."""
    import cv2

    (top, bottom), (left, right) = _box(shape, whole, frame)
    size = (max(1, right - left), max(1, bottom - top))
    there = (
        cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        >= 128
    )
    canvas = np.zeros(shape, bool)
    room = canvas[top : top + size[1], left : left + size[0]]
    room[...] = there[: room.shape[0], : room.shape[1]]
    return canvas


def frame_part(canvas: Mask, whole: Frame, frame: Frame) -> Mask:
    """Cut a frame out of a canvas of the whole slide."""
    (top, bottom), (left, right) = _box(canvas.shape, whole, frame)
    return canvas[top:bottom, left:right]


def _box(
    shape: tuple[int, ...],
    whole: Frame,
    frame: Frame,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns, (start, stop) each, that a frame takes of a canvas of the whole slide."""
    down, across = shape[0] / whole.height, shape[1] / whole.width
    rows = (
        math.floor(frame.y * down + 0.5),
        math.floor((frame.y + frame.height) * down + 0.5),
    )
    columns = (
        math.floor(frame.x * across + 0.5),
        math.floor((frame.x + frame.width) * across + 0.5),
    )
    return rows, columns
