"""Open HDF5 files and zarr arrays in a separate process; a script that imports nothing of survfuse.

On a damaged file their libraries may run for ever, crash, or take all memory, and Python cannot
stop them. This process has limits of time and memory, and only it ends. It answers each question
by lines of JSON, each followed by the bytes that it announces; see
`survfuse.readers.child_process`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import operator
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np

try:
    import fcntl
    import resource
except ImportError:  # not a POSIX system, which has no limits
    fcntl = resource = None  # type: ignore[assignment]

BLOCK_BYTES = 2**24
SMALL = 2**16
"""Bytes of an array that is sent with its description: a second question would take longer."""
MOST_NUMBERS = 1024
"""Of an attribute."""
MOST_NAMES = 1024
"""At the top of a file."""

Answer = tuple[dict[str, Any], Any]


def main() -> None:
    """Answer questions until there are no more."""
    before = _address_space()
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    with open(sys.stdout.fileno(), "wb", 2 * SMALL, closefd=False) as out:
        _send(out, {"ready": True})
        for line in sys.stdin.buffer:
            question = json.loads(line)
            if hasattr(signal, "setitimer"):
                # time of a processor, not the wait for a slow disk
                signal.setitimer(signal.ITIMER_PROF, question["seconds"])
            if before:
                _limit("RLIMIT_AS", before + question["memory"])
            try:
                _answer(out, question, access)
            except Exception as error:  # noqa: BLE001 - whatever h5py raises is the answer
                name, reason = type(error).__name__, str(error)[:300]
                _send(out, {"error": name, "reason": reason})


def _answer(
    out: Any,
    question: dict[str, Any],
    access: Any,
) -> None:
    """Send the answers, and that there are no more when the file is closed."""
    if question["ask"] in WHOLE:
        for head, block in WHOLE[question["ask"]](question):
            _send(out, head, block)
    else:
        path = os.fsencode(question["path"])
        with h5py.File(h5py.h5f.open(path, h5py.h5f.ACC_RDONLY, access)) as file:
            for head, block in ANSWERS[question["ask"]](file, question):
                _send(out, head, block)
    _send(out, {"closed": True})


def _send(
    out: Any,
    head: dict[str, Any],
    block: Any = b"",
) -> None:
    out.write(json.dumps(head).encode() + b"\n")
    out.write(block)
    out.flush()


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say (outside Linux)."""
    with suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _limit(name: str, limit: int) -> None:
    with suppress(ValueError, OSError, AttributeError):
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, hard))


# -- answers


def _look(
    file: h5py.File,
    question: dict[str, Any],
) -> Iterator[Answer]:
    """Describe the object of each name (null: none); "" is the file, "*" all names at its top.

    "a/*" are all names in the group a.
    """
    names: list[str] = []
    for name in question["names"]:
        names += _members(file, name) if name.endswith("*") else [name]
    nodes: dict[str, Any] = {}
    blocks = []
    for name in names:
        nodes[name], values = _node(file, name, question["attributes"])
        blocks.append(values)
    yield {"nodes": nodes}, b"".join(blocks)


def _members(file: h5py.File, pattern: str) -> list[str]:
    """Names in a group; none where it is absent or a link."""
    group = pattern.removesuffix("*").removesuffix("/")
    place = _object(file, group)[1]
    if not isinstance(place, h5py.h5g.GroupID | h5py.h5f.FileID):
        return []
    names = list(h5py.Group(place) if group else file)[:MOST_NAMES]
    return [f"{group}/{name}" if group else name for name in names]


def _values(
    file: h5py.File,
    question: dict[str, Any],
) -> Iterator[Answer]:
    """List the values of a dataset of one axis, or of one field of it."""
    stored = file[question["name"]]
    values = stored.fields(question["field"])[...] if question["field"] else stored[...]
    texts = values.tolist()
    for place, value in enumerate(texts):
        if isinstance(value, bytes):
            texts[place] = value.decode("utf-8")
    yield {"values": texts}, b""


