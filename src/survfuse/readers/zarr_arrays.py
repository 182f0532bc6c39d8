"""Arrays of zarr stores (formats 2 and 3), read chunk by chunk.

zarr itself reads an absent chunk as zeros and takes the memory that a chunk claims, so chunks are
found, bounded and unpacked here; of its packages only numcodecs is used, which unpacks one chunk.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import boundary, regular_file
from survfuse._storage import read_json
from survfuse.readers.array_checks import AnyArray, check_claim, check_stored
from survfuse.readers.zarr_codecs import (
    FILTERS,
    UNPACKERS,
    Bytes,
    checked_crc32c,
    counts_in,
    plain_dtype,
)

MOST_CHUNKS = 50_000
"""Of one array; the tools write one to some hundreds."""
MOST_ENTRIES = 200_000
"""Files and folders of one store."""
METADATA_LIMIT = 8 * 2**20  # bytes
_LARGEST_CHUNK = 256 * 2**20
"""A chunk may be larger than its array, but then it takes no more than this, in bytes."""
_LARGEST_OVERHEAD = 2**20
"""By which a chunk may be larger than twice its values, in bytes."""


def refuse_links(path: Path) -> None:
    """Refuse a store that leads out of itself, or that holds anything but files and folders.

    Raises
    ------
    FeatureFileError
        For links, pipes, devices, too many entries and folders that cannot be read.
    """
    waiting = [os.fspath(path)]
    count = 0
    while waiting:
        for entry in _entries(waiting.pop()):
            count += 1
            if count > MOST_ENTRIES:
                raise FeatureFileError(
                    f"{path}: more than {MOST_ENTRIES} files in one store; write it with larger chunks",
                )
            if entry.is_symlink():
                raise FeatureFileError(
                    f"{path}: {entry.name} is a symbolic link, which is not followed inside a store",
                )
            if entry.is_dir():
                waiting.append(entry.path)
            elif not entry.is_file():
                regular_file(entry.path, error=FeatureFileError)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as failure:
        raise FeatureFileError(
            f"{folder}: cannot be opened ({failure.strerror})",
        ) from None


def attributes(folder: Path) -> Mapping[str, Any]:
    """Return the attributes of a group."""
    if (folder / "zarr.json").is_file():
        found = _object(folder / "zarr.json").get("attributes", {})
    elif (folder / ".zattrs").is_file():
        found = _object(folder / ".zattrs")
    else:
        found = {}
    return found if isinstance(found, Mapping) else {}


def is_group(folder: Path) -> bool:
    """Tell whether a folder is a group of a store."""
    if (folder / "zarr.json").is_file():
        return _object(folder / "zarr.json").get("node_type") == "group"
    return (folder / ".zgroup").is_file()


def groups(folder: Path) -> list[str]:
    """Names of the groups in a group, sorted."""
    if not is_group(folder):
        return []
    return sorted(
        entry.name
        for entry in _entries(os.fspath(folder))
        if is_group(Path(entry.path))
    )


def _object(file: Path) -> Mapping[str, Any]:
    value = read_json(file, size_limit=METADATA_LIMIT)
    if not isinstance(value, Mapping):
        raise FeatureFileError(
            f"{file}: expected a JSON object, got {type(value).__name__}",
        )
    return value


def read_array(folder: Path, *, kinds: str) -> AnyArray:
    """Read one array, all chunks of which must be there.

    Parameters
    ----------
    folder : Path
        Its own folder: metadata consolidated further up could say other things.
    kinds : str
        As for :func:`survfuse.readers.array_checks.check_claim`.

    Raises
    ------
    FeatureFileError
        For sizes that the stored bytes cannot fill, absent chunks and codecs that are not read.
    ValueError, KeyError and others
        For metadata that make no sense: to be caught by :func:`survfuse._gate.boundary`.
    """
    layout = _layout(folder)
    chunk = layout.chunk
    claimed = check_claim(folder, folder.name, layout.shape, chunk.dtype, kinds=kinds)
    if chunk.size > max(claimed, _LARGEST_CHUNK):
        raise FeatureFileError(
            f"{folder}: chunks of shape {chunk.shape} in an array of shape {layout.shape}; write it again "
            "with chunks no larger than the array",
        )
    if claimed == 0:
        return np.zeros(layout.shape, chunk.dtype)
    shard = chunk.shard(folder)
    _refuse_many(folder, layout.shape, chunk if shard is None else shard.inner)
    files = _chunk_files(layout)
    stored = {
        place: regular_file(file, error=FeatureFileError)
        for place, file in files.items()
    }
    check_stored(folder, claimed + chunk.size, sum(stored.values()))
    values = np.empty(layout.shape, chunk.dtype)
    for place, file in files.items():
        check_stored(file, chunk.size, stored[place])
        if stored[place] > 2 * chunk.size + _LARGEST_OVERHEAD:
            raise FeatureFileError(
                f"{file}: {stored[place]} bytes for a chunk of {chunk.size}; refused unread",
            )
        with boundary(
            file,
            "a whole chunk",
            error=FeatureFileError,
            remedy="copy the store again",
        ):
            packed = np.fromfile(file, np.uint8)
            if shard is None:
                block = chunk.decode(packed)
            else:
                block = shard.decode(
                    packed,
                    [
                        n - i * c
                        for n, i, c in zip(
                            layout.shape,
                            place,
                            chunk.shape,
                            strict=True,
                        )
                    ],
                )
        _put(values, place, block, chunk.shape)
    return values


def _refuse_many(folder: Path, shape: Sequence[int], chunk: _Chunk) -> None:
    count = math.prod(_counts_of(shape, chunk))
    if count > MOST_CHUNKS:
        raise FeatureFileError(
            f"{folder}: {count} chunks, at most {MOST_CHUNKS} are read; write it again with larger chunks",
        )


def _counts_of(shape: Sequence[int], chunk: _Chunk) -> list[int]:
    """Chunks along each axis."""
    return [math.ceil(n / c) for n, c in zip(shape, chunk.shape, strict=True)]


def _chunk_files(layout: _Layout) -> dict[tuple[int, ...], Path]:
    """Find the file of every chunk; without it zarr would take the fill value for what is lost."""
    places = itertools.product(*map(range, _counts_of(layout.shape, layout.chunk)))
    files = {place: layout.file_of(place) for place in places}
    absent = sum(not os.path.lexists(file) for file in files.values())
    if absent:
        raise FeatureFileError(
            f"{layout.folder}: {absent} of {len(files)} chunks are absent; copy the store again, or, where "
            "all values in them are the fill value, write it with `write_empty_chunks`",
        )
    return files


def _put(
    values: AnyArray,
    place: Sequence[int],
    chunk: AnyArray,
    shape: Sequence[int],
) -> None:
    """Lay a chunk into its place; what reaches over the edge of the array is cut off."""
    target = tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, shape, strict=True))
    within = values[target]
    within[...] = chunk[tuple(slice(n) for n in within.shape)]


# -- what the metadata say


@dataclass(frozen=True)
class _Layout:
    folder: Path
    shape: tuple[int, ...]
    prefix: str
    separator: str
    chunk: _Chunk

    def file_of(self, place: Sequence[int]) -> Path:
        return self.folder / (self.prefix + self.separator.join(map(str, place)))


def _layout(folder: Path) -> _Layout:
    files = [
        folder / name for name in ("zarr.json", ".zarray") if (folder / name).is_file()
    ]
    if len(files) != 1:
        raise FeatureFileError(
            f"{folder}: not one dense array: {len(files)} files zarr.json and .zarray, expected one",
        )
    meta = _object(files[0])
    if meta.get("node_type", "array") != "array":
        raise FeatureFileError(
            f"{folder}: a group, as of a sparse matrix, expected a dense array",
        )
    return (
        _layout_2(folder, meta)
        if files[0].name == ".zarray"
        else _layout_3(folder, meta)
    )


def _layout_2(folder: Path, meta: Mapping[str, Any]) -> _Layout:
    if meta["zarr_format"] != 2 or meta["order"] not in ("C", "F"):
        raise ValueError("no array of zarr format 2")
    packed = [
        *(meta["filters"] or []),
        *([meta["compressor"]] if meta["compressor"] else []),
    ]
    codecs = [_Codec(_text(one["id"]), one) for one in packed]
    shape = counts_in(meta["shape"])
    chunk = _Chunk(
        counts_in(meta["chunks"]),
        plain_dtype(meta["dtype"]),
        codecs,
        order=meta["order"],
    )
    separator = meta.get("dimension_separator", ".")
    return _Layout(
        folder,
        shape,
        "",
        _separator(separator),
        chunk.checked(shape, folder),
    )


def _layout_3(folder: Path, meta: Mapping[str, Any]) -> _Layout:
    grid, keys = meta["chunk_grid"], meta["chunk_key_encoding"]
    if (
        meta["zarr_format"] != 3
        or grid["name"] != "regular"
        or keys["name"] not in ("default", "v2")
    ):
        raise ValueError("no regular array of zarr format 3")
    dtype = plain_dtype(meta["data_type"])
    shape = counts_in(meta["shape"])
    chunk = _Chunk(
        counts_in(grid["configuration"]["chunk_shape"]),
        dtype,
        _codecs_3(meta["codecs"]),
    )
    default = keys["name"] == "default"
    separator = _separator(
        keys.get("configuration", {}).get("separator", "/" if default else "."),
    )
    prefix = f"c{separator}" if default else ""
    return _Layout(folder, shape, prefix, separator, chunk.checked(shape, folder))


def _codecs_3(listed: Any) -> list[_Codec]:
    codecs = []
    for one in listed:
        about: Mapping[str, Any] = {"name": one} if isinstance(one, str) else one
        name = _text(about["name"]).removeprefix("numcodecs.")
        codecs.append(_Codec(name, about.get("configuration") or {}))
    return codecs


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a name, got {type(value).__name__}")
    return value


def _separator(value: Any) -> str:
    if value not in (".", "/"):
        raise ValueError(f"expected the separator '.' or '/', got {str(value)[:80]!r}")
    return str(value)


# -- how a chunk is unpacked


@dataclass(frozen=True)
class _Codec:
    name: str
    about: Mapping[str, Any]


@dataclass(frozen=True)
class _Chunk:
    """One block of an array, or of a shard: its shape and the codecs that packed it, in their order."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    codecs: Sequence[_Codec]
    order: str = "C"

    @property
    def size(self) -> int:
        """Bytes of one chunk in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def checked(self, shape: tuple[int, ...], folder: Path) -> _Chunk:
        """Return itself, where it can be a chunk of such an array and known codecs packed it."""
        if len(self.shape) != len(shape) or not all(self.shape):
            raise ValueError(
                f"chunks of shape {self.shape} in an array of shape {shape}",
            )
        unknown = sorted({codec.name for codec in self.codecs} - _KNOWN)
        if unknown:
            raise FeatureFileError(
                f"{folder}: packed with {', '.join(unknown)[:200]}, which is not read",
            )
        if sum(codec.name in UNPACKERS for codec in self.codecs) > 1:
            raise ValueError("packed by more than one compressor")
        return self

    def shard(self, folder: Path) -> _Shard | None:
        """The smaller chunks that it holds, where it is a shard."""
        found = [codec for codec in self.codecs if codec.name == _SHARD]
        if not found:
            return None
        about = found[0].about
        inner = _Chunk(
            counts_in(about["chunk_shape"]),
            self.dtype,
            _codecs_3(about["codecs"]),
        )
        if (
            len(self.codecs) > 1
            or inner.checked(self.shape, folder).shard(folder) is not None
        ):
            raise ValueError("shards that are packed, or hold shards")
        if any(n % c for n, c in zip(self.shape, inner.shape, strict=True)):
            raise ValueError(
                f"chunks of shape {inner.shape} in shards of shape {self.shape}",
            )
        index = [codec.name for codec in _codecs_3(about["index_codecs"])]
        if index not in (["bytes"], ["bytes", "crc32c"]):
            raise ValueError("a list of chunks that is packed")
        return _Shard(
            self,
            inner,
            about.get("index_location", "end") == "start",
            "crc32c" in index,
        )

    def decode(self, stored: Bytes) -> AnyArray:
        """Unpack what is stored of one chunk, which is no shard."""
        if not len(stored):
            raise ValueError("it is empty")
        sizes, size = [], self.size
        for codec in self.codecs:
            sizes.append(size)
            size = _packed_size(codec, size)
        for codec, expected in zip(reversed(self.codecs), reversed(sizes), strict=True):
            if codec.name in UNPACKERS:
                stored = UNPACKERS[codec.name](stored, expected)
            elif codec.name in FILTERS:
                stored = FILTERS[codec.name](
                    stored,
                    codec.about,
                    self.shape,
                    self.dtype,
                )
        if stored.nbytes != self.size:
            raise ValueError(f"a chunk of {stored.nbytes} bytes, expected {self.size}")
        return stored.view(self.dtype).reshape(
            self.shape,
            order="F" if self.order == "F" else "C",
        )


@dataclass(frozen=True)
class _Shard:
    """A file of several chunks, with a list of where each lies."""

    whole: _Chunk
    inner: _Chunk
    index_first: bool
    checksum: bool

    def decode(self, stored: Bytes, extent: Sequence[int]) -> AnyArray:
        """Unpack the chunks that lie in the array, of which the shard covers `extent`."""
        counts = [
            n // c for n, c in zip(self.whole.shape, self.inner.shape, strict=True)
        ]
        length = 16 * math.prod(counts) + 4 * self.checksum
        if len(stored) < length:
            raise ValueError("a shard that is cut")
        index = stored[:length] if self.index_first else stored[-length:]
        if self.checksum:
            index = checked_crc32c(index, {}, (), self.inner.dtype)
        places = index.view("<u8").reshape(*counts, 2)
        values = np.empty(self.whole.shape, self.whole.dtype)
        for place in itertools.product(*map(range, counts)):
            if any(
                i * c >= n
                for i, c, n in zip(place, self.inner.shape, extent, strict=True)
            ):
                continue
            start, size = map(int, places[place])
            if start + size > len(stored):
                raise ValueError(
                    f"chunk {place} of a shard is absent, or lies beyond its end",
                )
            _put(
                values,
                place,
                self.inner.decode(stored[start : start + size]),
                self.inner.shape,
            )
        return values


_SHARD = "sharding_indexed"


def _packed_size(codec: _Codec, size: int) -> int:
    """Bytes after a codec, where that can be known."""
    if codec.name == "delta":
        dtype = plain_dtype(codec.about["dtype"])
        return (
            size
            // dtype.itemsize
            * plain_dtype(codec.about.get("astype") or dtype.str).itemsize
        )
    return size + 4 * (codec.name == "crc32c")


_KNOWN = frozenset({*UNPACKERS, *FILTERS, _SHARD})
