"""OpenSlide as a reader: every format it knows, one call a region."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openslide

from survfuse._errors import SlideError, context
from survfuse._gate import boundary
from survfuse.slides.isolated_open import look_first
from survfuse.slides.reading import (
    MOST_PIXELS,
    SAME_SCALE,
    Level,
    Pixels,
    SlideReader,
    refuse_size,
    white,
)
from survfuse.slides.scales import file_scales
from survfuse.slides.tiff_header import TiffImage, tiff_images

_CACHE_BYTES = 128 * 2**20  # decoded native tiles: neighbouring rows decode a tile once
_COPY = "copy it again"
_CONVERT = "convert it to an 8-bit RGB pyramid"
PLAIN_VENDORS = {"aperio", "generic-tiff"}
"""Their levels are whole pages of a TIFF. Others stitch, pad or hide tiles, follow XML and further
files."""


class OpenSlideReader(SlideReader):
    """A slide through OpenSlide.

    A handle that met damaged data refuses every later read; it is opened anew.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        When OpenSlide cannot open it; the message says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        images = tiff_images(path)
        if images is None or self._vendor() not in PLAIN_VENDORS:
            look_first(path)
        self._lock = threading.Lock()
        self._slide: Any = self._open()
        with boundary(
            path,
            "a slide that OpenSlide can describe",
            error=SlideError,
            remedy=_COPY,
        ):
            properties = dict(self._slide.properties)
            sizes = self._slide.level_dimensions
            downsamples = self._slide.level_downsamples
        self.vendor = properties.get("openslide.vendor", "unknown")
        with context(str(path)):
            self._set_levels(sizes, downsamples)
            _refuse_vast_tiles(properties, len(sizes))
            whole = self.levels[0]
            self.sample_bits = check_samples(images or (), whole)
            self.scales, notes = file_scales(properties, (whole.width, whole.height))
        if self.sample_bits == 16:
            notes = (*notes, "samples of 16 bits; the upper 8 are read")
        self.notes = (*notes, *self._left_out)
        self.bounds = _bounds(properties, whole)

    def _vendor(self) -> str | None:
        with boundary(
            self.path,
            "a whole-slide image",
            error=SlideError,
            remedy=_COPY,
        ):
            vendor: str | None = openslide.OpenSlide.detect_format(str(self.path))
            return vendor

    def _open(self) -> Any:
        with boundary(
            self.path,
            "a whole-slide image",
            error=SlideError,
            remedy=_COPY,
        ):
            try:
                slide = openslide.OpenSlide(str(self.path))
            except (openslide.OpenSlideError, OSError) as error:
                raise SlideError(f"{self.path}: {self._why(error)}") from None
        slide.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
        return slide

    def _why(self, error: Exception) -> str:
        """Say why a slide cannot be opened."""
        said = str(error).removeprefix(f"Reading {self.path}: ")
        vendor = openslide.OpenSlide.detect_format(str(self.path))
        if vendor == "dicom":
            return (
                "a DICOM slide is a folder with one file a level, and this file alone is not one "
                f"({said}); put all its instances into one folder and name one of the level files"
            )
        if vendor is None:
            return (
                f"not a whole-slide image that OpenSlide knows ({said}); if it is one, its "
                "beginning "
                "or end is damaged: copy it again. Else convert it to a tiled pyramidal TIFF"
            )
        if "nsupported" in said:
            return (
                f"{vendor} slide of a kind that OpenSlide does not read ({said}); "
                "convert it to a JPEG pyramid"
            )
        return f"{vendor} slide, but damaged or incomplete ({said}); copy it again"

    def _set_levels(
        self,
        sizes: Sequence[tuple[int, int]],
        downsamples: Sequence[float],
    ) -> None:
        """Take the levels that show the slide as it is; the others are named in notes."""
        self._numbers, levels, self._left_out = [], [], []
        whole_width, whole_height = sizes[0]
        for number, (width, height) in enumerate(sizes):
            refuse_size(width, height)
            if _same_proportions((width, height), sizes[0]):
                self._numbers.append(number)
                levels.append(Level(width, height, float(downsamples[number])))
            else:
                self._left_out.append(
                    f"a level of {width} × {height} px has not the proportions of the slide "
                    f"({whole_width} × {whole_height}); it is not read",
                )
        self.levels = tuple(levels)

    def region(
        self,
        level: int,
        x: int,
        y: int,
        width: int,
        height: int,
    ) -> Pixels:
        """Read a rectangle (see :meth:`SlideReader.region`)."""
        down = self.levels[level].downsample
        corner = (round(x * down), round(y * down))
        number = self._numbers[level]
        handle = self._handle()
        with boundary(
            self.path,
            "a whole region",
            error=SlideError,
            remedy=_COPY,
        ):
            try:
                rgba = np.asarray(handle.read_region(corner, number, (width, height)))
            except (openslide.OpenSlideError, OSError) as error:
                with (
                    self._lock
                ):  # other threads may still hold it; the last one closes it
                    if self._slide is handle:
                        self._slide = None
                raise SlideError(
                    f"{self.path}: damaged at level {level}, px {x}, {y} ({error}); "
                    "scan or copy the slide again",
                ) from None
        clear = rgba[..., 3] == 0
        if not clear.any():
            return np.ascontiguousarray(rgba[..., :3])
        out = white(height, width)
        np.copyto(out, rgba[..., :3], where=~clear[..., None])
        return out

    def _handle(self) -> Any:
        with self._lock:
            if self._slide is None:
                self._slide = self._open()
            return self._slide

    def close(self) -> None:
        """Close the handle."""
        if self._slide is not None:
            self._slide.close()
            self._slide = None


