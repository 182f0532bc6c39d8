"""A slide in one small picture: its tissue outlined, its tiles as they were kept or left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from survfuse.slides.geometry import Grid
    from survfuse.slides.overviews import Overview
    from survfuse.slides.tissue import Tissue

Pixels = npt.NDArray[np.uint8]

LONGEST = 800  # px
MOST_BYTES = 30_000
TISSUE, KEPT, LEFT_OUT = (10, 138, 58), (31, 95, 153), (208, 102, 26)
_QUALITY = 68
_SMALLEST_BOX = 12  # px; smaller tiles are a tint


def draw_slide(
    overview: Overview,
    tissue: Tissue,
    grid: Grid,
    chosen: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
) -> bytes:
    """Draw tissue and tiles on the overview; JPEG of at most 800 px a side and about 30 kB.

    Parameters
    ----------
    overview : Overview
    tissue : Tissue
    grid : Grid
    chosen : ndarray, (tiles,) int64
        Flat indices of tiles on tissue.
    kept : ndarray, (tiles,) bool
        Which of them are in the bag.
    """
    height, width = overview.image.shape[:2]
    shrink = min(1.0, LONGEST / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    picture = np.ascontiguousarray(
        cv2.resize(overview.image, size, interpolation=cv2.INTER_AREA),
        dtype=np.uint8,
    )
    unit = np.array(
        [width / size[0] * overview.scale[0], height / size[1] * overview.scale[1]],
    )  # level-0 px
    corners = grid.corners()[chosen] / unit
    for which, colour, strength in ((kept, KEPT, 0.14), (~kept, LEFT_OUT, 0.35)):
        _tiles(picture, corners[which], grid.footprint / unit, colour, strength)
    mask = (
        cv2.resize(
            tissue.mask.astype(np.uint8) * 255,
            size,
            interpolation=cv2.INTER_AREA,
        )
        > 127
    )
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_SIMPLE,
    )
    cv2.drawContours(
        picture,
        outlines,
        -1,
        TISSUE,
        2 if max(size) > 300 else 1,
        cv2.LINE_AA,
    )
    return to_jpeg(picture, MOST_BYTES)


def _tiles(
    picture: Pixels,
    corners: npt.NDArray[np.float64],
    side: npt.NDArray[np.float64],
    colour: tuple[int, int, int],
    strength: float,
) -> None:
    """Tint tiles, and box them where there is room."""
    limit = np.array([picture.shape[1], picture.shape[0]])
    start = np.rint(corners).astype(int).clip(0, limit - 1)
    stop = (np.rint(corners + side).astype(int) - 1).clip(start, limit - 1)
    tint = np.zeros(picture.shape[:2], np.uint8)
    for first, last in zip(start.tolist(), stop.tolist(), strict=True):
        cv2.rectangle(tint, first, last, 1, cv2.FILLED)
    tinted = cv2.addWeighted(
        picture,
        1 - strength,
        np.full_like(picture, colour),
        strength,
        0,
    )
    cv2.copyTo(tinted, tint, picture)
    if side.min() >= _SMALLEST_BOX:
        for first, last in zip(start.tolist(), stop.tolist(), strict=True):
            cv2.rectangle(picture, first, last, colour, 1)


def to_jpeg(picture: Pixels, most_bytes: int) -> bytes:
    """Encode as JPEG, made smaller until it fits."""
    while True:
        how = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        encoded: bytes = cv2.imencode(".jpg", picture[..., ::-1], how)[1].tobytes()
        if len(encoded) <= most_bytes or max(picture.shape[:2]) < 64:
            return encoded
        shrink = max(0.5, 0.95 * (most_bytes / len(encoded)) ** 0.5)
        picture = np.asarray(
            cv2.resize(
                picture,
                None,
                fx=shrink,
                fy=shrink,
                interpolation=cv2.INTER_AREA,
            ),
            np.uint8,
        )


def smaller(jpeg: bytes, most_bytes: int) -> bytes:
    """Encode a JPEG again at half its size or less, so that it fits; what is no JPEG stays as it is."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return jpeg
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return to_jpeg(np.asarray(half[..., ::-1], np.uint8), most_bytes)