def _read(
    file: h5py.File,
    question: dict[str, Any],
) -> Iterator[Answer]:
    """Send the numbers of a dataset in blocks, each of whole chunks."""
    stored = file[question["name"]]
    step = stored.chunks[0] if stored.chunks else 1
    row = max(1, math.prod(stored.shape[1:]) * stored.dtype.itemsize)
    step *= max(1, BLOCK_BYTES // (row * step))
    for start in range(0, stored.shape[0], step):
        block = np.ascontiguousarray(stored[start : start + step])
        yield {"bytes": block.nbytes}, block.reshape(-1).view(np.uint8).data
    yield {"bytes": 0}, b""


ANSWERS = {"look": _look, "values": _values, "read": _read}


_EMPTY = "; where its values are all the fill value, write it with write_empty_chunks"


def _zarr(question: dict[str, Any]) -> Iterator[Answer]:
    """Send the numbers of a zarr array, no chunk of which may be absent."""
    import zarr
    from numcodecs import blosc
    from zarr.storage import LocalStore

    def decode(
        codec: Any,
        stored: Any,
        out: Any = None,
    ) -> Any:
        """Refuse a chunk that is cut, beyond which blosc would read on."""
        length = int.from_bytes(bytes(memoryview(stored)[12:16]), "little")
        if length != memoryview(stored).nbytes:
            raise ValueError(f"a chunk of {length} bytes is cut, or longer")
        return blosc.decompress(stored, out)

    blosc.Blosc.decode = decode

    class StrictStore(LocalStore):
        """Refuses absent chunks, for which zarr would use the fill value."""

        opened = False

        async def get(
            self,
            key: str,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            value = await super().get(key, *args, **kwargs)
            if value is None and self.opened:
                raise FileNotFoundError(f"chunk {key} is absent{_EMPTY}")
            return value

    # each thread would take address space
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    store = StrictStore(question["path"], read_only=True)
    array = zarr.open_array(store=store, mode="r")
    store.opened = True
    values = np.ascontiguousarray(array[...], question["dtype"])
    if (
        array.shards is not None
    ):  # an absent part of a shard shows by another fill value
        metadata: Any = array.metadata
        metadata = replace(metadata, fill_value=metadata.fill_value + 1)
        again = zarr.Array(zarr.AsyncArray(metadata, array.store_path))[...]
        if np.ascontiguousarray(again, question["dtype"]).tobytes() != values.tobytes():
            raise FileNotFoundError("a chunk of a shard is absent")
    block = values.reshape(-1).view(np.uint8).data
    for start in range(0, len(block), BLOCK_BYTES):
        part = block[start : start + BLOCK_BYTES]
        yield {"bytes": len(part)}, part
    yield {"bytes": 0}, b""


def _workbook(question: dict[str, Any]) -> Iterator[Answer]:
    """Send the cells of a workbook, by the script beside this one."""
    place = os.path.join(os.path.dirname(__file__), "_workbook_script.py")
    name = "survfuse_workbook_script"
    if name not in sys.modules:
        found: Any = importlib.util.spec_from_file_location(name, place)
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    yield from sys.modules[name].answers(question)


WHOLE = {"zarr": _zarr, "workbook": _workbook}
"""Answers that open their file themselves."""


# -- descriptions, by the lower functions of h5py: small files are many


def _node(
    file: h5py.File,
    name: str,
    attributes: list[str] | None,
) -> tuple[dict[str, Any] | None, bytes]:
    """Describe the object of a name, and return its values where they are few."""
    kind, place = _object(file, name)
    if place is None:
        return (None if kind is None else {"kind": kind}), b""
    node = {"kind": kind, "attributes": _attributes(place, attributes)}
    if kind != "dataset":
        return node, b""
    node |= _dataset(place)
    if not node["small"]:
        return node, b""
    values: Any = np.empty(node["shape"], place.dtype)
    place.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return node, values.tobytes()


def _object(
    file: h5py.File,
    name: str,
) -> tuple[str | None, Any]:
    """Return the kind of what has a name, and the object itself; links are not followed."""
    place = file.id if name else h5py.h5o.open(file.id, b"/")
    for part in name.strip("/").split("/") if name else ():
        key = part.encode("utf-8", "surrogateescape")
        group = isinstance(place, h5py.h5g.GroupID | h5py.h5f.FileID)
        if not group or part in ("", ".") or b"\0" in key:
            return None, None
        if not place.links.exists(key):
            return None, None
        link = place.links.get_info(key).type
        if link != h5py.h5l.TYPE_HARD:
            external = link == h5py.h5l.TYPE_EXTERNAL
            return "external link" if external else "soft link", None
        place = h5py.h5o.open(place, key)
    if isinstance(place, h5py.h5d.DatasetID):
        return "dataset", place
    return "group" if isinstance(place, h5py.h5g.GroupID) else "type", place


def _dataset(stored: Any) -> dict[str, Any]:
    """Describe a dataset; see `survfuse.readers.hdf5_files.Node`."""
    dtype, shape, settings = stored.dtype, stored.shape, stored.get_create_plist()
    if stored.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        shape = None
    plain = dtype.kind in "biuf" and dtype.subdtype is None
    layout = settings.get_layout()
    node = {
        "shape": shape,
        "dtype": dtype.str if plain else str(dtype)[:100],
        "plain": plain,
        "itemsize": dtype.itemsize,
        "fields": dtype.names,
        "chunk": settings.get_chunk() if layout == h5py.h5d.CHUNKED else None,
        "virtual": layout == h5py.h5d.VIRTUAL,
        "external": settings.get_external_count() > 0,
        "small": False,
    }
    if shape and not (node["virtual"] or node["external"]):
        node |= _storage(stored, node, settings)
    return node


def _storage(
    stored: Any,
    node: dict[str, Any],
    settings: Any,
) -> dict[str, Any]:
    """Describe how the values of a dataset are stored."""
    shape, plain, itemsize = node["shape"], node["plain"], node["itemsize"]
    filters = [settings.get_filter(number) for number in range(settings.get_nfilters())]
    node = node | {"filtered": bool(filters), "filter": _missing_filter(filters)}
    total = math.prod(shape) * itemsize
    direct = plain and total > SMALL and not filters and _is_direct(stored)
    if node["chunk"] is None:
        size, offset = stored.get_storage_size(), stored.get_offset()
        node |= {"stored": size, "complete": size >= total}
        node["pieces"] = [(offset, total)] if direct and offset is not None else None
    else:
        node |= _chunks(stored, shape, node["chunk"], direct)
    usable = node["complete"] and node["filter"] is None
    node["small"] = plain and 0 < total <= SMALL and usable
    return node


def _chunks(
    stored: Any,
    shape: Sequence[int],
    step: Sequence[int],
    direct: bool,
) -> dict[str, Any]:
    """Describe the chunks: size, end, whether all are there, and, if direct, their places."""
    chunks: list[Any] = []
    stored.chunk_iter(chunks.append)
    corners = {chunk.chunk_offset for chunk in chunks}
    used = sum(all(map(operator.lt, corner, shape)) for corner in corners)
    counts = [-(-axis // part) for axis, part in zip(shape, step, strict=True)]
    complete = used == math.prod(counts)
    node = {
        "stored": sum(chunk.size for chunk in chunks),
        "complete": complete,
        "end": max((chunk.byte_offset + chunk.size for chunk in chunks), default=0),
    }
    if direct and complete and len(chunks) == used and step[1:] == shape[1:]:
        itemsize = stored.dtype.itemsize
        total = math.prod(shape) * itemsize
        node["pieces"] = _pieces(chunks, total, math.prod(step) * itemsize)
    return node


def _pieces(
    chunks: list[Any],
    total: int,
    size: int,
) -> list[tuple[int, int]] | None:
    """(offset, bytes) of parts of the file that are the array; None where a chunk is cut."""
    runs: list[tuple[int, int]] = []
    for chunk in sorted(chunks, key=operator.attrgetter("chunk_offset")):
        if chunk.size != size:
            return None
        count = min(size, total)
        total -= count
        if runs and sum(runs[-1]) == chunk.byte_offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            runs.append((chunk.byte_offset, count))
    return runs


def _missing_filter(filters: list[Any]) -> str | None:
    """Name a filter that is not installed; those of hdf5plugin are, where it is."""
    for code, _, _, name in filters:
        if not h5py.h5z.filter_avail(code):
            with suppress(ImportError):
                importlib.import_module("hdf5plugin")
        if not h5py.h5z.filter_avail(code):
            return f"{name.decode('utf-8', 'replace')[:40]} (number {code})"
    return None


def _is_direct(stored: Any) -> bool:
    """Whether numpy can use the stored bytes: usual type, addresses from the first byte on."""
    usual = h5py.h5t.py_create(stored.dtype)
    start = h5py.h5i.get_file_id(stored).get_create_plist().get_userblock()
    return bool(usual == stored.get_type() and start == 0)


def _attributes(
    place: Any,
    names: list[str] | None,
) -> dict[str, Any]:
    """Read some attributes of an object, by default all."""
    if not h5py.h5a.get_num_attrs(place):
        return {}
    attributes = h5py.AttributeManager(SimpleNamespace(id=place))
    values = {}
    for name in list(attributes) if names is None else names:
        if h5py.h5a.exists(place, name.encode()):
            values[name] = _plain(attributes[name])
    return values


def _plain(value: Any) -> Any:
    """Return texts, numbers and lists of them; None for anything else."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "OSU" and value.size > MOST_NUMBERS:
            return None
        return [_plain(item) for item in value.reshape(-1).tolist()]
    value = value.item() if isinstance(value, np.generic) else value
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return value if isinstance(value, str | int | float) else None


if __name__ == "__main__":
    _limit("RLIMIT_CORE", 0)
    with suppress(OSError, AttributeError):
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 2**20)
    main()
