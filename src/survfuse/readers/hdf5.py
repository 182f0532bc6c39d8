"""HDF5 files of CLAM, TRIDENT, STAMP and `survfuse extract`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.hdf5_files import Node, dataset, inside, look, read_numbers
from survfuse.readers.slide_features import (
    COORD_KEYS,
    USUAL,
    CoordUnit,
    Draft,
    ReadOptions,
    no_features,
)

BAG_FORMAT = "survfuse-bag"
BAG_VERSION = 1
"""Of the files that `survfuse extract` writes."""


_ATTRIBUTES = (
    *("format", "version", "mpp", "tile_um", "encoder"),
    *("extractor", "feat_type", "unit", "tile_size_um", "tile_size_px"),
    *("patch_size_level0", "target_magnification", "patch_size", "downsample"),
)
"""What tools write about their tiles."""

Attributes = Mapping[str, Any]


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
    nodes = look(path, ["", *options.feature_keys, *COORD_KEYS], _ATTRIBUTES)
    name = next((key for key in options.feature_keys if key in nodes), None)
    if name is None:
        everything = look(path, ["*"])
        raise FeatureFileError(
            no_features(
                path,
                options,
                [_described(k, n) for k, n in everything.items()],
            ),
        )
    features = dataset(path, nodes, name)
    draft = Draft(values=read_numbers(path, name, features), tool="hdf5")
    coords = next((key for key in COORD_KEYS if key in nodes), None)
    if coords is not None:
        draft.coords = _coords(path, nodes, coords)
    at = {} if coords is None else nodes[coords].attributes
    _describe(draft, path, name, nodes[""].attributes, features.attributes, at)
    return draft


def _coords(path: Path, nodes: Mapping[str, Node], name: str) -> AnyArray:
    return read_numbers(path, name, dataset(path, nodes, name, kinds="fiu"))


def _described(name: str, node: Node) -> str:
    """Name what lies under a key, with its shape."""
    kinds = {"group": "(a group)", "dataset": f"{node.shape}", "type": "(a type)"}
    return f"{name} {kinds.get(node.kind, '(a link)')}"


def _describe(
    draft: Draft,
    path: Path,
    name: str,
    file: Attributes,
    features: Attributes,
    coords: Attributes,
) -> None:
    """Tell the tool by its marks, and take over what it wrote about its tiles."""
    if _text(file, "format") == BAG_FORMAT:
        _own(draft, path, file, features, coords)
    elif "extractor" in file or name.strip("/") == "feats":
        _stamp(draft, path, file)
    elif "patch_size_level0" in coords or "encoder" in features:
        _trident(draft, features, coords)
    elif draft.coords is not None:
        draft.tool, draft.coord_unit = "clam", "level0_px"
        draft.patch_size_level0 = clam_patch_size(
            path.parent.parent / "patches" / path.name,
        )
    encoder_of_folder(draft, path.parent.name)


def _own(
    draft: Draft,
    path: Path,
    file: Attributes,
    features: Attributes,
    coords: Attributes,
) -> None:
    if _number(file, "version") != BAG_VERSION:
        raise FeatureFileError(
            f"{path}: {BAG_FORMAT} of version {file.get('version')}, {BAG_VERSION} can be read; "
            "update survfuse, or extract the slide again",
        )
    draft.tool, draft.encoder = "survfuse", _text(features, "encoder")
    draft.coord_unit = "level0_px" if draft.coords is not None else None
    draft.mpp, draft.tile_um = _number(file, "mpp"), _number(file, "tile_um")
    draft.patch_size_level0 = _number(coords, "patch_size_level0")


def _stamp(draft: Draft, path: Path, file: Attributes) -> None:
    kind = _text(file, "feat_type")
    if kind not in (None, "tile", "slide", "patient"):
        raise FeatureFileError(
            f"{path}: its attribute feat_type is {kind!r}, expected tile, slide or patient",
        )
    if kind in ("slide", "patient") and draft.values.ndim > 1 and len(draft.values) > 1:
        raise FeatureFileError(
            f"{path}: holds {kind}-level features, expected one row per tile or one vector, "
            f"got shape {draft.values.shape}",
        )
    units: dict[str | None, CoordUnit] = {"um": "um", "px": "level0_px"}
    draft.tool = "stamp"
    draft.encoder = _text(file, "extractor") or _text(file, "encoder")
    draft.coord_unit = units.get(_text(file, "unit"))
    if draft.coords is not None and draft.coord_unit is None:
        draft.notes.append("the file does not say the unit of its coordinates")
    draft.tile_um = _number(file, "tile_size_um")
    pixels = _number(file, "tile_size_px")
    if draft.tile_um and pixels:
        draft.mpp = draft.tile_um / pixels


def _trident(draft: Draft, features: Attributes, coords: Attributes) -> None:
    draft.tool = "trident"
    draft.encoder = _text(features, "encoder")
    draft.coord_unit = "level0_px" if draft.coords is not None else None
    draft.patch_size_level0 = _number(coords, "patch_size_level0")
    draft.magnification = _number(coords, "target_magnification")


def read_coords(path: Path) -> AnyArray | None:
    """Read the coordinates of an HDF5 file; None when it has none.

    Raises
    ------
    FeatureFileError
        As :func:`read_hdf5`.
    """
    nodes = look(path, ["coords"])
    return _coords(path, nodes, "coords") if "coords" in nodes else None


def read_patches(draft: Draft, path: Path) -> None:
    """Take coordinates and tile size from TRIDENT's ``patches/<slide>_patches.h5``.

    Raises
    ------
    FeatureFileError
        As :func:`read_hdf5`.
    """
    nodes = look(path, ["coords"], _ATTRIBUTES)
    if "coords" not in nodes:
        return
    draft.tool, draft.coords = "trident", _coords(path, nodes, "coords")
    draft.patch_size_level0 = _number(nodes["coords"].attributes, "patch_size_level0")
    draft.magnification = _number(nodes["coords"].attributes, "target_magnification")
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
    nodes = look(path, ["coords"], _ATTRIBUTES)
    if "coords" not in nodes:
        return None
    about = inside(path, nodes, "coords").attributes
    size, downsample = _number(about, "patch_size"), _number(about, "downsample")
    return size * downsample if size and downsample else None


def _number(attributes: Attributes, name: str) -> float | None:
    """Return a scalar attribute, or the first of a pair that says the same twice."""
    value = np.asarray(attributes.get(name))
    if (
        value.dtype.kind not in "iuf"
        or value.size == 0
        or not np.allclose(value, value.flat[0], rtol=1e-2)
    ):
        return None
    return float(value.flat[0])


def _text(attributes: Attributes, name: str) -> str | None:
    value = attributes.get(name)
    return value if isinstance(value, str) and value.strip() else None
