"""Files of `torch.save`: tensors, NumPy arrays and dicts of them.

torch is not asked to read them: it takes memory for what a file claims, reads members of an archive
that another program packed as if they were its own, and verifies no checksum.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse.readers.archives import Bytes, open_archive, read_member
from survfuse.readers.array_checks import BYTES_LIMIT, AnyArray
from survfuse.readers.pickles import read_pickle
from survfuse.readers.slide_features import COORD_KEYS, ReadOptions, no_features
from survfuse.readers.torch_values import Storage, Storages, as_array, named, shape_of

_WHAT = "plain tensors or arrays"
_REMEDY = (
    "objects are never unpickled: save the tensor or the NumPy array itself, or a dict of `features` and "
    "`coords`, with torch.save and its default pickle_protocol; copy a damaged file again"
)


def open_torch(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    """Read the arrays of features and coordinates from a file of `torch.save`.

    Raises
    ------
    FeatureFileError
        On pickled objects, a cut or changed file, or a dict without features.
    """
    with _open(path) as (saved, storages):
        if not isinstance(saved, dict):
            return {"features": as_array(saved, "features", storages, path)}
        arrays: dict[str, AnyArray] = {}
        for key in (*options.feature_keys, *COORD_KEYS):
            if saved.get(key) is not None:
                arrays[key] = as_array(saved[key], key, storages, path)
        if set(arrays).isdisjoint(options.feature_keys):
            names = [
                f"{str(key)[:80]} {shape_of(value)}" for key, value in saved.items()
            ]
            raise FeatureFileError(no_features(path, options, names))
        return arrays


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Storages]]:
    """Yield what was saved, its tensors without their values, and what reads those."""
    size = regular_file(path, limit=BYTES_LIMIT, error=FeatureFileError)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        with open_archive(path, _WHAT, _REMEDY) as archive:
            yield _read_zipped(archive)
    else:
        refuse_claim(path, size, size, error=FeatureFileError)
        with boundary(path, _WHAT, error=FeatureFileError, remedy=_REMEDY):
            yield _read_legacy(path.read_bytes())


def _read_zipped(archive: zipfile.ZipFile) -> tuple[Any, Storages]:
    """Read the archives that torch has written since 1.6: ``<name>/data.pkl`` and ``<name>/data/<key>``."""
    names = [
        name for name in archive.namelist() if re.fullmatch(r"([^/]*/)?data\.pkl", name)
    ]
    if len(names) != 1:
        raise ValueError(f"{len(names)} members data.pkl in the archive, expected one")
    folder = names[0].removesuffix("data.pkl")
    order = "little"
    if f"{folder}byteorder" in archive.namelist():
        order = (
            read_member(archive, archive.getinfo(f"{folder}byteorder"))
            .tobytes()
            .decode()
        )
    if order not in ("little", "big"):
        raise ValueError(f"bytes in the order {order!r}")
    saved, _ = read_pickle(
        read_member(archive, archive.getinfo(names[0])).tobytes(),
        named,
        Storage.of,
    )

    def read(storage: Storage) -> Bytes:
        member = archive.getinfo(f"{folder}data/{storage.key}")
        if member.file_size != storage.size:
            raise ValueError(
                f"a storage claims {storage.size} bytes where {member.file_size} are stored",
            )
        values = read_member(archive, member)
        return values if order == "little" else _swapped(values, storage.kind.itemsize)

    return saved, read


def _read_legacy(data: bytes) -> tuple[Any, Storages]:
    """Read what torch wrote before 1.6: five pickles, then the storages in the order of their keys."""
    known: dict[str, Storage] = {}

    def remember(saved_id: Any) -> Storage:
        storage = Storage.of(saved_id)
        return known.setdefault(storage.key, storage)

    pickled = []
    end = 0
    for _ in range(5):
        value, end = read_pickle(data, named, remember, end)
        pickled.append(value)
    magic, version, _, saved, keys = pickled
    if (magic, version) != _LEGACY or not isinstance(keys, list):
        raise ValueError("not written by torch.save")
    places: dict[str, int] = {}
    for key in keys:
        if not isinstance(key, str) or key not in known:
            raise ValueError("a storage that no tensor has")
        storage = known[key]
        places[key] = end + 8
        if (
            int.from_bytes(data[end : end + 8], "little", signed=True)
            * storage.kind.itemsize
            != storage.size
        ):
            raise ValueError(
                f"storage {key!r} is not of the size that its tensors claim",
            )
        end += 8 + storage.size
    if end != len(data):
        raise ValueError(f"{end} bytes expected, {len(data)} are in the file")

    def read(storage: Storage) -> Bytes:
        return np.frombuffer(data, np.uint8, storage.size, places[storage.key]).copy()

    return saved, read


_LEGACY = (0x1950A86A20F9469CFC6C, 1001)
"""Magic number and version of the format."""


def _swapped(values: Bytes, itemsize: int) -> Bytes:
    return np.ascontiguousarray(values.reshape(-1, itemsize)[:, ::-1]).reshape(-1)
