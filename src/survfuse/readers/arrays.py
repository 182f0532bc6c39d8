"""Bare arrays: ``.pt`` (weights only), ``.npy``, ``.npz`` and ``.safetensors``; nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, InputError
from survfuse._storage import read_tensors
from survfuse.readers.hdf5 import clam_patch_size, dataset, open_hdf5
from survfuse.readers.record import (
    BYTES_LIMIT,
    COORD_KEYS,
    DEFLATE_LIMIT,
    FEATURE_KEYS,
    AnyArray,
    Draft,
    check_claim,
)


def read_array_file(path: Path) -> Draft:
    """Read features from a bare array file, with coordinates where a neighbour file has them.

    Coordinates are looked for in the file itself, then in ``<stem>.index.npz``
    (slideflow), ``<stem>.npy`` or ``../coordinates/<stem>.npy`` (structured, with fields x and y:
    CHIMERA) and ``../h5_files/<stem>.h5`` (CLAM).

    Raises
    ------
    FeatureFileError
        On pickled objects, truncated or oversized arrays, or coordinates that
        do not pair with the tiles.
    """
    arrays = _OPENERS[path.suffix.lower()](path)
    values = _pick(arrays, path)
    tool = {".pt": "torch", ".pth": "torch", ".safetensors": "safetensors"}.get(path.suffix.lower(), "numpy")
    draft = Draft(values=values, tool=tool)
    draft.coords = next((arrays[key] for key in COORD_KEYS if key in arrays), None)
    if draft.coords is None:
        _neighbours(draft, path)
    else:
        draft.notes.append("coordinates taken as level-0 pixels")
    if draft.coords is not None:
        draft.coord_unit = "level0_px"
    return draft


def _pick(arrays: Mapping[str, AnyArray], path: Path) -> AnyArray:
    for key in FEATURE_KEYS:
        if key in arrays:
            return arrays[key]
    rest = [key for key in arrays if key not in COORD_KEYS]
    if len(rest) == 1:
        return arrays[rest[0]]
    raise FeatureFileError(
        f"{path}: expected one of {', '.join(FEATURE_KEYS)}, found {', '.join(arrays) or 'nothing'}"
    )


# -- torch


def _open_torch(path: Path) -> dict[str, AnyArray]:
    loaded = _load_torch(path)
    if isinstance(loaded, Mapping):
        wanted = {str(k): v for k, v in loaded.items() if k in (*FEATURE_KEYS, *COORD_KEYS)}
        if not wanted:
            names = ", ".join(str(k) for k in list(loaded)[:10]) or "nothing"
            raise FeatureFileError(
                f"{path}: expected one of {', '.join(FEATURE_KEYS)} in the dict, found {names}"
            )
        return {key: _tensor_to_array(value, key, path) for key, value in wanted.items()}
    return {"features": _tensor_to_array(loaded, "features", path)}


def _load_torch(path: Path) -> Any:
    import torch

    zipped = zipfile.is_zipfile(path)
    if zipped:
        _refuse_zip_bomb(path)
    elif path.is_file() and path.stat().st_size > BYTES_LIMIT:
        raise FeatureFileError(f"{path}: larger than {BYTES_LIMIT / 2**30:.0f} GiB")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except Exception as error:  # noqa: BLE001  a hostile stream may raise anything at all
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FeatureFileError(
            f"{path}: not a file of plain tensors ({reason[:200]}); objects are never unpickled: "
            "save the tensor itself, or a dict of `features` and `coords`"
        ) from None


def _tensor_to_array(value: Any, key: str, path: Path) -> AnyArray:
    import torch

    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        raise FeatureFileError(
            f"{path}: {key!r} is {type(value).__name__}, expected a dense tensor (tiles, dim)"
        )
    if value.is_quantized or value.is_complex() or value.dtype == torch.bool:
        raise FeatureFileError(f"{path}: {key!r} has dtype {value.dtype}, expected floats")
    tensor = value.detach()
    claimed = tensor.numel() * tensor.element_size()
    if claimed > tensor.untyped_storage().nbytes() or claimed > BYTES_LIMIT:
        raise FeatureFileError(
            f"{path}: {key!r} claims shape {tuple(tensor.shape)} ({claimed} bytes), "
            "more than the file stores or than is read from one file"
        )
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: AnyArray = tensor.numpy()
    return array


# -- numpy


def _open_npy(path: Path) -> dict[str, AnyArray]:
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


def _open_npz(path: Path) -> dict[str, AnyArray]:
    _refuse_zip_bomb(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            headers = {n.removesuffix(".npy"): _npz_header(archive, n, path) for n in names}
        wanted = [k for k in headers if k in (*FEATURE_KEYS, *COORD_KEYS)]
        if not wanted and len(headers) == 1:
            wanted = list(headers)
        if not wanted:
            raise FeatureFileError(
                f"{path}: expected one of {', '.join(FEATURE_KEYS)}, found {', '.join(headers) or 'nothing'}"
            )
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


def _refuse_zip_bomb(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            stored = sum(item.compress_size for item in archive.infolist())
            claimed = sum(item.file_size for item in archive.infolist())
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise FeatureFileError(
            f"{path}: not a whole archive ({error}); was its writer interrupted?"
        ) from None
    if stored > path.stat().st_size or claimed > BYTES_LIMIT or claimed > max(stored, 1) * DEFLATE_LIMIT:
        raise FeatureFileError(
            f"{path}: {path.stat().st_size} bytes claim to unpack to {claimed}; refused unread"
        )


def _open_safetensors(path: Path) -> dict[str, AnyArray]:
    try:
        arrays, _ = read_tensors(path)
    except InputError as error:
        raise FeatureFileError(str(error)) from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise FeatureFileError(
            f"{path}: holds a dtype that numpy does not know ({error}); save float16"
        ) from None
    return arrays


_OPENERS: dict[str, Callable[[Path], dict[str, AnyArray]]] = {
    ".pt": _open_torch,
    ".pth": _open_torch,
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".safetensors": _open_safetensors,
}
ARRAY_SUFFIXES = tuple(_OPENERS)


# -- coordinates in neighbour files


def _neighbours(draft: Draft, path: Path) -> None:
    stem = path.name.removesuffix(path.suffix)
    index = path.with_name(f"{stem}.index.npz")
    beside = path.with_name(f"{stem}.npy")
    apart = path.parent.parent / "coordinates" / f"{stem}.npy"
    clam = path.parent.parent / "h5_files" / f"{stem}.h5"
    if index.is_file():
        draft.coords, draft.tool = _slideflow_index(index), "slideflow"
        draft.notes.append(f"coordinates from {index.name}, as slideflow wrote them")
    elif path.suffix != ".npy" and beside.is_file():
        _structured(draft, beside)
    elif apart.is_file():
        _structured(draft, apart)
    elif path.parent.name == "pt_files":
        draft.tool = "clam"
        draft.patch_size_level0 = clam_patch_size(path.parent.parent / "patches" / f"{stem}.h5")
        if clam.is_file():
            with open_hdf5(clam) as file:
                if "coords" in file.keys():  # noqa: SIM118
                    draft.coords = np.asarray(dataset(file, "coords", clam, kinds="fiu")[...])
                    draft.notes.append(f"coordinates from {clam}")


def _slideflow_index(path: Path) -> AnyArray:
    arrays = _open_npz(path)
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
