"""Arrays of feature files, judged by their header, their shape and their values."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, listed
from survfuse._gate import MOST_PACKED, refuse_claim, regular_file
from survfuse._types import AnyArray, BoolArray, ByteArray

BYTES_LIMIT = 16 * 2**30
"""Largest array read from one file, in bytes: 2.8 million tiles of 1536 float32 values."""
_LARGE = 256 * 2**20
_LARGE_PACKED = 100
"""Numbers that take more than 256 MiB are never packed further: real features shrink by 1 to 10."""
LARGEST_COORD = 2**31
"""No slide reaches further, in pixels or µm."""
MOST_COLUMNS = 20
"""Columns that a message names at most."""


def check_claim(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    kinds: str = "f",
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
            f"{path}: {name!r} has dtype {dtype}, expected plain numbers ({_spoken(kinds)})",
        )
    if not 1 <= len(shape) <= 3:
        raise FeatureFileError(
            f"{path}: {name!r} has shape {shape}, expected (tiles, columns)",
        )
    if any(n < 0 for n in shape):
        raise FeatureFileError(
            f"{path}: {name!r} has shape {shape}, expected counts >= 0",
        )
    claimed = math.prod(int(n) for n in shape) * dtype.itemsize
    if claimed > BYTES_LIMIT:
        raise FeatureFileError(
            f"{path}: {name!r} claims shape {shape} of {dtype}, {claimed / 2**30:.1f} GiB; "
            f"at most {BYTES_LIMIT / 2**30:.0f} GiB are read from one file",
        )
    return claimed


def exists(path: Path) -> bool:
    """Whether a file that is read with another exists; what is no file is refused.

    Raises
    ------
    FeatureFileError
        When a folder, a pipe, a device or a broken link has its name.
    """
    if not os.path.lexists(path):
        return False
    regular_file(path, error=FeatureFileError)
    return True


def check_stored(
    where: Path | str,
    claimed: int,
    stored: int,
) -> None:
    """Refuse, before it is allocated, what unpacks to more than its stored bytes can hold.

    Raises
    ------
    FeatureFileError
        As :func:`survfuse._gate.refuse_claim`.
    """
    ratio = MOST_PACKED if claimed <= _LARGE else _LARGE_PACKED
    refuse_claim(
        where,
        claimed,
        stored,
        error=FeatureFileError,
        ratio=ratio,
    )


def _spoken(kinds: str) -> str:
    return "float16, float32 or float64" if kinds == "f" else "floats or integers"


def as_matrix(values: AnyArray, path: Path) -> AnyArray:
    """Shape features as (tiles, dim) and cast float64 to float32.

    One vector (dim,) is an embedding of the whole slide: a bag of one row. A leading axis of
    one before two others is dropped; an empty slide may be ``(0, dim)`` or ``(0,)``.

    Raises
    ------
    FeatureFileError
        On any other shape, or values that are not floats.
    """
    if values.dtype.kind != "f" or values.dtype.itemsize not in (2, 4, 8):
        raise FeatureFileError(
            f"{path}: features have dtype {values.dtype}, expected float16, float32 or float64",
        )
    matrix = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if matrix.ndim == 1:
        matrix = matrix.reshape(1, -1) if matrix.size else matrix.reshape(0, 0)
    if matrix.ndim != 2 or (len(matrix) and not matrix.shape[1]):
        raise FeatureFileError(
            f"{path}: features have shape {values.shape}, expected (tiles, dim) with one row per "
            "tile, or (dim,) for one vector of the whole slide",
        )
    if matrix.dtype.itemsize == 8:
        with np.errstate(
            over="ignore",
            invalid="ignore",
        ):  # what becomes inf or NaN is refused below
            return np.ascontiguousarray(matrix, dtype=np.float32)
    return np.ascontiguousarray(matrix, dtype=matrix.dtype.newbyteorder("="))


def without_columns(
    values: AnyArray,
    columns: Sequence[int],
    path: Path,
) -> AnyArray:
    """Leave columns out of a matrix, counted from 0.

    Raises
    ------
    FeatureFileError
        For a column that the file does not have.
    """
    if not columns or values.shape == (0, 0):
        return values
    beyond = [column for column in columns if column >= values.shape[1]]
    if beyond:
        raise FeatureFileError(
            f"{path}: has {values.shape[1]} features per tile, counted from 0, so there is no "
            f"feature {listed(beyond)} to leave out; correct `exclude_features`",
        )
    return np.delete(values, list(columns), axis=1)


def check_finite(
    values: AnyArray,
    path: Path | str,
    left_out: Sequence[int] = (),
) -> AnyArray:
    """Return finite features unchanged; refuse others, saying how many they are and where.

    Parameters
    ----------
    values : ndarray, (tiles, dim)
        Features of one slide.
    path : path or str
        Where they came from.
    left_out : sequence of int
        Columns of the file that are no longer among `values`: columns are named as in the file.

    Raises
    ------
    FeatureFileError
        Names the tiles without any finite value, and the columns that are not finite in others.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        tiles = int(bad.any(axis=1).sum())
        raise FeatureFileError(
            f"{path}: {int(bad.sum())} of {values.size} feature values are NaN or infinite "
            f"(in {tiles} of {len(values)} tiles){_where_not_finite(bad, left_out)}; extract "
            "this slide again, or leave it out",
        )
    return values


