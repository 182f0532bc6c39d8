"""Open HDF5 files of strangers in a process of its own; a script that imports nothing of survfuse.

On a damaged file the HDF5 library may run for ever, crash, or take all memory, and Python cannot
stop it. This process may: it has limits of time and memory, and only it ends. It answers one line
of JSON per question, and ends when its parent does. See `survfuse.readers.hdf5_files`.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

BLOCK_BYTES = 2**24
MOST_NUMBERS = 1024
"""Of an attribute."""


def main() -> None:
    """Answer questions until there are no more."""
    sys.excepthook = _tell
    before = _address_space()
    _send({"ready": True})
    for line in sys.stdin.buffer:
        question = json.loads(line)
        _limit(question["seconds"], before + question["memory"])
        last: dict[str, Any] = {}
        with h5py.File(question["path"], "r") as file:
            for answer, block in ANSWERS[question["ask"]](file, question):
                if block is None:
                    last = answer
                else:
                    _send(answer, block)
        _send(last)  # when the file is closed: the one who asked may write it


def _tell(kind: type[BaseException], error: BaseException, _: Any) -> None:
    """Say what the library raised; the process ends, and with it whatever is damaged in its memory."""
    _send({"error": kind.__name__, "reason": str(error)[:300]})


def _send(answer: dict[str, Any], block: memoryview | None = None) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    if block is not None:
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


# -- limits


def _address_space() -> int:
    """Bytes of address space taken so far; 0 where the system does not say (outside Linux)."""
    with suppress(ImportError, OSError):
        import resource

        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    return 0


def _limit(seconds: int, memory: int) -> None:
    """Allow so much time of a processor from now on, and so much memory in all.

    Time spent waiting for a slow disk does not count.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limits = {resource.RLIMIT_CPU: math.ceil(usage.ru_utime + usage.ru_stime) + seconds}
    limits[resource.RLIMIT_CORE] = 0
    if _address_space():
        limits[resource.RLIMIT_AS] = memory
    for what, limit in limits.items():
        hard = resource.getrlimit(what)[1]
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


# -- answers

Answers = Iterator[tuple[dict[str, Any], memoryview | None]]


def _look(file: h5py.File, question: dict[str, Any]) -> Answers:
    """Describe what lies under each name (null: nothing); "" is the file, "*" everything at its top."""
    names = list(question["names"])
    if "*" in names:
        names = list(file)[:MOST_NUMBERS]
    yield {name: _node(file, name, question["attributes"]) for name in names}, None


def _values(file: h5py.File, question: dict[str, Any]) -> Answers:
    """List the values of a dataset of one axis, or of one field of it."""
    stored = file[question["name"]]
    values = stored.fields(question["field"])[...] if question["field"] else stored[...]
    texts = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values.tolist()]
    yield {"values": texts}, None


