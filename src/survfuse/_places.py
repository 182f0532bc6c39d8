"""Places to write to: tried before work begins, held while it lasts, never taken from others.

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
import time as clock
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from survfuse._errors import InputError
from survfuse._gate import kind_of

_PROBE = bytes(2**16)  # a full disk still makes empty files
LOCK = ".lock"
_HERE: set[Path] = (
    set()
)  # folders held by this process, to which its own locks are no obstacle

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
    errno.EBUSY: "something is mounted there or works with it; choose another place",
    errno.EXDEV: "it cannot be moved on this disk; choose another place",
    errno.ENOTEMPTY: "something else was put there meanwhile; choose another place",
    errno.ENOMEM: "this machine has too little free memory; use a larger one",
}


def disk_advice(failure: OSError) -> str | None:
    """Say what a person can do about an error of a disk; None where it is none of those."""
    answer = _ANSWERS.get(failure.errno or 0)
    if answer is None:
        return None
    where = failure.filename2 or failure.filename
    return answer if where is None else f"{os.fsdecode(where)}: {answer}"


@contextmanager
def disk_errors(
    target: Path | str,
    error: type[InputError] = InputError,
) -> Iterator[None]:
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
    with _sayable(target, error), disk_errors(target, error):
        if target.exists() and not target.is_dir():
            raise error(
                f"{target}: {kind_of(target.stat().st_mode)} is there, expected a folder",
            )
        nearest = next(
            place
            for place in (target, *target.absolute().parents)
            if os.path.lexists(place)
        )
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
            os.lstat(
                nearest / f".{part}.{owner_mark()}.12345678.part",
            )  # as temporary files are named


def try_file(path: Path | str, *, error: type[InputError] = InputError) -> Path:
    """Make sure, before work begins, that a file can be written at `path`.

    Raises
    ------
    InputError
        As :func:`try_folder`; also when a folder, a device, a pipe or a link that leads nowhere is there.
    """
    target = Path(path)
    with _sayable(target, error), disk_errors(target, error):
        refuse_others(target, error=error)
        _try_name(target.parent, target.absolute())
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
        raise error(
            f"{target}: a link that leads nowhere is there; choose another name",
        )
    if mode is not None and not stat.S_ISREG(mode):
        raise error(
            f"{target}: {kind_of(mode)} is there, which is never replaced; choose another name",
        )


@contextmanager
def _sayable(target: Path, error: type[InputError]) -> Iterator[None]:
    try:
        yield
    except ValueError as failure:
        if "null" not in str(failure):
            raise
        raise error(
            f"{str(target)!r}: expected a path, which cannot hold the character NUL",
        ) from None


@contextmanager
def held(folder: Path | str, *, error: type[InputError] = InputError) -> Iterator[None]:
    """Hold a folder while the block runs: no other run may work in it, on this or another machine.

    The folder is created, and removed again where the block leaves nothing in it. The lock goes with
    the process, however it ends. Where the disk knows no locks, nothing is held.

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
    if mine in _HERE:
        raise error(
            f"{place}: another run of this process works in this folder; wait for it, or choose another",
        )
    _HERE.add(mine)
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
        _HERE.discard(mine)
        if new:
            with suppress(OSError):  # it is not empty
                mine.rmdir()


def refuse_held(folder: Path | str, *, error: type[InputError] = InputError) -> None:
    """Refuse a folder that another run holds now, long before one wants to hold it."""
    if (Path(folder) / LOCK).exists():
        with held(folder, error=error):
            pass


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
_OWNER = r"[0-9a-f]{8}-\d+-\d+"


def owner_mark() -> str:
    """Name this process in its temporary files: its machine (a checksum), its number, and when it began."""
    return f"{_machine()}-{os.getpid()}-{began(os.getpid())}"


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


def sweep(target: Path) -> None:
    """Remove the temporary files beside `target` that processes left which are gone.

    They are named ``.NAME.OWNER.RANDOM.part``.
    """
    prefix = f".{target.name}."
    with suppress(OSError):
        for name in [
            name for name in os.listdir(target.parent) if name.startswith(prefix)
        ]:
            match = re.fullmatch(rf"({_OWNER})\.\w+\.part", name.removeprefix(prefix))
            left = target.with_name(name)
            if match is not None and is_abandoned(left, match[1]):
                left.unlink(missing_ok=True)


def _machine() -> str:
    """Tell machines apart, and containers that share the name of one but not its process numbers."""
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
    return pid > 0 and not _is_zombie(pid) and start in (0, began(pid))


def began(pid: int) -> int:
    """When a process began, in the system's own count; 0 where it does not say (only Linux does)."""
    fields = _process_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def _is_zombie(pid: int) -> bool:
    """Whether a process ended unnoticed, as in containers without an init; only Linux tells."""
    return _process_fields(pid)[:1] == [b"Z"]


def _process_fields(pid: int) -> list[bytes]:
    """Fields of ``/proc/PID/stat`` from the third, its state, on; the second may hold anything."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return []


_NEW, _OLD = "new", "old"


@contextmanager
def staged_folder(
    target: Path | str,
    *,
    error: type[InputError] = InputError,
) -> Iterator[Path]:
    """Yield a new folder that takes the place of `target` when the block succeeds.

    Whole or not at all: what lies at `target` stays until the new folder is complete. The work is
    done in ``.NAME.part`` beside it, which is held, so that no other run makes the same folder at
    once. What a killed run left there is removed first (:func:`sweep_stage`).

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
    with _stage_held(stage, error), _disk_of(place, stage, error):
        _recover(place, stage)
        (stage / _NEW).mkdir()
        yield stage / _NEW
        _replace(place, stage)


def sweep_stage(target: Path | str, *, error: type[InputError] = InputError) -> None:
    """Remove what a killed run left beside `target`; where it was killed while replacing, put back the old.

    Raises
    ------
    InputError
        When that run is alive.
    """
    place = Path(os.path.abspath(target))
    stage = _stage_of(place)
    if stage.is_dir():
        with _stage_held(stage, error):
            _recover(place, stage)


@contextmanager
def _stage_held(stage: Path, error: type[InputError]) -> Iterator[None]:
    """Hold the folder of the work, and remove what is ours in it at the end."""
    try:
        with held(stage, error=error):
            try:
                yield
            finally:
                _remove(stage / _NEW)
                _remove(stage / _OLD)
    finally:
        with suppress(OSError):  # another run holds it, or it holds what is not ours
            stage.rmdir()


def _stage_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.part")


def _recover(place: Path, stage: Path) -> None:
    """Undo a replacement that was cut short between its two renames; clear the stage."""
    if (stage / _OLD).exists() and not place.exists():
        (stage / _OLD).rename(place)
    for name in (_OLD, _NEW):
        _remove(stage / name)


def _replace(place: Path, stage: Path) -> None:
    """Put the new folder in its place; the old one is kept until the new one stands."""
    replacing = place.exists()
    if replacing:
        place.rename(stage / _OLD)
    try:
        (stage / _NEW).rename(place)
    except BaseException:
        if replacing:
            (stage / _OLD).rename(place)
        raise


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _disk_of(place: Path, stage: Path, error: type[InputError]) -> Iterator[None]:
    """Answer errors of the disk under `place`; those of other files, which are read, pass."""
    try:
        yield
    except OSError as failure:
        name = str(failure.filename)
        if (
            failure.filename is not None
            and name != str(place)
            and not name.startswith(str(stage))
        ):
            raise
        with disk_errors(place, error):
            raise
