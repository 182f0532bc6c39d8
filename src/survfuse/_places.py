"""Places to write to: tested before work begins, locked while it lasts, never taken from others.

A verb calls :func:`try_folder` or :func:`try_file` for each of its targets before it reads
anything, and :func:`held` around work in a folder that others could want at the same time.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import tempfile
import threading
import time as clock
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from survfuse._errors import InputError
from survfuse._gate import kind_of

_PROBE = bytes(2**16)  # a full disk still makes empty files
LOCK = ".lock"
# A process is not stopped by its own locks, so it remembers which folders it holds.
_HELD_HERE: set[Path] = set()

_ADVICE = {
    errno.ENOENT: "nothing can be made there; choose another place",
    errno.ENOSPC: "the disk is full; free some space, or choose another place",
    errno.EDQUOT: "your quota is used up; free some space, or choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.EACCES: "you may not write there; choose another place, or fix its permissions",
    errno.EPERM: "you may not write there; choose another place, or fix its permissions",
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
    errno.EBUSY: "something is mounted there or works with it; choose another place",
    errno.EXDEV: "it cannot be moved on this disk; choose another place",
    errno.ENOTEMPTY: "something else was put there meanwhile; choose another place",
    errno.ENOMEM: "this machine has too little free memory; use a larger one",
}


def disk_advice(failure: OSError) -> str | None:
    """Say what a person can do about an error of a disk; None where it is none of those."""
    if failure.errno == errno.ENOENT or failure.errno not in _ADVICE:
        return None
    path = failure.filename2 or failure.filename
    advice = _ADVICE[failure.errno]
    return advice if path is None else f"{os.fsdecode(path)}: {advice}"


@contextmanager
def disk_errors(
    target: Path | str,
    error: type[InputError] = InputError,
) -> Iterator[None]:
    """Turn an error of the disk under `target` into our own: it names the target and the remedy.

    A path that cannot exist, with the character NUL in it, is refused in the same way.
    """
    try:
        yield
    except ValueError as failure:
        if "null" not in str(failure):
            raise
        raise error(
            f"{str(target)!r}: expected a path, which cannot hold the character NUL",
        ) from None
    except OSError as failure:
        if failure.errno not in _ADVICE:
            raise
        raise error(f"{target}: {_ADVICE[failure.errno]}") from failure


def try_folder(
    folder: Path | str,
    *,
    error: type[InputError] = InputError,
) -> Path:
    """Make sure, before work begins, that files can be written into a folder, which may not exist.

    Some bytes are written into it, or into the nearest folder above that exists, and removed.

    Raises
    ------
    InputError
        When something else is there, or nothing can be written, or `folder` cannot be a path.
    """
    target = Path(folder)
    with disk_errors(target, error):
        if target.exists() and not target.is_dir():
            kind = kind_of(target.stat().st_mode)
            raise error(f"{target}: {kind} is there, expected a folder")
        nearest = target
        while not os.path.lexists(nearest):
            nearest = nearest.absolute().parent
        if not nearest.is_dir():
            raise error(f"{target}: {nearest} is no folder; choose another place")
        _try_names(nearest, target.absolute())
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(_PROBE)
            probe.flush()
            os.fsync(probe.fileno())
    return target


def _try_names(nearest: Path, target: Path) -> None:
    """Ask the disk for the names that are still to be made, so that one too long is known now."""
    for part in target.relative_to(nearest.absolute()).parts:
        with suppress(FileNotFoundError):
            os.lstat(temporary_path(nearest / part))


def try_file(
    path: Path | str,
    *,
    error: type[InputError] = InputError,
) -> Path:
    """Make sure, before work begins, that a file can be written at `path`.

    Raises
    ------
    InputError
        As :func:`try_folder`; also when a folder, a device, a pipe or a link that leads nowhere
        is there.
    """
    target = Path(path)
    with disk_errors(target, error):
        refuse_others(target, error=error)
        _try_names(target.parent, target.absolute())
    try_folder(target.parent, error=error)
    return target


def refuse_others(
    target: Path,
    *,
    error: type[InputError] = InputError,
) -> None:
    """Refuse to replace anything but a regular file, or one that a link leads to.

    Raises
    ------
    InputError
        When a folder, a device, a pipe, a socket or a link that leads nowhere is there.
    """
    mode = target.stat().st_mode if target.exists() else None
    if mode is None and target.is_symlink():
        raise error(
            f"{target}: a link that leads nowhere is there; choose another name",
        )
    if mode is not None and not stat.S_ISREG(mode):
        raise error(
            f"{target}: {kind_of(mode)} is there, which is never replaced; choose another name",
        )


@contextmanager
def held(
    folder: Path | str,
    *,
    error: type[InputError] = InputError,
) -> Iterator[None]:
    """Hold a folder while the block runs: no other run may work in it, on this or another machine.

    The folder is created, and removed again where the block leaves nothing in it. The lock ends
    with the process, however it ends. Where the disk knows no locks, nothing is held.

    Raises
    ------
    InputError
        When another run holds the folder: says which process on which machine.
    """
    place = Path(folder)
    new = not place.exists()
    with disk_errors(place, error):
        place.mkdir(parents=True, exist_ok=True)
    mine = place.resolve()
    if mine in _HELD_HERE:
        raise error(
            f"{place}: another run of this process works in this folder; wait for it, or choose "
            "another",
        )
    _HELD_HERE.add(mine)
    try:
        with disk_errors(place, error):
            file = _locked(mine / LOCK, error)
        try:
            yield
        finally:
            if file is not None:
                with suppress(OSError):
                    (mine / LOCK).unlink()
                file.close()
    finally:
        _HELD_HERE.discard(mine)
        if new:
            with suppress(OSError):  # it is not empty
                mine.rmdir()


def refuse_held(
    folder: Path | str,
    *,
    error: type[InputError] = InputError,
) -> None:
    """Refuse a folder that another run holds now, long before one wants to hold it."""
    if (Path(folder) / LOCK).exists():
        with held(folder, error=error):
            pass


def _locked(
    path: Path,
    error: type[InputError],
) -> IO[str] | None:
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
                    f"{path.parent}: {holder} works in this folder; wait for it, or choose another",
                ) from None
            with suppress(OSError):
                path.unlink()
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


ABANDONED_SECONDS = 3600.0
"""A temporary file of another machine that was untouched for so long has no writer."""
_TEMPORARY = re.compile(r"\.(.+)\.([0-9a-f]{8}-\d+-\d+)\.\w+\.part", re.DOTALL)


def owner_mark() -> str:
    """Mark of this process in its temporary files: machine (a checksum), number, and start time."""
    return f"{_machine()}-{os.getpid()}-{began(os.getpid())}"


def temporary_path(target: Path) -> Path:
    """Temporary file beside `target`, named ``.NAME.OWNER.THREAD.part``: one for each thread."""
    return target.with_name(
        f".{target.name}.{owner_mark()}.{threading.get_native_id()}.part",
    )


def is_abandoned(path: Path, owner: str) -> bool:
    """Whether the process that made a temporary file is gone.

    Parameters
    ----------
    path : Path
        Of another machine's process nothing is known but when it last wrote there.
    owner : str
        Its :func:`owner_mark`.
    """
    machine, pid, start = owner.split("-")
    if machine == _machine():
        return not is_alive(int(pid), int(start))
    with suppress(OSError):
        return clock.time() - path.stat().st_mtime > ABANDONED_SECONDS
    return False


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files in a folder, perhaps those of one name, whose process is gone."""
    with suppress(OSError):
        for entry in os.listdir(folder):
            match = _TEMPORARY.fullmatch(entry)
            if match is None or name not in (None, match[1]):
                continue
            if is_abandoned(folder / entry, match[2]):
                (folder / entry).unlink(missing_ok=True)


