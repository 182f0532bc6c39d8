"""Arrays of zarr stores (formats 2 and 3).

zarr reads an absent chunk as the fill value, takes the memory that a chunk claims, and runs codecs
that a store names. So what the metadata claim is checked here, and zarr reads in a separate
process (`child_process`), where absent chunks are refused and memory is limited.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import regular_file
from survfuse._storage import read_json
from survfuse._types import AnyArray
from survfuse.readers.array_checks import check_claim, check_stored
from survfuse.readers.child_process import answers

MOST_CHUNKS = 50_000
"""Of one array; the tools write one to some hundreds."""
MOST_ENTRIES = 200_000
"""Files and folders of one store."""
METADATA_LIMIT = 8 * 2**20  # bytes
_LARGEST_CHUNK = 256 * 2**20
"""A chunk may be larger than its array, but then it takes no more than this, in bytes."""
SECONDS, SLOWEST, CHUNKS = 10, 10 * 2**20, 500
"""Seconds of a processor to begin with; bytes and chunks per second that the slowest one reads."""
MEMORY = 2**29
"""Bytes that zarr may take beside the numbers."""
_COMPRESSORS = ("blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma")
_FILTERS = ("bytes", "transpose", "shuffle", "delta", "crc32c", "sharding_indexed")
_DTYPE = re.compile(r"[<>|=]?[fiu][1248]|float(16|32|64)|u?int(8|16|32|64)")
_METADATA_FILES = frozenset(["zarr.json", ".zarray", ".zattrs"])


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
                    f"{path}: more than {MOST_ENTRIES} files in one store; write it with larger "
                    "chunks",
                )
            if entry.is_symlink():
                raise FeatureFileError(
                    f"{path}: {entry.name} is a symbolic link, which is not followed inside a "
                    "store",
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
    """Whether anything of an array is stored; zarr writes no chunk of only the fill value."""
    return any(entry.name not in _METADATA_FILES for entry in _entries(folder))


def _json_object(file: Path) -> Mapping[str, Any]:
    value = read_json(file, size_limit=METADATA_LIMIT)
    if not isinstance(value, Mapping):
        raise FeatureFileError(
            f"{file}: expected a JSON object, got {type(value).__name__}",
        )
    return value


def read_array(
    folder: Path,
    *,
    kinds: str,
    fill: bool = False,
) -> AnyArray:
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
    meta = _metadata(folder)
    shape = _counts(meta["shape"])
    chunks, dtype, fill_value = _chunks(meta, folder)
    claimed = check_claim(folder, folder.name, shape, dtype, kinds=kinds)
    for chunk in chunks:
        if len(chunk) != len(shape) or not all(chunk):
            raise ValueError(f"chunks of shape {chunk} in an array of shape {shape}")
    chunk_size = math.prod(chunks[0]) * dtype.itemsize
    if chunk_size > max(claimed, _LARGEST_CHUNK):
        raise FeatureFileError(
            f"{folder}: chunks of shape {chunks[0]} in an array of shape {shape}; write it again "
            "with chunks no larger than the array",
        )
    if claimed == 0:
        return np.zeros(shape, dtype)
    if fill and not has_chunks(folder):
        return np.full(shape, fill_value, dtype)
    count = math.prod(-(-n // c) for n, c in zip(shape, chunks[-1], strict=True))
    if count > MOST_CHUNKS:
        raise FeatureFileError(
            f"{folder}: {count} chunks, at most {MOST_CHUNKS} are read; write it again with "
            "larger chunks",
        )
    check_stored(folder, claimed + chunk_size, _stored(folder))
    values = np.empty(shape, dtype)
    seconds = SECONDS + claimed / SLOWEST + count / CHUNKS
    memory = MEMORY + 6 * (claimed + chunk_size)
    with answers(folder, "zarr", seconds, memory, dtype=dtype.str) as process:
        process.fill_parts(values.reshape(-1).view(np.uint8).data)
    return values


def _stored(folder: Path) -> int:
    """Bytes of all files of an array."""
    waiting: list[str | Path] = [folder]
    total = 0
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir():
                waiting.append(entry.path)
            else:
                total += entry.stat().st_size
    return total


# -- what the metadata say


def _metadata(folder: Path) -> Mapping[str, Any]:
    files = [folder / name for name in ("zarr.json", ".zarray")]
    files = [file for file in files if file.is_file()]
    if len(files) != 1:
        raise FeatureFileError(
            f"{folder}: not one dense array: {len(files)} files zarr.json and .zarray, expected "
            "one",
        )
    meta = _json_object(files[0])
    if meta.get("node_type", "array") != "array":
        raise FeatureFileError(
            f"{folder}: a group, as of a sparse matrix, expected a dense array",
        )
    return meta


def _chunks(
    meta: Mapping[str, Any],
    folder: Path,
) -> tuple[list[tuple[int, ...]], np.dtype[Any], float]:
    """Return the shapes of chunks and of chunks within them, the dtype and the fill value."""
    names: list[str] = []
    if "codecs" in meta:
        shapes = [_counts(meta["chunk_grid"]["configuration"]["chunk_shape"])]
        shapes += _codecs(meta["codecs"], names)
        dtype = meta["data_type"]
    else:
        shapes = [_counts(meta["chunks"])]
        for about in [*(meta["filters"] or []), meta["compressor"]]:
            if about:
                names.append(about["id"])
        dtype = meta["dtype"]
    unknown = sorted(set(names).difference(_COMPRESSORS, _FILTERS))
    if unknown:
        raise FeatureFileError(
            f"{folder}: packed with {', '.join(unknown)[:200]}, which is not read",
        )
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype):
        raise ValueError(f"dtype {str(dtype)[:80]!r}, expected plain numbers")
    fill_value = meta.get("fill_value")
    number = float(fill_value) if isinstance(fill_value, int | float) else 0.0
    return shapes, np.dtype(dtype), number


def _codecs(
    listed: Any,
    names: list[str],
) -> list[tuple[int, ...]]:
    """Collect the names of codecs of format 3, and return the shapes of chunks within shards."""
    shapes: list[tuple[int, ...]] = []
    for about in listed:
        name = about if isinstance(about, str) else about["name"]
        names.append(name.removeprefix("numcodecs."))
        if name == "sharding_indexed":
            inner = about["configuration"]
            shapes.append(_counts(inner["chunk_shape"]))
            shapes += _codecs([*inner["codecs"], *inner["index_codecs"]], names)
    return shapes


def _counts(values: Any) -> tuple[int, ...]:
    """Return a list of counts >= 0 as a tuple."""
    is_list = isinstance(values, list)
    if not is_list or not all(type(n) is int and n >= 0 for n in values):
        raise ValueError(f"expected a list of counts, got {str(values)[:80]}")
    return tuple(values)
