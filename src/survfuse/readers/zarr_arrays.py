"""Arrays of zarr stores (formats 2 and 3), read chunk by chunk.

zarr itself reads an absent chunk as zeros and takes the memory that a chunk claims, so chunks are
located, bounded and unpacked here; of its packages only numcodecs is used.
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
    Bytes,
    Codec,
    check_crc32c,
    check_known,
    counts_in,
    plain_dtype,
    unpack,
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
_METADATA_FILES = frozenset(["zarr.json", ".zarray", ".zattrs"])
_AGAIN = "copy the store again"


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


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as failure:
        raise FeatureFileError(
            f"{folder}: cannot be opened ({failure.strerror})",
        ) from None


def attributes(folder: Path) -> Mapping[str, Any]:
    """Return the attributes of a group."""
    values: Any = {}
    if (folder / "zarr.json").is_file():
        values = _json_object(folder / "zarr.json").get("attributes")
    elif (folder / ".zattrs").is_file():
        values = _json_object(folder / ".zattrs")
    return values if isinstance(values, Mapping) else {}


def is_group(folder: Path) -> bool:
    """Whether a folder is a group of a store."""
    if (folder / "zarr.json").is_file():
        return _json_object(folder / "zarr.json").get("node_type") == "group"
    return (folder / ".zgroup").is_file()


def groups(folder: Path) -> list[str]:
    """Names of the groups in a group, sorted."""
    entries = _entries(folder) if is_group(folder) else ()
    return sorted(entry.name for entry in entries if is_group(Path(entry.path)))


def has_chunks(folder: Path) -> bool:
    """Whether anything of an array is stored; zarr writes no chunk that holds only the fill value."""
    return any(entry.name not in _METADATA_FILES for entry in _entries(folder))


def _json_object(file: Path) -> Mapping[str, Any]:
    value = read_json(file, size_limit=METADATA_LIMIT)
    if not isinstance(value, Mapping):
        raise FeatureFileError(
            f"{file}: expected a JSON object, got {type(value).__name__}",
        )
    return value


def read_array(folder: Path, *, kinds: str, fill: bool = False) -> AnyArray:
    """Read one array, all chunks of which must be there.

    Parameters
    ----------
    folder : Path
        Its own folder: metadata consolidated further up could say other things.
    kinds : str
        As for :func:`survfuse.readers.array_checks.check_claim`.
    fill : bool
        Read an array without any chunk as its fill value, as zarr writes it.

    Raises
    ------
    FeatureFileError
        For sizes that the stored bytes cannot fill, absent chunks and codecs that are not read.
    ValueError, KeyError and others
        For metadata that make no sense: to be caught by :func:`survfuse._gate.boundary`.
    """
    array = _metadata(folder)
    chunk, shape = array.chunk, array.shape
    claimed = check_claim(folder, folder.name, shape, chunk.dtype, kinds=kinds)
    if chunk.size > max(claimed, _LARGEST_CHUNK):
        raise FeatureFileError(
            f"{folder}: chunks of shape {chunk.shape} in an array of shape {shape}; write it again "
            "with chunks no larger than the array",
        )
    if claimed == 0:
        return np.zeros(shape, chunk.dtype)
    if fill and not has_chunks(folder):
        return np.full(shape, array.fill_value, chunk.dtype)
    shard = _Shard.of(chunk, folder)
    count = math.prod(
        _counts(shape, chunk.shape if shard is None else shard.inner.shape)
    )
    if count > MOST_CHUNKS:
        raise FeatureFileError(
            f"{folder}: {count} chunks, at most {MOST_CHUNKS} are read; write it again with larger chunks",
        )
    files = _chunk_files(array)
    stored = {
        place: regular_file(file, error=FeatureFileError)
        for place, file in files.items()
    }
    check_stored(folder, claimed + chunk.size, sum(stored.values()))
    values = np.empty(shape, chunk.dtype)
    for place, file in files.items():
        check_stored(file, chunk.size, stored[place])
        if stored[place] > 2 * chunk.size + _LARGEST_OVERHEAD:
            raise FeatureFileError(
                f"{file}: {stored[place]} bytes for a chunk of {chunk.size}; refused unread",
            )
        target = _target(values, place, chunk.shape)
        with boundary(file, "a whole chunk", error=FeatureFileError, remedy=_AGAIN):
            packed = np.fromfile(file, np.uint8)
            if shard is None:
                _copy(chunk.unpack(packed), target)
            else:
                shard.unpack(packed, target)
    return values


def _counts(shape: Sequence[int], chunk: Sequence[int]) -> list[int]:
    """Chunks along each axis."""
    return [-(-axis // part) for axis, part in zip(shape, chunk, strict=True)]


def _chunk_files(array: _Array) -> dict[tuple[int, ...], Path]:
    """Locate the file of every chunk; without it zarr would use the fill value for what is lost."""
    places = itertools.product(*map(range, _counts(array.shape, array.chunk.shape)))
    files = {}
    absent = 0
    for place in places:
        name = array.prefix + array.separator.join(map(str, place))
        files[place] = array.folder / name
        absent += not os.path.lexists(files[place])
    if absent:
        raise FeatureFileError(
            f"{array.folder}: {absent} of {len(files)} chunks are absent; copy the store again, or, where "
            "all values in them are the fill value, write it with `write_empty_chunks`",
        )
    return files


def _target(values: AnyArray, place: Sequence[int], shape: Sequence[int]) -> AnyArray:
    """Part of an array that a chunk covers."""
    corners = zip(place, shape, strict=True)
    return values[tuple(slice(i * n, (i + 1) * n) for i, n in corners)]


def _copy(chunk: AnyArray, target: AnyArray) -> None:
    """Copy a chunk without what reaches beyond the edge of its array."""
    target[...] = chunk[tuple(map(slice, target.shape))]


# -- what the metadata say


@dataclass(frozen=True)
class _Array:
    folder: Path
    shape: tuple[int, ...]
    chunk: _Chunk
    prefix: str
    separator: str
    fill_value: float


def _metadata(folder: Path) -> _Array:
    files = [folder / name for name in ("zarr.json", ".zarray")]
    files = [file for file in files if file.is_file()]
    if len(files) != 1:
        raise FeatureFileError(
            f"{folder}: not one dense array: {len(files)} files zarr.json and .zarray, expected one",
        )
    meta = _json_object(files[0])
    if meta.get("node_type", "array") != "array":
        raise FeatureFileError(
            f"{folder}: a group, as of a sparse matrix, expected a dense array",
        )
    shape = counts_in(meta["shape"])
    read = _format_2 if files[0].name == ".zarray" else _format_3
    chunk, prefix, separator = read(meta)
    if separator not in (".", "/"):
        raise ValueError(
            f"expected the separator '.' or '/', got {str(separator)[:80]!r}",
        )
    chunk.check(shape, folder)
    fill_value = meta.get("fill_value")
    number = float(fill_value) if isinstance(fill_value, int | float) else 0.0
    return _Array(folder, shape, chunk, prefix, separator, number)


def _format_2(meta: Mapping[str, Any]) -> tuple[_Chunk, str, Any]:
    if meta["zarr_format"] != 2 or meta["order"] not in ("C", "F"):
        raise ValueError("no array of zarr format 2")
    shape = counts_in(meta["chunks"])
    codecs = []
    if meta["order"] == "F":
        codecs.append(Codec("transpose", {"order": list(range(len(shape)))[::-1]}))
    for about in [*(meta["filters"] or []), meta["compressor"]]:
        if about:
            codecs.append(Codec.of(about["id"], about))
    chunk = _Chunk(shape, plain_dtype(meta["dtype"]), codecs)
    return chunk, "", meta.get("dimension_separator", ".")


def _format_3(meta: Mapping[str, Any]) -> tuple[_Chunk, str, Any]:
    grid, keys = meta["chunk_grid"], meta["chunk_key_encoding"]
    usual = grid["name"] == "regular" and keys["name"] in ("default", "v2")
    if meta["zarr_format"] != 3 or not usual:
        raise ValueError("no regular array of zarr format 3")
    shape = counts_in(grid["configuration"]["chunk_shape"])
    chunk = _Chunk(shape, plain_dtype(meta["data_type"]), _codecs_3(meta["codecs"]))
    default = keys["name"] == "default"
    separator = "/" if default else "."
    separator = keys.get("configuration", {}).get("separator", separator)
    return chunk, f"c{separator}" if default else "", separator


def _codecs_3(listed: Any) -> list[Codec]:
    codecs = []
    for one in listed:
        about: Mapping[str, Any] = {"name": one} if isinstance(one, str) else one
        codecs.append(Codec.of(about["name"], about.get("configuration") or {}))
    return codecs


# -- chunks and shards


@dataclass(frozen=True)
class _Chunk:
    """One block of an array, or of a shard: its shape, and the codecs in the order of packing."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    codecs: Sequence[Codec]

    @property
    def size(self) -> int:
        """Bytes of one chunk in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, shape: tuple[int, ...], folder: Path) -> None:
        """Refuse what is no chunk of an array of this shape, or was packed by unknown codecs."""
        if len(self.shape) != len(shape) or not all(self.shape):
            raise ValueError(
                f"chunks of shape {self.shape} in an array of shape {shape}",
            )
        check_known(self.codecs, folder)

    def unpack(self, stored: Bytes) -> AnyArray:
        """Unpack what is stored of one chunk, which is no shard."""
        return unpack(stored, self.codecs, self.shape, self.dtype)


@dataclass(frozen=True)
class _Shard:
    """A file of several chunks, with a list of where each lies."""

    whole: _Chunk
    inner: _Chunk
    index_first: bool
    checksum: bool

    @classmethod
    def of(cls, chunk: _Chunk, folder: Path) -> _Shard | None:
        """Describe a chunk that is a shard; None for any other."""
        if all(codec.name != "sharding_indexed" for codec in chunk.codecs):
            return None
        about = chunk.codecs[0].about
        inner_shape = counts_in(about["chunk_shape"])
        inner = _Chunk(inner_shape, chunk.dtype, _codecs_3(about["codecs"]))
        inner.check(chunk.shape, folder)
        names = {codec.name for codec in inner.codecs}
        if len(chunk.codecs) > 1 or "sharding_indexed" in names:
            raise ValueError("shards that are packed, or hold shards")
        if any(n % c for n, c in zip(chunk.shape, inner_shape, strict=True)):
            raise ValueError(
                f"chunks of shape {inner_shape} in shards of shape {chunk.shape}",
            )
        index = [codec.name for codec in _codecs_3(about["index_codecs"])]
        if index not in (["bytes"], ["bytes", "crc32c"]):
            raise ValueError("a list of chunks that is packed")
        first = about.get("index_location", "end") == "start"
        return cls(chunk, inner, first, "crc32c" in index)

    def unpack(self, stored: Bytes, target: AnyArray) -> None:
        """Unpack the chunks that lie in the array, of which the shard covers `target`."""
        counts = _counts(self.whole.shape, self.inner.shape)
        length = 16 * math.prod(counts) + 4 * self.checksum
        if len(stored) < length:
            raise ValueError("a shard that is cut")
        index = stored[:length] if self.index_first else stored[-length:]
        if self.checksum:
            index = check_crc32c(index)
        places = index.view("<u8").reshape(*counts, 2)
        for place in itertools.product(
            *map(range, _counts(target.shape, self.inner.shape))
        ):
            start, size = map(int, places[place])
            if start + size > len(stored):
                raise ValueError(
                    f"chunk {place} of a shard is absent, or lies beyond its end",
                )
            chunk = self.inner.unpack(stored[start : start + size])
            _copy(chunk, _target(target, place, self.inner.shape))
