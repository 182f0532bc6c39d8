"""Slides as files: pyramidal TIFFs that OpenSlide opens, masks, and maps of what was painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from survfuse._errors import InputError
from survfuse._types import BoolArray, ByteArray

TILE = 256  # px
QUALITY = 80  # of JPEG
# Colours of the classes in a map, in the order of tissue.CLASSES.
PALETTE = (
    (170, 30, 60),
    (40, 70, 190),
    (240, 170, 200),
    (200, 90, 120),
    (150, 120, 60),
    (255, 255, 255),
)

_DAMAGED_MPP = (
    1.1  # levels up to this coarse are damaged; an overview can still be read
)
_DAMAGED = (0.3, 0.7)  # this part of a level's tiles


def write_pyramid(
    path: Path | str,
    image: ByteArray,
    mpp: float | None,
) -> None:
    """Write an image as a tiled pyramid, every level half the one before, as plain pages.

    Parameters
    ----------
    path : path
        ``NAME.tif``.
    image : ndarray, (height, width, 3) uint8
        RGB, level 0.
    mpp : float or None, µm per px
        Written as resolution tags; None leaves them out.
    """
    with tifffile.TiffWriter(path) as file:
        level, downsample = image, 1
        while True:
            file.write(level, **_page(downsample, mpp))
            height, width = (side // 2 for side in level.shape[:2])
            if max(level.shape[:2]) <= TILE or min(height, width) < 1:
                return
            level = np.asarray(
                cv2.resize(level, (width, height), interpolation=cv2.INTER_AREA),
                np.uint8,
            )
            downsample *= 2


def _page(
    downsample: int,
    mpp: float | None,
) -> dict[str, Any]:
    page: dict[str, Any] = {
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": QUALITY},
        "tile": (TILE, TILE),
        "subfiletype": int(downsample > 1),
        "metadata": None,
        "software": "survfuse",
        "maxworkers": 1,
    }
    if mpp is not None:
        page["resolution"] = (1e4 / (mpp * downsample),) * 2
        page["resolutionunit"] = "CENTIMETER"
    return page


def write_mask(path: Path | str, tissue: BoolArray) -> None:
    """Write a mask of tissue, 255 inside and 0 outside, one channel.

    Parameters
    ----------
    path : path
        ``NAME.tif``.
    tissue : ndarray, (rows, columns) bool
    """
    pixels = np.where(tissue, np.uint8(255), np.uint8(0))
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack",
        compression="deflate",
        metadata=None,
        software="survfuse",
    )


def write_classes(
    path: Path | str,
    classes: ByteArray,
) -> None:
    """Write a map of classes as a PNG whose pixel values are the classes, with colours to look at.

    Parameters
    ----------
    path : path
        ``NAME.png``.
    classes : ndarray, (rows, columns) uint8
        Index into :data:`survfuse.datasets.simulated_tissue.CLASSES`.
    """
    image = Image.fromarray(classes, mode="P")
    image.putpalette([value for colour in PALETTE for value in colour])
    image.save(path, format="PNG")


def read_classes(path: Path | str) -> ByteArray:
    """Read what :func:`write_classes` wrote, (rows, columns) uint8.

    Raises
    ------
    InputError
        When the file is absent or is no map of classes.
    """
    try:
        with Image.open(path) as image:
            if image.mode != "P":
                raise InputError(
                    f"{path}: expected a PNG of classes (mode P), got mode {image.mode}",
                )
            return np.array(image, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"{path}: not a map of classes: {error}") from None


def damage(path: Path | str) -> int:
    """Blank the bytes of many tiles in the middle of a slide, in place; return how many.

    The file still opens and its coarse levels can be read, so that the damage is
    met only while tiles are read: what an interrupted copy or a bad disk leaves.

    Parameters
    ----------
    path : path
        A file of :func:`write_pyramid`.
    """
    spans: list[tuple[int, int]] = []
    with tifffile.TiffFile(path) as file:
        for number in range(len(file.pages)):
            page = file.pages.get(number)
            assert isinstance(page, tifffile.TiffPage)
            dots, unit = page.tags["XResolution"].value  # per cm, as a fraction
            mpp = 1e4 * unit / dots
            if mpp > _DAMAGED_MPP:
                break
            tiles = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            first, last = (round(share * len(tiles)) for share in _DAMAGED)
            spans += tiles[first:last]
    with Path(path).open("rb+") as raw:
        for offset, size in spans:
            raw.seek(offset)
            raw.write(bytes(size))
    return len(spans)
