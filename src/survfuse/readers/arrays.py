"""Bare arrays: ``.pt`` (weights only), ``.npy``, ``.npz`` and ``.safetensors``; nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse.readers.array_checks import AnyArray, check_claim
from survfuse.readers.hdf5 import clam_patch_size, encoder_of_folder, read_coords, read_patches
from survfuse.readers.record import COORD_KEYS, USUAL, Draft, ReadOptions, no_features
from survfuse.readers.slideflow import CONFIG, describe_bags
from survfuse.readers.torch_files import as_array, open_torch, refuse_zip_bomb


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
    tool = {".pt": "torch", ".pth": "torch", ".safetensors": "safetensors"}.get(path.suffix.lower(), "numpy")
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


def _open_npy(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    mapped = _map_npy(path)
    check_claim(path, path.name, mapped.shape, mapped.dtype)
    return {"features": np.array(mapped)}


def _map_npy(path: Path) -> AnyArray:
    """Map an ``.npy`` file: its length is checked against its header, objects are refused."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise FeatureFileError(
            f"{path}: not a whole .npy file of plain numbers ({error}); pickled objects are not read"
        ) from None


def _open_npz(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    refuse_zip_bomb(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            headers = {n.removesuffix(".npy"): _npz_header(archive, n, path) for n in names}
        shapes = {key: shape for key, (shape, _) in headers.items()}
        wanted = list(shapes) if len(shapes) == 1 else _wanted(shapes, path, options)
        for key in wanted:
            check_claim(path, key, *headers[key], kinds="fiu")
        with np.load(path, allow_pickle=False) as archive_arrays:
            return {key: archive_arrays[key] for key in wanted}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, NotImplementedError) as error:
        raise FeatureFileError(
            f"{path}: not a whole .npz file of plain numbers ({error}); pickled objects are not read"
        ) from None


def _npz_header(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
    if math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
        raise FeatureFileError(f"{path}: {name!r} claims shape {shape} of {dtype}, more than is stored")
    return shape, dtype


def _open_safetensors(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:  # torch knows more types than NumPy
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            others = set(shapes) - set(COORD_KEYS)
            wanted = list(shapes) if len(others) == 1 else _wanted(shapes, path, options)
            tensors = {name: file.get_tensor(name) for name in wanted}
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise FeatureFileError(f"{path}: not a whole safetensors file ({error})") from None
    return {name: as_array(tensor, name, path) for name, tensor in tensors.items()}


def _wanted(shapes: Mapping[str, object], path: Path, options: ReadOptions) -> list[str]:
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
    return tuple(place for place in places if place != path and place.is_file())


def _neighbours(draft: Draft, path: Path) -> None:
    near = _Neighbours.of(path)
    if near.index.is_file():
        draft.coords, draft.tool = _slideflow_index(near.index), "slideflow"
        draft.notes.append(f"coordinates from {near.index.name}, as slideflow wrote them")
    elif path.suffix != ".npy" and near.table.is_file():
        _structured(draft, near.table)
    elif near.apart.is_file():
        _structured(draft, near.apart)
    elif near.trident.is_file():
        read_patches(draft, near.trident)
        encoder_of_folder(draft, path.parent.name)
    elif path.parent.name == "pt_files":
        draft.tool = "clam"
        draft.patch_size_level0 = clam_patch_size(near.patches)
        if near.clam.is_file():
            draft.coords = read_coords(near.clam)
            if draft.coords is not None:
                draft.notes.append(f"coordinates from {near.clam}")


def _slideflow_index(path: Path) -> AnyArray:
    arrays = _open_npz(path, USUAL)
    if len(arrays) != 1:
        raise FeatureFileError(
            f"{path}: expected one array of tile coordinates, found {', '.join(arrays) or 'none'}"
        )
    return next(iter(arrays.values()))


def _structured(draft: Draft, path: Path) -> None:
    """Take x and y of a structured array; one (tiles, 2) array of numbers will do as well."""
    table = _map_npy(path)
    fields = table.dtype.names
    if fields is None:
        check_claim(path, path.name, table.shape, table.dtype, kinds="fiu")
        draft.coords = np.array(table)
    elif "x" in fields and "y" in fields and table.ndim == 1:
        draft.coords = np.stack([table["x"], table["y"]], axis=1)
        if "tile_size_lv0" in fields and len(table):
            draft.patch_size_level0 = float(table["tile_size_lv0"][0])
    else:
        raise FeatureFileError(f"{path}: expected coordinates with fields x and y, found {', '.join(fields)}")
    draft.notes.append(f"coordinates from {path.name}")
