"""The files of a packed bag store: one growing matrix, its coordinates, and an index.

``features.npy`` and ``coords.npy`` are ordinary NumPy files and ``index.json`` is JSON, so a
store can be read without us.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, InputError
from survfuse._storage import read_json, write_json
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.record import USUAL, ReadOptions

FORMAT = "survfuse-bags"
VERSION = 1
INDEX_LIMIT = 512 * 2**20
_HEADER_BYTES = 128


@dataclass(frozen=True)
class Slide:
    """One slide's rows in a store, and where they came from.

    Attributes
    ----------
    slide_id, patient_id : str
        Whose tiles these are.
    start, stop : int
        Its rows ``[start, stop)`` in the matrix.
    source : str
        The feature file, or "" for arrays handed over in memory.
    sha256, content : str
        Hash of the source file; hash of the features as read (dtype, shape, values).
    coord_unit, encoder, mpp, tile_um, patch_size_level0, magnification, tool
        As in :class:`survfuse.readers.Features`.
    """

    slide_id: str
    patient_id: str
    start: int
    stop: int
    source: str = ""
    sha256: str = ""
    content: str = ""
    coord_unit: str | None = None
    encoder: str | None = None
    mpp: float | None = None
    tile_um: float | None = None
    patch_size_level0: float | None = None
    magnification: float | None = None
    tool: str = ""

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.stop - self.start


@dataclass(frozen=True)
class Index:
    """What ``index.json`` says: the whole store but for the numbers.

    Attributes
    ----------
    slides : tuple of Slide
        In row order, without gaps.
    dim : int
        Features per tile.
    dtype : str
        "float16" or "float32".
    encoder : str or None
        The one encoder of all slides; None when no file and no declaration names it.
    mpp : float or None, µm per pixel
        The one scale of all slides, likewise.
    options : ReadOptions
        With which the files were read.
    """

    slides: tuple[Slide, ...]
    dim: int
    dtype: str
    encoder: str | None
    mpp: float | None
    options: ReadOptions = USUAL

    @property
    def tiles(self) -> int:
        """Rows of the matrix."""
        return self.slides[-1].stop if self.slides else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``index.json``."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    def write(self, folder: Path) -> None:
        """Write ``index.json`` into `folder`."""
        write_json(folder / "index.json", self.to_dict())

    @classmethod
    def read(cls, folder: Path) -> Index:
        """Read and check ``index.json``.

        Raises
        ------
        FeatureFileError
            When it is absent, of another format, newer than this version, or
            its rows overlap or leave gaps.
        """
        path = folder / "index.json"
        try:
            said = read_json(path, size_limit=INDEX_LIMIT)
        except InputError as error:
            raise FeatureFileError(f"{folder}: not a bag store: {error}") from None
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise FeatureFileError(f"{path}: expected format {FORMAT!r}; not a bag store")
        if said.get("version") != VERSION:
            raise FeatureFileError(
                f"{path}: version {said.get('version')!r} of the format, this survfuse reads {VERSION}; "
                "update survfuse, or pack the features again"
            )
        try:
            slides = tuple(_slide(entry) for entry in said["slides"])
            options = _options(said.get("options", {}))
            index = cls(slides, _integer(said["dim"]), said["dtype"], said["encoder"], said["mpp"], options)
        except (KeyError, TypeError, ValueError) as error:
            raise FeatureFileError(f"{path}: not a whole index ({error}); pack the features again") from None
        index.check(path)
        return index

    def check(self, path: Path) -> None:
        """Refuse rows that overlap or leave gaps, and slides named twice."""
        at = 0
        for slide in self.slides:
            if slide.start != at or slide.stop < slide.start:
                raise FeatureFileError(
                    f"{path}: slide {slide.slide_id!r} has rows [{slide.start}, {slide.stop}), "
                    f"expected to start at {at}"
                )
            at = slide.stop
        if len({slide.slide_id for slide in self.slides}) < len(self.slides):
            raise FeatureFileError(f"{path}: a slide id appears twice")
        if self.dtype not in ("float16", "float32"):
            raise FeatureFileError(f"{path}: dtype {self.dtype!r}, expected float16 or float32")


def _slide(entry: Any) -> Slide:
    known = {f.name for f in fields(Slide)}
    slide = Slide(**{key: value for key, value in entry.items() if key in known})
    if not isinstance(slide.slide_id, str) or not isinstance(slide.patient_id, str):
        raise TypeError("ids must be strings")
    _integer(slide.start), _integer(slide.stop)
    return slide


def _options(entry: Any) -> ReadOptions:
    columns = tuple(_integer(column) for column in entry.get("exclude_features", ()))
    return ReadOptions(entry.get("key"), entry.get("tiles"), columns)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"expected a count, got {value!r}")
    return value


class MatrixWriter:
    """Write an ``.npy`` matrix of unknown length block by block, in constant memory.

    The header keeps its place and is written last. When a wider dtype arrives,
    what is already written is widened once.

    Parameters
    ----------
    path : Path
        The file to create.
    columns : int
        Width of every block.
    dtype : dtype
        To begin with.
    """

    def __init__(self, path: Path, columns: int, dtype: np.dtype[Any]) -> None:
        self.path, self.columns, self.dtype, self.rows = path, columns, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._file.write(bytes(_HEADER_BYTES))

    def append(self, block: AnyArray) -> None:
        """Add rows, (rows, columns)."""
        if block.dtype.itemsize > self.dtype.itemsize:
            self._widen(block.dtype)
        self._file.write(np.ascontiguousarray(block, dtype=self.dtype).data)
        self.rows += len(block)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        self.finish()
        narrow = self.path.with_suffix(".narrow")
        self.path.rename(narrow)
        old = np.load(narrow, mmap_mode="r", allow_pickle=False)
        rows, self.rows, self.dtype = self.rows, 0, np.dtype(dtype)
        self._file = self.path.open("wb")
        self._file.write(bytes(_HEADER_BYTES))
        step = max(1, 2**26 // max(1, self.columns * 4))
        for start in range(0, rows, step):
            self.append(old[start : start + step].astype(dtype))
        del old
        narrow.unlink()

    def finish(self) -> None:
        """Write the header and make the file durable."""
        self._file.seek(0)
        self._file.write(_npy_header(self.dtype, (self.rows, self.columns)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()


def _npy_header(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """Return a 128-byte header of the NumPy format, version 1.0."""
    text = f"{{'descr': '{dtype.newbyteorder('<').str}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", _HEADER_BYTES - 10)
        + text.ljust(_HEADER_BYTES - 11).encode()
        + b"\n"
    )


def map_matrix(path: Path, shape: tuple[int, int], dtype: str) -> AnyArray:
    """Map one ``.npy`` of a store read-only, holding it against the index.

    Raises
    ------
    FeatureFileError
        When it is absent, cut off, or not of the shape and dtype in the index.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file; pack the features again") from None
    except (ValueError, OSError, EOFError) as error:
        raise FeatureFileError(
            f"{path}: cut off or not an .npy file ({error}); pack the features again"
        ) from None
    if found.shape != shape or found.dtype != np.dtype(dtype):
        raise FeatureFileError(
            f"{path}: {found.dtype} of shape {found.shape}, the index says {dtype} of shape {shape}; "
            "pack the features again"
        )
    return np.asarray(found)
