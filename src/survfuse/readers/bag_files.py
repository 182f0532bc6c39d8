"""The files of a packed bag store: one growing matrix, its coordinates, and an index.

``features.npy`` and ``coords.npy`` are ordinary NumPy files and ``index.json`` is JSON, so a
store can be read without us. The index holds a hash of each slide's features and coordinates, and
one of itself; stores of survfuse 0.x without the latter two are read as far as they can be checked.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, InputError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._storage import read_json, sha256_json, write_json
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.slide_features import USUAL, ReadOptions

FORMAT = "survfuse-bags"
VERSION = 1
INDEX_LIMIT = 512 * 2**20
MEMORY_RATIO = 20
"""Bytes of memory that a byte of an index may take."""
BYTES_PER_BRACKET = 20
INDEX_SLACK = 4096
PACK_AGAIN = "pack again (`survfuse pack COHORT -o STORE --force`, where the cohort file names `features:`)"
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
        Hash of the source file, with the files that are read beside it; hash of the features as
        read (dtype, shape, values).
    coord_unit, encoder, mpp, tile_um, patch_size_level0, magnification, tool
        As in :class:`survfuse.readers.Features`.
    coords_sha256 : str
        Hash of its rows of ``coords.npy``; "" in older stores.
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
    coords_sha256: str = ""

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
    sealed : bool
        Whether the file holds a hash of itself, which then fits.
    """

    slides: tuple[Slide, ...]
    dim: int
    dtype: str
    encoder: str | None
    mpp: float | None
    options: ReadOptions = USUAL
    sealed: bool = True

    @property
    def tiles(self) -> int:
        """Rows of the matrix."""
        return self.slides[-1].stop if self.slides else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``index.json``, but for its own hash."""
        content = asdict(self)
        del content["sealed"]
        return {"format": FORMAT, "version": VERSION, **content}

    def write(self, folder: Path) -> None:
        """Write ``index.json`` into `folder`."""
        content = self.to_dict()
        write_json(folder / "index.json", {**content, "sha256": sha256_json(content)})

    @classmethod
    def read(cls, folder: Path) -> Index:
        """Read and check ``index.json``.

        Raises
        ------
        FeatureFileError
            When it is absent, of another format, newer than this version, was changed since it was
            written, or its rows overlap or leave gaps.
        """
        path = folder / "index.json"
        try:
            refuse_claim(path, MEMORY_RATIO * regular_file(path, limit=INDEX_LIMIT))
            with boundary(path, "a whole index", remedy=PACK_AGAIN):
                _refuse_brackets(path)
                content = read_json(path, size_limit=INDEX_LIMIT)
        except InputError as error:
            raise FeatureFileError(f"{folder}: not a bag store: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise FeatureFileError(
                f"{path}: expected format {FORMAT!r}; not a bag store",
            )
        if content.get("version") != VERSION:
            raise FeatureFileError(
                f"{path}: version {content.get('version')!r} of the format, this survfuse reads {VERSION}; "
                "update survfuse, or pack the features again",
            )
        digest = content.pop("sha256", None)
        if digest is not None and digest != sha256_json(content):
            raise FeatureFileError(
                f"{path}: was changed since it was written; {PACK_AGAIN}",
            )
        try:
            index = _index(content, sealed=digest is not None)
        except (KeyError, TypeError, ValueError) as error:
            raise FeatureFileError(
                f"{path}: not a whole index ({error}); {PACK_AGAIN}",
            ) from None
        index.check(path)
        return index

    def check(self, path: Path) -> None:
        """Refuse rows that overlap or leave gaps, and slides named twice."""
        at = 0
        for slide in self.slides:
            if slide.start != at or slide.stop < slide.start:
                raise FeatureFileError(
                    f"{path}: slide {slide.slide_id!r} has rows [{slide.start}, {slide.stop}), "
                    f"expected to start at {at}",
                )
            at = slide.stop
        if len({slide.slide_id for slide in self.slides}) < len(self.slides):
            raise FeatureFileError(f"{path}: a slide id appears twice")
        if self.dtype not in ("float16", "float32"):
            raise FeatureFileError(
                f"{path}: dtype {self.dtype!r}, expected float16 or float32",
            )


def _refuse_brackets(path: Path) -> None:
    """Refuse what would become millions of empty lists: a slide takes hundreds of bytes and one bracket."""
    brackets = size = 0
    with path.open("rb") as file:
        while part := file.read(2**20):
            size += len(part)
            brackets += part.count(b"[") + part.count(b"{")
    if brackets * BYTES_PER_BRACKET > size + INDEX_SLACK:
        raise FeatureFileError(
            f"{path}: {brackets} lists in {size} bytes are no index; {PACK_AGAIN}",
        )


def _index(content: dict[str, Any], *, sealed: bool) -> Index:
    dtype, encoder, mpp = content["dtype"], content["encoder"], content["mpp"]
    if not isinstance(content["slides"], list) or not isinstance(encoder, str | None):
        raise TypeError("expected a list of slides and the name of an encoder")
    _number("mpp", mpp)
    slides = tuple(_slide(entry) for entry in content["slides"])
    options = _options(content.get("options", {}))
    return Index(slides, _integer(content["dim"]), dtype, encoder, mpp, options, sealed)


_FIELDS = frozenset(one.name for one in fields(Slide))
_OPTIONAL = ("coord_unit", "encoder")
_TEXTS = ("source", "sha256", "content", "coords_sha256", "tool", *_OPTIONAL)
_NUMBERS = ("mpp", "tile_um", "patch_size_level0", "magnification")


def _slide(entry: Any) -> Slide:
    if not isinstance(entry, dict):
        raise TypeError(f"expected a slide, got {entry!r:.60}")
    slide = Slide(**{key: value for key, value in entry.items() if key in _FIELDS})
    if not isinstance(slide.slide_id, str) or not isinstance(slide.patient_id, str):
        raise TypeError("ids must be strings")
    _integer(slide.start), _integer(slide.stop)
    for name in _TEXTS:
        value = getattr(slide, name)
        if not isinstance(value, str) and (value is not None or name not in _OPTIONAL):
            raise TypeError(f"expected a text as {name}, got {value!r:.60}")
    for name in _NUMBERS:
        _number(name, getattr(slide, name))
    return slide


def _number(name: str, value: Any) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float)
    ):
        raise TypeError(f"expected a number as {name}, got {value!r:.60}")


def _options(entry: Any) -> ReadOptions:
    if not isinstance(entry, dict):
        raise TypeError(f"expected options by name, got {entry!r:.60}")
    columns = tuple(_integer(column) for column in entry.get("exclude_features", ()))
    return ReadOptions(entry.get("key"), entry.get("tiles"), columns)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"expected a count, got {value!r:.60}")
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
        self.path, self.columns, self.dtype, self.rows = (
            path,
            columns,
            np.dtype(dtype),
            0,
        )
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
    size = regular_file(path, error=FeatureFileError)
    with (
        boundary(path, "a whole .npy file", error=FeatureFileError, remedy=PACK_AGAIN),
        path.open("rb") as file,
    ):
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of the format")
        shape_there, fortran, dtype_there = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if shape_there != shape or dtype_there != np.dtype(dtype) or fortran:
        raise FeatureFileError(
            f"{path}: {dtype_there} of shape {shape_there}, the index says {dtype} of shape {shape}; "
            f"{PACK_AGAIN}",
        )
    expected = start + math.prod(shape) * dtype_there.itemsize
    if size != expected:
        raise FeatureFileError(
            f"{path}: cut off or added to ({size} bytes, expected {expected}); {PACK_AGAIN}",
        )
    with boundary(
        path,
        "a file that can be mapped",
        error=FeatureFileError,
        remedy=PACK_AGAIN,
    ):
        return np.asarray(
            np.memmap(path, dtype_there, mode="r", offset=start, shape=shape),
        )
