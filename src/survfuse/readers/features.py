"""One door to the tile features of every tool: which slide, which reader, which files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from survfuse._errors import FeatureFileError
from survfuse.readers.arrays import ARRAY_SUFFIXES, read_array_file
from survfuse.readers.hdf5 import read_hdf5
from survfuse.readers.record import Draft, Features, with_encoder
from survfuse.readers.zarr import read_wsidata

logger = logging.getLogger(__name__)

HDF5_SUFFIXES = (".h5", ".hdf5")
SUFFIXES = (*HDF5_SUFFIXES, *ARRAY_SUFFIXES, ".zarr")
_OTHER_FOLDERS = frozenset({"patches", "masks", "stitches", "coordinates", "visualization", "thumbnails"})
_MAX_DEPTH = 4


def slide_id_of(path: Path | str) -> str:
    """Return the slide's id: the file name without its format and without a final ``_patches``.

    Only suffixes of feature files are taken off, so that dots in an id survive.

    >>> slide_id_of("h5_files/TCGA-05-4249-01Z-00-DX1.9fce.h5")
    'TCGA-05-4249-01Z-00-DX1.9fce'
    >>> slide_id_of("seatches_patches.pt")
    'seatches'
    """
    name = Path(path).name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return name.removesuffix("_patches")


def read_features(path: Path | str, *, encoder: str | None = None) -> Features:
    """Read the tile features of one slide from a file of any supported tool.

    ======================  ====================================================
    ``.h5``, ``.hdf5``      CLAM, TRIDENT, STAMP
    ``.zarr``               wsidata / LazySlide (extra ``anndata``)
    ``.pt``, ``.pth``       tensor, or dict of ``features`` and ``coords``; slideflow, CLAM, CHIMERA
    ``.npy``, ``.npz``      one (tiles, dim) array
    ``.safetensors``        one (tiles, dim) array
    ======================  ====================================================

    Parameters
    ----------
    path : path
        The file (a folder for zarr).
    encoder : str or None
        Encoder that the cohort declares. Chooses a table of a zarr store, is refused where
        the file names another, and is taken over where the file names none.

    Returns
    -------
    Features
        A slide without tiles gives zero rows (and dim 0 where the file does not say).

    Raises
    ------
    FeatureFileError
        When the file is absent, being written (a ``.lock`` lies beside it), broken,
        hostile, or holds NaN; the message names it and says what to do.

    Examples
    --------
    >>> features = read_features("features_uni_v1/slide1.h5")  # doctest: +SKIP
    >>> features.values.shape, features.encoder  # doctest: +SKIP
    ((11043, 1024), 'uni_v1')
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix not in SUFFIXES:
        raise FeatureFileError(
            f"{source}: expected a feature file ({', '.join(SUFFIXES)}), got {suffix or 'no suffix'!r}"
        )
    if not source.exists():
        raise FeatureFileError(f"{source}: no such file")
    if is_locked(source):
        raise FeatureFileError(
            f"{source}: a .lock file lies beside it, so its writer has not finished; "
            "wait for it, or remove the .lock if the writer died and extract the slide again"
        )
    return with_encoder(_read(source, suffix, encoder).finish(source, slide_id_of(source)), encoder)


def _read(source: Path, suffix: str, encoder: str | None) -> Draft:
    if suffix == ".zarr":
        return read_wsidata(source, encoder=encoder)
    if suffix in HDF5_SUFFIXES:
        return read_hdf5(source)
    return read_array_file(source)


def is_locked(path: Path) -> bool:
    """Tell whether another program is still writing `path` (``<file>.lock`` or ``<stem>.lock``)."""
    return path.with_name(f"{path.name}.lock").exists() or path.with_suffix(".lock").exists()


def find_features(folder: Path | str) -> dict[str, Path]:
    """Find feature files below a folder, by slide id.

    Nested folders are searched (``h5_files``, ``pt_files``, ``features_*``); those of patches, masks
    and coordinates are not. Of CLAM's ``h5_files`` and ``pt_files`` the first is taken: it brings
    coordinates. Files beside a ``.lock`` are left out, with a warning in the log.

    Parameters
    ----------
    folder : path
        Where to look.

    Returns
    -------
    dict of str to Path
        Sorted by slide id.

    Raises
    ------
    FeatureFileError
        When `folder` is not a folder, or two files claim one slide (two encoders?).
    """
    root = Path(folder)
    if not root.is_dir():
        raise FeatureFileError(f"{root}: no such folder of features")
    found: dict[str, Path] = {}
    for path in _candidates(root, 0):
        if is_locked(path):
            logger.warning("%s: left out, a .lock file lies beside it", path)
            continue
        slide = slide_id_of(path)
        found[slide] = _prefer(found[slide], path, slide) if slide in found else path
    return dict(sorted(found.items()))


def _candidates(folder: Path, depth: int) -> Iterator[Path]:
    entries = sorted(folder.iterdir())
    names = {entry.name for entry in entries}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        suffix = entry.suffix.lower()
        if entry.is_dir():
            if suffix == ".zarr":
                yield entry
            elif depth < _MAX_DEPTH and suffix != ".bags" and entry.name not in _OTHER_FOLDERS:
                yield from _candidates(entry, depth + 1)
        elif suffix in SUFFIXES and not _is_coordinates(entry, names):
            yield entry


def _is_coordinates(entry: Path, names: set[str]) -> bool:
    """Coordinates of a ``.pt`` beside it: ``<stem>.index.npz`` or ``<stem>.npy``."""
    return entry.name.endswith(".index.npz") or (entry.suffix == ".npy" and f"{entry.stem}.pt" in names)


def _prefer(first: Path, second: Path, slide: str) -> Path:
    if first.parent.parent == second.parent.parent:
        if (first.parent.name, second.parent.name) == ("h5_files", "pt_files"):
            return first
        if (first.parent.name, second.parent.name) == ("pt_files", "h5_files"):
            return second
    raise FeatureFileError(
        f"slide {slide!r} has two feature files, {first} and {second}; "
        "point `features:` at the one folder that is meant"
    )
