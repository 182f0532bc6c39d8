"""One door to the tile features of every tool: which slide, which reader, which files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from survfuse._errors import FeatureFileError, InputError, MissingExtraError, printable
from survfuse._gate import regular_file
from survfuse.readers.arrays import read_array_file
from survfuse.readers.hdf5 import read_hdf5
from survfuse.readers.slide_features import (
    USUAL,
    Draft,
    Features,
    ReadOptions,
    with_encoder,
)
from survfuse.readers.slide_names import FEATURE_SUFFIXES
from survfuse.readers.zarr import read_wsidata

logger = logging.getLogger(__name__)

HDF5_SUFFIXES = (".h5", ".hdf5")
_OTHER_FOLDERS = frozenset(
    {"patches", "masks", "stitches", "coordinates", "visualization", "thumbnails"},
)
_MAX_DEPTH = 4
_MOST_ENTRIES = 500_000


def slide_id_of(path: Path | str) -> str:
    """Return the slide's id: the file name without its format and without a final ``_patches``.

    Only suffixes of feature files are taken off, so that dots in an id survive.

    >>> slide_id_of("h5_files/TCGA-05-4249-01Z-00-DX1.9fce.h5")
    'TCGA-05-4249-01Z-00-DX1.9fce'
    >>> slide_id_of("seatches_patches.pt")
    'seatches'
    """
    name = Path(path).name
    for suffix in FEATURE_SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return name.removesuffix("_patches")


def read_features(
    path: Path | str,
    *,
    encoder: str | None = None,
    options: ReadOptions = USUAL,
) -> Features:
    """Read the tile features of one slide from a file of any supported tool.

    ======================  ====================================================
    ``.h5``, ``.hdf5``      CLAM, TRIDENT, STAMP
    ``.zarr``               wsidata / LazySlide (extra ``anndata``)
    ``.pt``, ``.pth``       tensor, or dict of ``features`` and ``coords``; slideflow, CLAM, CHIMERA
    ``.npy``, ``.npz``      one (tiles, dim) array
    ``.safetensors``        one (tiles, dim) array
    ======================  ====================================================

    One vector (dim,) in place of a matrix, as TITAN, PRISM and GigaPath make of a slide, is a
    bag of one row.

    Parameters
    ----------
    path : path
        The file (a folder for zarr).
    encoder : str or None
        Encoder that the cohort declares. Chooses a table of a zarr store, is refused where
        the file names another, and is taken over where the file names none.
    options : ReadOptions
        What the cohort says where files leave a choice.

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
    try:
        return _read_checked(Path(path), encoder, options)
    except FeatureFileError as error:
        error.args = (printable(str(error)),)
        raise
    except MissingExtraError:
        raise
    except InputError as error:  # of a JSON file in a store or beside a file
        raise FeatureFileError(printable(str(error))) from None


def _read_checked(source: Path, encoder: str | None, options: ReadOptions) -> Features:
    suffix = source.suffix.lower()
    if suffix not in FEATURE_SUFFIXES:
        raise FeatureFileError(
            f"{source}: expected a feature file ({', '.join(FEATURE_SUFFIXES)}), "
            f"got {suffix or 'no suffix'!r}",
        )
    _refuse_unreadable(source, suffix)
    if is_locked(source):
        raise FeatureFileError(
            f"{source}: a .lock file lies beside it, so its writer has not finished; "
            "wait for it, or remove the .lock if the writer died and extract the slide again",
        )
    draft = _read(source, suffix, encoder, options)
    return with_encoder(
        draft.finish(source, slide_id_of(source), options.exclude_features),
        encoder,
    )


def _refuse_unreadable(source: Path, suffix: str) -> None:
    """Tell what the system says of a file before a reader takes it for a broken one."""
    folder = os.path.isdir(source)
    if suffix == ".zarr" and os.path.isfile(source):
        raise FeatureFileError(f"{source}: expected a folder, got a file")
    if not (suffix == ".zarr" and folder):
        regular_file(source, error=FeatureFileError)
    try:
        os.scandir(source).close() if folder else source.open("rb").close()
    except OSError as error:
        raise FeatureFileError(
            f"{source}: cannot be opened ({error.strerror})",
        ) from None


