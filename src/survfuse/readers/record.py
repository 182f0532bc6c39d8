"""One slide's tile features, checked once at the gate: below it a wrong value cannot exist."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from survfuse._errors import FeatureFileError
from survfuse._storage import sha256_file, sha256_text

CoordUnit = Literal["level0_px", "um"]
AnyArray = npt.NDArray[Any]

FEATURE_KEYS = ("features", "feats", "patch_embeddings")
"""Where other tools keep the matrix, in the order in which we look."""
COORD_KEYS = ("coords", "coordinates")
BYTES_LIMIT = 16 * 2**30
"""Largest array read from one file, in bytes: 2.8 million tiles of 1536 float32 values."""
DEFLATE_LIMIT = 1100
"""No common compressor shrinks further than this (deflate: 1032); a larger claim is a bomb."""


@dataclass(frozen=True, eq=False)
class Features:
    """Tile features of one slide, whichever tool wrote them.

    Attributes
    ----------
    values : ndarray, (tiles, dim), float16 or float32
        As stored; float64 and bfloat16 are cast to float32. Finite.
    coords : ndarray or None, (tiles, 2), int64 or float64
        Upper left corner of each tile (x, y), as the tool wrote it.
    coord_unit : {"level0_px", "um"} or None
        Unit of `coords`; None when there are none, or the file does not say.
    encoder : str or None
        Name of the tile encoder, normalised by :func:`normalise_encoder`.
    mpp : float or None, µm per pixel
        Scale at which the encoder saw the tiles.
    tile_um, patch_size_level0 : float or None, µm and level-0 pixels
        Side of a tile on the glass and on the slide's finest level.
    magnification : float or None
        Target magnification, where a tool says that instead of `mpp` (TRIDENT).
    slide_id : str
        See :func:`survfuse.readers.slide_id_of`.
    tool : str
        Who wrote the file, as far as the file shows.
    path : Path
        Where it came from.
    notes : tuple of str
        What the reader derived or could not know.
    """

    values: AnyArray = field(repr=False)
    coords: AnyArray | None = field(repr=False)
    coord_unit: CoordUnit | None
    encoder: str | None
    mpp: float | None
    tile_um: float | None
    patch_size_level0: float | None
    slide_id: str
    tool: str
    path: Path
    magnification: float | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """Features per tile; 0 where an empty file does not say."""
        return int(self.values.shape[1])


@dataclass
class Draft:
    """What a format's reader found, before the checks that all formats share."""

    values: AnyArray
    tool: str
    coords: AnyArray | None = None
    coord_unit: CoordUnit | None = None
    encoder: str | None = None
    mpp: float | None = None
    tile_um: float | None = None
    patch_size_level0: float | None = None
    magnification: float | None = None
    notes: list[str] = field(default_factory=list)

    def finish(self, path: Path, slide_id: str) -> Features:
        """Check everything and freeze it.

        Raises
        ------
        FeatureFileError
            When features are not a finite (tiles, dim) float matrix, or the
            coordinates do not pair with them.
        """
        values = check_finite(as_matrix(self.values, path), path)
        coords = None if self.coords is None else _as_coords(self.coords, len(values), path)
        return Features(
            values=values,
            coords=coords,
            coord_unit=None if coords is None else self.coord_unit,
            encoder=None if self.encoder is None else normalise_encoder(self.encoder),
            mpp=_positive(self.mpp),
            tile_um=_positive(self.tile_um),
            patch_size_level0=_positive(self.patch_size_level0),
            magnification=_positive(self.magnification),
            slide_id=slide_id,
            tool=self.tool,
            path=path,
            notes=tuple(self.notes),
        )


def normalise_encoder(name: str) -> str:
    """Write an encoder's name in one way: lower case, hyphens and blanks as underscores.

    >>> normalise_encoder("UNI-v1 ")
    'uni_v1'
    """
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def with_encoder(features: Features, declared: str | None) -> Features:
    """Hold what a file says of its encoder against what was declared.

    A file that names no encoder takes the declared one.

    Raises
    ------
    FeatureFileError
        When the file names another encoder.
    """
    if declared is None:
        return features
    expected = normalise_encoder(declared)
    if features.encoder is None:
        return replace(features, encoder=expected)
    if features.encoder != expected:
        raise FeatureFileError(
            f"{features.path}: made by encoder {features.encoder!r}, but {expected!r} was declared; "
            f"declare `encoder: {features.encoder}` or point at the features of {expected!r}"
        )
    return features


