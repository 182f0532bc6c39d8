"""Finding the files of a layout, and saying what its maker calls those that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from survfuse._errors import ConfigError, listed
from survfuse._gate import boundary
from survfuse.drafts.given import Given

_MOST = 200_000
"""Files and folders that are looked at below a folder."""
_SKIPPED = (
    "contours",
    "contours_geojson",
    "thumbnails",
    "visualization",
    "masks",
    "stitches",
)


def folder_of(given: Given, name: str, needs: str) -> Path:
    """Folder that `--outcome` names.

    Raises
    ------
    ConfigError
        When none was named, or it is a file.
    """
    if given.outcome is None or not given.outcome.is_dir():
        what = "nothing" if given.outcome is None else f"the file {given.outcome}"
        raise ConfigError(
            f"--format {name}: expected --outcome FOLDER, {needs}; got {what}",
        )
    return given.outcome


def files_below(folder: Path, *patterns: str) -> list[Path]:
    """Files whose names match one of the patterns, the nearest to the folder first.

    Raises
    ------
    ConfigError
        When there are too many files below the folder to look at.
    """
    files = [path for path in _walk(folder) if any(map(path.match, patterns))]
    return sorted(files, key=lambda path: (len(path.parts), path))


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder; links to folders are not followed, as they may lead back."""
    count = 0
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        with boundary(place, "a folder that can be read"):
            paths = list(islice(place.iterdir(), _MOST))
        for path in paths:
            count += 1
            if count > _MOST:
                raise ConfigError(
                    f"{folder}: more than {_MOST} files below; name a folder nearer to the data",
                )
            if (
                path.is_dir()
                and not path.is_symlink()
                and not path.name.startswith(".")
            ):
                if path.name not in _SKIPPED:
                    waiting.append(path)
            elif path.is_file():
                yield path


def one_file(
    folder: Path,
    patterns: Sequence[str],
    name: str,
    what: str,
) -> Path:
    """Return the one file of these names, or the first of several of one name.

    Parameters
    ----------
    folder : path
    patterns : sequence of str
        Names in the order in which they are preferred.
    name : str
        The format.
    what : str
        What its maker calls the file, and where it comes from.

    Raises
    ------
    ConfigError
        When there is none.
    """
    for pattern in patterns:
        files = files_below(folder, pattern)
        if files:
            return files[0]
    raise ConfigError(
        f"--format {name}: {folder} has no {' or '.join(patterns)}: {what}; it has "
        f"{listed((path.name for path in islice(_walk(folder), 6)), 6) or 'no files'}",
    )


def folder_of_features(
    root: Path,
    names: Sequence[str],
    endings: Sequence[str],
) -> Path | None:
    """Return the folder of one of these names, nearest to the root, that holds feature files."""
    for name in names:
        files = files_below(root, *(f"{name}/*{ending}" for ending in endings))
        if files:
            return files[0].parent
    return None
