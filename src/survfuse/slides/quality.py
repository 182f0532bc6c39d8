"""What a tile shows besides tissue: glass, ink and its sharpness; cheap for every tile."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from survfuse._types import Float32Array
from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import Pixels

STEP = 8  # px between those whose colour is looked at: 784 of a tile of 224 px
SHARP_STEP = 8  # px between those that are compared with their neighbours

Shares = Float32Array

_COOL = np.minimum(240 * (np.arange(256) / 240) ** 1.2, np.arange(256) - 8.0)
_COOL = _COOL.clip(0, 150).astype(np.uint8)
"""Less red than this with so much green: red is absorbed 1.2 times as much as green, as only by
ink."""


class TileQuality(NamedTuple):
    """Quality of some tiles.

    Attributes
    ----------
    background : ndarray, (tiles,) float32
        Share of px that are glass or were never scanned, 0 to 1.
    pen : ndarray, (tiles,) float32
        Share of px that are ink, 0 to 1: more red than green absorbed (blue and green ink), nearly
        everything absorbed alike (black), or nearly nothing but red left (red).
    blur : ndarray, (tiles,) float32
        Variance of the Laplacian of green, in squared grey levels: the lower, the blurrier. A tile
        out of focus has a lower one than the same tile in focus; glass has a low one however sharp.
    """

    background: Shares
    pen: Shares
    blur: Shares


def judge_tiles(pixels: Pixels) -> TileQuality:
    """Judge tiles by every 8th px along both axes.

    Parameters
    ----------
    pixels : ndarray, (tiles, px, px, 3) uint8 RGB

    Raises
    ------
    MissingExtraError
        Without the extra `slides`.
    """
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"expected (tiles, px, px, 3) uint8, got {pixels.shape} {pixels.dtype}",
        )
    if not len(pixels):
        return TileQuality(*np.empty((3, 0), np.float32))
    some = _some(pixels)
    red, green, blue = (cv2.extractChannel(some, channel) for channel in range(3))
    most = cv2.max(cv2.max(red, green), blue)
    magenta = cv2.subtract(cv2.addWeighted(red, 0.5, blue, 0.5, 0), green)
    glass = cv2.bitwise_and(cv2.inRange(green, 196, 255), cv2.inRange(magenta, 0, 7))
    background = cv2.bitwise_or(glass, cv2.inRange(most, 0, 0))
    cool = cv2.compare(red, cv2.LUT(green, _COOL), cv2.CMP_LT)
    no_others = cv2.inRange(cv2.max(green, blue), 0, 70)
    warm = cv2.bitwise_and(cv2.inRange(red, 150, 255), no_others)
    ink = cv2.bitwise_or(cv2.bitwise_or(cool, warm), cv2.inRange(most, 1, 48))
    return TileQuality(_share(background), _share(ink), _sharpness(pixels[..., 1]))


def _some(pixels: Pixels) -> Pixels:
    """Every 8th px along both axes, (tiles, px, 3 or 4); a fourth channel means nothing."""
    tiles, side = pixels.shape[:2]
    if side % STEP or not pixels.flags.c_contiguous:
        return np.ascontiguousarray(pixels[:, ::STEP, ::STEP]).reshape(tiles, -1, 3)
    # 4 px are 3 words, and the first px of 4 starts with one
    packed = pixels.reshape(tiles, side, side * 3).view(np.uint32)
    every = np.ascontiguousarray(packed[:, ::STEP, :: STEP // 4 * 3])
    return every.view(np.uint8).reshape(tiles, -1, 4)


def _share(mask: Any) -> Shares:
    """Share of each row of a 0/255 mask."""
    mean = cv2.reduce(mask, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    return np.asarray(mean.ravel() / 255, np.float32)


def _sharpness(green: Pixels) -> Shares:
    """Variance over some px of 4 times a px minus its neighbours, (tiles,)."""
    side = green.shape[1]
    if side < 3:
        return np.zeros(len(green), np.float32)
    at, before, after = (
        slice(start, side - 2 + start, SHARP_STEP) for start in (1, 0, 2)
    )
    around = green[:, at, before].astype(np.int16)
    for rows, columns in ((at, after), (before, at), (after, at)):
        around += green[:, rows, columns]
    laplacian = green[:, at, at].astype(np.int16) * 4 - around
    values = laplacian.reshape(len(green), -1).astype(np.float32)
    squares = np.einsum("ij,ij->i", values, values) / values.shape[1]
    return np.asarray(np.maximum(squares - values.mean(axis=1) ** 2, 0), np.float32)
