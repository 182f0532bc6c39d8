"""HDF5 files of CLAM, TRIDENT, STAMP and `survfuse extract`, read without trusting them.

An HDF5 file of 1.4 kB can claim 12 TB, and one with external storage or links
returns the content of any file the reader may open. So every link, layout and
size is judged before a value is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import MOST_PACKED
from survfuse.readers.array_checks import AnyArray, check_claim
from survfuse.readers.record import COORD_KEYS, USUAL, CoordUnit, Draft, ReadOptions, no_features

BAG_FORMAT = "survfuse-bag"
BAG_VERSION = 1
"""Of the files that `survfuse extract` writes."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; whatever h5py cannot read becomes a FeatureFileError."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FeatureFileError:
        raise
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except BlockingIOError as error:
        raise FeatureFileError(
            f"{path}: in use by another program ({error}); wait until it is done"
        ) from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise FeatureFileError(f"{path}: not a whole HDF5 file ({error}); write it again") from None


def dataset(file: h5py.File, name: str, path: Path, *, kinds: str = "f") -> h5py.Dataset:
    """Return a dataset that lies wholly inside `file` and holds what it claims.

    Raises
    ------
    FeatureFileError
        On soft and external links, virtual datasets, external storage, and
        sizes that the stored bytes cannot fill.
    """
    refuse_link(file, name, path)
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise FeatureFileError(f"{path}: {name!r} is a group, expected a dataset")
    _refuse_outside(found, path)
    if found.shape is None:
        raise FeatureFileError(f"{path}: {name!r} is empty of shape and data, expected (tiles, columns)")
    claimed = check_claim(path, name, found.shape, found.dtype, kinds=kinds)
    _refuse_unwritten(found, claimed, path)
    return found


def refuse_link(group: h5py.Group, name: str, path: Path) -> None:
    """Refuse a name that points elsewhere, in this file or another."""
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise FeatureFileError(f"{path}: {name!r} is a link to another file, which is not followed")
    if not isinstance(link, h5py.HardLink):
        raise FeatureFileError(f"{path}: {name!r} is a soft link, which is not followed")


def _refuse_outside(found: h5py.Dataset, path: Path) -> None:
    if found.is_virtual:
        raise FeatureFileError(
            f"{path}: {found.name!r} is a virtual dataset over other files; write a real copy"
        )
    if found.external is not None:
        raise FeatureFileError(f"{path}: {found.name!r} keeps its values in another file; write a real copy")


def _refuse_unwritten(found: h5py.Dataset, claimed: int, path: Path) -> None:
    """Unwritten parts would read as zeros: stand-in numbers."""
    if claimed == 0:
        return
    stored = int(found.id.get_storage_size())
    if stored > path.stat().st_size or claimed > stored * MOST_PACKED:
        raise FeatureFileError(
            f"{path}: {found.name!r} claims {claimed} bytes but {stored} are stored in a file of "
            f"{path.stat().st_size}; refused unread"
        )
    if found.chunks is None:
        complete = stored >= claimed
    else:
        pairs = zip(found.shape, found.chunks, strict=True)
        complete = found.id.get_num_chunks() >= math.prod(math.ceil(n / c) for n, c in pairs)
    if not complete:
        raise FeatureFileError(f"{path}: part of {found.name!r} was never written; extract this slide again")


def refuse_hostile(path: Path) -> None:
    """Walk a whole HDF5 file and refuse any link or dataset that leads out of it."""
    with open_hdf5(path) as file:
        _walk(file, path)


def _walk(group: h5py.Group, path: Path, depth: int = 0) -> None:
    if depth > 16:
        raise FeatureFileError(f"{path}: groups nested deeper than 16 levels")
    for name in group:
        refuse_link(group, name, path)
        found = group[name]
        if isinstance(found, h5py.Group):
            _walk(found, path, depth + 1)
        elif isinstance(found, h5py.Dataset):
            _refuse_outside(found, path)
            if found.shape and found.dtype.kind in "fiu":
                _refuse_unwritten(found, check_claim(path, name, found.shape, found.dtype, kinds="fiu"), path)


def read_hdf5(path: Path, options: ReadOptions = USUAL) -> Draft:
    """Read tile features and coordinates from an HDF5 file of any supported tool.

    Parameters
    ----------
    path : Path
        The file.
    options : ReadOptions
        Its `key` names the dataset of features, where that is none of the usual ones.

    Raises
    ------
    FeatureFileError
        When the file holds no features, leads outside itself, or lies about its size.
    """
    with open_hdf5(path) as file:
        name = next((key for key in options.feature_keys if key in file.keys()), None)  # noqa: SIM118
        if name is None:
            raise FeatureFileError(no_features(path, options, [_described(file, key) for key in file]))
        found = dataset(file, name, path)
        draft = Draft(values=_read(found), tool="hdf5")
        coords = next((key for key in COORD_KEYS if key in file.keys()), None)  # noqa: SIM118
        if coords is not None:
            at = dataset(file, coords, path, kinds="fiu")
            draft.coords = _read(at)
            _describe(draft, path, file, found, at)
        else:
            _describe(draft, path, file, found, None)
    return draft


def _read(found: h5py.Dataset) -> AnyArray:
    return np.asarray(found[...])


