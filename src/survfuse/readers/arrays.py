"""Bare arrays: ``.pt`` (weights only), ``.npy``, ``.npz`` and ``.safetensors``; nothing is unpickled."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._storage import check_tensors
from survfuse.readers.archives import open_archive, open_member, read_exactly
from survfuse.readers.array_checks import AnyArray, check_claim, check_stored, is_beside
from survfuse.readers.hdf5 import (
    clam_patch_size,
    encoder_of_folder,
    read_coords,
    read_patches,
)
from survfuse.readers.slide_features import (
    COORD_KEYS,
    USUAL,
    Draft,
    ReadOptions,
    no_features,
)
from survfuse.readers.slideflow import CONFIG, describe_bags
from survfuse.readers.torch_files import as_numbers, open_torch


def read_array_file(path: Path, options: ReadOptions = USUAL) -> Draft:
    """Read features from a bare array file, with coordinates where a neighbour file has them.

    Coordinates are looked for in the file itself, then in ``<stem>.index.npz``
    (slideflow), ``<stem>.npy`` or ``../coordinates/<stem>.npy`` (structured, with fields x and y:
    CHIMERA), ``../patches/<stem>_patches.h5`` (TRIDENT) and ``../h5_files/<stem>.h5`` (CLAM).
    Encoder and tile size come from slideflow's ``bags_config.json`` where it lies beside the file.

    Parameters
    ----------
    path : Path
        The file.
    options : ReadOptions
        Its `key` names the array of features, where that is none of the usual ones.

    Raises
    ------
    FeatureFileError
        On pickled objects, truncated or oversized arrays, or coordinates that
        do not pair with the tiles.
    """
    arrays = _OPENERS[path.suffix.lower()](path, options)
    values = _pick(arrays, path, options)
    tool = {".pt": "torch", ".pth": "torch", ".safetensors": "safetensors"}.get(
        path.suffix.lower(),
        "numpy",
    )
    draft = Draft(values=values, tool=tool)
    draft.coords = next((arrays[key] for key in COORD_KEYS if key in arrays), None)
    if draft.coords is None:
        _neighbours(draft, path)
    else:
        draft.notes.append("coordinates taken as level-0 pixels")
    if draft.coords is not None:
        draft.coord_unit = "level0_px"
    describe_bags(draft, path)
    return draft


def _pick(arrays: Mapping[str, AnyArray], path: Path, options: ReadOptions) -> AnyArray:
    for key in options.feature_keys:
        if key in arrays:
            return arrays[key]
    rest = [key for key in arrays if key not in COORD_KEYS]
    if len(rest) == 1 and options.key is None:
        return arrays[rest[0]]
    names = [f"{key} {array.shape}" for key, array in arrays.items()]
    raise FeatureFileError(no_features(path, options, names))


# -- numpy

_NPY = "a whole .npy file of plain numbers"
_NPZ = "a whole .npz file of plain numbers"
_NUMPY_REMEDY = (
    "pickled objects are not read: write it again with numpy.save or numpy.savez"
)


def _open_npy(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    with _npy(path) as (file, size):
        header = _Header.read(file)
        check_claim(path, path.name, header.shape, header.dtype)
        return {"features": header.values(file, size)}


@contextmanager
def _npy(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    size = regular_file(path, error=FeatureFileError)
    with (
        boundary(path, _NPY, error=FeatureFileError, remedy=_NUMPY_REMEDY),
        path.open("rb") as file,
    ):
        yield file, size


@dataclass(frozen=True)
class _Header:
    """What the header of an ``.npy`` file claims of the values after it."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]
    length: int

    @classmethod
    def read(cls, file: IO[bytes]) -> _Header:
        """Read it from the begin of a file."""
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"version {version} of the format is unknown")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, by_columns, dtype = read(file)
        return cls(shape, by_columns, dtype, file.tell())

    def values(self, file: IO[bytes], size: int) -> AnyArray:
        """Read the values, which must be the whole rest of a file of `size` bytes."""
        claimed = math.prod(self.shape) * self.dtype.itemsize
        if min(self.shape, default=0) < 0 or claimed != size - self.length:
            raise ValueError(
                f"{size - self.length} bytes after a header that claims {claimed}",
            )
        refuse_claim(file.name, claimed, claimed, error=FeatureFileError)
        values = read_exactly(file, claimed).view(self.dtype)
        return values.reshape(self.shape, order="F" if self.by_columns else "C")


