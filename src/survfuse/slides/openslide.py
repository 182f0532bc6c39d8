"""OpenSlide as a reader: every format it knows, one call a region."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import openslide

from survfuse._errors import SlideError, context
from survfuse._gate import boundary
from survfuse.slides.colour_samples import DEEP_BITS, check_samples
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
from survfuse.slides.tiff_header import tiff_images

_CACHE_BYTES = (
    128 * 2**20
)  # decoded native tiles, so that neighbouring rows decode a tile once

_COPY = "copy it again"
PLAIN_VENDORS = {"aperio", "generic-tiff"}
"""Their levels are whole pages of a TIFF. Others stitch, pad or hide tiles, follow XML and further files."""


class OpenSlideReader(SlideReader):
    """A slide through OpenSlide.

    A handle that met damaged data refuses every later read; it is opened anew.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        When OpenSlide cannot open it; the message says what it found.
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
            said = dict(self._slide.properties)
            sizes = list(
                zip(
                    self._slide.level_dimensions,
                    self._slide.level_downsamples,
                    strict=True,
                ),
            )
        self.vendor = said.get("openslide.vendor", "unknown")
        stored = [Level(int(w), int(h), float(down)) for (w, h), down in sizes]
        whole = stored[0]
        with context(str(path)):
            for level in stored:
                refuse_size(level.width, level.height)
        self._numbers = [
            number
            for number, level in enumerate(stored)
            if _same_proportions(level, whole)
        ]
        self.levels = tuple(stored[number] for number in self._numbers)
        with context(str(path)):
            _refuse_vast_tiles(said, len(stored))
            self.sample_bits = check_samples(images or (), whole)
            self.scales, notes = file_scales(said, (whole.width, whole.height))
        odd = [level for level in stored if level not in self.levels]
        deep = (
            ("samples of 16 bits; the upper 8 are read",)
            if self.sample_bits == DEEP_BITS
            else ()
        )
        self.notes = (*notes, *deep, *(_left_out(level, whole) for level in odd))
        self.bounds = _bounds(said, whole)

    def _vendor(self) -> str | None:
        with boundary(self.path, "a whole-slide image", error=SlideError, remedy=_COPY):
            kind: str | None = openslide.OpenSlide.detect_format(str(self.path))
            return kind

    def _open(self) -> Any:
        with boundary(self.path, "a whole-slide image", error=SlideError, remedy=_COPY):
            try:
                slide = openslide.OpenSlide(str(self.path))
            except (openslide.OpenSlideError, OSError) as error:
                raise SlideError(f"{self.path}: {_why(self.path, error)}") from None
        slide.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
        return slide

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Read a rectangle (see :meth:`SlideReader.region`)."""
        down = self.levels[level].downsample
        corner = (round(x * down), round(y * down))
        handle = self._handle()
        with boundary(self.path, "a whole region", error=SlideError, remedy=_COPY):
            try:
                rgba = np.asarray(
                    handle.read_region(corner, self._numbers[level], (width, height)),
                )
            except (openslide.OpenSlideError, OSError) as error:
                self._reopen(handle)
                raise SlideError(
                    f"{self.path}: damaged at level {level}, px {x}, {y} ({error}); scan or copy "
                    "the slide again",
                ) from None
        clear = rgba[..., 3] == 0
        if not clear.any():
            return np.ascontiguousarray(rgba[..., :3])
        out = white(height, width)
        np.copyto(out, rgba[..., :3], where=~clear[..., None])
        return out

    def _handle(self) -> Any:
        if self._slide is None:
            with self._lock:
                if self._slide is None:
                    self._slide = self._open()
        return self._slide

    def _reopen(self, poisoned: Any) -> None:
        with self._lock:
            if (
                self._slide is poisoned
            ):  # other threads may still hold it; the last one closes it
                self._slide = None

    def close(self) -> None:
        """Close the handle."""
        if self._slide is not None:
            self._slide.close()
            self._slide = None


def _why(path: Path, error: Exception) -> str:
    told = str(error).removeprefix(f"Reading {path}: ")
    kind = openslide.OpenSlide.detect_format(str(path))
    if kind == "dicom":
        return (
            f"a DICOM slide is a folder with one file a level, and this file alone is not one ({told}); "
            "put all its instances into one folder and name one of the level files"
        )
    if kind is None:
        return (
            f"not a whole-slide image that OpenSlide knows ({told}); if it is one, its beginning or end is "
            "damaged: copy it again. Else convert it to a tiled pyramidal TIFF"
        )
    if "nsupported" in told:
        return f"{kind} slide of a kind that OpenSlide does not read ({told}); convert it to a JPEG pyramid"
    return f"{kind} slide, but damaged or incomplete ({told}); copy it again"


def _refuse_vast_tiles(said: dict[str, str], levels: int) -> None:
    """OpenSlide decodes a native tile whole, however large."""
    for level in range(levels):
        sides = [
            said.get(f"openslide.level[{level}].tile-{side}", "0")
            for side in ("width", "height")
        ]
        if math.prod(int(side) for side in sides) > MOST_PIXELS:
            raise SlideError(
                f"level {level} is stored in tiles of {' x '.join(sides)} px, at most {MOST_PIXELS:,} px are "
                "decoded at once; convert it to a pyramid of smaller tiles",
            )


def _same_proportions(level: Level, whole: Level) -> bool:
    """Whether a level shows the slide as it is, up to the rounding of its size."""
    across, down = whole.width / level.width, whole.height / level.height
    rounding = (
        abs(whole.height / across - level.height) <= 1
        or abs(whole.width / down - level.width) <= 1
    )
    return rounding or abs(across / down - 1) <= SAME_SCALE


def _left_out(level: Level, whole: Level) -> str:
    return (
        f"a level of {level.width} × {level.height} px has not the proportions of the slide "
        f"({whole.width} × {whole.height}); it is not read"
    )


def _bounds(said: dict[str, str], whole: Level) -> tuple[int, int, int, int]:
    names = ("x", "y", "width", "height")
    try:
        x, y, width, height = (
            int(float(said[f"openslide.bounds-{name}"])) for name in names
        )
    except (KeyError, ValueError, OverflowError):
        return 0, 0, whole.width, whole.height
    inside = 0 <= x < whole.width and 0 <= y < whole.height and width > 0 and height > 0
    if not inside:
        return 0, 0, whole.width, whole.height
    return x, y, min(width, whole.width - x), min(height, whole.height - y)
