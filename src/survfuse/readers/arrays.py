"""Plain arrays: ``.pt``, ``.npy``, ``.npz`` and ``.safetensors``; nothing is unpickled."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._storage import check_tensors
from survfuse._types import AnyArray
from survfuse.readers.archives import open_archive, open_member, read_exactly
from survfuse.readers.array_checks import check_claim, check_stored, exists
from survfuse.readers.formats import feature_format
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

Arrays = Mapping[str, AnyArray]


@feature_format("numpy", ".npy", ".npz", summary="one (tiles, dim) array")
def read_numpy(
    path: Path,
    _: str | None,
    options: ReadOptions = USUAL,
) -> Draft:
    """Read features from a file of NumPy; see :func:`read_arrays`."""
    opener = _open_npz if path.suffix.lower() == ".npz" else _open_npy
    return read_arrays(path, options, "numpy", opener)


@feature_format(
    "torch",
    ".pt",
    ".pth",
    summary="tensor, or dict of `features` and `coords`; slideflow, CLAM, CHIMERA",
    source="torch.save",
)
def read_torch(
    path: Path,
    _: str | None,
    options: ReadOptions = USUAL,
) -> Draft:
    """Read features from a file of torch; see :func:`read_arrays`."""
    return read_arrays(path, options, "torch", open_torch)


@feature_format("safetensors", ".safetensors", summary="one (tiles, dim) array")
def read_safetensors(
    path: Path,
    _: str | None,
    options: ReadOptions = USUAL,
) -> Draft:
    """Read features from a safetensors file; see :func:`read_arrays`."""
    return read_arrays(path, options, "safetensors", _open_safetensors)


def read_arrays(
    path: Path,
    options: ReadOptions,
    tool: str,
    opener: Callable[[Path, ReadOptions], Arrays],
) -> Draft:
    """Read features from a file of plain arrays, with coordinates where another file has them.

    Coordinates are looked for in the file itself, then in ``<stem>.index.npz``
    (slideflow), ``<stem>.npy`` or ``../coordinates/<stem>.npy`` (structured, with fields x and y:
    CHIMERA), ``../patches/<stem>_patches.h5`` (TRIDENT) and ``../h5_files/<stem>.h5`` (CLAM).
    Encoder and tile size come from slideflow's ``bags_config.json`` where it lies next to the file.

    Raises
    ------
    FeatureFileError
        On pickled objects, truncated or oversized arrays, or coordinates that
        do not pair with the tiles.
    """
    arrays = opener(path, options)
    shapes = {name: array.shape for name, array in arrays.items()}
    draft = Draft(values=arrays[_chosen(shapes, path, options)[0]], tool=tool)
    draft.coords = next((arrays[key] for key in COORD_KEYS if key in arrays), None)
    if draft.coords is None:
        _add_coords(draft, path)
    else:
        draft.notes.append("coordinates taken as level-0 pixels")
    if draft.coords is not None:
        draft.coord_unit = "level0_px"
    describe_bags(draft, path)
    return draft


def _chosen(
    shapes: Mapping[str, object],
    path: Path,
    options: ReadOptions,
) -> list[str]:
    """Names of the array of features and of those of coordinates, among all of a file."""
    coords = [name for name in COORD_KEYS if name in shapes]
    features = [name for name in options.feature_keys if name in shapes]
    if not features and options.key is None:
        features = [name for name in shapes if name not in COORD_KEYS]
        features = features if len(features) == 1 else []
    if not features:
        names = [f"{name} {shape}" for name, shape in shapes.items()]
        raise FeatureFileError(no_features(path, options, names))
    return [features[0], *coords]


# -- numpy

_NPY = "a whole .npy file of plain numbers"
_NPZ = "a whole .npz file of plain numbers"
_NUMPY_REMEDY = (
    "pickled objects are not read: write it again with numpy.save or numpy.savez"
)


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
        read = np.lib.format.read_array_header_2_0
        if version == (1, 0):
            read = np.lib.format.read_array_header_1_0
        return cls(*read(file), file.tell())

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


@contextmanager
def _npy(path: Path) -> Iterator[tuple[IO[bytes], _Header, int]]:
    size = regular_file(path, error=FeatureFileError)
    with (
        boundary(
            path,
            _NPY,
            error=FeatureFileError,
            remedy=_NUMPY_REMEDY,
        ),
        path.open("rb") as file,
    ):
        yield file, _Header.read(file), size


def _open_npy(path: Path, options: ReadOptions) -> Arrays:
    with _npy(path) as (file, header, size):
        check_claim(path, path.name, header.shape, header.dtype)
        return {"features": header.values(file, size)}


def _open_npz(
    path: Path,
    options: ReadOptions | None,
) -> Arrays:
    """Read the arrays of features and coordinates, or, without options, the only array."""
    arrays = {}
    with open_archive(path, _NPZ, _NUMPY_REMEDY) as archive:
        headers = _npz_headers(archive)
        if options is None and len(headers) != 1:
            raise FeatureFileError(
                f"{path}: expected one array of tile coordinates, found "
                f"{', '.join(headers) or 'none'}",
            )
        names = list(headers)
        if options is not None:
            shapes = {name: header.shape for name, header in headers.items()}
            names = _chosen(shapes, path, options)
        for name in names:
            header = headers[name]
            check_claim(path, name, header.shape, header.dtype, kinds="fiu")
            about = archive.getinfo(f"{name}.npy")
            check_stored(
                f"{path}: {about.filename!r}",
                about.file_size,
                about.compress_size,
            )
            with open_member(archive, about) as file:
                arrays[name] = _Header.read(file).values(file, about.file_size)
    return arrays


def _npz_headers(archive: zipfile.ZipFile) -> dict[str, _Header]:
    headers = {}
    for member in archive.infolist():
        if member.filename.endswith(".npy"):
            with open_member(archive, member) as file:
                headers[member.filename.removesuffix(".npy")] = _Header.read(file)
    return headers


# -- safetensors


def _open_safetensors(
    path: Path,
    options: ReadOptions,
) -> Arrays:
    from safetensors import safe_open

    check_tensors(path, error=FeatureFileError)
    with (
        boundary(path, "a whole safetensors file", error=FeatureFileError),
        safe_open(str(path), framework="pt") as file,  # torch has more types than NumPy
    ):
        shapes = {}
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            shapes[name] = tuple(file.get_slice(name).get_shape())
        names = _chosen(shapes, path, options)
        return {name: _from_tensor(file.get_tensor(name), name, path) for name in names}


def _from_tensor(
    tensor: Any,
    name: str,
    path: Path,
) -> AnyArray:
    import torch

    stored = tensor.reshape(-1).view(torch.uint8).numpy()
    kind = str(tensor.dtype).removeprefix("torch.")
    return as_numbers(stored, kind, name, path).reshape(tensor.shape)


# -- coordinates in other files


def _other_files(path: Path) -> dict[str, Path]:
    """Where other tools write what a plain array does not say."""
    stem, above = path.name.removesuffix(path.suffix), path.parent.parent
    return {
        "index": path.with_name(f"{stem}.index.npz"),
        "table": path.with_name(f"{stem}.npy"),
        "coordinates": above / "coordinates" / f"{stem}.npy",
        "clam": above / "h5_files" / f"{stem}.h5",
        "patches": above / "patches" / f"{stem}.h5",
        "trident": above / "patches" / f"{stem}_patches.h5",
        "config": path.with_name(CONFIG),
    }


def side_files(path: Path) -> tuple[Path, ...]:
    """Other files that are read with a feature file: a change of one changes its features."""
    places = _other_files(path).values()
    return tuple(place for place in places if place != path and os.path.isfile(place))


def _add_coords(draft: Draft, path: Path) -> None:
    """Read coordinates, and what else other tools say, from the first file that exists."""
    files = _other_files(path)
    if exists(files["index"]):
        (draft.coords,) = _open_npz(files["index"], None).values()
        draft.tool = "slideflow"
        draft.notes.append(
            f"coordinates from {files['index'].name}, as slideflow wrote them",
        )
    elif path.suffix != ".npy" and exists(files["table"]):
        _read_corners(draft, files["table"])
    elif exists(files["coordinates"]):
        _read_corners(draft, files["coordinates"])
    elif exists(files["trident"]):
        read_patches(draft, files["trident"])
        encoder_of_folder(draft, path.parent.name)
    elif path.parent.name == "pt_files":
        draft.tool = "clam"
        draft.patch_size_level0 = clam_patch_size(files["patches"])
        if exists(files["clam"]):
            draft.coords = read_coords(files["clam"])
            if draft.coords is not None:
                draft.notes.append(f"coordinates from {files['clam']}")


def _read_corners(draft: Draft, path: Path) -> None:
    """Read x and y of a structured array; one (tiles, 2) array of numbers will do as well."""
    with _npy(path) as (file, header, size):
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
