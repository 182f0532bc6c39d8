"""Native tiles of a tiled TIFF, each decoded once, without OpenSlide.

OpenSlide paints every region through a 32-bit canvas, which costs more than decoding the JPEG. Most
slides are tiled TIFFs whose levels are ordinary pages; for those the tiles are fetched and decoded
here
(tifffile and imagecodecs), after a sample of them was seen to equal OpenSlide's pixels.
See docs/decisions/0008.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tifffile

from survfuse._errors import SlideError
from survfuse._gate import boundary
from survfuse._types import FloatArray
from survfuse.slides.codestreams import BOUNDED, claimed_size
from survfuse.slides.openslide import PLAIN_VENDORS, OpenSlideReader
from survfuse.slides.reading import Level, Pixels, SlideReader, white

_LARGEST_TILE = 4096
_CACHE_BYTES = (32 * 2**20, 256 * 2**20)
_CLOSE_ENOUGH = 3.0
"""Mean difference of two decoders of one lossy tile, in grey levels of 8 x 8 blocks (OpenSlide may
paint a
coarse level a fraction of a pixel aside); another colour space differs by tens."""
_SAMPLES = 3
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

    def problem(self, claimed: tuple[int, int, int] | None) -> str:
        """What is wrong with the size that a stream claims: it is decoded to that."""
        if claimed is None:
            return "its beginning says no size"
        *size, channels = claimed
        if size != [self.tile_width, self.tile_height]:
            wanted = f"{self.tile_width} x {self.tile_height}"
            return f"{size[0]} x {size[1]} px instead of {wanted}"
        return "" if channels == 3 else f"{channels} channels instead of 3"


class NativeTiffReader(SlideReader):
    """A tiled TIFF read tile by tile; see :func:`native_or_none`.

    Parameters
    ----------
    whole : OpenSlideReader
        Of the same file: says levels and spacing, and reads what was never written (absent tiles).
    pages : list of _Page
        One per level.
    """

    def __init__(
        self,
        whole: OpenSlideReader,
        pages: list[_Page],
    ) -> None:
        self.path, self.levels, self.scales = whole.path, whole.levels, whole.scales
        self.bounds, self.vendor, self.notes = whole.bounds, whole.vendor, whole.notes
        self.sample_bits = whole.sample_bits
        self._whole, self._pages = whole, pages
        self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._size = os.fstat(self._file).st_size
        largest = max(3 * page.tile_width * page.tile_height for page in pages)
        two_rows = 2 * max(page.across for page in pages)
        least, most = (size // largest for size in _CACHE_BYTES)
        # thread-safe; two threads may decode the same tile at once
        self._tile = lru_cache(min(max(two_rows, least), most))(self._decode)

    def region(
        self,
        level: int,
        x: int,
        y: int,
        width: int,
        height: int,
    ) -> Pixels:
        """Read a rectangle (see :meth:`SlideReader.region`)."""
        page = self._pages[level]
        out = white(height, width)
        left, right = max(x, 0), min(x + width, page.width)
        top, bottom = max(y, 0), min(y + height, page.height)
        for row in range(top // page.tile_height, -(-bottom // page.tile_height)):
            for column in range(left // page.tile_width, -(-right // page.tile_width)):
                number = row * page.across + column
                if page.counts[number] == 0:
                    # never written: OpenSlide knows what the vendor means by it
                    return self._whole.region(level, x, y, width, height)
                tile = self._tile(level, number)
                x0, y0 = column * page.tile_width, row * page.tile_height
                x1, y1 = (
                    min(right, x0 + page.tile_width),
                    min(bottom, y0 + page.tile_height),
                )
                part = tile[max(top - y0, 0) : y1 - y0, max(left - x0, 0) : x1 - x0]
                out[max(top, y0) - y : y1 - y, max(left, x0) - x : x1 - x] = part
        return out

    def _decode(self, level: int, number: int) -> Pixels:
        page = self._pages[level]
        row, column = divmod(number, page.across)
        place = (
            f"{self.path}: damaged tile at level {level}, row {row}, column {column}"
        )
        offset, count = page.offsets[number], page.counts[number]
        if offset + count > self._size:
            raise SlideError(f"{place} (the file ends before it); {_COPY}")
        stored = os.pread(self._file, count, offset)
        problem = "" if page.bounded else page.problem(claimed_size(stored))
        is_whole = stored.startswith(b"\xff\xd8") and b"\xff\xd9" in stored[-64:]
        if page.jpeg and not problem and not is_whole:
            problem = "not a whole JPEG stream"
        if problem:
            raise SlideError(f"{place} ({problem}); {_COPY}")
        with boundary(
            place,
            "one that can be decoded",
            error=SlideError,
            remedy=_COPY,
        ):
            decoded = page.decode(stored, number, jpegtables=page.tables)[0]
        if decoded is None or decoded.shape[-1] != 3 or decoded.dtype != np.uint8:
            raise SlideError(f"{place} (not 8-bit RGB); {_COPY}")
        tile: Pixels = decoded.reshape(-1, *decoded.shape[-2:])
        return tile

    def close(self) -> None:
        """Close the file and drop what was decoded."""
        self._whole.close()
        self._tile.cache_clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def native_or_none(whole: OpenSlideReader) -> NativeTiffReader | None:
    """Take the fast path where it gives OpenSlide's pixels, else None.

    A few tiles of every level are read both ways. `whole` stays in use by the reader that is
    returned.
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
    if all(_same_level(reader, whole, number) for number in range(len(pages))):
        return reader
    os.close(reader._file)
    return None


