"""What a TIFF says of itself, judged before a library opens it.

The libraries that read slides allocate what a header claims, some of them end the whole process when
that fails, and none of them asks whether the file could hold it. So the directories are walked here
first: a few kilobytes of any file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError, context
from survfuse._gate import MOST_PACKED, format_bytes, regular_file
from survfuse.slides.reading import MOST_PIXELS, refuse_size

MOST_IMAGES = 4096
MOST_TILES = 5 * 10**6
"""Of one image; one of 300,000 x 300,000 px in tiles of 256 px has 1.4 million."""
_MOST_TAGS = 50 * MOST_IMAGES  # of all images; one has about 20
_MOST_VALUE = 64 * 2**20
"""Bytes of one tag: descriptions, profiles and tables take at most some megabytes."""
_DEEPEST = 8  # bytes of one px of a tile, all its samples
_SMALL = 2**30  # bytes of pixels below which nobody asks how they were packed

_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_WHOLE = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_WIDTH, _HEIGHT, _BITS, _COLOURS, _SAMPLES = 256, 257, 258, 262, 277
_ROWS_PER_STRIP, _PLANES, _TILE_WIDTH, _TILE_HEIGHT, _SUB_IMAGES, _FORMAT = (
    278,
    284,
    322,
    323,
    330,
    339,
)
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES, _DEPTH, _TILE_DEPTH = (
    273,
    279,
    324,
    325,
    32997,
    32998,
)
_NDPI = 65420
_JUDGED = {
    *(
        _WIDTH,
        _HEIGHT,
        _BITS,
        _COLOURS,
        _SAMPLES,
        _ROWS_PER_STRIP,
        _PLANES,
        _TILE_WIDTH,
        _TILE_HEIGHT,
    ),
    *(
        _SUB_IMAGES,
        _FORMAT,
        _STRIP_OFFSETS,
        _STRIP_BYTES,
        _TILE_OFFSETS,
        _TILE_BYTES,
        _DEPTH,
        _TILE_DEPTH,
    ),
}
_COPY = "the file is damaged: copy it again"


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
        Most bits of a sample, kind of number (1: unsigned), meaning of the colours, samples of a px.
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


@dataclass(frozen=True)
class _Tag:
    code: int
    kind: int
    count: int
    place: int  # of its value in the file

    @property
    def size(self) -> int:
        return self.count * _BYTES.get(self.kind, 0)


def tiff_images(path: Path) -> tuple[TiffImage, ...] | None:
    """Read and judge the directories of a TIFF; no pixel is read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of TiffImage or None
        Those that say a size, in the order of the file, each before its SubIFDs; None when it is no TIFF.

    Raises
    ------
    SlideError
        When directories lead in a circle or are too many; a value or table lies outside the file; an image or
        a tile is larger than any that is honest, or takes more bytes than the file has.
    """
    size = regular_file(path, error=SlideError)
    with path.open("rb") as file, context(str(path)):
        header = _Header.of(file, size)
        if header is None:
            return None
        images = [
            image
            for tags in header.directories()
            if (image := header.image(tags)) is not None
        ]
        for image in images:
            if image.bytes > max(_SMALL, MOST_PACKED * size):
                raise SlideError(
                    f"an image of {image.width} × {image.height} px takes {format_bytes(image.bytes)}, which a "
                    f"file of {format_bytes(size)} does not hold; {_COPY}",
                )
        return tuple(images)


@dataclass(frozen=True)
class _Header:
    """An open TIFF: how its numbers lie, and where its first directory is."""

    file: BinaryIO
    size: int
    order: str
    big: bool
    ndpi: bool
    first: int

    @classmethod
    def of(cls, file: BinaryIO, size: int) -> _Header | None:
        start = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2], "")
        if not order or len(start) < 8:
            return None
        version = int(np.frombuffer(start, f"{order}u2", 1, 2)[0])
        if version == 43 and len(start) == 16:
            return cls(
                file,
                size,
                order,
                True,
                False,
                int(np.frombuffer(start, f"{order}u8", 1, 8)[0]),
            )
        if version != 42:
            return None
        plain = cls(
            file,
            size,
            order,
            False,
            False,
            int(np.frombuffer(start, f"{order}u4", 1, 4)[0]),
        )
        return plain._as_ndpi(start) or plain

    def _as_ndpi(self, start: bytes) -> _Header | None:
        """Hamamatsu's slides look like a classic TIFF, but name the next directory in 64 bits."""
        first = (
            int(np.frombuffer(start, f"{self.order}u8", 1, 4)[0])
            if len(start) >= 12
            else 0
        )
        wide = _Header(self.file, self.size, self.order, False, True, first)
        if not 0 < first < self.size - 2:
            return None
        try:
            tags, _ = wide._directory(first)
        except SlideError:
            return None
        return wide if _NDPI in tags else None

    def directories(self) -> Iterator[Mapping[int, _Tag]]:
        """Yield all directories, each before its SubIFDs."""
        seen: set[int] = set()
        bytes_of_values, entries = 0, 0
        waiting = [(self.first, True)] if self.first else []
        while waiting:
            place, in_chain = waiting.pop()
            if place in seen:
                raise SlideError(f"its directories lead in a circle; {_COPY}")
            seen.add(place)
            tags, following = self._directory(place)
            bytes_of_values += sum(tag.size for tag in tags.values())
            entries += len(tags)
            if bytes_of_values > self.size + _MOST_VALUE or entries > _MOST_TAGS:
                raise SlideError(
                    f"its directories have {entries} entries of {format_bytes(bytes_of_values)} together, more "
                    f"than a slide has; {_COPY}",
                )
            yield tags
            if following and in_chain:
                waiting.append((following, True))
            inside = self._numbers(tags, _SUB_IMAGES).tolist()
            waiting.extend((one, False) for one in reversed(inside) if one)
            if len(seen) + len(waiting) > MOST_IMAGES:
                raise SlideError(
                    f"it has more than {MOST_IMAGES} images, a slide some tens; write it again as one pyramid",
                )

    def _directory(self, place: int) -> tuple[dict[int, _Tag], int]:
        """Tags of one directory, and where the next one is."""
        head, cell = (8, 8) if self.big else (2, 4)
        count = self._number(place, head)
        if count > _MOST_TAGS:
            raise SlideError(f"a directory has {count} entries; {_COPY}")
        short, long = f"{self.order}u2", f"{self.order}u{cell}"
        row = np.dtype(
            [("code", short), ("kind", short), ("count", long), ("value", long)],
        )
        entries = np.frombuffer(self._read(place + head, count * row.itemsize), row)
        tags: dict[int, _Tag] = {}
        for number, (code, kind, amount, value) in enumerate(entries.tolist()):
            where = place + head + (number + 1) * row.itemsize - cell
            tag = _Tag(code, kind, amount, where)
            if tag.size > cell:
                tag = _Tag(code, kind, amount, value)
                if not self._holds(tag):
                    continue
            if code in tags and code in _JUDGED:
                raise SlideError(f"a directory says tag {code} twice; {_COPY}")
            tags[code] = tag
        end = place + head + count * row.itemsize
        return tags, self._number(end, 8 if self.big or self.ndpi else 4)

    def _holds(self, tag: _Tag) -> bool:
        """Whether the value of a tag lies in the file; one that is not judged here may lie anywhere."""
        inside = tag.place + tag.size <= self.size or self._vast_ndpi
        if not inside and tag.code in _JUDGED:
            raise SlideError(f"tag {tag.code} lies outside the file; {_COPY}")
        numbers = tag.count if _BYTES[tag.kind] > 1 else 0
        if inside and (tag.size > _MOST_VALUE or numbers > MOST_TILES):
            raise SlideError(f"tag {tag.code} takes {format_bytes(tag.size)}; {_COPY}")
        return inside

    @property
    def _vast_ndpi(self) -> bool:
        """Whether the upper halves of places are kept elsewhere."""
        return self.ndpi and self.size > 2**32

    def image(self, tags: Mapping[int, _Tag]) -> TiffImage | None:
        """Judge what one directory says of its image; None where it says no size."""
        if _WIDTH not in tags and _HEIGHT not in tags:
            return None
        width, height = self._one(tags, _WIDTH, 0), self._one(tags, _HEIGHT, 0)
        refuse_size(width, height)
        tiled = _TILE_WIDTH in tags or _TILE_HEIGHT in tags
        rows = min(self._one(tags, _ROWS_PER_STRIP, height), height)
        image = TiffImage(
            width=width,
            height=height,
            tile_width=self._one(tags, _TILE_WIDTH, 0) if tiled else width,
            tile_height=self._one(tags, _TILE_HEIGHT, 0) if tiled else rows,
            tiled=tiled,
            bits=self._largest(tags, _BITS),
            format=self._largest(tags, _FORMAT),
            photometric=self._one(tags, _COLOURS, 0),
            samples=self._one(tags, _SAMPLES, 1),
        )
        self._refuse_tile(image, tags)
        self._refuse_tables(image, tags)
        return image

    def _refuse_tile(self, image: TiffImage, tags: Mapping[int, _Tag]) -> None:
        text = f"an image of {image.width} × {image.height} px is stored in tiles of "
        if (
            min(image.tile_width, image.tile_height) < 1
            or min(image.bits, image.samples) < 1
        ):
            raise SlideError(
                f"{text}{image.tile_width} × {image.tile_height} px of {image.bits} bits; {_COPY}",
            )
        depth = max(self._one(tags, _DEPTH, 1), self._one(tags, _TILE_DEPTH, 1))
        pixels = image.tile_width * image.tile_height
        if image.tiled and (
            pixels > MOST_PIXELS
            or pixels * image.pixel_bytes * depth > _DEEPEST * MOST_PIXELS
        ):
            raise SlideError(
                f"{text}{image.tile_width} × {image.tile_height} px, at most {MOST_PIXELS:,} px are decoded "
                "at once; convert it to a pyramid of smaller tiles",
            )

    def _refuse_tables(self, image: TiffImage, tags: Mapping[int, _Tag]) -> None:
        """Hold the tables of tiles or strips against the size of image and file."""
        planes = image.samples if self._one(tags, _PLANES, 1) == 2 else 1
        tiles = (
            -(-image.width // image.tile_width)
            * -(-image.height // image.tile_height)
            * planes
        )
        if tiles > MOST_TILES:
            raise SlideError(
                f"an image of {image.width} × {image.height} px is stored in {tiles:,} tiles, at most "
                f"{MOST_TILES:,} are read; convert it to larger tiles",
            )
        names = (
            (_TILE_OFFSETS, _TILE_BYTES)
            if image.tiled
            else (_STRIP_OFFSETS, _STRIP_BYTES)
        )
        for name in names:
            if image.tiled and name in tags and tags[name].count < tiles:
                raise SlideError(
                    f"its table of tiles has {tags[name].count} entries instead of {tiles}; {_COPY}",
                )
        decoded = image.tile_width * image.tile_height * image.pixel_bytes
        most = self._largest(tags, names[1])
        if most > min(self.size, 4 * decoded + 2**20):
            raise SlideError(
                f"one tile or strip claims {format_bytes(most)} of a file of {format_bytes(self.size)}, for "
                f"pixels of {format_bytes(decoded)}; {_COPY}",
            )

    def _one(self, tags: Mapping[int, _Tag], code: int, default: int) -> int:
        values = self._numbers(tags, code)
        return int(values[0]) if len(values) else default

    def _largest(self, tags: Mapping[int, _Tag], code: int) -> int:
        """Largest value of a tag; 1, as TIFF has it for most, where the directory does not have it."""
        values = self._numbers(tags, code)
        return int(values.max()) if len(values) else 1

    def _numbers(
        self,
        tags: Mapping[int, _Tag],
        code: int,
    ) -> npt.NDArray[np.unsignedinteger]:
        """Values of a tag; none where the directory does not have it."""
        tag = tags.get(code)
        if tag is None or (tag.size > 4 and self._vast_ndpi):
            return np.empty(0, np.uint64)
        if tag.kind not in _WHOLE:
            raise SlideError(f"tag {code} holds no whole numbers; {_COPY}")
        return np.frombuffer(
            self._read(tag.place, tag.size),
            f"{self.order}{_WHOLE[tag.kind]}",
        )

    def _number(self, place: int, size: int) -> int:
        return int(np.frombuffer(self._read(place, size), f"{self.order}u{size}")[0])

    def _read(self, place: int, size: int) -> bytes:
        self.file.seek(min(place, self.size), os.SEEK_SET)
        data = self.file.read(size)
        if len(data) < size or place > self.size:
            raise SlideError(f"the file ends within its directories; {_COPY}")
        return data
