"""The process that opens HDF5 files for this one: one per process, started when first needed.

It is replaced when a file makes it crash or exceed its limits.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from survfuse._errors import CrashError, FeatureFileError

MOST_ERRORS = 100
"""After which the process is replaced: the library may leak memory over broken files."""
_SCRIPT = Path(__file__).with_name("_hdf5_script.py")


class Hdf5Error(Exception):
    """What h5py raised over a file: the kind of error, and its text."""


class Hdf5Process:
    """A running `_hdf5_script`.

    Raises
    ------
    CrashError
        When it does not start.
    """

    def __init__(self) -> None:
        self.errors = 0
        self._run = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
            start_new_session=True,  # Ctrl-C is for this process, which then ends the other
        )
        self._questions: Any = self._run.stdin
        answers: Any = self._run.stdout
        self._answers = io.BufferedReader(answers, 2**16)
        if not self._answers.readline():
            raise CrashError(
                f"the process that opens HDF5 files did not start (exit status {self.stop()}); "
                f"try: {sys.executable} -c 'import h5py'",
            )

    @property
    def number(self) -> int:
        """Of the process, for the system."""
        return self._run.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._run.poll() is None

    def ask(self, question: Mapping[str, Any]) -> None:
        """Send a question."""
        self._questions.write(json.dumps(question).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises
        ------
        Hdf5Error
            When the library raised an error instead.
        EOFError
            When the process ended instead.
        """
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Hdf5Error(answer["error"], answer["reason"])
        return answer

    def fill(self, block: memoryview) -> None:
        """Take the bytes that follow an answer."""
        fill(self._answers, block)

    def stop(self) -> int:
        """End it; return its exit status, or a signal below 0."""
        self._run.kill()
        with suppress(OSError):
            self._questions.close()
        self._answers.close()
        return self._run.wait()

    def forget(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._questions.close()
        self._run.returncode = 0


def fill(file: Any, block: memoryview) -> None:
    """Read until a block is full: one call of the system gives 2 GiB at most.

    Raises
    ------
    EOFError
        When the file ends first.
    """
    while block.nbytes:
        count = file.readinto(block)
        if not count:
            raise EOFError("the file ends too early")
        block = block[count:]


_process: Hdf5Process | None = None
_inherited: Hdf5Process | None = (
    None  # kept: to close its pipe might wait for a thread that is not here
)
_turn = threading.Lock()


@contextmanager
def answers(
    path: Path,
    ask: str,
    seconds: float,
    memory: int,
    **question: Any,
) -> Iterator[Hdf5Process]:
    """Ask about an HDF5 file; the answers are taken in the block.

    Parameters
    ----------
    path : Path
    ask : str
        "look", "values" or "read".
    seconds : float
        Time of a processor that the answer may take.
    memory : int, bytes
    **question
        What else the script needs to know.

    Raises
    ------
    FeatureFileError
        When the HDF5 library cannot read the file within these limits.
    CrashError
        When the process was killed, or does not start.
    """
    global _process
    with _turn:
        if _process is None or not _process.alive:
            _process = Hdf5Process()
        process = _process
        try:
            limits = {"seconds": seconds, "memory": memory}
            process.ask(
                {"path": os.path.abspath(path), "ask": ask, **limits, **question},
            )
            yield process
        except Hdf5Error as error:
            process.errors += 1
            if process.errors >= MOST_ERRORS:
                _process = None
                process.stop()
            _refuse(path, f"{error.args[0]}: {error.args[1]}")
        except (EOFError, BrokenPipeError):
            _process = None
            _refuse_end(path, process.stop())
        except BaseException:  # an interrupted answer would be taken for the next one
            _process = None
            process.stop()
            raise


def _refuse(path: Path, reason: str) -> NoReturn:
    if reason.startswith("BlockingIOError"):
        raise FeatureFileError(
            f"{path}: in use by another program ({reason}); wait until it is done",
        )
    raise FeatureFileError(f"{path}: not a whole HDF5 file ({reason}); write it again")


def _refuse_end(path: Path, status: int) -> NoReturn:
    """Tell why a file was not read, by the end of the process."""
    if -status in (signal.SIGKILL, signal.SIGTERM):
        raise CrashError(
            f"{path}: the process that opens HDF5 files was killed ({signal.Signals(-status).name}), "
            "perhaps for want of memory; run it again",
        )
    endless = status == -getattr(signal, "SIGPROF", 0)
    _refuse(
        path,
        "reading it does not end"
        if endless
        else f"the HDF5 library crashes on it, status {status}",
    )


def _close() -> None:
    if _process is not None:
        _process.stop()


def _after_fork() -> None:
    """A forked process starts its own when it needs one."""
    global _process, _inherited, _turn
    if _process is not None:
        _process.forget()
    _process, _inherited, _turn = None, _process, threading.Lock()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