def _page_of(
    file: tifffile.TiffFile,
    level: Level,
) -> _Page | None:
    """Return the one page that can be a level, where its tiles are plain 8-bit RGB."""
    fitting = []
    for entry in file.pages:
        page: Any = entry if isinstance(entry, tifffile.TiffPage) else entry.aspage()
        if (page.imagewidth, page.imagelength) == (
            level.width,
            level.height,
        ) and page.is_tiled:
            fitting.append(page)
    if len(fitting) != 1:  # which of them OpenSlide takes is not known here
        return None
    page = fitting[0]
    layout = (
        page.bitspersample,
        page.samplesperpixel,
        page.planarconfig,
        page.imagedepth,
    )
    is_plain = layout == (8, 3, 1, 1) and page.photometric in (2, 6)
    across = -(-page.imagewidth // page.tilewidth)
    tiles = across * -(-page.imagelength // page.tilelength)
    if not is_plain or max(page.tilewidth, page.tilelength) > _LARGEST_TILE:
        return None
    if (len(page.dataoffsets), len(page.databytecounts)) != (tiles, tiles):
        return None
    if page.jpegtables and claimed_size(page.jpegtables):  # tables that are an image
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
        jpeg=int(page.compression) == 7,
        bounded=int(page.compression) in BOUNDED,
    )


def _same_level(
    reader: NativeTiffReader,
    whole: OpenSlideReader,
    level: int,
) -> bool:
    """Compare a few native tiles of a level with OpenSlide; False where all are damaged."""
    page, compared = reader._pages[level], False
    for number in np.linspace(0, len(page.offsets) - 1, _SAMPLES).astype(int).tolist():
        row, column = divmod(number, page.across)
        x, y = column * page.tile_width, row * page.tile_height
        width, height = (
            min(page.tile_width, page.width - x),
            min(page.tile_height, page.height - y),
        )
        box = (level, x, y, width, height)
        try:
            one, other = _blocks(reader.region(*box)), _blocks(whole.region(*box))
        except SlideError:
            continue
        if np.abs(one - other).mean() > _CLOSE_ENOUGH:
            return False
        compared = True
    return compared


def _blocks(pixels: Pixels) -> FloatArray:
    """Mean colour of blocks of about 8 px, (rows, columns, 3); a remainder is left out."""
    rows, columns = (max(1, side // 8) for side in pixels.shape[:2])
    down, across = min(8, pixels.shape[0]), min(8, pixels.shape[1])
    cut = pixels[: rows * 8, : columns * 8].reshape(rows, down, columns, across, 3)
    return np.asarray(cut.mean(axis=(1, 3)))