def _refuse_vast_tiles(
    properties: Mapping[str, str],
    levels: int,
) -> None:
    """OpenSlide decodes a native tile whole, however large."""
    for level in range(levels):
        name = f"openslide.level[{level}].tile-"
        width, height = (
            properties.get(name + side, "0") for side in ("width", "height")
        )
        if int(width) * int(height) > MOST_PIXELS:
            raise SlideError(
                f"level {level} is stored in tiles of {width} x {height} px, at most "
                f"{MOST_PIXELS:,} px are decoded at once; convert it to a pyramid of smaller tiles",
            )


def _same_proportions(
    size: tuple[int, int],
    whole: tuple[int, int],
) -> bool:
    """Whether a level has the proportions of the slide, up to the rounding of its size."""
    across, down = whole[0] / size[0], whole[1] / size[1]
    rounding = min(abs(whole[1] / across - size[1]), abs(whole[0] / down - size[0]))
    return rounding <= 1 or abs(across / down - 1) <= SAME_SCALE


def _bounds(
    properties: Mapping[str, str],
    whole: Level,
) -> tuple[int, int, int, int]:
    """Scanned area: x, y, width and height."""
    names = ("x", "y", "width", "height")
    everything = 0, 0, whole.width, whole.height
    try:
        said = [float(properties[f"openslide.bounds-{name}"]) for name in names]
        x, y, width, height = map(int, said)
    except (KeyError, ValueError, OverflowError):
        return everything
    if (
        min(x, y) < 0
        or x >= whole.width
        or y >= whole.height
        or min(width, height) <= 0
    ):
        return everything
    return x, y, min(width, whole.width - x), min(height, whole.height - y)


def check_samples(
    images: Sequence[TiffImage],
    whole: Level,
) -> int:
    """Refuse a TIFF whose level 0 is not in colours of 8 or 16 bits; other formats pass.

    Parameters
    ----------
    images : sequence of TiffImage
        Of the file; none where it is no TIFF.
    whole : Level
        Level 0.

    Returns
    -------
    int
        Bits of a sample; of 16, the upper 8 are read.

    Raises
    ------
    SlideError
        Names what is stored.
    """
    tiled = [image for image in images if image.tiled]
    if not tiled:
        return 8
    size = (whole.width, whole.height)
    level0 = [image for image in tiled if (image.width, image.height) == size]
    first = next(
        iter(level0),
        max(tiled, key=lambda image: (image.width, image.height)),
    )
    if first.photometric in (0, 1):  # white is 0, black is 0
        channels = max(first.samples, len(level0))  # they may be stored one image each
        many = "one grey value" if channels == 1 else f"{channels} grey channels"
        raise SlideError(
            f"stored as {many} per pixel ({first.bits} bits), without colour; tissue and its "
            f"stains are told by colour: {_CONVERT}",
        )
    if first.bits not in (8, 16) or first.format != 1:
        kinds = {2: "signed integers", 3: "floating point"}
        raise SlideError(
            f"stored in samples of {first.bits} bits "
            f"({kinds.get(first.format, 'unsigned integers')}), expected 8: {_CONVERT}",
        )
    return first.bits