def check_claim(
    path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], *, kinds: str = "f"
) -> int:
    """Judge an array by its header, before anything is read or allocated.

    Parameters
    ----------
    path, name : path and str
        The file and the array in it, for messages.
    shape, dtype : tuple of int and dtype
        What the header claims.
    kinds : str
        Accepted numpy kinds: ``f`` floats of 2, 4 or 8 bytes, ``i`` and ``u`` integers.

    Returns
    -------
    int
        Bytes the array will take.

    Raises
    ------
    FeatureFileError
        When the dtype, the number of axes or the size cannot be right.
    """
    if dtype.kind not in kinds or dtype.itemsize not in (1, 2, 4, 8):
        raise FeatureFileError(
            f"{path}: {name!r} has dtype {dtype}, expected plain numbers ({_spoken(kinds)})"
        )
    if not 1 <= len(shape) <= 3:
        raise FeatureFileError(f"{path}: {name!r} has shape {shape}, expected (tiles, columns)")
    claimed = math.prod(int(n) for n in shape) * dtype.itemsize
    if claimed > BYTES_LIMIT:
        raise FeatureFileError(
            f"{path}: {name!r} claims shape {shape} of {dtype}, {claimed / 2**30:.1f} GiB; "
            f"at most {BYTES_LIMIT / 2**30:.0f} GiB are read from one file"
        )
    return claimed


def _spoken(kinds: str) -> str:
    return "float16, float32 or float64" if kinds == "f" else "floats or integers"


def as_matrix(values: AnyArray, path: Path) -> AnyArray:
    """Shape features as (tiles, dim) and cast float64 to float32.

    A leading axis of one before two others is dropped; an empty slide may be
    ``(0, dim)`` or ``(0,)``.

    Raises
    ------
    FeatureFileError
        On any other shape, or values that are not floats.
    """
    if values.dtype.kind != "f" or values.dtype.itemsize not in (2, 4, 8):
        raise FeatureFileError(
            f"{path}: features have dtype {values.dtype}, expected float16, float32 or float64"
        )
    matrix = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if matrix.shape == (0,):
        matrix = matrix.reshape(0, 0)
    if matrix.ndim != 2 or (len(matrix) and not matrix.shape[1]):
        raise FeatureFileError(
            f"{path}: features have shape {values.shape}, expected (tiles, dim) with one row per tile"
        )
    if matrix.dtype.itemsize == 8:
        with np.errstate(over="ignore"):  # a value beyond float32 becomes inf, refused by check_finite
            return np.ascontiguousarray(matrix, dtype=np.float32)
    return np.ascontiguousarray(matrix, dtype=matrix.dtype.newbyteorder("="))


def check_finite(values: AnyArray, path: Path | str) -> AnyArray:
    """Return finite features unchanged; refuse others, counting what is wrong."""
    bad = ~np.isfinite(values)
    if bad.any():
        count, tiles = int(bad.sum()), int(bad.any(axis=1).sum())
        raise FeatureFileError(
            f"{path}: {count} of {values.size} feature values are NaN or infinite "
            f"(in {tiles} of {len(values)} tiles); extract this slide again, "
            "or leave it out of the slide table"
        )
    return values


def _as_coords(coords: AnyArray, tiles: int, path: Path) -> AnyArray:
    if coords.dtype.kind not in "iuf":
        raise FeatureFileError(f"{path}: coordinates have dtype {coords.dtype}, expected numbers")
    pairs = coords[0] if coords.ndim == 3 and coords.shape[0] == 1 else coords
    if pairs.size == 0 and tiles == 0:
        return np.zeros((0, 2), np.int64 if pairs.dtype.kind in "iu" else np.float64)
    if pairs.ndim != 2 or pairs.shape != (tiles, 2):
        raise FeatureFileError(
            f"{path}: {tiles} tiles have features, but the coordinates have shape {coords.shape}; "
            f"expected ({tiles}, 2), one (x, y) per tile"
        )
    if pairs.dtype.kind in "iu":
        return np.ascontiguousarray(pairs, dtype=np.int64)
    if not np.isfinite(pairs).all():
        raise FeatureFileError(f"{path}: coordinates hold NaN or infinity")
    return np.ascontiguousarray(pairs, dtype=np.float64)


def _positive(number: float | None) -> float | None:
    if number is None or not math.isfinite(number) or number <= 0:
        return None
    return float(number)


def sha256_path(path: Path | str) -> str:
    """Hash a file, or a folder by the relative names and hashes of all its files."""
    target = Path(path)
    if not target.is_dir():
        return sha256_file(target)
    files = sorted(f for f in target.rglob("*") if f.is_file())
    return sha256_text("\n".join(f"{f.relative_to(target).as_posix()} {sha256_file(f)}" for f in files))
