"""One door to the tile features of every tool: which slide, which reader, which files."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from survfuse._errors import FeatureFileError, InputError, MissingExtraError, printable
from survfuse._gate import regular_file
from survfuse.readers import arrays as _arrays  # noqa: F401 - registers formats
from survfuse.readers import hdf5 as _hdf5  # noqa: F401
from survfuse.readers import zarr as _zarr  # noqa: F401
from survfuse.readers.formats import format_by_suffix
from survfuse.readers.slide_features import (
    USUAL,
    Features,
    ReadOptions,
    with_encoder,
)

logger = logging.getLogger(__name__)

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
    name, suffix = os.path.splitext(Path(path).name)
    if suffix.lower() not in format_by_suffix():
        name += suffix
    return name.removesuffix("_patches")


def read_features(
    path: Path | str,
    *,
    encoder: str | None = None,
    options: ReadOptions = USUAL,
) -> Features:
    """Read the tile features of one slide from a file of any supported tool.

    The formats are those of :data:`survfuse.readers.formats.feature_formats`: HDF5 (CLAM, TRIDENT,
    STAMP), zarr (wsidata / LazySlide), torch, NumPy and safetensors.

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


def _read_checked(
    source: Path,
    encoder: str | None,
    options: ReadOptions,
) -> Features:
    formats, suffix = format_by_suffix(), source.suffix.lower()
    if suffix not in formats:
        raise FeatureFileError(
            f"{source}: expected a feature file ({', '.join(formats)}), "
            f"got {suffix or 'no suffix'!r}",
        )
    _check_readable(source, formats[suffix].is_folder)
    if is_locked(source):
        raise FeatureFileError(
            f"{source}: a .lock file lies beside it, so its writer has not finished; "
            "wait for it, or remove the .lock if the writer died and extract the slide again",
        )
    draft = formats[suffix].read(source, encoder, options)
    features = draft.finish(source, slide_id_of(source), options.exclude_features)
    return with_encoder(features, encoder)


def _check_readable(source: Path, is_folder: bool) -> None:
    """Say what the system says of a file before a reader takes it for a broken one."""
    folder = os.path.isdir(source)
    if is_folder and os.path.isfile(source):
        raise FeatureFileError(f"{source}: expected a folder, got a file")
    if not (is_folder and folder):
        regular_file(source, error=FeatureFileError)
    try:
        os.scandir(source).close() if folder else source.open("rb").close()
    except OSError as error:
        raise FeatureFileError(
            f"{source}: cannot be opened ({error.strerror})",
        ) from None


def is_locked(path: Path) -> bool:
    """Tell whether another program is still writing `path` (``<file>.lock`` or ``<stem>.lock``)."""
    return os.path.exists(path.with_name(f"{path.name}.lock")) or os.path.exists(
        path.with_suffix(".lock"),
    )


def find_features(folder: Path | str) -> dict[str, Path]:
    """Find feature files below a folder, by slide id.

    Nested folders are searched (``h5_files``, ``pt_files``, ``features_*``); those of patches,
    masks
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
    """Find feature files as :func:`find_features` does, and those with a ``.lock`` file.

    Raises
    ------
    FeatureFileError
        As :func:`find_features`.
    """
    root = Path(folder)
    if not os.path.isdir(root):
        raise FeatureFileError(f"{root}: no such folder of features")
    ready: dict[str, Path] = {}
    locked: dict[str, Path] = {}
    for path in _candidates(root):
        slide = slide_id_of(path)
        if path.suffix.lower() == ".lock":
            locked.setdefault(slide_id_of(path.with_suffix("")), path)
        elif is_locked(path):
            locked[slide] = path
        elif slide in ready:
            ready[slide] = _prefer(ready[slide], path, slide)
        else:
            ready[slide] = path
    return FeatureFiles(dict(sorted(ready.items())), dict(sorted(locked.items())))


def _candidates(root: Path) -> Iterator[Path]:
    """Yield feature files, stores and ``.lock`` files below a folder, sorted within each folder.

    Each folder is searched once: links may lead back, and a tree may have no end.
    """
    known: set[tuple[int, int]] = set()
    count = 0
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        entries = _entries(folder, known)
        count += len(entries)
        if count > _MOST_ENTRIES:
            raise FeatureFileError(
                f"{root}: more than {_MOST_ENTRIES} files below; point `features:` at the folder "
                "of feature files",
            )
        names = {entry.name.lower() for entry in entries}
        for entry in entries:
            if _is_feature_file(entry, names):
                yield entry
            elif depth < _MAX_DEPTH and _is_searched(entry):
                waiting.append((entry, depth + 1))


def _is_feature_file(
    entry: Path,
    names: Collection[str],
) -> bool:
    """Whether an entry of a folder is a feature file, a store or a ``.lock`` file."""
    suffix = entry.suffix.lower()
    formats = format_by_suffix()
    if entry.name.startswith("."):
        return False
    if suffix in formats and formats[suffix].is_folder:
        return True
    if os.path.isdir(entry):
        return False
    name = entry.name.lower()
    # coordinates of a .pt in the same folder: <stem>.index.npz or <stem>.npy
    stem = name.removesuffix(".npy")
    if stem != name and not {f"{stem}.pt", f"{stem}.pth"}.isdisjoint(names):
        return False
    is_index = name.endswith(".index.npz")
    return suffix == ".lock" or (suffix in formats and not is_index)


def _is_searched(entry: Path) -> bool:
    """Whether an entry of a folder is a folder that may hold feature files."""
    name, suffix = entry.name, entry.suffix.lower()
    if name.startswith(".") or suffix == ".bags" or name in _OTHER_FOLDERS:
        return False
    return os.path.isdir(entry)


def _entries(
    folder: Path,
    known: set[tuple[int, int]],
) -> list[Path]:
    """List a folder, sorted; nothing where it was listed before."""
    try:
        about = os.stat(folder)
        entries = sorted(folder.iterdir())
    except OSError as failure:
        raise FeatureFileError(
            f"{folder}: cannot be opened ({failure.strerror}); let it be read, or move it "
            "elsewhere",
        ) from None
    place = about.st_dev, about.st_ino
    if place in known:
        return []
    known.add(place)
    return entries


def _prefer(
    first: Path,
    second: Path,
    slide: str,
) -> Path:
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