# A folder of 20,000 files takes 8 ms to list, too long for every file that is written there.
sweep_once = lru_cache(maxsize=256)(sweep)
"""As :func:`sweep`, but only at the first call for a folder."""


def _machine() -> str:
    """Checksum of a machine, or of a container, which shares its name but not process numbers."""
    numbers = ""
    with suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(f'{socket.gethostname()} {numbers}'.encode()):08x}"


def is_alive(pid: int, start: int = 0) -> bool:
    """Whether a process of this machine runs; no other one that was given its number since.

    Parameters
    ----------
    pid : int
    start : int
        What :func:`began` gave for it; 0 where that is not known.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it is another user's
    # In a container without an init, a process that ended may stay as a zombie.
    zombie = _process_fields(pid)[:1] == [b"Z"]
    return pid > 0 and not zombie and start in (0, began(pid))


def began(pid: int) -> int:
    """Start time of a process, in the system's own count; 0 where it is not known (but Linux)."""
    fields = _process_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def _process_fields(pid: int) -> list[bytes]:
    """Fields of ``/proc/PID/stat`` from the third, its state, on; the second may hold anything."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return []


@contextmanager
def staged_folder(
    target: Path | str,
    *,
    error: type[InputError] = InputError,
) -> Iterator[Path]:
    """Yield a new folder that takes the place of `target` when the block succeeds.

    Whole or not at all: the folder at `target` stays until the new one is complete. The work is
    done in ``.NAME.part`` beside it, which is locked, so that no other run makes the same folder
    at the same time. What a killed run left there is removed first (:func:`sweep_stage`).

    Whether `target` may be replaced is for the caller to decide.

    Parameters
    ----------
    target : path
        Its parents are created.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        When another run makes this folder, or the disk is full, read-only or otherwise unfit.
    """
    place = Path(os.path.abspath(target))
    stage = _stage_of(place)
    with _stage_held(place, stage, error), _stage_errors(place, stage, error):
        new = stage / "new"
        new.mkdir()
        yield new
        if place.exists():
            place.rename(stage / "old")
        new.rename(place)


def sweep_stage(
    target: Path | str,
    *,
    error: type[InputError] = InputError,
) -> None:
    """Remove what a killed run left beside `target`; put back the old folder that it replaced.

    Raises
    ------
    InputError
        When that run is alive.
    """
    place = Path(os.path.abspath(target))
    stage = _stage_of(place)
    if stage.is_dir():
        with _stage_held(place, stage, error):
            pass


def _stage_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.part")


@contextmanager
def _stage_held(
    place: Path,
    stage: Path,
    error: type[InputError],
) -> Iterator[None]:
    """Lock the folder of the work; undo what an earlier run or the block left unfinished."""
    try:
        with held(stage, error=error):
            _recover(place, stage)
            try:
                yield
            finally:
                _recover(place, stage)
    finally:
        with suppress(OSError):  # another run holds it, or it holds what is not ours
            stage.rmdir()


def _recover(place: Path, stage: Path) -> None:
    """Put the old folder back where nothing stands in its place; then clear the stage."""
    new, old = stage / "new", stage / "old"
    if old.exists() and not os.path.lexists(place):
        old.rename(place)
    for folder in (new, old):
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stage_errors(
    place: Path,
    stage: Path,
    error: type[InputError],
) -> Iterator[None]:
    """Explain errors of the disk under `place`; those of other files, which are read, pass."""
    try:
        yield
    except OSError as failure:
        name = failure.filename
        ours = (
            name is None or str(name) == str(place) or str(name).startswith(str(stage))
        )
        with disk_errors(place, error) if ours else nullcontext():
            raise
