"""One slide's bag on disk: features and coordinates appended as they come, in constant memory.

The file is HDF5 with the names and attributes of TRIDENT, so that other tools read it, and
our own for what TRIDENT does not say (µm/px, µm of a tile, what it was made from). Same
content, same bytes: nothing in it tells when or where it was written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from survfuse._errors import FeatureFileError
from survfuse._types import AnyArray
from survfuse.readers.hdf5 import BAG_FORMAT, BAG_VERSION
from survfuse.readers.hdf5_files import look
from survfuse.slides.reading import Indices

CHUNK_BYTES = 2**20


class BagWriter:
    """Write the bag of one slide; also a context manager.

    Parameters
    ----------
    path : Path
        File to create; give it its final name when :meth:`finish` has returned.
    dim : int
        Features per tile.
    expected : int
        Most tiles that will come: chunks are made no larger than needed.

    Examples
    --------
    >>> with BagWriter(part, dim=1024, expected=2000) as bag:  # doctest: +SKIP
    ...     bag.append(features, corners)
    ...     bag.finish(encoder="uni", places={}, about={"key": key})
    """

    def __init__(
        self,
        path: Path,
        *,
        dim: int,
        expected: int,
    ) -> None:
        self._path = path
        self._file = h5py.File(path, "w")
        self._features = _Column(self._file, "features", dim, np.dtype("<f2"), expected)
        self._coords = _Column(self._file, "coords", 2, np.dtype("<i8"), expected)

    def append(
        self,
        features: npt.NDArray[np.float16],
        coords: Indices,
    ) -> None:
        """Add tiles.

        Parameters
        ----------
        features : ndarray, (tiles, dim) float16
        coords : ndarray, (tiles, 2) int64
            Upper left corners (x, y), level-0 px.
        """
        if len(features) != len(coords):
            raise ValueError(
                f"{len(features)} rows of features, {len(coords)} of coordinates",
            )
        self._features.append(features)
        self._coords.append(coords)

    @property
    def tiles(self) -> int:
        """Tiles so far."""
        return self._features.rows + self._features.waiting

    def finish(
        self,
        *,
        encoder: str,
        places: Mapping[str, Any],
        about: Mapping[str, Any],
    ) -> None:
        """Write what is left in memory, and the attributes; close, and make the file durable.

        Parameters
        ----------
        encoder : str
            Named on the features.
        places : mapping
            Attributes of the coordinates (TRIDENT's).
        about : mapping
            Attributes of the file; mappings and lists of them become JSON, None is left out.
        """
        self._features.flush()
        self._coords.flush()
        self._features.stored.attrs["encoder"] = encoder
        self._coords.stored.attrs.update(places)
        about = {"format": BAG_FORMAT, "version": BAG_VERSION, **about}
        for name, value in about.items():
            if isinstance(value, Mapping):
                value = json.dumps(value, sort_keys=True)
            if value is not None:
                self._file.attrs[name] = value
        try:
            self._file.flush()
        except RuntimeError as error:
            # the library's text names the system's error by its number
            match = re.search(r"errno = (\d+)", str(error))
            if match is None:
                raise
            number = int(match[1])
            raise OSError(number, os.strerror(number), str(self._path)) from None
        self._file.close()
        with self._path.open("rb+") as written:
            os.fsync(written.fileno())

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # what could not be written cannot be closed either, and that would hide the reason
        with suppress(*(() if error is None else (OSError, RuntimeError))):
            self.close()


class _Column:
    """One growing dataset; whole chunks go past the library's cache, straight to the file."""

    def __init__(
        self,
        file: h5py.File,
        name: str,
        width: int,
        dtype: np.dtype[Any],
        expected: int,
    ) -> None:
        step = max(1, min(CHUNK_BYTES // max(1, width * dtype.itemsize), expected))
        self.stored = file.create_dataset(
            name,
            shape=(0, width),
            maxshape=(None, width),
            dtype=dtype,
            chunks=(step, max(1, width)),
        )
        self.rows = 0
        self._buffer = np.zeros((step, width), dtype)
        self.waiting = 0

    def append(self, block: AnyArray) -> None:
        while len(block):
            part = block[: len(self._buffer) - self.waiting]
            self._buffer[self.waiting : self.waiting + len(part)] = part
            self.waiting += len(part)
            block = block[len(part) :]
            if self.waiting == len(self._buffer):
                self.flush()

    def flush(self) -> None:
        """Write the buffer as one chunk, the unused end of which is zeros."""
        if not self.waiting:
            return
        self._buffer[self.waiting :] = 0
        self.stored.resize(self.rows + self.waiting, axis=0)
        self.stored.id.write_direct_chunk((self.rows, 0), self._buffer.tobytes())
        self.rows += self.waiting
        self.waiting = 0


def read_about(path: Path) -> dict[str, Any] | None:
    """Return the attributes of a whole bag file of ours; None for anything else, or no file.

    Attributes that hold JSON objects come back as dicts. `tiles` is the number of rows.
    """
    known = _own(path, None)
    if known is None:
        return None
    about, tiles = known
    try:
        for name, value in about.items():
            if isinstance(value, str) and value.startswith("{"):
                about[name] = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return {**about, "tiles": tiles}


def read_key(path: Path) -> tuple[str, int] | None:
    """Return key and number of tiles of a whole bag file of ours; None as in :func:`read_about`."""
    known = _own(path, ("format", "version", "key"))
    return None if known is None else (str(known[0].get("key")), known[1])


def _own(
    path: Path,
    attributes: Sequence[str] | None,
) -> tuple[dict[str, Any], int] | None:
    """Return the attributes and the number of tiles of a whole bag of ours."""
    if not path.is_file():
        return None
    try:
        nodes = look(path, ["", "features", "coords"], attributes)
    except FeatureFileError:
        return None
    about = dict(nodes[""].attributes)
    if (about.get("format"), about.get("version")) != (BAG_FORMAT, BAG_VERSION):
        return None
    features, coords = (
        nodes[name].shape if name in nodes else None for name in ("features", "coords")
    )
    if features is None or len(features) != 2 or coords != (features[0], 2):
        return None
    return about, features[0]
