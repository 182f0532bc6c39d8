"""HDF5 files, read without trusting them: names, layouts and sizes are checked before values.

A file of 1.4 kB can claim 12 TB, one with links or external storage returns the content of other
files, and a damaged one can hang or crash the HDF5 library. So the library works in a process of
its own (`child_process`), of which this process asks what lies in a file and where. Numbers
that lie there as they are, the usual case, are then read directly from the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import boundary, format_bytes, refuse_claim, regular_file
from survfuse._types import AnyArray
from survfuse.readers.array_checks import check_claim
from survfuse.readers.child_process import Child, answers, fill

SECONDS = 1
"""Of a processor, to look into a file; an honest one takes 0.002."""
MEMORY = 2**28
"""Bytes that looking into a file may take."""
LARGEST_CHUNK = 2**26
"""Bytes of a chunk that is larger than its whole array; chunks are unpacked as wholes."""
MOST_SECONDS = 4
"""More, of a large file."""
LOOKED = 20 * 2**20
"""Bytes of a file of many small chunks that the slowest processor looks into per second."""
VALUES = 200_000
"""Texts per second of the slowest processor."""
SLOWEST = 10 * 2**20
"""Bytes per second that the slowest honest filter unpacks."""


@dataclass(frozen=True)
class Node:
    """The object of a name in an HDF5 file.

    Attributes
    ----------
    kind : str
        "dataset", "group", "type", "soft link" or "external link".
    attributes : mapping
        Texts, numbers and lists of them by name; None for anything else.
    shape : tuple of int or None
        Of a dataset; None for an empty one.
    dtype : str
        Numpy's code of plain numbers; of others a description.
    plain : bool
        Whether it holds booleans, integers or floats.
    itemsize : int, bytes
    fields : list of str or None
        Of a dataset of records.
    chunk : tuple of int or None
    virtual, external : bool
        Whether the values lie in other datasets or files.
    filtered : bool
        Whether the values are packed.
    filter : str or None
        A filter that is not installed.
    stored, end : int, bytes
        Size of the stored values, and where the last one ends in the file.
    complete : bool
        Whether every part was written.
    pieces : list of (offset, bytes) or None
        Parts of the file that are the array as it is, one after the other.
    values : ndarray or None
        Of a small dataset.
    file_size : int, bytes
    """

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    plain: bool = False
    itemsize: int = 0
    fields: Sequence[str] | None = None
    chunk: tuple[int, ...] | None = None
    virtual: bool = False
    external: bool = False
    filtered: bool = False
    filter: str | None = None
    stored: int = 0
    end: int = 0
    complete: bool = True
    pieces: Sequence[tuple[int, int]] | None = None
    values: AnyArray | None = None
    file_size: int = 0

    @property
    def largest(self) -> int:
        """Bytes of the array, or of one chunk, if that is larger."""
        sizes = math.prod(self.shape or ()), math.prod(self.chunk or ())
        return max(sizes) * self.itemsize

    @classmethod
    def of(
        cls,
        known: dict[str, Any],
        process: Child,
        file_size: int,
    ) -> Node:
        """Make it of an answer, and read the values that follow the answer."""
        for name in ("shape", "chunk"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        if known.pop("small", False):
            known["values"] = np.empty(known["shape"], known["dtype"])
            process.fill(_bytes_of(known["values"]))
        return cls(**known, file_size=file_size)


def look(
    path: Path,
    names: Sequence[str],
    attributes: Sequence[str] | None = (),
) -> dict[str, Node]:
    """Describe what lies under some names of an HDF5 file; links are not followed.

    Parameters
    ----------
    path : Path
    names : sequence of str
        "" is the file itself, "a/b" lies in the group a; "*" stands for all names at the top, and
        "a/*" for all in a.
    attributes : sequence of str or None
        Those that are read; None reads all.

    Returns
    -------
    dict of str to Node
        Only of names that exist.

    Raises
    ------
    FeatureFileError
        When this is no whole HDF5 file.
    """
    size = regular_file(path, error=FeatureFileError)
    # a large file may have many chunks
    seconds = SECONDS + min(size / LOOKED, MOST_SECONDS)
    question = {"names": list(names), "attributes": attributes}
    nodes = {}
    with answers(path, "look", seconds, MEMORY, **question) as process:
        for name, known in process.answer()["nodes"].items():
            if known is not None:
                nodes[name] = Node.of(known, process, size)
    return nodes


def _bytes_of(values: AnyArray) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


def dataset(
    path: Path,
    nodes: Mapping[str, Node],
    name: str,
    *,
    kinds: str = "f",
) -> Node:
    """Return a dataset that lies wholly inside its file and holds the numbers that it claims.

    Raises
    ------
    FeatureFileError
        On soft and external links, virtual datasets, external storage, and
        sizes that the stored bytes cannot fill.
    """
    node = inside(path, nodes, name)
    if node.kind != "dataset":
        raise FeatureFileError(f"{path}: {name!r} is a {node.kind}, expected a dataset")
    if node.shape is None:
        raise FeatureFileError(
            f"{path}: {name!r} is empty of shape and data, expected (tiles, columns)",
        )
    if not node.plain:
        raise FeatureFileError(
            f"{path}: {name!r} has dtype {node.dtype}, expected plain numbers",
        )
    claimed = check_claim(path, name, node.shape, np.dtype(node.dtype), kinds=kinds)
    _refuse_unwritten(path, name, node, claimed)
    return node


def inside(
    path: Path,
    nodes: Mapping[str, Node],
    name: str,
) -> Node:
    """Return what lies under a name, in this file.

    Raises
    ------
    FeatureFileError
        When nothing does, or what does leads elsewhere.
    """
    if name not in nodes:
        raise FeatureFileError(f"{path}: has no {name!r}; write it again")
    node = nodes[name]
    if node.kind == "external link":
        raise FeatureFileError(
            f"{path}: {name!r} is a link to another file, which is not followed",
        )
    if node.kind == "soft link":
        raise FeatureFileError(
            f"{path}: {name!r} is a soft link, which is not followed",
        )
    if node.virtual:
        raise FeatureFileError(
            f"{path}: {name!r} is a virtual dataset over other files; write a real copy",
        )
    if node.external:
        raise FeatureFileError(
            f"{path}: {name!r} keeps its values in another file; write a real copy",
        )
    return node


def _refuse_unwritten(
    path: Path,
    name: str,
    node: Node,
    claimed: int,
) -> None:
    """Refuse sizes that cannot be; unwritten parts would read as zeros: stand-in numbers."""
    if claimed == 0:
        return
    if node.stored > node.file_size or node.end > node.file_size:
        raise FeatureFileError(
            f"{path}: {name!r} lies beyond the end of the file; write it again",
        )
    refuse_claim(f"{path}: {name!r}", claimed, node.stored, error=FeatureFileError)
    if not node.complete:
        raise FeatureFileError(
            f"{path}: part of {name!r} was never written; extract this slide again",
        )
    if node.filter is not None:
        raise FeatureFileError(
            f"{path}: {name!r} is packed by a filter that is not installed, {node.filter}; "
            "pip install hdf5plugin, or write it with gzip",
        )
    chunk = math.prod(node.chunk or ()) * node.itemsize
    if node.filtered and chunk > max(claimed, LARGEST_CHUNK):
        raise FeatureFileError(
            f"{path}: {name!r} takes {format_bytes(claimed)}, but has chunks of "
            f"{format_bytes(chunk)}; "
            "write it with smaller chunks",
        )


def read_numbers(
    path: Path,
    name: str,
    node: Node,
) -> AnyArray:
    """Read a dataset that :func:`dataset` returned.

    Raises
    ------
    FeatureFileError
        When the stored bytes cannot be unpacked.
    """
    if node.values is not None:
        return node.values
    values: AnyArray = np.empty(node.shape or (), node.dtype)
    if node.pieces is not None:
        _copy(path, node.pieces, _bytes_of(values))
    elif values.nbytes:
        _unpack(path, name, node, _bytes_of(values))
    return values


def _copy(
    path: Path,
    pieces: Sequence[Sequence[int]],
    block: memoryview,
) -> None:
    with (
        boundary(path, "a whole HDF5 file", error=FeatureFileError),
        path.open("rb", buffering=0) as file,
    ):
        for offset, count in pieces:
            file.seek(offset)
            fill(file, block[:count])
            block = block[count:]


def _unpack(
    path: Path,
    name: str,
    node: Node,
    block: memoryview,
) -> None:
    seconds = SECONDS + block.nbytes / SLOWEST
    memory = MEMORY + 4 * node.largest
    with answers(path, "read", seconds, memory, name=name) as process:
        process.fill_parts(block)


def read_values(
    path: Path,
    name: str,
    node: Node,
    field: str | None = None,
) -> list[Any]:
    """Read a dataset of one axis as texts or numbers, or one field of its records.

    Raises
    ------
    FeatureFileError
        When it has more axes, or its values cannot be what it claims.
    """
    if node.kind != "dataset" or node.shape is None or len(node.shape) != 1:
        raise FeatureFileError(
            f"{path}: {name!r} is a {node.kind} of shape {node.shape}, expected one axis",
        )
    _refuse_unwritten(path, name, node, node.shape[0] * node.itemsize)
    seconds = SECONDS + node.shape[0] / VALUES
    question = {"name": name, "field": field}
    with answers(path, "values", seconds, MEMORY, **question) as process:
        values: list[Any] = process.answer()["values"]
    return values
