"""The fast path: native tiles of a tiled TIFF, each decoded once, without OpenSlide's detours.

OpenSlide paints every region through a 32-bit canvas, which costs more than decoding the JPEG. Most
slides are tiled TIFFs whose levels are ordinary pages; for those the tiles are fetched and decoded here
(tifffile and imagecodecs), after a sample of them was seen to equal OpenSlide's pixels.
See docs/decisions/0008.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from survfuse._errors import SlideError
from survfuse._gate import boundary
from survfuse.slides.codestreams import BOUNDED, claimed_size
from survfuse.slides.openslide import PLAIN_VENDORS, OpenSlideReader
from survfuse.slides.reading import Level, Pixels, SlideReader, white

_JPEG = 7
_LARGEST_TILE = 4096
_CACHE_BYTES = (32 * 2**20, 256 * 2**20)
_CLOSE_ENOUGH = 3.0
"""Mean difference of two decoders of one lossy tile, in grey levels of 8 x 8 blocks (OpenSlide may paint a
coarse level a fraction of a pixel aside); another colour space differs by tens."""
_BLOCK = 8
_SAMPLES = 3
_CHANNELS = 3
_COPY = "scan or copy the slide again"


@dataclass(frozen=True)
class _Page:
    """One level's native tiles."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    across: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    decode: Callable[..., Any]
    tables: bytes | None
    jpeg: bool
    bounded: bool

    @property
    def tile_bytes(self) -> int:
        return self.tile_width * self.tile_height * 3


