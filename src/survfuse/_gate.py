"""Guards against broken and hostile files, applied before anything is read or allocated.

Each reader does three things with it: :func:`regular_file` before it opens a file,
:func:`refuse_claim` before it allocates what the file claims to hold, and :func:`boundary`
around every call of the library that reads it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from survfuse._errors import InputError, SurvfuseError

MOST_PACKED = 1100
"""No common compressor shrinks further than this (deflate: 1032); a larger claim is a bomb."""
_LONGEST_REASON = 300
_OF_THE_SYSTEM = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EPERM",
        "EIO",
        "EMFILE",
        "ENFILE",
        "ENOMEM",
        "ESTALE",
        "ETIMEDOUT",
    )
    if hasattr(errno, name)
)
_SMALL = 2**24
"""Of less, in bytes, the machine is not asked: that takes longer than reading a small file."""


def regular_file(
    path: Path | str,
    *,
    limit: int | None = None,
    error: type[InputError] = InputError,
) -> int:
    """Return the size of a regular file; refuse everything else, unopened.

    Parameters
    ----------
    path : path
        A link to a regular file will do.
    limit : int, optional, bytes
        Larger files are refused.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        When nothing is there, when it is a folder, a pipe, a socket or a device (reading one may
        never end), or when it is larger than `limit`.
    """
    place = os.fspath(path)
    try:
        status = os.stat(place)
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except ValueError:
        raise error(
            f"{place!r}: expected a path, which cannot hold the character NUL",
        ) from None
    except OSError as failure:
        raise error(f"{path}: cannot be opened ({failure.strerror})") from failure
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{path}: expected a file, got {kind_of(status.st_mode)}")
    if limit is not None and status.st_size > limit:
        raise error(
            f"{path}: {format_bytes(status.st_size)}, of such a file at most "
            f"{format_bytes(limit)} are read",
        )
    return status.st_size


def read_text(
    path: Path | str,
    *,
    limit: int,
    error: type[InputError] = InputError,
) -> str:
    """Read a regular file of UTF-8 text, with or without a byte order mark.

    Parameters
    ----------
    path : path
    limit : int, bytes
        Larger files are refused.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        As :func:`regular_file`; also when it is no UTF-8.
    """
    regular_file(
        path,
        limit=limit,
        error=error,
    )
    with (
        boundary(
            path,
            "UTF-8 text",
            error=error,
            remedy="save it as UTF-8",
        ),
        open(path, encoding="utf-8-sig") as file,
    ):
        return file.read(limit)


def kind_of(mode: int) -> str:
    """Name what a file mode says is there.

    >>> kind_of(0o40755)
    'a folder'
    """
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "something else")


@contextmanager
def boundary(
    where: Path | str,
    what: str,
    *,
    error: type[InputError] = InputError,
    remedy: str = "write it again",
) -> Iterator[None]:
    """Turn whatever a library raises over a broken or hostile file into our own error.

    Errors of ours pass unchanged. Keep the block to the calls of the library: a mistake of our own
    in it would be told as a fault of the file.

    Parameters
    ----------
    where : path or str
        The file, and what in it.
    what : str
        What was expected, with its article: "a whole HDF5 file".
    error : type of InputError
        What to raise.
    remedy : str
        What to do about it.

    Examples
    --------
    >>> with boundary("a.json", "a whole JSON file"):
    ...     raise UnicodeError("bad byte")
    Traceback (most recent call last):
    survfuse._errors.InputError: a.json: expected a whole JSON file (UnicodeError: bad byte); write
    it again
    """
    try:
        yield
    except SurvfuseError:
        raise
    except FileNotFoundError as failure:
        raise error(f"{failure.filename or where}: no such file") from failure
    except MemoryError as failure:
        raise error(
            f"{where}: takes more memory than this machine has free "
            f"({format_bytes(free_memory())}); use a larger machine, or a smaller file",
        ) from failure
    except Exception as failure:
        if isinstance(failure, ImportError) and (failure.name or "").startswith(
            "survfuse",
        ):
            raise
        if isinstance(failure, OSError) and is_system_error(failure):
            raise error(f"{where}: cannot be read ({failure.strerror})") from failure
        reason = str(failure).strip()[:_LONGEST_REASON] or "no message"
        raise error(
            f"{where}: expected {what} ({type(failure).__name__}: {reason}); {remedy}",
        ) from failure


def is_system_error(failure: BaseException | None) -> bool:
    """Whether an error is of the system or its memory, and says nothing of what a file holds.

    Give it the cause of an error that :func:`boundary`, :func:`regular_file` or
    :func:`refuse_claim` raised.
    """
    if isinstance(failure, OSError):
        return failure.errno in _OF_THE_SYSTEM
    return isinstance(failure, MemoryError)


def refuse_claim(
    where: Path | str,
    claimed: int,
    stored: int | None = None,
    *,
    error: type[InputError] = InputError,
    ratio: float = MOST_PACKED,
) -> None:
    """Refuse, before it is allocated, what a file cannot hold or this machine cannot.

    Parameters
    ----------
    where : path or str
        The file, and what in it.
    claimed : int, bytes
        What its header says will be in memory.
    stored : int, optional, bytes
        What lies in the file for it.
    error : type of InputError
        What to raise.
    ratio : float
        Largest `claimed` / `stored` of an honest file.

    Raises
    ------
    InputError
        When `claimed` is negative, more than `ratio` times `stored`, or more than the free memory.
    """
    if claimed < 0 or (stored is not None and claimed > max(stored, 1) * ratio):
        raise error(
            f"{where}: claims {format_bytes(claimed)} where {format_bytes(stored or 0)} are "
            "stored; refused unread: write the file again",
        )
    if claimed < _SMALL:
        return
    free = free_memory()
    if claimed > free:
        raise error(
            f"{where}: takes {format_bytes(claimed)} of memory, {format_bytes(free)} are free "
            "on this machine; use a larger machine, or a smaller file",
        ) from MemoryError()


def format_bytes(count: int) -> str:
    """Write a number of bytes for people.

    >>> format_bytes(3 * 2**30)
    '3.0 GiB'
    """
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, its container and its own limit.

    Where the system does not say (outside Linux), everything is taken to be free.
    """
    return min(_free_of_machine(), _free_of_container(), _free_of_process())


_UNKNOWN = 2**62


def _free_of_machine() -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return _UNKNOWN


def _free_of_container() -> int:
    """What control groups leave; cached file pages count as free, for the kernel gives them up."""
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError, KeyError):
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        used = int((group / "memory.current").read_text())
        statistics = (group / "memory.stat").read_text().split()
        cached = int(statistics[statistics.index("inactive_file") + 1])
        return limit - used + cached
    return _UNKNOWN


def _free_of_process() -> int:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return _UNKNOWN
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return _UNKNOWN
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return limit - pages * resource.getpagesize()
    return _UNKNOWN
