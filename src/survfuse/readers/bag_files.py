"""The files of a packed bag store: one growing matrix, its coordinates, and an index.

``features.npy`` and ``coords.npy`` are ordinary NumPy files and ``index.json`` is JSON, so a
store can be read without us. The index holds a hash of each slide's features and coordinates, and
one of itself; stores of survfuse 0.x without the latter two are read as far as they can be checked.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, NonNegativeInt, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from survfuse._errors import FeatureFileError, InputError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._storage import read_json, sha256_json, write_json
from survfuse._types import AnyArray
from survfuse.readers.slide_features import USUAL, ReadOptions

FORMAT = "survfuse-bags"
VERSION = 1
INDEX_LIMIT = 512 * 2**20
MEMORY_RATIO = 20
"""Bytes of memory that a byte of an index may take."""
BYTES_PER_BRACKET = 20
INDEX_SLACK = 4096
PACK_AGAIN = (
    "pack again (`survfuse pack COHORT -o STORE --force`, where the cohort file names "
    "`features:`)"
)
_HEADER_BYTES = 128

Number = int | float
_STRICT = ConfigDict(strict=True, extra="ignore")


@dataclass(frozen=True, config=_STRICT)
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
    start: NonNegativeInt
    stop: NonNegativeInt
    source: str = ""
    sha256: str = ""
    content: str = ""
    coord_unit: str | None = None
    encoder: str | None = None
    mpp: Number | None = None
    tile_um: Number | None = None
    patch_size_level0: Number | None = None
    magnification: Number | None = None
    tool: str = ""
    coords_sha256: str = ""

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.stop - self.start


@dataclass(frozen=True, config=_STRICT)
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
    dim: NonNegativeInt
    dtype: str
    encoder: str | None
    mpp: Number | None
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
                f"{path}: version {content.get('version')!r} of the format, this survfuse reads "
                f"{VERSION}; update survfuse, or pack the features again",
            )
        digest = content.pop("sha256", None)
        if digest is not None and digest != sha256_json(content):
            raise FeatureFileError(
                f"{path}: was changed since it was written; {PACK_AGAIN}",
            )
        try:
            index = _index(content, sealed=digest is not None)
        except (KeyError, TypeError, ValueError) as error:
            reason = str(error)
            if isinstance(error, ValidationError):
                last = error.errors(include_input=False)[-1]
                reason = f"{last['loc'][0]}: {last['msg']}"
            raise FeatureFileError(
                f"{path}: not a whole index ({reason}); {PACK_AGAIN}",
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
    """Refuse millions of empty lists: a slide takes hundreds of bytes and one bracket."""
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
    entries, options = content["slides"], content.get("options", {})
    if not isinstance(entries, list):
        raise TypeError("expected a list of slides")
    if not isinstance(options, dict):
        raise TypeError("expected options by name")
    columns = _COLUMNS.validate_python(options.get("exclude_features", []))
    return Index(
        tuple(Slide(**entry) for entry in entries),
        dim=content["dim"],
        dtype=content["dtype"],
        encoder=content["encoder"],
        mpp=content["mpp"],
        options=ReadOptions(options.get("key"), options.get("tiles"), tuple(columns)),
        sealed=sealed,
    )


_COLUMNS = TypeAdapter(list[NonNegativeInt], config=_STRICT)


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

    def __init__(
        self,
        path: Path,
        columns: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.path, self.columns, self.dtype = path, columns, np.dtype(dtype)
        self._start()

    def _start(self) -> None:
        self.rows = 0
        self._file = self.path.open("wb")
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
        old = np.load(
            narrow,
            mmap_mode="r",
            allow_pickle=False,
        )
        self.dtype = dtype
        self._start()
        step = max(1, 2**26 // max(1, self.columns * 4))
        for start in range(0, len(old), step):
            self.append(old[start : start + step].astype(dtype))
        del old
        narrow.unlink()

    def finish(self) -> None:
        """Write the header and make the file durable."""
        text = (
            f"{{'descr': '{self.dtype.newbyteorder('<').str}', 'fortran_order': False, "
            f"'shape': {(self.rows, self.columns)}, }}"
        )
        # of the NumPy format, version 1.0
        header = b"\x93NUMPY\x01\x00" + struct.pack("<H", _HEADER_BYTES - 10)
        self._file.seek(0)
        self._file.write(header + text.ljust(_HEADER_BYTES - 11).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()


def read_store(folder: Path) -> tuple[Index, AnyArray, AnyArray]:
    """Read the index of a store, and map its features and coordinates.

    Raises
    ------
    FeatureFileError
        When the folder is no store, is newer than this version, or a file is cut off.
    """
    index = Index.read(folder)
    shape = index.tiles, index.dim
    features = _map_matrix(folder / "features.npy", shape, index.dtype)
    coords = _map_matrix(folder / "coords.npy", (index.tiles, 2), "float64")
    return index, features, coords


def _map_matrix(
    path: Path,
    shape: tuple[int, int],
    dtype: str,
) -> AnyArray:
    """Map one ``.npy`` of a store read-only, holding it against the index.

    Raises
    ------
    FeatureFileError
        When it is absent, cut off, or not of the shape and dtype in the index.
    """
    size = regular_file(path, error=FeatureFileError)
    with (
        boundary(
            path,
            "a whole .npy file",
            error=FeatureFileError,
            remedy=PACK_AGAIN,
        ),
        path.open("rb") as file,
    ):
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of the format")
        shape_there, fortran, dtype_there = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if shape_there != shape or dtype_there != np.dtype(dtype) or fortran:
        raise FeatureFileError(
            f"{path}: {dtype_there} of shape {shape_there}, the index says {dtype} of shape "
            f"{shape}; {PACK_AGAIN}",
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
        return np.asarray(np.memmap(path, dtype_there, "r", start, shape))