def _open_npz(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    with open_archive(path, _NPZ, _NUMPY_REMEDY) as archive:
        members = {
            member.filename.removesuffix(".npy"): member
            for member in archive.infolist()
            if member.filename.endswith(".npy")
        }
        headers = {key: _npz_header(archive, member) for key, member in members.items()}
        shapes = {key: header.shape for key, header in headers.items()}
        wanted = list(shapes) if len(shapes) == 1 else _wanted(shapes, path, options)
        for key in wanted:
            check_claim(path, key, headers[key].shape, headers[key].dtype, kinds="fiu")
        return {key: _npz_values(archive, members[key], path) for key in wanted}


def _npz_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Header:
    with open_member(archive, member) as file:
        return _Header.read(file)


def _npz_values(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    path: Path,
) -> AnyArray:
    check_stored(f"{path}: {member.filename!r}", member.file_size, member.compress_size)
    with open_member(archive, member) as file:
        return _Header.read(file).values(file, member.file_size)


# -- safetensors


def _open_safetensors(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    from safetensors import safe_open

    check_tensors(path, error=FeatureFileError)
    with boundary(path, "a whole safetensors file", error=FeatureFileError):
        with safe_open(
            str(path),
            framework="pt",
        ) as file:  # torch knows more types than NumPy
            names = list(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            others = set(shapes) - set(COORD_KEYS)
            wanted = (
                list(shapes) if len(others) == 1 else _wanted(shapes, path, options)
            )
            tensors = {name: file.get_tensor(name) for name in wanted}
        return {
            name: _from_tensor(tensor, name, path) for name, tensor in tensors.items()
        }


def _from_tensor(tensor: Any, name: str, path: Path) -> AnyArray:
    import torch

    if tensor.dtype in (
        torch.float16,
        torch.float32,
        torch.float64,
        torch.int64,
        torch.int32,
    ):
        values: AnyArray = tensor.numpy()
        return values
    stored = tensor.reshape(-1).view(torch.uint8).numpy()
    return as_numbers(
        stored,
        str(tensor.dtype).removeprefix("torch."),
        name,
        path,
    ).reshape(tensor.shape)


def _wanted(
    shapes: Mapping[str, object],
    path: Path,
    options: ReadOptions,
) -> list[str]:
    """Names of the arrays of features and of coordinates, among all of a file."""
    features = [name for name in options.feature_keys if name in shapes]
    if not features:
        names = [f"{name} {shape}" for name, shape in shapes.items()]
        raise FeatureFileError(no_features(path, options, names))
    return [features[0], *(name for name in COORD_KEYS if name in shapes)]


_OPENERS: dict[str, Callable[[Path, ReadOptions], dict[str, AnyArray]]] = {
    ".pt": open_torch,
    ".pth": open_torch,
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".safetensors": _open_safetensors,
}


# -- coordinates in neighbour files


@dataclass(frozen=True)
class _Neighbours:
    """Where other tools keep what a bare array does not say."""

    index: Path
    table: Path
    apart: Path
    clam: Path
    patches: Path
    trident: Path
    config: Path

    @classmethod
    def of(cls, path: Path) -> _Neighbours:
        stem, above = path.name.removesuffix(path.suffix), path.parent.parent
        return cls(
            path.with_name(f"{stem}.index.npz"),
            path.with_name(f"{stem}.npy"),
            above / "coordinates" / f"{stem}.npy",
            above / "h5_files" / f"{stem}.h5",
            above / "patches" / f"{stem}.h5",
            above / "patches" / f"{stem}_patches.h5",
            path.with_name(CONFIG),
        )


def side_files(path: Path) -> tuple[Path, ...]:
    """Other files that may be read with a feature file: a change of one is a change of its features."""
    places = astuple(_Neighbours.of(path))
    return tuple(place for place in places if place != path and os.path.isfile(place))


def _neighbours(draft: Draft, path: Path) -> None:
    near = _Neighbours.of(path)
    if is_beside(near.index):
        draft.coords, draft.tool = _slideflow_index(near.index), "slideflow"
        draft.notes.append(
            f"coordinates from {near.index.name}, as slideflow wrote them",
        )
    elif path.suffix != ".npy" and is_beside(near.table):
        _structured(draft, near.table)
    elif is_beside(near.apart):
        _structured(draft, near.apart)
    elif is_beside(near.trident):
        read_patches(draft, near.trident)
        encoder_of_folder(draft, path.parent.name)
    elif path.parent.name == "pt_files":
        draft.tool = "clam"
        draft.patch_size_level0 = clam_patch_size(near.patches)
        if is_beside(near.clam):
            draft.coords = read_coords(near.clam)
            if draft.coords is not None:
                draft.notes.append(f"coordinates from {near.clam}")


def _slideflow_index(path: Path) -> AnyArray:
    arrays = _open_npz(path, USUAL)
    if len(arrays) != 1:
        raise FeatureFileError(
            f"{path}: expected one array of tile coordinates, found {', '.join(arrays) or 'none'}",
        )
    return next(iter(arrays.values()))


def _structured(draft: Draft, path: Path) -> None:
    """Take x and y of a structured array; one (tiles, 2) array of numbers will do as well."""
    with _npy(path) as (file, size):
        header = _Header.read(file)
        fields = header.dtype.names
        if fields is None:
            check_claim(path, path.name, header.shape, header.dtype, kinds="fiu")
            draft.coords = header.values(file, size)
        elif "x" in fields and "y" in fields and len(header.shape) == 1:
            table = header.values(file, size)
            draft.coords = np.stack([table["x"], table["y"]], axis=1)
            if "tile_size_lv0" in fields and len(table):
                draft.patch_size_level0 = float(table["tile_size_lv0"][0])
        else:
            raise FeatureFileError(
                f"{path}: expected coordinates with fields x and y, found {', '.join(fields)}",
            )
    draft.notes.append(f"coordinates from {path.name}")
