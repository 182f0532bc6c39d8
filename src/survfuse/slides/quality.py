"""What a tile shows besides tissue: bare glass, ink, and how sharp it is; cheap enough for every tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError

STEP = 8  # px between those that are looked at for colour: 784 of a tile of 224 px
SHARP_STEP = 8  # px between those that are compared with their neighbours

_COOL = (
    np.minimum(240 * (np.arange(256) / 240) ** 1.2, np.arange(256) - 8.0)
    .clip(0, 150)
    .astype(np.uint8)
)
"""Less red than this beside so much green: red is taken away 1.2 times as much as green, as only ink does."""


@dataclass(frozen=True)
class TileQuality:
    """Quality of some tiles.

    Attributes
    ----------
    background : ndarray, (tiles,) float32
        Share of px that are bare glass or were never scanned, 0 to 1.
    pen : ndarray, (tiles,) float32
        Share of px that are ink, 0 to 1: more red than green taken away (blue and green ink), nearly
        everything taken alike (black), or nearly nothing but red left (red).
    blur : ndarray, (tiles,) float32
        Variance of the Laplacian of green, in squared grey levels: the lower, the blurrier. A tile
        out of focus has a lower one than the same tile in focus; glass has a low one however sharp.
    """

    background: npt.NDArray[np.float32]
    pen: npt.NDArray[np.float32]
    blur: npt.NDArray[np.float32]


def judge_tiles(pixels: npt.NDArray[np.uint8]) -> TileQuality:
    """Judge tiles by every 8th px along both axes.

    Parameters
    ----------
    pixels : ndarray, (tiles, px, px, 3) uint8 RGB

    Raises
    ------
    MissingExtraError
        Without the extra `slides`.
    """
    try:
        import cv2
    except ImportError:
        raise MissingExtraError(
            "judging tiles needs cv2: pip install 'survfuse[slides]'",
        ) from None
    tiles = len(pixels)
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"expected (tiles, px, px, 3) uint8, got {pixels.shape} {pixels.dtype}",
        )
    if not tiles:
        return TileQuality(*(np.empty(0, np.float32) for _ in range(3)))
    some = _some(pixels)
    red, green, blue = (cv2.extractChannel(some, channel) for channel in range(3))
    most = cv2.max(cv2.max(red, green), blue)
    magenta = cv2.subtract(cv2.addWeighted(red, 0.5, blue, 0.5, 0), green)
    glass = cv2.bitwise_and(cv2.inRange(green, 196, 255), cv2.inRange(magenta, 0, 7))
    bare = cv2.bitwise_or(glass, cv2.inRange(most, 0, 0))
    cool = cv2.compare(red, cv2.LUT(green, _COOL), cv2.CMP_LT)
    warm = cv2.bitwise_and(
        cv2.inRange(red, 150, 255),
        cv2.inRange(cv2.max(green, blue), 0, 70),
    )
    ink = cv2.bitwise_or(cv2.bitwise_or(cool, warm), cv2.inRange(most, 1, 48))
    return TileQuality(_share(bare), _share(ink), _sharpness(pixels[..., 1]))


def _some(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Every 8th px along both axes, (tiles, px, 3 or 4); a fourth channel means nothing."""
    tiles, side = pixels.shape[:2]
    if side % STEP or not pixels.flags.c_contiguous:
        return np.ascontiguousarray(pixels[:, ::STEP, ::STEP]).reshape(tiles, -1, 3)
    # 4 px are 3 words, and the first px of 4 starts with one
    words = pixels.reshape(tiles, side, side * 3).view(np.uint32)
    return (
        np.ascontiguousarray(words[:, ::STEP, :: STEP // 4 * 3])
        .view(np.uint8)
        .reshape(tiles, -1, 4)
    )


def _share(mask: Any) -> npt.NDArray[np.float32]:
    """Share of each row of a 0/255 mask."""
    import cv2

    mean = np.asarray(cv2.reduce(mask, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F))
    return np.asarray(mean.ravel() / 255, np.float32)


def _sharpness(green: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Variance over some px of 4 times a px minus its neighbours, (tiles,)."""
    side = green.shape[1]
    if side < 3:
        return np.zeros(len(green), np.float32)
    at, before, after = (
        slice(start, side - 2 + start, SHARP_STEP) for start in (1, 0, 2)
    )
    around = green[:, at, before].astype(np.int16)
    around += green[:, at, after]
    around += green[:, before, at]
    around += green[:, after, at]
    laplacian = (green[:, at, at].astype(np.int16) * 4 - around).reshape(len(green), -1)
    values = laplacian.astype(np.float32)
    spread = (
        np.einsum("ij,ij->i", values, values) / values.shape[1]
        - values.mean(axis=1) ** 2
    )
    return np.asarray(np.maximum(spread, 0), np.float32)
