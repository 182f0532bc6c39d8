"""Places to write to: tried before work begins, held while it lasts, never taken from others.

A verb calls :func:`try_folder` or :func:`try_file` for each of its targets before it reads
anything, and :func:`held` around work in a folder that others could want at the same time.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from survfuse._errors import InputError
from survfuse._gate import kind_of

_PROBE = bytes(2**16)  # a full disk still makes empty files
LOCK = ".lock"
_HERE: set[Path] = set()  # folders held by this process, to which its own locks are no obstacle

_NOTHING_THERE = "nothing can be made there; choose another place"
_ANSWERS = {
    errno.ENOSPC: "the disk is full; free some space, or choose another place",
    errno.EDQUOT: "your quota is used up; free some space, or choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.EACCES: "you may not write there; choose another place, or mend its rights",
    errno.EPERM: "you may not write there; choose another place, or mend its rights",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EEXIST: "something is there already; choose another place",
    errno.ENOTDIR: "a part of the path is no folder; choose another place",
    errno.EISDIR: "a folder is there; choose another name",
    errno.ELOOP: "its links lead in a circle; choose another place",
    errno.EIO: "the disk reports an error; look at it, or choose another place",
    errno.EFBIG: "a file cannot be so large there; choose another place, or raise the limit",
    errno.ESTALE: "the network disk is gone; connect it again",
    errno.EMFILE: "too many files are open; raise the limit (`ulimit -n`)",
    errno.ENFILE: "too many files are open on this machine; close some programs",
    errno.ENOMEM: "this machine has too little free memory; use a larger one",
}


def disk_answer(failure: OSError) -> str | None:
    """Say what a person can do about an error of a disk; None where it is none of those."""
    answer = _ANSWERS.get(failure.errno or 0)
    if answer is None:
        return None
    where = failure.filename2 or failure.filename
    return answer if where is None else f"{os.fsdecode(where)}: {answer}"


@contextmanager
def answered(target: Path | str, error: type[InputError] = InputError) -> Iterator[None]:
    """Turn an error of the disk under `target` into our own, which names the target and the way out."""
    try:
        yield
    except OSError as failure:
        missing = failure.errno == errno.ENOENT
        answer = _NOTHING_THERE if missing else _ANSWERS.get(failure.errno or 0)
        if answer is None:
            raise
        raise error(f"{target}: {answer}") from failure


def try_folder(folder: Path | str, *, error: type[InputError] = InputError) -> Path:
    """Make sure, before work begins, that files can be written into a folder that may not exist yet.

    Some bytes are written into it, or into the nearest folder above that exists, and removed.

    Raises
    ------
    InputError
        When something else is there, or nothing can be written, or `folder` cannot be a path.
    """
    target = Path(folder)
    with _sayable(target, error), answered(target, error):
        if target.exists() and not target.is_dir():
            raise error(f"{target}: {kind_of(target.stat().st_mode)} is there, expected a folder")
        nearest = next(place for place in (target, *target.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise error(f"{target}: {nearest} is no folder; choose another place")
        _try_name(nearest, target.absolute())
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(_PROBE)
            probe.flush()
            os.fsync(probe.fileno())
    return target


def _try_name(nearest: Path, target: Path) -> None:
    """Ask the disk for the names that are still to be made, so that one too long is known now."""
    for part in target.relative_to(nearest.absolute()).parts:
        with suppress(FileNotFoundError):
            os.lstat(nearest / f".{part}.12345678.part")  # as temporary files are named


def try_file(path: Path | str, *, error: type[InputError] = InputError) -> Path:
    """Make sure, before work begins, that a file can be written at `path`.

    Raises
    ------
    InputError
        As :func:`try_folder`; also when a folder, a device, a pipe or a link that leads nowhere is there.
    """
    target = Path(path)
    with _sayable(target, error), answered(target, error):
        refuse_others(target, error=error)
        _try_name(target.parent, target.parent / target.name)
    try_folder(target.parent, error=error)
    return target


def refuse_others(target: Path, *, error: type[InputError] = InputError) -> None:
    """Refuse to replace anything but a regular file, or one that a link leads to.

    Raises
    ------
    InputError
        When a folder, a device, a pipe, a socket or a link that leads nowhere is there.
    """
    mode = target.stat().st_mode if target.exists() else None
    if mode is None and target.is_symlink():
        raise error(f"{target}: a link that leads nowhere is there; choose another name")
    if mode is not None and not stat.S_ISREG(mode):
        raise error(f"{target}: {kind_of(mode)} is there, which is never replaced; choose another name")


@contextmanager
def _sayable(target: Path, error: type[InputError]) -> Iterator[None]:
    try:
        yield
    except ValueError as failure:
        if "null" not in str(failure):
            raise
        raise error(f"{str(target)!r}: expected a path, which cannot hold the character NUL") from None


@contextmanager
def held(folder: Path | str, *, error: type[InputError] = InputError) -> Iterator[None]:
    """Hold a folder while the block runs: no other run may work in it, on this or another machine.

    The folder is created. The lock goes with the process, however it ends. Where the disk knows no
    locks, nothing is held.

    Raises
    ------
    InputError
        When another run holds the folder: says which process on which machine.
    """
    place = Path(folder)
    with answered(place, error):
        place.mkdir(parents=True, exist_ok=True)
    mine = place.resolve()
    if mine in _HERE:
        raise error(
            f"{place}: another run of this process works in this folder; wait for it, or choose another"
        )
    _HERE.add(mine)
    try:
        with answered(place, error):
            file = _locked(mine / LOCK, error)
        try:
            yield
        finally:
            if file is not None:
                with suppress(OSError):
                    (mine / LOCK).unlink()
                file.close()
    finally:
        _HERE.discard(mine)


def _locked(path: Path, error: type[InputError]) -> IO[str] | None:
    """Open and lock a file; again where its last holder removed it meanwhile."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return None
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            file.seek(0)
            holder = file.read(200).strip() or "another run"
            file.close()
            if failure.errno in (errno.EACCES, errno.EAGAIN):
                raise error(
                    f"{path.parent}: {holder} works in this folder; wait for it, or choose another"
                ) from None
            return None  # a disk without locks
        if _is_same(file, path):
            break
        file.close()
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def _is_same(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