def _read(file: h5py.File, question: dict[str, Any]) -> Answers:
    """Send the numbers of a dataset, block by block, each of whole chunks."""
    stored = file[question["name"]]
    step = stored.chunks[0] if stored.chunks else 1
    row = max(1, math.prod(stored.shape[1:]) * stored.dtype.itemsize)
    step *= max(1, BLOCK_BYTES // (row * step))
    for start in range(0, stored.shape[0], step):
        block = np.ascontiguousarray(stored[start : start + step])
        yield {"bytes": block.nbytes}, block.reshape(-1).view(np.uint8).data
    yield {"bytes": 0}, None


ANSWERS = {"look": _look, "values": _values, "read": _read}


# -- descriptions


def _node(file: h5py.File, name: str, attributes: list[str] | None) -> dict[str, Any] | None:
    """Describe what lies under a name, with some attributes or all; links are not followed."""
    place: Any = file
    for part in name.strip("/").split("/") if name else ():
        link = _link(place, part)
        if link is None:
            return None
        if link != h5py.h5l.TYPE_HARD:
            return {"kind": "external link" if link == h5py.h5l.TYPE_EXTERNAL else "soft link"}
        place = place[part]
    known = {"attributes": _attributes(place, attributes)}
    if isinstance(place, h5py.Dataset):
        return {"kind": "dataset", **_dataset(place), **known}
    return {"kind": "group" if isinstance(place, h5py.Group) else "type", **known}


def _link(place: Any, part: str) -> int | None:
    """Return the kind of a link; None where there is none."""
    if part in ("", ".") or not isinstance(place, h5py.Group) or "\0" in part:
        return None
    name = part.encode("utf-8", "surrogateescape")
    return int(place.id.links.get_info(name).type) if place.id.links.exists(name) else None


def _dataset(stored: h5py.Dataset) -> dict[str, Any]:
    plain = stored.dtype.kind in "biuf" and stored.dtype.subdtype is None
    known = {
        "shape": stored.shape,
        "dtype": stored.dtype.str if plain else str(stored.dtype)[:100],
        "plain": plain,
        "itemsize": stored.dtype.itemsize,
        "fields": stored.dtype.names,
        "chunk": stored.chunks,
        "virtual": stored.is_virtual,
        "external": stored.external is not None,
    }
    if stored.is_virtual or stored.external is not None or not stored.shape:
        return known
    filters = stored.id.get_create_plist().get_nfilters()
    if filters:
        known["filter"] = _missing_filter(stored)
    return {**known, "filtered": bool(filters), **_storage(stored, plain and not filters)}


def _missing_filter(stored: h5py.Dataset) -> str | None:
    """Name a filter that is not installed; those of hdf5plugin are, where it is."""
    settings = stored.id.get_create_plist()
    for number in range(settings.get_nfilters()):
        code, _, _, name = settings.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            with suppress(ImportError):
                importlib.import_module("hdf5plugin")
        if not h5py.h5z.filter_avail(code):
            return f"{name.decode('utf-8', 'replace')[:40]} (number {code})"
    return None


def _storage(stored: h5py.Dataset, plain: bool) -> dict[str, Any]:
    """Say how many bytes are stored, whether of all chunks, and where, if they can be read as they are."""
    total = math.prod(stored.shape) * stored.dtype.itemsize
    if stored.chunks is None:
        size, offset = stored.id.get_storage_size(), stored.id.get_offset()
        pieces = [(offset, total)] if plain and offset is not None and _as_stored(stored) else None
        return {"stored": size, "complete": size >= total, "pieces": pieces}
    chunks: list[Any] = []
    stored.id.chunk_iter(chunks.append)
    step, axes = stored.chunks, range(len(stored.shape))
    wanted = math.prod(math.ceil(stored.shape[axis] / step[axis]) for axis in axes)
    corners = {
        chunk.chunk_offset for chunk in chunks if all(chunk.chunk_offset[a] < stored.shape[a] for a in axes)
    }
    by_rows = plain and step[1:] == stored.shape[1:] and len(chunks) == wanted and _as_stored(stored)
    return {
        "stored": sum(chunk.size for chunk in chunks),
        "complete": len(corners) == wanted,
        "end": max((chunk.byte_offset + chunk.size for chunk in chunks), default=0),
        "pieces": _pieces(chunks, total, math.prod(step) * stored.dtype.itemsize) if by_rows else None,
    }


def _as_stored(stored: h5py.Dataset) -> bool:
    """Tell whether numpy can use the stored bytes: a usual type, and addresses from the first byte on."""
    usual = h5py.h5t.py_create(stored.dtype)
    return bool(usual == stored.id.get_type() and stored.file.userblock_size == 0)


def _pieces(chunks: list[Any], total: int, size: int) -> list[tuple[int, int]] | None:
    """(offset, bytes) of runs of the file that are the array, one after the other; None if chunks are cut."""
    runs: list[tuple[int, int]] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.chunk_offset):
        if chunk.size != size:
            return None
        used = min(size, total)
        total -= used
        if runs and sum(runs[-1]) == chunk.byte_offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + used)
        else:
            runs.append((chunk.byte_offset, used))
    return runs


def _attributes(place: Any, names: list[str] | None) -> dict[str, Any]:
    wanted = list(place.attrs) if names is None else [name for name in names if name in place.attrs]
    return {name: _plain(place.attrs[name]) for name in wanted}


def _plain(value: Any) -> Any:
    """Return texts, numbers and lists of them; None for anything else."""
    if isinstance(value, np.ndarray):
        texts = value.dtype.kind in "OSU"
        few = texts or value.size <= MOST_NUMBERS
        return [_plain(item) for item in value.reshape(-1).tolist()] if few else None
    value = value.item() if isinstance(value, np.generic) else value
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return value if isinstance(value, str | int | float) else None


if __name__ == "__main__":
    main()