class NativeTiffReader(SlideReader):
    """A tiled TIFF read tile by tile; see :func:`native_or_none`.

    Parameters
    ----------
    whole : OpenSlideReader
        Of the same file: says levels and spacing, and reads what was never written (absent tiles).
    pages : list of _Page
        One per level.
    """

    def __init__(self, whole: OpenSlideReader, pages: list[_Page]) -> None:
        self.path, self.levels, self.scales = whole.path, whole.levels, whole.scales
        self.bounds, self.vendor, self.notes = whole.bounds, whole.vendor, whole.notes
        self.sample_bits = whole.sample_bits
        self._whole, self._pages = whole, pages
        self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._size = os.fstat(self._file).st_size
        self._cache: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()
        two_rows = max(2 * page.across * page.tile_bytes for page in pages)
        self._capacity = min(max(two_rows, _CACHE_BYTES[0]), _CACHE_BYTES[1])

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Read a rectangle (see :meth:`SlideReader.region`)."""
        page = self._pages[level]
        inside = (
            x >= 0 and y >= 0 and x + width <= page.width and y + height <= page.height
        )
        out = np.empty((height, width, 3), np.uint8) if inside else white(height, width)
        left, right = max(x, 0), min(x + width, page.width)
        top, bottom = max(y, 0), min(y + height, page.height)
        for row in range(top // page.tile_height, -(-bottom // page.tile_height)):
            for column in range(left // page.tile_width, -(-right // page.tile_width)):
                number = row * page.across + column
                if (
                    page.counts[number] == 0
                ):  # never written: OpenSlide knows what the vendor means by it
                    return self._whole.region(level, x, y, width, height)
                tile = self._tile(level, number)
                x0, y0 = column * page.tile_width, row * page.tile_height
                from_x, to_x = max(left, x0), min(right, x0 + page.tile_width)
                from_y, to_y = max(top, y0), min(bottom, y0 + page.tile_height)
                out[from_y - y : to_y - y, from_x - x : to_x - x] = tile[
                    from_y - y0 : to_y - y0,
                    from_x - x0 : to_x - x0,
                ]
        return out

    def _tile(self, level: int, number: int) -> Pixels:
        key = (level, number)
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                return found
        tile = self._decode(level, number)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = tile
                self._cached += tile.nbytes
            while self._cached > self._capacity:
                self._cached -= self._cache.popitem(last=False)[1].nbytes
        return tile

    def _decode(self, level: int, number: int) -> Pixels:
        page = self._pages[level]
        if page.offsets[number] + page.counts[number] > self._size:
            raise self._damaged(level, number, "the file ends before it")
        stored = os.pread(self._file, page.counts[number], page.offsets[number])
        if not page.bounded:
            self._refuse_claim(level, number, claimed_size(stored))
        if page.jpeg and not (
            stored.startswith(b"\xff\xd8") and b"\xff\xd9" in stored[-64:]
        ):
            raise self._damaged(level, number, "not a whole JPEG stream")
        with boundary(
            self._place(level, number),
            "one that can be decoded",
            error=SlideError,
            remedy=_COPY,
        ):
            decoded = page.decode(stored, number, jpegtables=page.tables)[0]
        if (
            decoded is None
            or decoded.shape[-1] != _CHANNELS
            or decoded.dtype != np.uint8
        ):
            raise self._damaged(level, number, "not 8-bit RGB")
        tile: Pixels = decoded.reshape(-1, *decoded.shape[-2:])
        return tile

    def _refuse_claim(
        self,
        level: int,
        number: int,
        claimed: tuple[int, int, int] | None,
    ) -> None:
        """A stream is decoded to what it says itself."""
        page = self._pages[level]
        if claimed is None:
            raise self._damaged(level, number, "its beginning says no size")
        width, height, channels = claimed
        if (width, height) != (page.tile_width, page.tile_height):
            told = f"{width} x {height} px instead of {page.tile_width} x {page.tile_height}"
            raise self._damaged(level, number, told)
        if channels != _CHANNELS:
            raise self._damaged(
                level,
                number,
                f"{channels} channels instead of {_CHANNELS}",
            )

    def _place(self, level: int, number: int) -> str:
        row, column = divmod(number, self._pages[level].across)
        return f"{self.path}: damaged tile at level {level}, row {row}, column {column}"

    def _damaged(self, level: int, number: int, why: str) -> SlideError:
        return SlideError(f"{self._place(level, number)} ({why}); {_COPY}")

    def close(self) -> None:
        """Close the file and drop what was decoded."""
        self._whole.close()
        self._cache.clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def native_or_none(whole: OpenSlideReader) -> NativeTiffReader | None:
    """Take the fast path where it gives OpenSlide's pixels, else None.

    A few tiles of every level are read both ways. `whole` stays in use by the reader that is returned.
    """
    if whole.vendor not in PLAIN_VENDORS or not hasattr(os, "pread"):
        return None
    try:
        with (
            boundary(whole.path, "a TIFF that tifffile reads", error=SlideError),
            tifffile.TiffFile(whole.path) as file,
        ):
            pages = [_page_of(file, level) for level in whole.levels]
    except SlideError:
        return None
    known = [page for page in pages if page is not None]
    if len(known) < len(pages):
        return None
    reader = NativeTiffReader(whole, known)
    if _same_pixels(reader, whole):
        return reader
    os.close(reader._file)
    return None


def _page_of(file: tifffile.TiffFile, level: Level) -> _Page | None:
    """Find the one page that can be a level, and whether its tiles are plain 8-bit RGB."""
    every: list[Any] = [
        one if isinstance(one, tifffile.TiffPage) else one.aspage()
        for one in file.pages
    ]
    size = level.width, level.height
    fitting = [
        one
        for one in every
        if (one.imagewidth, one.imagelength) == size and one.is_tiled
    ]
    if len(fitting) != 1:  # which of them OpenSlide takes is not known here
        return None
    page = fitting[0]
    plain = (
        page.bitspersample == 8
        and page.samplesperpixel == _CHANNELS
        and page.planarconfig == 1
        and page.imagedepth == 1
        and max(page.tilewidth, page.tilelength) <= _LARGEST_TILE
        and page.photometric in (2, 6)
    )
    across, down = (
        -(-page.imagewidth // page.tilewidth),
        -(-page.imagelength // page.tilelength),
    )
    if page.jpegtables and claimed_size(page.jpegtables):  # tables that are an image
        return None
    if (
        not plain
        or len(page.dataoffsets) != across * down
        or len(page.databytecounts) != across * down
    ):
        return None
    return _Page(
        width=page.imagewidth,
        height=page.imagelength,
        tile_width=page.tilewidth,
        tile_height=page.tilelength,
        across=across,
        offsets=tuple(page.dataoffsets),
        counts=tuple(page.databytecounts),
        decode=page.decode,
        tables=page.jpegtables,
        jpeg=int(page.compression) == _JPEG,
        bounded=int(page.compression) in BOUNDED,
    )


def _same_pixels(reader: NativeTiffReader, whole: OpenSlideReader) -> bool:
    """Hold a few native tiles of every level against OpenSlide; damaged ones tell nothing."""
    return all(_same_level(reader, whole, level) for level in range(len(reader.levels)))


def _same_level(reader: NativeTiffReader, whole: OpenSlideReader, level: int) -> bool:
    page, told = reader._pages[level], False
    for place in np.linspace(0, len(page.offsets) - 1, _SAMPLES).astype(int):
        row, column = divmod(int(place), page.across)
        x, y = column * page.tile_width, row * page.tile_height
        size = (
            min(page.tile_width, page.width - x),
            min(page.tile_height, page.height - y),
        )
        try:
            ours, theirs = (
                reader.region(level, x, y, *size),
                whole.region(level, x, y, *size),
            )
        except SlideError:
            continue
        if np.abs(_blocks(ours) - _blocks(theirs)).mean() > _CLOSE_ENOUGH:
            return False
        told = True
    return told


def _blocks(pixels: Pixels) -> npt.NDArray[np.float64]:
    """Mean colour of blocks, (rows, columns, 3); a remainder at the lower and right edge is left out."""
    height, width = (max(1, side // _BLOCK) for side in pixels.shape[:2])
    cut = pixels[: height * _BLOCK, : width * _BLOCK].astype(np.float64)
    means: npt.NDArray[np.float64] = cut.reshape(
        height,
        cut.shape[0] // height,
        width,
        cut.shape[1] // width,
        3,
    ).mean(axis=(1, 3))
    return means
