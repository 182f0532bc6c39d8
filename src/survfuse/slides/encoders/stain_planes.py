"""Tiles as stains: colour deconvolution to bytes, and sums over bytes that come out exact.

From here on everything is counted in whole numbers, so that the same tile gives the same
features in any batch and on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError

Plane: TypeAlias = npt.NDArray[np.uint8]

OD_STEP = 0.01
"""Optical density that one unit of a stain plane stands for."""
RESIDUAL_ZERO = 128
"""Value of the residual plane where the two stains explain the colour."""
HAEMATOXYLIN = (
    0.65,
    0.70,
    0.29,
)  # absorption of red, green, blue: Ruifrok & Johnston 2001, table 1
EOSIN = (0.07, 0.99, 0.11)


def import_cv2() -> ModuleType:
    """Import OpenCV.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            "cv2 is needed for encoder stain_texture: pip install 'survfuse[slides]'",
        ) from error
    return cv2


def unmixing() -> npt.NDArray[np.float64]:
    """Matrix from optical densities (red, green, blue) to stains (haematoxylin, eosin, residual).

    The third colour is at right angles to both stains, as Ruifrok & Johnston put it for
    slides with two stains: haematoxylin and eosin are then their least-squares amounts.
    """
    stains = np.array([HAEMATOXYLIN, EOSIN], np.float64)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    residual = np.cross(stains[0], stains[1])
    mixing = np.vstack(
        [stains, residual / np.linalg.norm(residual)],
    )  # (stains, colours)
    return np.linalg.inv(mixing.T)


@dataclass(frozen=True)
class Planes:
    """One tile, (px, px) bytes each.

    Attributes
    ----------
    haematoxylin, eosin : ndarray
        In steps of 0.01 OD; more than 2.55 OD counts as that, less than 0 as 0.
    residual : ndarray
        The same from a zero of 128.
    brightness, chroma : ndarray
        0 to 255.
    """

    haematoxylin: Plane
    eosin: Plane
    residual: Plane
    brightness: Plane
    chroma: Plane


class StainSplitter:
    """Splits tiles into planes; holds the tables and the room that this takes.

    The room is kept from tile to tile: asking the system for it each time took four times
    as long as the work itself. One tile at a time, therefore.
    """

    def __init__(self) -> None:
        self.cv2: Any = import_cv2()
        self._density = (-np.log10((np.arange(256) + 1) / 256)).astype(np.float32)
        offset = np.array([[0], [0], [RESIDUAL_ZERO]])
        self._unmixing = np.hstack([unmixing() / OD_STEP, offset]).astype(np.float32)
        self._room = _Room.of(0, 0)

    def __call__(self, tile: Plane) -> Planes:
        """Split one RGB tile, (px, px, 3) bytes."""
        cv2 = self.cv2
        room = self._room = self._room.fitting(tile)
        cv2.LUT(tile, self._density, dst=room.density)
        cv2.transform(room.density, self._unmixing, dst=room.stains)
        cv2.add(room.stains, 0, dst=room.bytes, dtype=cv2.CV_8U)  # rounds and clips
        haematoxylin, eosin, residual = cv2.split(room.bytes)
        red, green, blue = cv2.split(tile)
        chroma = cv2.subtract(
            cv2.max(cv2.max(red, green), blue),
            cv2.min(cv2.min(red, green), blue),
        )
        return Planes(
            haematoxylin,
            eosin,
            residual,
            cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY),
            chroma,
        )


@dataclass(frozen=True)
class _Room:
    density: npt.NDArray[np.float32]
    stains: npt.NDArray[np.float32]
    bytes: Plane

    @classmethod
    def of(cls, height: int, width: int) -> _Room:
        density, stains = np.empty((2, height, width, 3), np.float32)
        return cls(density, stains, np.empty((height, width, 3), np.uint8))

    def fitting(self, tile: Plane) -> _Room:
        return self if self.bytes.shape == tile.shape else self.of(*tile.shape[:2])


def histogram(cv2: Any, plane: Plane) -> npt.NDArray[np.int64]:  # (256,)
    """Count the values of a plane."""
    counts = cv2.calcHist([plane], [0], None, [256], [0, 256])
    return counts.reshape(256).astype(np.int64)  # type: ignore[no-any-return]


def mean_square(cv2: Any, first: Plane, second: Plane) -> float:
    """Mean squared difference of two planes, exact."""
    return sum_of_squares(cv2, first, second) / first.size


def sum_of_squares(cv2: Any, *planes: Plane) -> int:
    """Sum of a plane's squares, or of those of the difference of two, exact.

    OpenCV squares a root, which leaves the whole number by a last bit.
    """
    return round(float(cv2.norm(*planes, cv2.NORM_L2SQR)))


def moments(cv2: Any, plane: Plane) -> tuple[float, float]:
    """Mean and variance of a plane, exact up to the last division."""
    total, squares = int(cv2.sumElems(plane)[0]), sum_of_squares(cv2, plane)
    size = plane.size
    return total / size, (size * squares - total * total) / (size * size)


def half(cv2: Any, plane: Plane) -> Plane:
    """Halve a plane's resolution by averaging."""
    height, width = plane.shape
    return cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]
