"""Open HDF5 files of strangers in a process of its own; a script that imports nothing of survfuse.

On a damaged file the HDF5 library may run for ever, crash, or take all memory, and Python cannot
stop it. This process may: it has limits of time and memory, and only it ends. It answers each
question by a line of JSON and the bytes that this announces. See `survfuse.readers._hdf5_process`.
"""

from __future__ import annotations

import importlib
import json
import math
import operator
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

try:
    import resource
except ImportError:  # not a POSIX system, which has no limits
    resource = None  # type: ignore[assignment]

BLOCK_BYTES = 2**24
SMALL = 2**16
"""Bytes of an array that is sent with its description: to ask twice would take longer."""
MOST_NUMBERS = 1024
"""Of an attribute."""
MOST_NAMES = 1024
"""Of those at the top of a file."""

Answer = tuple[dict[str, Any], bytes | memoryview]


def main() -> None:
    """Answer questions until there are no more."""
    before = _address_space()
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    with open(sys.stdout.fileno(), "wb", 2 * SMALL, closefd=False) as out:
        _send(out, ({"ready": True}, b""))
        for line in sys.stdin.buffer:
            question = json.loads(line)
            if hasattr(
                signal,
                "setitimer",
            ):  # counts time of a processor, not the wait for a slow disk
                signal.setitimer(signal.ITIMER_PROF, question["seconds"])
            if before:
                _limit("RLIMIT_AS", before + question["memory"])
            with _Errors(out):
                _answer(out, question, access)


def _answer(out: Any, question: dict[str, Any], access: Any) -> None:
    """Send each answer when there is a further one; the last when the file is closed."""
    last: Answer | None = None
    with h5py.File(
        h5py.h5f.open(os.fsencode(question["path"]), h5py.h5f.ACC_RDONLY, access),
    ) as file:
        for answer in ANSWERS[question["ask"]](file, question):
            if last is not None:
                _send(out, last)
            last = answer
    if last is not None:
        _send(out, last)