def _described(file: h5py.File, name: str) -> str:
    """Name what lies under a key, with its shape; links are not followed for it."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return f"{name} (a link)"
    item = file[name]
    return f"{name} {item.shape}" if isinstance(item, h5py.Dataset) else f"{name} (a group)"


def _describe(
    draft: Draft, path: Path, file: h5py.File, found: h5py.Dataset, at: h5py.Dataset | None
) -> None:
    """Tell the tool by its marks, and take over what it wrote about its tiles."""
    patch = {} if at is None else at.attrs
    if _text(file.attrs, "format") == BAG_FORMAT:
        _own(draft, path, file, found, patch)
    elif "extractor" in file.attrs or found.name == "/feats":
        _stamp(draft, path, file)
    elif "patch_size_level0" in patch or "encoder" in found.attrs:
        _trident(draft, path, found, patch)
    elif at is not None:
        draft.tool, draft.coord_unit = "clam", "level0_px"
        draft.patch_size_level0 = clam_patch_size(path.parent.parent / "patches" / path.name)
    encoder_of_folder(draft, path.parent.name)


def _own(draft: Draft, path: Path, file: h5py.File, found: h5py.Dataset, patch: Any) -> None:
    if _number(file.attrs, "version") != BAG_VERSION:
        raise FeatureFileError(
            f"{path}: {BAG_FORMAT} of version {file.attrs.get('version')}, {BAG_VERSION} can be read; "
            "update survfuse, or extract the slide again"
        )
    draft.tool, draft.encoder = "survfuse", _text(found.attrs, "encoder")
    draft.coord_unit = "level0_px" if draft.coords is not None else None
    draft.mpp, draft.tile_um = _number(file.attrs, "mpp"), _number(file.attrs, "tile_um")
    draft.patch_size_level0 = _number(patch, "patch_size_level0")


def _stamp(draft: Draft, path: Path, file: h5py.File) -> None:
    kind = _text(file.attrs, "feat_type")
    if kind not in (None, "tile", "slide", "patient"):
        raise FeatureFileError(
            f"{path}: its attribute feat_type is {kind!r}, expected tile, slide or patient"
        )
    if kind in ("slide", "patient") and draft.values.ndim > 1 and len(draft.values) > 1:
        raise FeatureFileError(
            f"{path}: holds {kind}-level features, expected one row per tile or one vector, "
            f"got shape {draft.values.shape}"
        )
    units: dict[str | None, CoordUnit] = {"um": "um", "px": "level0_px"}
    draft.tool = "stamp"
    draft.encoder = _text(file.attrs, "extractor") or _text(file.attrs, "encoder")
    draft.coord_unit = units.get(_text(file.attrs, "unit"))
    if draft.coords is not None and draft.coord_unit is None:
        draft.notes.append("the file does not say the unit of its coordinates")
    draft.tile_um = _number(file.attrs, "tile_size_um")
    pixels = _number(file.attrs, "tile_size_px")
    if draft.tile_um and pixels:
        draft.mpp = draft.tile_um / pixels


def _trident(draft: Draft, path: Path, found: h5py.Dataset, patch: Any) -> None:
    draft.tool = "trident"
    draft.encoder = _text(found.attrs, "encoder")
    draft.coord_unit = "level0_px" if draft.coords is not None else None
    draft.patch_size_level0 = _number(patch, "patch_size_level0")
    draft.magnification = _number(patch, "target_magnification")


def read_patches(draft: Draft, path: Path) -> None:
    """Take coordinates and tile size from TRIDENT's ``patches/<slide>_patches.h5``.

    Raises
    ------
    FeatureFileError
        As :func:`read_hdf5`.
    """
    with open_hdf5(path) as file:
        if "coords" not in file.keys():  # noqa: SIM118
            return
        at = dataset(file, "coords", path, kinds="fiu")
        draft.tool, draft.coords = "trident", _read(at)
        draft.patch_size_level0 = _number(at.attrs, "patch_size_level0")
        draft.magnification = _number(at.attrs, "target_magnification")
    draft.notes.append(f"coordinates from {path}")


def encoder_of_folder(draft: Draft, folder: str) -> None:
    """Name the encoder by TRIDENT's folder, ``features_uni`` or ``slide_features_titan``, if nothing else."""
    name = folder.removeprefix("slide_")
    if draft.encoder is None and name.startswith("features_"):
        draft.encoder = name.removeprefix("features_")
        draft.notes.append(f"encoder taken from the folder name {folder}")


def clam_patch_size(path: Path) -> float | None:
    """Side of a CLAM patch in level-0 pixels from ``patches/<slide>.h5``; None without the file."""
    if not path.is_file():
        return None
    with open_hdf5(path) as file:
        if "coords" not in file.keys():  # noqa: SIM118
            return None
        refuse_link(file, "coords", path)
        attrs = file["coords"].attrs
        size, downsample = _number(attrs, "patch_size"), _number(attrs, "downsample")
    return size * downsample if size and downsample else None


def _number(attrs: Any, name: str) -> float | None:
    """Return a scalar attribute, or the first of a pair that says the same twice."""
    if name not in attrs:
        return None
    value = np.asarray(attrs[name])
    if value.dtype.kind not in "iuf" or value.size == 0 or not np.allclose(value, value.flat[0], rtol=1e-2):
        return None
    return float(value.flat[0])


def _text(attrs: Any, name: str) -> str | None:
    if name not in attrs:
        return None
    value = attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) and value.strip() else None