def _read(
    source: Path,
    suffix: str,
    encoder: str | None,
    options: ReadOptions,
) -> Draft:
    if suffix == ".zarr":
        return read_wsidata(source, encoder=encoder, options=options)
    if suffix in HDF5_SUFFIXES:
        return read_hdf5(source, options)
    return read_array_file(source, options)


def is_locked(path: Path) -> bool:
    """Tell whether another program is still writing `path` (``<file>.lock`` or ``<stem>.lock``)."""
    return os.path.exists(path.with_name(f"{path.name}.lock")) or os.path.exists(
        path.with_suffix(".lock"),
    )


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
    files = list_features(folder)
    for path in files.locked.values():
        logger.warning("%s: left out, a .lock file lies beside it", path)
    return files.ready


@dataclass(frozen=True)
class FeatureFiles:
    """Feature files below a folder, by slide id: whole ones, and those still being written."""

    ready: dict[str, Path]
    locked: dict[str, Path]


def list_features(folder: Path | str) -> FeatureFiles:
    """Find feature files as :func:`find_features` does, and those that a ``.lock`` says are not whole.

    Raises
    ------
    FeatureFileError
        As :func:`find_features`.
    """
    root = Path(folder)
    if not os.path.isdir(root):
        raise FeatureFileError(f"{root}: no such folder of features")
    files = FeatureFiles({}, {})
    for path in _Search(root).candidates(root):
        slide = slide_id_of(path)
        if path.suffix.lower() == ".lock":
            files.locked.setdefault(slide_id_of(path.with_suffix("")), path)
        elif is_locked(path):
            files.locked[slide] = path
        else:
            files.ready[slide] = (
                _prefer(files.ready[slide], path, slide)
                if slide in files.ready
                else path
            )
    return FeatureFiles(
        dict(sorted(files.ready.items())),
        dict(sorted(files.locked.items())),
    )


class _Search:
    """Walks the folders below one, each once: links may lead back, and a tree may have no end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: set[tuple[int, int]] = set()
        self.count = 0

    def candidates(self, folder: Path, depth: int = 0) -> Iterator[Path]:
        """Yield the feature files, stores and ``.lock`` files, sorted within each folder."""
        entries = self._entries(folder)
        names = {entry.name.lower() for entry in entries}
        for entry in entries:
            if entry.name.startswith("."):
                continue
            suffix = entry.suffix.lower()
            if os.path.isdir(entry):
                if suffix == ".zarr":
                    yield entry
                elif (
                    depth < _MAX_DEPTH
                    and suffix != ".bags"
                    and entry.name not in _OTHER_FOLDERS
                ):
                    yield from self.candidates(entry, depth + 1)
            elif suffix == ".lock" or (
                suffix in FEATURE_SUFFIXES and not _is_coordinates(entry, names)
            ):
                yield entry

    def _entries(self, folder: Path) -> list[Path]:
        try:
            about = os.stat(folder)
            entries = sorted(folder.iterdir())
        except OSError as failure:
            raise FeatureFileError(
                f"{folder}: cannot be opened ({failure.strerror}); let it be read, or move it elsewhere",
            ) from None
        if (about.st_dev, about.st_ino) in self.seen:
            return []
        self.seen.add((about.st_dev, about.st_ino))
        self.count += len(entries)
        if self.count > _MOST_ENTRIES:
            raise FeatureFileError(
                f"{self.root}: more than {_MOST_ENTRIES} files below; point `features:` at the folder of "
                "feature files",
            )
        return entries


def _is_coordinates(entry: Path, names: set[str]) -> bool:
    """Coordinates of a ``.pt`` beside it: ``<stem>.index.npz`` or ``<stem>.npy``."""
    name = entry.name.lower()
    stem = name.removesuffix(".npy")
    return name.endswith(".index.npz") or (
        stem != name and not names.isdisjoint({f"{stem}.pt", f"{stem}.pth"})
    )


def _prefer(first: Path, second: Path, slide: str) -> Path:
    if first.parent.parent == second.parent.parent:
        if (first.parent.name, second.parent.name) == ("h5_files", "pt_files"):
            return first
        if (first.parent.name, second.parent.name) == ("pt_files", "h5_files"):
            return second
    way = "point `features:` at the one folder that is meant"
    if first.parent == second.parent:
        way = "keep one of them"
    raise FeatureFileError(
        f"slide {slide!r} has two feature files, {first} and {second}; {way}",
    )