class _Errors:
    """Send whatever h5py raises in a block, instead of an answer."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: Any,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        _send(
            self._out,
            ({"error": type(error).__name__, "reason": str(error)[:300]}, b""),
        )
        return True


def _send(out: Any, answer: Answer) -> None:
    out.write(json.dumps(answer[0]).encode() + b"\n")
    out.write(answer[1])
    out.flush()


# -- limits


def _address_space() -> int:
    """Bytes of address space taken so far; 0 where the system does not say (outside Linux)."""
    with suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _limit(name: str, limit: int) -> None:
    if resource is None:
        return
    what = getattr(resource, name)
    hard = resource.getrlimit(what)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(
            what,
            (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard),
        )


# -- answers


def _look(file: h5py.File, question: dict[str, Any]) -> Iterator[Answer]:
    """Describe what lies under each name (null: nothing); "" is the file, "*" everything at its top."""
    names = list(question["names"])
    if "*" in names:
        names = list(file)[:MOST_NAMES]
    nodes, values = {}, []
    for name in names:
        nodes[name], small = _node(file, name, question["attributes"])
        values.append(small)
    yield {"nodes": nodes}, b"".join(values)


def _values(file: h5py.File, question: dict[str, Any]) -> Iterator[Answer]:
    """List the values of a dataset of one axis, or of one field of it."""
    stored = file[question["name"]]
    values = stored.fields(question["field"])[...] if question["field"] else stored[...]
    texts = [
        value.decode("utf-8") if isinstance(value, bytes) else value
        for value in values.tolist()
    ]
    yield {"values": texts}, b""


def _read(file: h5py.File, question: dict[str, Any]) -> Iterator[Answer]:
    """Send the numbers of a dataset, block by block, each of whole chunks."""
    stored = file[question["name"]]
    step = stored.chunks[0] if stored.chunks else 1
    row = max(1, math.prod(stored.shape[1:]) * stored.dtype.itemsize)
    step *= max(1, BLOCK_BYTES // (row * step))
    for start in range(0, stored.shape[0], step):
        block = np.ascontiguousarray(stored[start : start + step])
        yield {"bytes": block.nbytes}, block.reshape(-1).view(np.uint8).data
    yield {"bytes": 0}, b""


ANSWERS = {"look": _look, "values": _values, "read": _read}


# -- descriptions, by the lower functions of h5py: small files are many


def _node(
    file: h5py.File,
    name: str,
    attributes: list[str] | None,
) -> tuple[dict[str, Any] | None, bytes]:
    """Describe what lies under a name, and send what is small; links are not followed."""
    place = file.id if name else h5py.h5o.open(file.id, b"/")
    for part in name.strip("/").split("/") if name else ():
        key = part.encode("utf-8", "surrogateescape")
        group = isinstance(place, h5py.h5g.GroupID | h5py.h5f.FileID)
        if (
            not group
            or part in ("", ".")
            or b"\0" in key
            or not place.links.exists(key)
        ):
            return None, b""
        link = place.links.get_info(key).type
        if link != h5py.h5l.TYPE_HARD:
            return {
                "kind": "external link"
                if link == h5py.h5l.TYPE_EXTERNAL
                else "soft link",
            }, b""
        place = h5py.h5o.open(place, key)
    known = {"kind": "group", "attributes": _attributes(place, attributes)}
    if isinstance(place, h5py.h5d.DatasetID):
        known |= {"kind": "dataset", **_dataset(place)}
        if known.get("small"):
            values: Any = np.empty(known["shape"], place.dtype)
            place.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
            return known, values.tobytes()
    elif not isinstance(place, h5py.h5g.GroupID):
        known["kind"] = "type"
    return known, b""


def _dataset(stored: Any) -> dict[str, Any]:
    dtype, shape, settings = stored.dtype, stored.shape, stored.get_create_plist()
    if stored.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        shape = None
    plain = dtype.kind in "biuf" and dtype.subdtype is None
    layout = settings.get_layout()
    known = {
        "shape": shape,
        "dtype": dtype.str if plain else str(dtype)[:100],
        "plain": plain,
        "itemsize": dtype.itemsize,
        "fields": dtype.names,
        "chunk": settings.get_chunk() if layout == h5py.h5d.CHUNKED else None,
        "virtual": layout == h5py.h5d.VIRTUAL,
        "external": settings.get_external_count() > 0,
    }
    if known["virtual"] or known["external"] or not shape:
        return known
    filters = [settings.get_filter(number) for number in range(settings.get_nfilters())]
    known |= {"filtered": bool(filters), "filter": _missing_filter(filters)}
    known["packing"] = packing = _packing(filters, dtype.itemsize)
    total = math.prod(shape) * dtype.itemsize
    apart = plain and total > SMALL and packing is not None and _as_stored(stored)
    known |= _storage(stored, known, apart)
    known["small"] = (
        plain and 0 < total <= SMALL and known["complete"] and known["filter"] is None
    )
    return known


def _missing_filter(filters: list[Any]) -> str | None:
    """Name a filter that is not installed; those of hdf5plugin are, where it is."""
    for code, _, _, name in filters:
        if not h5py.h5z.filter_avail(code):
            with suppress(ImportError):
                importlib.import_module("hdf5plugin")
        if not h5py.h5z.filter_avail(code):
            return f"{name.decode('utf-8', 'replace')[:40]} (number {code})"
    return None


def _packing(filters: list[Any], itemsize: int) -> list[str] | None:
    """Name the filters in order if numpy and zlib can undo them, else None."""
    known = {(h5py.h5z.FILTER_DEFLATE,): ["deflate"], (): []}
    shuffled = (
        bool(filters)
        and filters[0][0] == h5py.h5z.FILTER_SHUFFLE
        and filters[0][2][:1] == (itemsize,)
    )
    rest = known.get(tuple(code for code, *_ in filters[shuffled:]))
    return None if rest is None else ["shuffle"] * shuffled + rest


def _storage(stored: Any, known: dict[str, Any], usual: bool) -> dict[str, Any]:
    """Say how many bytes are stored, whether of all chunks, and, if the usual tools can read them, where."""
    shape, step = known["shape"], known["chunk"]
    total = math.prod(shape) * known["itemsize"]
    if step is None:
        size, offset = stored.get_storage_size(), stored.get_offset()
        pieces = [(offset, total)] if usual and offset is not None else None
        return {"stored": size, "complete": size >= total, "pieces": pieces}
    chunks: list[Any] = []
    stored.chunk_iter(chunks.append)
    wanted = math.prod(
        math.ceil(axis / part) for axis, part in zip(shape, step, strict=True)
    )
    corners = {chunk.chunk_offset for chunk in chunks}
    used = [corner for corner in corners if all(map(operator.lt, corner, shape))]
    usual = (
        usual
        and len(chunks) == len(used) == wanted
        and not any(chunk.filter_mask for chunk in chunks)
    )
    by_rows = not known["packing"] and step[1:] == shape[1:]
    return {
        "stored": sum(chunk.size for chunk in chunks),
        "complete": len(used) == wanted,
        "end": max((chunk.byte_offset + chunk.size for chunk in chunks), default=0),
        "pieces": _pieces(chunks, total, math.prod(step) * known["itemsize"])
        if usual and by_rows
        else None,
        "chunks": [chunk[:1] + chunk[2:] for chunk in chunks]
        if usual and not by_rows
        else None,
    }


def _as_stored(stored: Any) -> bool:
    """Tell whether numpy can use the stored bytes: a usual type, and addresses from the first byte on."""
    usual = h5py.h5t.py_create(stored.dtype)
    start = h5py.h5i.get_file_id(stored).get_create_plist().get_userblock()
    return bool(usual == stored.get_type() and start == 0)


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
    if not h5py.h5a.get_num_attrs(place):
        return {}
    attributes = h5py.AttributeManager(_Holder(place))
    if names is None:
        return {name: _plain(attributes[name]) for name in attributes}
    return {
        name: _plain(attributes[name])
        for name in names
        if h5py.h5a.exists(place, name.encode())
    }


class _Holder:
    """What h5py.AttributeManager wants to know of an object."""

    def __init__(self, place: Any) -> None:
        self.id = place


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
    _limit("RLIMIT_CORE", 0)
    with suppress(ImportError, OSError, AttributeError):
        import fcntl

        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 2**20)
    main()
