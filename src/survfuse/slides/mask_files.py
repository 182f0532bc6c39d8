"""The image of a tissue mask inside its TIFF: pages, levels, values and its own scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import SlideError
from survfuse._gate import refuse_claim
from survfuse._types import AnyArray
from survfuse.slides.codestreams import BOUNDED, claimed_size
from survfuse.slides.frames import Frame, resized
from survfuse.slides.reading import SAME_SCALE, Mask
from survfuse.slides.scales import ome_lengths

COARSEST = 16.0  # µm/px: the coarsest level up to this is read
FINEST = 8.0  # µm/px: finer masks are reduced to about this
MOST_PIXELS = 64 * 10**6  # held at once
MOST_IFDS = 256
_COLOURS = 4
_DEEPEST = 8  # bytes of a px of an image that is held at once
_TAG_UNITS = {2: 25400.0, 3: 1e4}  # inch, cm in µm
_SCREEN_DPI = (72, 96, 100, 150, 200, 300, 600)


def mask_pages(tiff: Any) -> Iterator[Any]:
    """Yield all images of a file, those in SubIFDs included."""
    for page in islice(tiff.pages, MOST_IFDS):
        full = page.aspage()
        yield full
        if full.subifds:
            for sub in islice(full.pages, MOST_IFDS):
                yield sub.aspage()


def choose_page(
    pages: list[Any],
    frame: Frame,
    slide_mpp: float,
) -> Any:
    """Return the coarsest image that is fine enough, of those with a frame's proportions."""
    fine, widest = None, None
    for page in pages:
        width, height = page.imagewidth, page.imagelength
        if not (width and height and frame.shows(width, height)):
            continue
        if widest is None or width > widest.imagewidth:
            widest = page
        is_fine = slide_mpp * frame.width / width <= COARSEST * 1.05
        if is_fine and (fine is None or width < fine.imagewidth):
            fine = page
    return fine or widest


def mask_lengths(
    pages: Sequence[Any],
    frames: Sequence[Frame],
    slide_mpp: float,
) -> tuple[float, float] | None:
    """Width and height that a mask covers by its own scale, µm; None where it has none.

    A scale copied from the slide to a smaller mask, or of a screen, is none.

    Parameters
    ----------
    pages : sequence of TiffPage
    frames : sequence of Frame
        Whose proportions the mask has.
    slide_mpp : float, µm/px
        Of level 0.
    """
    for page in pages:
        size = int(page.imagewidth), int(page.imagelength)
        mpp = _own_mpp(page, size)
        if mpp is None or not frames[0].shows(*size):
            continue
        copied = abs(mpp[0] / slide_mpp - 1) <= SAME_SCALE
        if not copied or size in [(frame.width, frame.height) for frame in frames]:
            return size[0] * mpp[0], size[1] * mpp[1]
    return None


def _own_mpp(
    page: Any,
    size: tuple[int, int],
) -> tuple[float, float] | None:
    """µm/px along x and y, from OME-XML or resolution tags; a resolution of a screen is none."""
    said = ome_lengths(page.description, size)
    if said is not None:
        return said
    unit = _TAG_UNITS.get(int(page.resolutionunit))
    across, down = page.get_resolution()
    if unit is None or not across > 1 or not down > 1:
        return None
    dots = across * 25400.0 / unit / np.array(_SCREEN_DPI)
    return None if np.min(np.abs(dots - 1)) < 1e-3 else (unit / across, unit / down)


def read_page(
    page: Any,
    mpp: float,
    path: Path,
) -> tuple[Mask, list[str]]:
    """Decode one image, reduced to about 8 µm/px, never more than 64 MP at once."""
    step = max(1, math.floor(FINEST / mpp))
    width, height = int(page.imagewidth), int(page.imagelength)
    _refuse_claims(page, path)
    if max(width * height, page.nbytes // _DEEPEST) > MOST_PIXELS:
        whole = math.ceil(math.sqrt(width * height / MOST_PIXELS))
        values, step = _sampled(page, max(step, whole), path), 1
    else:
        refuse_claim(path, page.nbytes, error=SlideError)
        values = _flat(page.asarray(), page.axes)
    notes, name = [], page.compression.name
    if values.size and ("JPEG" in name or "WEBP" in name):
        notes = ["the mask is stored with loss; above half its range is tissue"]
        tissue = values > values.max() / 2
    else:
        tissue = values > 0
    if step > 1:
        tissue = resized(
            tissue,
            max(1, round(width / step)),
            max(1, round(height / step)),
        )
    return np.ascontiguousarray(tissue, bool), notes


def _refuse_claims(page: Any, path: Path) -> None:
    """Refuse tiles and strips that would be decoded to more than they are in the image."""
    if int(page.compression) in BOUNDED:
        return
    most = _COLOURS * math.prod(page.chunks)
    stored = page.parent.filehandle.read_segments(page.dataoffsets, page.databytecounts)
    tables = page.jpegtables
    if tables and claimed_size(tables):
        raise SlideError(f"{path}: its JPEG tables hold an image; write the mask again")
    for segment, number in stored:
        claimed = claimed_size(segment) if segment else (0, 0, 0)
        if claimed is None:
            size = "no size"
        elif math.prod(claimed) > most:
            size = "{} × {} px of {} channels".format(*claimed)
        else:
            continue
        raise SlideError(
            f"{path}: tile or strip {number} is a {page.compression.name} stream that says {size}, "
            f"expected at most {most} values; write the mask again, with LZW or deflate",
        )


def _sampled(
    page: Any,
    step: int,
    path: Path,
) -> AnyArray:
    """Every `step`-th px of a large image, tile by tile."""
    if math.prod(page.chunks) > MOST_PIXELS:
        raise SlideError(
            f"{path}: the mask has {page.imagewidth} × {page.imagelength} px in one strip, at most "
            f"{MOST_PIXELS:,} are read at once; write it tiled or smaller",
        )
    shape = (-(-page.imagelength // step), -(-page.imagewidth // step))
    values = np.zeros(shape, page.dtype)
    for segment, (_, _, top, left, _), _ in page.segments():
        if segment is None:
            continue
        flat = _flat(segment[0], "YXS")
        part = flat[-top % step :: step, -left % step :: step]
        down, across = -(-top // step), -(-left // step)
        room = values[down : down + part.shape[0], across : across + part.shape[1]]
        np.maximum(room, part[: room.shape[0], : room.shape[1]], out=room)
    return values


def _flat(values: AnyArray, axes: str) -> AnyArray:
    """Largest of the colour channels of each px, (height, width); alpha is no colour."""
    if values.ndim == 2:
        return values
    if values.ndim != 3 or "S" not in axes:
        raise ValueError(
            f"axes {axes}, expected rows and columns with or without colours",
        )
    channels = np.moveaxis(values, axes.index("S"), -1)
    has_alpha = channels.shape[-1] in (2, 4)
    return np.asarray(channels[..., : -1 if has_alpha else None].max(axis=-1))
