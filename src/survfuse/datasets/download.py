"""Getting public files: from a local copy, the cache, or the network, and never unchecked.

Where a file comes from makes no difference: its sha256 must be the one we know.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from survfuse._errors import InputError, listed
from survfuse._places import disk_advice
from survfuse._storage import atomic_path, sha256_file

LOCAL = "SURVFUSE_DATA"
CACHE = "SURVFUSE_CACHE"
TIMEOUT = 60.0  # seconds without an answer
SIZE_LIMIT = 512 * 2**20  # bytes of one file
_SCHEMES = ("https", "http", "file")
_CHUNK = 2**20


@dataclass(frozen=True)
class RemoteFile:
    """A file of a public dataset.

    Attributes
    ----------
    path : str
        Relative to the dataset's folder and to its address.
    sha256 : str
        What its bytes must hash to.
    """

    path: str
    sha256: str


def cache_folder() -> Path:
    """Give the folder in which downloads are kept.

    ``$SURVFUSE_CACHE``, else ``$XDG_CACHE_HOME/survfuse``, else ``~/.cache/survfuse``.
    """
    if own := os.environ.get(CACHE):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "survfuse"
    return Path.home() / ".cache" / "survfuse"


def local_folder(dataset: str) -> Path | None:
    """Give the local copy of a dataset under ``$SURVFUSE_DATA``, None where there is none."""
    root = os.environ.get(LOCAL)
    folder = Path(root) / dataset if root else None
    return folder if folder is not None and folder.is_dir() else None


def check_files(
    folder: Path,
    files: Sequence[RemoteFile],
) -> Path:
    """Check that a folder holds these files with their known bytes, and return it.

    Raises
    ------
    InputError
        Names the files that are absent, or the first that was changed.
    """
    absent = [file.path for file in files if not (folder / file.path).is_file()]
    if absent:
        raise InputError(
            f"{folder}: expected {len(files)} files, {len(absent)} are absent: {listed(absent)}",
        )
    for file in files:
        digest = sha256_file(folder / file.path)
        if digest != file.sha256:
            raise _mismatch(folder / file.path, file, digest)
    return folder


def _mismatch(
    where: Path | str,
    file: RemoteFile,
    digest: str,
) -> InputError:
    return InputError(
        f"{where}: sha256 of {file.path} is {digest[:12]}…, expected {file.sha256[:12]}…; "
        "the file is not the published one: fetch it again, or report that the publisher changed "
        "it",
    )


def fetch(
    dataset: str,
    files: Sequence[RemoteFile],
    base_url: str,
    *,
    cache: Path | None = None,
    timeout: float = TIMEOUT,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Bring a dataset's files into the cache and return its folder there.

    Files that are already there with the right bytes are kept, so an interrupted
    download goes on where it stopped; a damaged one is fetched again.

    Parameters
    ----------
    dataset : str
        Name of the folder in the cache.
    files : sequence of RemoteFile
    base_url : str
        Address of the folder that the files' paths are relative to (https, http or file).
    cache : path, optional
        Instead of :func:`cache_folder`.
    timeout : float, seconds
        Longest wait for an answer.
    progress : callable, optional
        Called before each file with its path, its number from 1 and how many there are.

    Raises
    ------
    InputError
        When a file cannot be reached, or its bytes are not the published ones;
        nothing of such a file is kept.
    """
    if urlsplit(base_url).scheme not in _SCHEMES:
        raise InputError(f"{base_url}: expected an address with {', '.join(_SCHEMES)}")
    folder = (cache_folder() if cache is None else cache) / dataset
    for number, file in enumerate(files, start=1):
        target = folder / file.path
        if target.is_file() and sha256_file(target) == file.sha256:
            continue
        if progress is not None:
            progress(file.path, number, len(files))
        _download(f"{base_url.rstrip('/')}/{quote(file.path)}", file, target, timeout)
    return folder


def _download(
    url: str,
    file: RemoteFile,
    target: Path,
    timeout: float,
) -> None:
    digest = hashlib.sha256()
    with atomic_path(target) as temporary:
        try:
            with (
                urllib.request.urlopen(url, timeout=timeout) as answer,
                temporary.open("wb") as out,
            ):
                size = 0
                while chunk := answer.read(_CHUNK):
                    size += len(chunk)
                    if size > SIZE_LIMIT:
                        raise InputError(
                            f"{url}: more than {SIZE_LIMIT} bytes; no file of this dataset is so "
                            "large",
                        )
                    digest.update(chunk)
                    out.write(chunk)
        except (
            OSError
        ) as error:  # URLError, HTTPError, timeouts and refused connections among them
            answer = disk_advice(error)
            raise InputError(answer or _unreachable(url, target, error)) from None
        if digest.hexdigest() != file.sha256:
            raise _mismatch(url, file, digest.hexdigest())


def _unreachable(
    url: str,
    target: Path,
    error: OSError,
) -> str:
    why = (
        f"HTTP {error.code}"
        if isinstance(error, urllib.error.HTTPError)
        else str(error)
    )
    return (
        f"{url}: cannot be fetched ({why}). Without a network, put the file at {target}, "
        f"or point {LOCAL} at a folder with a copy of the dataset"
    )


def locate(
    dataset: str,
    files: Sequence[RemoteFile],
    base_url: str | None,
    *,
    source: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Find and check a dataset's files: `source`, else the local copy, else cache and network.

    Parameters
    ----------
    dataset : str
    files : sequence of RemoteFile
    base_url : str or None
        None for a dataset that cannot be downloaded from one place.
    source : path, optional
        A folder to use instead of looking for one.
    progress : callable, optional
        As in :func:`fetch`.

    Raises
    ------
    InputError
        When there is no copy and none can be fetched, or a file is not the published one.
    """
    local = Path(source) if source is not None else local_folder(dataset)
    if local is not None:
        return check_files(local, files)
    if base_url is None:
        raise InputError(
            f"{dataset}: not downloadable from one place; give `source`, or point {LOCAL} "
            f"at a folder that holds {dataset}/ with {listed(file.path for file in files)}",
        )
    return fetch(dataset, files, base_url, progress=progress)