def _where_not_finite(
    bad: BoolArray,
    left_out: Sequence[int],
) -> str:
    """Tell whole tiles that are not finite, and the columns of the others, counted from 0."""
    whole = bad.all(axis=1)
    names = np.delete(np.arange(bad.shape[1] + len(left_out)), list(left_out))
    columns = names[bad[~whole].any(axis=0)].tolist()
    text = ""
    if whole.any():
        rows = listed(np.flatnonzero(whole), MOST_COLUMNS)
        text += f": {int(whole.sum())} tiles without a finite value (rows {rows}, counted from 0)"
    if columns:
        text += (
            f"{' and' if text else ':'} columns {listed(columns, MOST_COLUMNS)} (counted from "
            "0)"
        )
    if (
        columns
        and not whole.any()
        and len(columns) < min(MOST_COLUMNS + 1, bad.shape[1])
    ):
        every = listed(sorted([*columns, *left_out]), len(names))
        text += f"; `exclude_features: [{every}]` leaves them out of every slide"
    return text


def rows_of(coords: AnyArray) -> int:
    """Count the tiles that coordinates are of; a leading axis of one before two others is none."""
    if coords.ndim == 3 and coords.shape[0] == 1:
        return int(coords.shape[1])
    return len(coords) if coords.ndim else 0


def as_coords(
    coords: AnyArray,
    tiles: int,
    path: Path,
) -> AnyArray:
    """Shape coordinates as (tiles, 2), int64 or float64.

    Raises
    ------
    FeatureFileError
        When they are not finite numbers, or not one pair per tile.
    """
    if coords.dtype.kind not in "iuf":
        raise FeatureFileError(
            f"{path}: coordinates have dtype {coords.dtype}, expected numbers",
        )
    dtype = np.float64 if coords.dtype.kind == "f" else np.int64
    pairs = coords[0] if coords.ndim == 3 and coords.shape[0] == 1 else coords
    if pairs.size == 0 and tiles == 0:
        return np.zeros((0, 2), dtype)
    if pairs.shape != (tiles, 2):
        raise FeatureFileError(
            f"{path}: {tiles} tiles have features, but the coordinates have shape {coords.shape}; "
            f"expected ({tiles}, 2), one (x, y) per tile",
        )
    if not np.isfinite(pairs).all():
        raise FeatureFileError(f"{path}: coordinates hold NaN or infinity")
    if pairs.min() < -LARGEST_COORD or pairs.max() > LARGEST_COORD:
        raise FeatureFileError(
            f"{path}: coordinates from {pairs.min()} to {pairs.max()}, expected places on a "
            f"slide (at most {LARGEST_COORD}); write them again",
        )
    return np.ascontiguousarray(pairs, dtype=dtype)


def swap_bytes(values: ByteArray, itemsize: int) -> ByteArray:
    """Reverse the bytes of each number, from one byte order to the other."""
    return np.ascontiguousarray(values.reshape(-1, itemsize)[:, ::-1]).reshape(-1)
