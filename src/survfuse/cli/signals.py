"""Ctrl-C, SIGTERM (a scheduler's time limit) and SIGHUP (a closed terminal) end a run in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import typer

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
HINT = "finished work is kept, the same command goes on from there"


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Handle the signals that end a run while the block runs.

    The first one is raised as KeyboardInterrupt, so that temporary files are removed and workers
    ended; the second ends the process at once. Either way the exit code is 128 and the number of
    the signal: 130, 143 or 129. A signal that is ignored (``nohup``) stays so. Processes that
    ``torchrun`` started are left to it: it must be able to end one that waits for the others.

    Raises
    ------
    SystemExit
        In place of whatever else left the block after a signal, but for code 0.
    """
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if received:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")  # a progress bar hides the cursor
            os._exit(128 + number)
        received.append(number)
        raise KeyboardInterrupt

    handlers = {number: signal.signal(number, end) for number in _handled_signals()}
    try:
        yield
    except BaseException as error:
        # typer turns Ctrl-C into an exit with this code.
        ctrl_c = isinstance(error, SystemExit) and error.code == 128 + signal.SIGINT
        done = isinstance(error, SystemExit) and not error.code  # it ended in order
        if done or not (received or ctrl_c or isinstance(error, KeyboardInterrupt)):
            raise
        number = received[0] if received else signal.SIGINT
        by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
        with suppress(OSError):  # the terminal may be gone
            typer.echo(f"interrupted{by}; {HINT}", err=True)
        sys.exit(128 + number)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _handled_signals() -> list[signal.Signals]:
    launched = os.environ.get("WORLD_SIZE", "1") != "1"
    if launched or threading.current_thread() is not threading.main_thread():
        return []
    handled = []
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            handled.append(number)
    return handled
