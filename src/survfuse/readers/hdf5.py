"""HDF5 files of CLAM, TRIDENT, STAMP and `survfuse extract`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._types import AnyArray
from survfuse.readers.formats import feature_format
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

Objects = Mapping[str, Mapping[str, Any]]
"""Attributes of the file, of its features and of its coordinates."""


@dataclass(frozen=True)
class Tool:
    """A tool that writes HDF5 files of features.

    Attributes
    ----------
    name : str
    marks : tuple of str
        Attributes (``object.attribute``) one of which shows that the tool wrote a file.
    metadata : mapping of str to tuple of str
        Where the tool writes what a draft holds: the first of these attributes that is there.
    complete : callable or None
        What else has to be checked or derived.
    coord_unit : str or None
        Of its coordinates, where that is always the same.
    """

    name: str
    marks: tuple[str, ...]
    metadata: Mapping[str, tuple[str, ...]]
    complete: Callable[[Draft, Path, Objects], None] | None = None
    coord_unit: CoordUnit | None = "level0_px"


@feature_format(
    "hdf5",
    ".h5",
    ".hdf5",
    summary="CLAM, TRIDENT, STAMP, survfuse extract",
)
def read_hdf5(
    path: Path,
    _: str | None = None,
    options: ReadOptions = USUAL,
) -> Draft:
    """Read tile features and coordinates from an HDF5 file of any supported tool.

    Raises
    ------
    FeatureFileError
        When the file holds no features, leads outside itself, or lies about its size.
    """
    nodes = look(path, ["", *options.feature_keys, *COORD_KEYS], _ATTRIBUTES)
    name = next((key for key in options.feature_keys if key in nodes), None)
    if name is None:
        kinds = {"group": "(a group)", "type": "(a type)"}
        names = []
        for key, node in look(path, ["*"]).items():
            shape = node.shape if node.kind == "dataset" else "(a link)"
            names.append(f"{key} {kinds.get(node.kind, shape)}")
        raise FeatureFileError(no_features(path, options, names))
    features = dataset(path, nodes, name)
    draft = Draft(values=read_numbers(path, name, features), tool="hdf5")
    objects = {"file": nodes[""].attributes, "features": features.attributes}
    coords = next((key for key in COORD_KEYS if key in nodes), None)
    if coords is not None:
        draft.coords = _coords(path, nodes, coords)
        objects["coords"] = nodes[coords].attributes
    _describe(draft, path, objects, name)
    encoder_of_folder(draft, path.parent.name)
    return draft


def _coords(
    path: Path,
    nodes: Mapping[str, Node],
    name: str,
) -> AnyArray:
    return read_numbers(path, name, dataset(path, nodes, name, kinds="fiu"))


def _describe(
    draft: Draft,
    path: Path,
    objects: Objects,
    name: str,
) -> None:
    """Recognise the tool by its marks, and take over what it wrote about its tiles."""
    known = _recognise(objects, name, draft.coords is not None)
    if known is None:
        return
    tool = TOOLS[known]
    draft.tool = tool.name
    draft.coord_unit = None if draft.coords is None else tool.coord_unit
    for field, places in tool.metadata.items():
        read = _text if field == "encoder" else _number
        values = [read(_attribute(objects, place)) for place in places]
        setattr(draft, field, next(filter(None, values), None))
    if tool.complete is not None:
        tool.complete(draft, path, objects)


def _recognise(
    objects: Objects,
    name: str,
    has_coords: bool,
) -> str | None:
    """Name the tool that wrote a file, by its attributes and the name of its features."""
    if _attribute(objects, "file.format") == BAG_FORMAT:
        return "survfuse"
    if name.strip("/") == "feats":
        return "stamp"
    for tool in TOOLS.values():
        for mark in tool.marks:
            if _attribute(objects, mark) is not None:
                return tool.name
    return "clam" if has_coords else None


def _attribute(objects: Objects, place: str) -> Any:
    owner, _, name = place.partition(".")
    return objects.get(owner, {}).get(name)


def _check_version(
    draft: Draft,
    path: Path,
    objects: Objects,
) -> None:
    version = objects["file"].get("version")
    if _number(version) != BAG_VERSION:
        raise FeatureFileError(
            f"{path}: {BAG_FORMAT} of version {version}, {BAG_VERSION} can be read; "
            "update survfuse, or extract the slide again",
        )


def _complete_stamp(
    draft: Draft,
    path: Path,
    objects: Objects,
) -> None:
    kind = _text(objects["file"].get("feat_type"))
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
    draft.coord_unit = units.get(_text(objects["file"].get("unit")))
    if draft.coords is not None and draft.coord_unit is None:
        draft.notes.append("the file does not say the unit of its coordinates")
    pixels = _number(objects["file"].get("tile_size_px"))
    if draft.tile_um and pixels:
        draft.mpp = draft.tile_um / pixels


def _complete_clam(
    draft: Draft,
    path: Path,
    _: Objects,
) -> None:
    patches = path.parent.parent / "patches" / path.name
    draft.patch_size_level0 = clam_patch_size(patches)


_SURVFUSE = {
    "encoder": ("features.encoder",),
    "mpp": ("file.mpp",),
    "tile_um": ("file.tile_um",),
    "patch_size_level0": ("coords.patch_size_level0",),
}
_STAMP = {
    "encoder": ("file.extractor", "file.encoder"),
    "tile_um": ("file.tile_size_um",),
}
_TRIDENT = {
    "encoder": ("features.encoder",),
    "patch_size_level0": ("coords.patch_size_level0",),
    "magnification": ("coords.target_magnification",),
}
_TRIDENT_MARKS = ("coords.patch_size_level0", "features.encoder")
TOOLS = {
    "survfuse": Tool("survfuse", (), _SURVFUSE, _check_version),
    "stamp": Tool("stamp", ("file.extractor",), _STAMP, _complete_stamp),
    "trident": Tool("trident", _TRIDENT_MARKS, _TRIDENT),
    "clam": Tool("clam", (), {}, _complete_clam),
}
"""In the order in which they are recognised; CLAM writes coordinates without a mark."""


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
    about = nodes["coords"].attributes
    draft.tool, draft.coords = "trident", _coords(path, nodes, "coords")
    draft.patch_size_level0 = _number(about.get("patch_size_level0"))
    draft.magnification = _number(about.get("target_magnification"))
    draft.notes.append(f"coordinates from {path}")


def encoder_of_folder(draft: Draft, folder: str) -> None:
    """Name the encoder by TRIDENT's folder (``features_uni``), if nothing else names it."""
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
    size, downsample = (
        _number(about.get("patch_size")),
        _number(about.get("downsample")),
    )
    return size * downsample if size and downsample else None


def _number(value: Any) -> float | None:
    """Return a number, or the first of several that are the same."""
    numbers = np.atleast_1d(np.asarray(value))
    if numbers.dtype.kind not in "iuf" or numbers.size == 0:
        return None
    first = numbers.flat[0]
    return float(first) if np.allclose(numbers, first, rtol=1e-2) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
