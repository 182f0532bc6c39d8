"""The directories of a TIFF, checked before a library opens it.

The libraries that read slides allocate what a header claims, some of them end the whole process
when
that fails, and none of them asks whether the file could hold it. So the directories are read here
first: a few kilobytes of any file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError, context
from survfuse._gate import format_bytes, refuse_claim, regular_file
from survfuse.slides.reading import MOST_PIXELS, refuse_size

MOST_IMAGES = 4096
MOST_TILES = 5 * 10**6
"""Of one image; one of 300,000 x 300,000 px in tiles of 256 px has 1.4 million."""
MOST_PACKED = {1: 2, 5: 1400, 7: 1400, 8: 1400, 32946: 1400, 32773: 128}
"""Largest ratio of decoded to stored bytes by TIFF compression: none, LZW, JPEG, deflate, PackBits.
The others (zstd, LZMA, WebP, JPEG 2000, fax) have none: a blank tile may take a few bytes."""
_MOST_TAGS = 50 * MOST_IMAGES  # of all images; one has about 20
_MOST_VALUE = 64 * 2**20
"""Bytes of one tag: descriptions, profiles and tables take at most some megabytes."""
_DEEPEST = 8  # bytes of one px of a tile, all its samples
_SMALL = 2**30  # bytes of pixels below which the packing is not checked

_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # bytes, by kind
_WHOLE = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_NDPI = 65420
_COPY = "the file is damaged: copy it again"


class Tag(IntEnum):
    """Tags that are checked; others may lie anywhere."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_OFFSETS = 273
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANES = 284
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    SUB_IMAGES = 330
    FORMAT = 339
    DEPTH = 32997
    TILE_DEPTH = 32998


