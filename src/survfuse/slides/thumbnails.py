"""A slide in one small picture: its tissue outlined, its tiles as they were kept or left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from survfuse._types import FloatArray
from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import Indices, Mask, Pixels

if TYPE_CHECKING:
    from survfuse.slides.geometry import Grid
    from survfuse.slides.overviews import Overview
    from survfuse.slides.tissue import Tissue


LONGEST = 800  # px
MOST_BYTES = 30_000
TISSUE, KEPT, LEFT_OUT = (10, 138, 58), (31, 95, 153), (208, 102, 26)
_QUALITY = 68
_SMALLEST_BOX = 12  # px; smaller tiles are a tint


def thumbnail(
    overview: Overview,
    tissue: Tissue,
    grid: Grid,
    chosen: Indices,
    included: Mask,
) -> bytes:
    """Draw tissue and tiles on the overview; JPEG of at most 800 px a side and about 30 kB.

    Parameters
    ----------
    overview : Overview
    tissue : Tissue
    grid : Grid
    chosen : ndarray, (tiles,) int64
        Flat indices of tiles on tissue.
    included : ndarray, (tiles,) bool
        Which of them are in the bag.

    Raises
    ------
    MissingExtraError
        Without the extra `slides`.
    """
    full = np.array(overview.image.shape[1::-1])
    size = np.maximum(1, np.rint(full * min(1.0, LONGEST / full.max()))).astype(int)
    picture = cv2.resize(overview.image, size.tolist(), interpolation=cv2.INTER_AREA)
    unit = full / size * overview.scale  # level-0 px
    corners = grid.corners()[chosen] / unit
    side = grid.footprint / unit
    _draw_tiles(picture, corners[included], side, KEPT, 0.14)
    _draw_tiles(picture, corners[~included], side, LEFT_OUT, 0.35)
    mask = tissue.mask.astype(np.uint8) * 255
    mask = cv2.resize(mask, size.tolist(), interpolation=cv2.INTER_AREA) > 127
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_SIMPLE,
    )
    width = 2 if size.max() > 300 else 1
    cv2.drawContours(picture, outlines, -1, TISSUE, width, cv2.LINE_AA)
    return to_jpeg(picture, MOST_BYTES)


def _draw_tiles(
    picture: Pixels,
    corners: FloatArray,
    side: FloatArray,
    colour: tuple[int, int, int],
    strength: float,
) -> None:
    """Tint tiles, and box them where there is room."""
    limit = np.array(picture.shape[1::-1]) - 1
    start = np.rint(corners).astype(int).clip(0, limit)
    stop = (np.rint(corners + side).astype(int) - 1).clip(start, limit)
    boxes = np.stack([start, stop], axis=1).tolist()
    tint = np.zeros(picture.shape[:2], np.uint8)
    for first, last in boxes:
        cv2.rectangle(tint, first, last, 1, cv2.FILLED)
    plain = np.full_like(picture, colour)
    tinted = cv2.addWeighted(picture, 1 - strength, plain, strength, 0)
    cv2.copyTo(tinted, tint, picture)
    if side.min() >= _SMALLEST_BOX:
        for first, last in boxes:
            cv2.rectangle(picture, first, last, colour, 1)


def to_jpeg(picture: Pixels, most_bytes: int) -> bytes:
    """Encode as JPEG, made smaller until it fits."""
    while True:
        options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        encoded: bytes = cv2.imencode(".jpg", picture[..., ::-1], options)[1].tobytes()
        if len(encoded) <= most_bytes or max(picture.shape[:2]) < 64:
            return encoded
        picture = _scaled(picture, max(0.5, 0.95 * (most_bytes / len(encoded)) ** 0.5))


def smaller(jpeg: bytes, most_bytes: int) -> bytes:
    """Encode a JPEG again at half its size or less; other bytes stay as they are."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return jpeg
    return to_jpeg(_scaled(picture, 0.5)[..., ::-1], most_bytes)


def _scaled(picture: Pixels, factor: float) -> Pixels:
    scaled: Pixels = cv2.resize(
        picture,
        None,
        fx=factor,
        fy=factor,
        interpolation=cv2.INTER_AREA,
    )
    return scaled
