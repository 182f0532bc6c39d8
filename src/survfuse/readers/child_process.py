"""The separate process that opens HDF5 files, zarr arrays and workbooks, started when first needed.

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
from typing import Any

from survfuse._errors import CrashError, FeatureFileError

MOST_ERRORS = 100
"""After which the process is replaced: the library may leak memory over broken files."""
_FILES = {
    "zarr": ("zarr array", "copy the store again"),
    "workbook": ("workbook", "save it again, or as CSV (UTF-8)"),
}
"""What is read by a question, and what to do where it cannot be; else an HDF5 file."""
_SCRIPT = Path(__file__).with_name("_child_script.py")


class ChildError(Exception):
    """What a library raised over a file: the type of the error, and its text."""


class Child:
    """A running `_child_script`.

    Raises
    ------
    CrashError
        When it does not start.
    """

    def __init__(self) -> None:
        self.errors = 0
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.run = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the other
        )
        self._questions: Any = self.run.stdin
        answers: Any = self.run.stdout
        self._answers = io.BufferedReader(answers, 2**16)
        if not self._answers.readline():
            raise CrashError(
                f"the process that opens files did not start (exit status {self.stop()}); "
                f"try: {sys.executable} -c 'import h5py'",
            )

    def ask(self, question: Mapping[str, Any]) -> None:
        """Send a question."""
        self._questions.write(json.dumps(question).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises
        ------
        ChildError
            When the library raised an error instead.
        EOFError
            When the process ended instead.
        """
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the process ended")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self._out_of_step("its answer cannot be read") from None
        if "error" in answer:
            raise ChildError(f"{answer['error']}: {answer['reason']}")
        return answer

    def fill(self, block: memoryview) -> None:
        """Read the bytes that follow an answer."""
        fill(self._answers, block)

    def fill_parts(self, block: memoryview) -> None:
        """Read all bytes that the next answers announce, until one announces none.

        Raises
        ------
        ChildError
            When they are not as many as the block has.
        """
        while count := int(self.answer()["bytes"]):
            if count > block.nbytes:
                raise self._out_of_step("it has more values than it claims")
            self.fill(block[:count])
            block = block[count:]
        if block.nbytes:
            raise self._out_of_step("it ends too early")

    def _out_of_step(self, reason: str) -> ChildError:
        """Make an error after which the process is replaced: its next line answers nothing."""
        self.errors = MOST_ERRORS
        return ChildError(reason)

    def stop(self) -> int:
        """End it; return its exit status, or a signal below 0."""
        self.run.kill()
        with suppress(OSError):
            self._questions.close()
        self._answers.close()
        return self.run.wait()

    def release(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._questions.close()
        self.run.returncode = 0


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


_process: Child | None = None
# stored, for closing its pipe might wait for a thread that is not in this process
_inherited: Child | None = None
_turn = threading.Lock()


@contextmanager
def answers(
    path: Path,
    ask: str,
    seconds: float,
    memory: int,
    **question: Any,
) -> Iterator[Child]:
    """Ask about a file; the answers are read in the block.

    Parameters
    ----------
    path : Path
    ask : str
        "look", "values" or "read" of an HDF5 file, "zarr" of an array, "workbook" of a sheet.
    seconds : float
        Time of a processor that the answer may take.
    memory : int, bytes
    **question
        What else the script needs to know.

    Raises
    ------
    FeatureFileError
        When the library cannot read the file within these limits.
    CrashError
        When the process was killed, or does not start.
    """
    global _process
    with _turn:
        if _process is None or _process.run.poll() is not None:
            _process = Child()
        process = _process
        question |= {"path": os.path.abspath(path), "ask": ask}
        try:
            process.ask({"seconds": seconds, "memory": memory, **question})
            yield process
            process.answer()  # that the file is closed
        except ChildError as error:
            process.errors += 1
            if process.errors >= MOST_ERRORS:
                _process = None
                process.stop()
            raise _refusal(path, ask, str(error)) from None
        except (EOFError, BrokenPipeError):
            _process = None
            raise _end(path, ask, process.stop()) from None
        except BaseException:  # an interrupted answer would be taken for the next one
            _process = None
            process.stop()
            raise


def _refusal(
    path: Path,
    ask: str,
    reason: str,
) -> FeatureFileError:
    if reason.startswith("BlockingIOError"):
        return FeatureFileError(
            f"{path}: in use by another program ({reason}); wait until it is done",
        )
    what, remedy = _FILES.get(ask, ("HDF5 file", "write it again"))
    return FeatureFileError(f"{path}: not a whole {what} ({reason}); {remedy}")


def _end(
    path: Path,
    ask: str,
    status: int,
) -> CrashError | FeatureFileError:
    """Say why a file was not read, by the exit status of the process."""
    if -status in (signal.SIGKILL, signal.SIGTERM):
        return CrashError(
            f"{path}: the process that opens files was killed ({signal.Signals(-status).name}), "
            "perhaps for want of memory; run it again",
        )
    if status == -getattr(signal, "SIGPROF", 0):
        return _refusal(path, ask, "reading it does not end")
    if ask == "workbook" and -status == getattr(signal, "SIGABRT", 0):
        return _refusal(
            path,
            ask,
            "it takes far more memory than its size; empty cells that "
            "lie far apart from the table?",
        )
    return _refusal(path, ask, f"its library crashes on it, status {status}")


def _close() -> None:
    if _process is not None:
        _process.stop()


def _after_fork() -> None:
    """Start another process when it is needed."""
    global _process, _inherited, _turn
    if _process is not None:
        _process.release()
    _process, _inherited, _turn = None, _process, threading.Lock()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