@dataclass(frozen=True)
class TiffImage:
    """One image of a TIFF, as its directory says it.

    Attributes
    ----------
    width, height : int, px
    tile_width, tile_height : int, px
        Of a tile; of a strip where it is not tiled.
    tiled : bool
    bits, format, photometric, samples : int
        Most bits of a sample, kind of number (1: unsigned), meaning of the colours, samples of a
        px.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    tiled: bool
    bits: int
    format: int
    photometric: int
    samples: int

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one px, decoded."""
        return self.samples * -(-self.bits // 8)

    @property
    def bytes(self) -> int:
        """Bytes of the whole image, decoded."""
        return self.width * self.height * self.pixel_bytes

    def __str__(self) -> str:
        return f"an image of {self.width} × {self.height} px"


def tiff_images(path: Path) -> tuple[TiffImage, ...] | None:
    """Read and check the directories of a TIFF; no pixel is read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of TiffImage or None
        Those with a size, in the order of the file, each before its SubIFDs; None when it is no
        TIFF.

    Raises
    ------
    SlideError
        When directories lead in a circle or are too many; a value or table lies outside the file;
        an
        image or a tile is larger than any of a scanner, does not fit in memory, or takes more bytes
        than its compression can make of what is stored.
    """
    size = regular_file(path, error=SlideError)
    with path.open("rb") as file, context(str(path)):
        tiff = _open(file, size)
        if tiff is None:
            return None
        images = []
        for tags in tiff.directories():
            if Tag.WIDTH in tags or Tag.HEIGHT in tags:
                images.append(tiff.image(tags))
        return tuple(images)


def _open(file: BinaryIO, size: int) -> _Tiff | None:
    """Read the header of a TIFF; None when it is none."""
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 8:
        return None
    (version,) = struct.unpack_from(f"{order}H", start, 2)
    if version == 43 and len(start) == 16:
        (first,) = struct.unpack_from(f"{order}Q", start, 8)
        return _Tiff(file, size, order, first, big=True)
    if version != 42:
        return None
    if len(start) >= 12:
        # Hamamatsu's slides look like a classic TIFF, but name the next directory in 64 bits
        (first,) = struct.unpack_from(f"{order}Q", start, 4)
        ndpi = _Tiff(file, size, order, first, ndpi=True)
        with suppress(SlideError):
            if 0 < first < size - 2 and _NDPI in ndpi.directory(first)[0]:
                return ndpi
    (first,) = struct.unpack_from(f"{order}I", start, 4)
    return _Tiff(file, size, order, first)


class _Value(NamedTuple):
    kind: int
    amount: int  # of numbers or letters
    place: int  # in the file

    @property
    def size(self) -> int:
        return self.amount * (_SIZES[self.kind] if self.kind < len(_SIZES) else 0)


_Tags = Mapping[int, _Value]


@dataclass(frozen=True)
class _Tiff:
    """An open TIFF: byte order, width of its numbers, and where its first directory is."""

    file: BinaryIO
    size: int
    order: str
    first: int
    big: bool = False
    ndpi: bool = False

    def directories(self) -> Iterator[_Tags]:
        """Yield all directories, each before its SubIFDs."""
        seen: set[int] = set()
        total = entries = 0
        waiting = [(self.first, True)] if self.first else []
        while waiting:
            place, in_chain = waiting.pop()
            if place in seen:
                raise SlideError(f"its directories lead in a circle; {_COPY}")
            seen.add(place)
            tags, following = self.directory(place)
            total += sum(value.size for value in tags.values())
            entries += len(tags)
            if total > self.size + _MOST_VALUE or entries > _MOST_TAGS:
                raise SlideError(
                    f"its directories have {entries} entries of {format_bytes(total)} together, "
                    f"more than a slide has; {_COPY}",
                )
            yield tags
            if following and in_chain:
                waiting.append((following, True))
            inside = self.numbers(tags, Tag.SUB_IMAGES)
            waiting += [(one, False) for one in inside[::-1].tolist() if one]
            if len(seen) + len(waiting) > MOST_IMAGES:
                raise SlideError(
                    f"it has more than {MOST_IMAGES} images, a slide some tens; "
                    "write it again as one pyramid",
                )

    def directory(self, place: int) -> tuple[_Tags, int]:
        """Tags of one directory, and where the next one is."""
        head, cell = (8, 8) if self.big else (2, 4)
        count = self._number(place, head)
        if count > _MOST_TAGS:
            raise SlideError(f"a directory has {count} entries; {_COPY}")
        place += head
        row = np.dtype(f"{self.order}u2, {self.order}u2, {self.order}u{cell}, V{cell}")
        entries = np.frombuffer(self._read(place, count * row.itemsize), row)
        tags: dict[int, _Value] = {}
        for code, kind, amount, content in entries.tolist():
            place += row.itemsize
            value = _Value(kind, amount, place - cell)
            if value.size > cell:
                value = _Value(kind, amount, self._integer(content))
                if not self._holds(code, value):
                    continue
            if code in tags and code in set(Tag):
                raise SlideError(f"a directory says tag {code} twice; {_COPY}")
            tags[code] = value
        return tags, self._number(place, 8 if self.big or self.ndpi else 4)

    def _holds(self, code: int, value: _Value) -> bool:
        """Whether the value of a tag lies in the file; refuses one of those that are checked."""
        inside = value.place + value.size <= self.size or self._vast_ndpi
        if not inside and code in set(Tag):
            raise SlideError(f"tag {code} lies outside the file; {_COPY}")
        numbers = value.amount if value.size > value.amount else 0
        if inside and (value.size > _MOST_VALUE or numbers > MOST_TILES):
            raise SlideError(f"tag {code} takes {format_bytes(value.size)}; {_COPY}")
        return inside

    @property
    def _vast_ndpi(self) -> bool:
        """Whether the upper halves of places are kept elsewhere."""
        return self.ndpi and self.size > 2**32

    def image(self, tags: _Tags) -> TiffImage:
        """Check what one directory says of its image."""
        width, height = self._one(tags, Tag.WIDTH, 0), self._one(tags, Tag.HEIGHT, 0)
        refuse_size(width, height)
        tiled = Tag.TILE_WIDTH in tags or Tag.TILE_HEIGHT in tags
        tile_width, tile_height = width, self._one(tags, Tag.ROWS_PER_STRIP, height)
        if tiled:
            tile_width = self._one(tags, Tag.TILE_WIDTH, 0)
            tile_height = self._one(tags, Tag.TILE_HEIGHT, 0)
        image = TiffImage(
            width=width,
            height=height,
            tile_width=tile_width,
            tile_height=tile_height if tiled else min(tile_height, height),
            tiled=tiled,
            bits=self._largest(tags, Tag.BITS),
            format=self._largest(tags, Tag.FORMAT),
            photometric=self._one(tags, Tag.PHOTOMETRIC, 0),
            samples=self._one(tags, Tag.SAMPLES, 1),
        )
        self._check_tile(image, tags)
        self._check_tables(image, tags)
        return image

    def _check_tile(
        self,
        image: TiffImage,
        tags: _Tags,
    ) -> None:
        tile = (
            f"{image} is stored in tiles of {image.tile_width} × {image.tile_height} px"
        )
        if min(image.tile_width, image.tile_height, image.bits, image.samples) < 1:
            raise SlideError(f"{tile} of {image.bits} bits; {_COPY}")
        depth = max(self._one(tags, Tag.DEPTH, 1), self._one(tags, Tag.TILE_DEPTH, 1))
        pixels = image.tile_width * image.tile_height
        decoded = pixels * image.pixel_bytes * depth
        if not image.tiled:
            return
        if pixels > MOST_PIXELS or decoded > _DEEPEST * MOST_PIXELS:
            raise SlideError(
                f"{tile}, at most {MOST_PIXELS:,} px are decoded at once; "
                "convert it to a pyramid of smaller tiles",
            )
        refuse_claim(tile, decoded, error=SlideError)

    def _check_tables(
        self,
        image: TiffImage,
        tags: _Tags,
    ) -> None:
        """Compare the tables of tiles or strips with the size of image and file."""
        planes = image.samples if self._one(tags, Tag.PLANES, 1) == 2 else 1
        rows = -(-image.height // image.tile_height)
        tiles = -(-image.width // image.tile_width) * rows * planes
        if tiles > MOST_TILES:
            raise SlideError(
                f"{image} is stored in {tiles:,} tiles, at most {MOST_TILES:,} are read; "
                "convert it to larger tiles",
            )
        for name in (Tag.TILE_OFFSETS, Tag.TILE_BYTES):
            if image.tiled and name in tags and tags[name].amount < tiles:
                raise SlideError(
                    f"its table of tiles has {tags[name].amount} entries instead of {tiles}; "
                    f"{_COPY}",
                )
        stored = self.numbers(tags, Tag.TILE_BYTES if image.tiled else Tag.STRIP_BYTES)
        pixels = image.tile_width * image.tile_height
        decoded = pixels * image.pixel_bytes
        most = int(stored.max(initial=0))
        if most > min(self.size, 4 * decoded + 2**20):
            raise SlideError(
                f"one tile or strip claims {format_bytes(most)} of a file of "
                f"{format_bytes(self.size)}, for pixels of {format_bytes(decoded)}; {_COPY}",
            )
        limit = MOST_PACKED.get(self._one(tags, Tag.COMPRESSION, 1))
        if limit is None or image.bytes <= _SMALL:
            return
        # a tile of 0 bytes was never written; several tiles may share their bytes
        tile_bytes = pixels * image.samples * image.bits / (8 * planes)
        if tile_bytes * np.count_nonzero(stored) > limit * float(stored.sum()):
            raise SlideError(
                f"{image} takes {format_bytes(image.bytes)}, which a file of "
                f"{format_bytes(self.size)} does not hold; {_COPY}",
            )

    def _one(
        self,
        tags: _Tags,
        code: int,
        default: int,
    ) -> int:
        return int(next(iter(self.numbers(tags, code)), default))

    def _largest(self, tags: _Tags, code: int) -> int:
        """Largest value of a tag; 1, as TIFF has it for most, where it is absent."""
        values = self.numbers(tags, code)
        return int(values.max()) if len(values) else 1

    def numbers(
        self,
        tags: _Tags,
        code: int,
    ) -> npt.NDArray[np.unsignedinteger]:
        """Values of a tag; none where the directory does not have it."""
        value = tags.get(code)
        if value is None or (value.size > 4 and self._vast_ndpi):
            return np.empty(0, np.uint64)
        if value.kind not in _WHOLE:
            raise SlideError(f"tag {code} holds no whole numbers; {_COPY}")
        data = self._read(value.place, value.size)
        return np.frombuffer(data, f"{self.order}{_WHOLE[value.kind]}")

    def _number(self, place: int, size: int) -> int:
        return self._integer(self._read(place, size))

    def _integer(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def _read(self, place: int, size: int) -> bytes:
        self.file.seek(min(place, self.size), os.SEEK_SET)
        data = self.file.read(size)
        if len(data) < size or place > self.size:
            raise SlideError(f"the file ends within its directories; {_COPY}")
        return data
