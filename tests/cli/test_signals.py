"""Signals that end a run, sent to real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from survfuse.cli.signals import HINT

TESTS = Path(__file__).resolve().parents[1]
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

WORKS = """
    import signal, sys, time
    from survfuse.cli.signals import ended_in_order

    # A job in the background ignores the one, a job of nohup the other.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with ended_in_order():
        try:
            print("works", flush=True)
            time.sleep(60)
        finally:
            print("tidies", flush=True)
            time.sleep(float(sys.argv[1]))
            print("done", flush=True)
"""

CARRIES = """
    import signal, sys
    from pathlib import Path
    from carried import Deeds
    from survfuse.cli.signals import ended_in_order
    from survfuse.executors import ProcessExecutor, Task

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tasks = [Task("a", ("is_deaf", "begun"))]
        with ended_in_order():
            list(ProcessExecutor(workers=1).run(Deeds(Path(sys.argv[1])), tasks))
"""


def started(
    code: str,
    folder: Path,
    *words: object,
    **environment: str,
) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_the_first_signal_ends_a_run_in_order(
    number: signal.Signals,
    tmp_path: Path,
) -> None:
    process = started(WORKS, tmp_path, 0)
    assert line_of(process) == "works"
    process.send_signal(number)
    out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "tidies\ndone\n")
    by = "" if number == signal.SIGINT else f" by {number.name}"
    assert told == f"interrupted{by}; {HINT}\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_the_second_signal_ends_it_at_once(
    number: signal.Signals,
    tmp_path: Path,
) -> None:
    process = started(WORKS, tmp_path, 60)
    assert line_of(process) == "works"
    process.send_signal(signal.SIGTERM)
    assert line_of(process) == "tidies"
    process.send_signal(number)
    out, told = process.communicate(timeout=30)
    assert (process.returncode, out, told) == (128 + number, "", "")


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    ignoring = WORKS.replace("signal.SIG_DFL", "signal.SIG_IGN")  # as nohup does
    process = started(ignoring, tmp_path, 0)
    assert line_of(process) == "works"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "tidies\ndone\n"
    assert process.returncode == 128 + signal.SIGTERM


def test_processes_of_torchrun_are_left_to_it(tmp_path: Path) -> None:
    process = started(WORKS, tmp_path, 0, WORLD_SIZE="2")
    assert line_of(process) == "works"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == -signal.SIGTERM


def test_a_second_ctrl_c_does_not_wait_for_workers(tmp_path: Path) -> None:
    process = started(CARRIES, tmp_path, tmp_path)
    until((tmp_path / "begun").exists)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    time.sleep(0.5)  # it now waits for the worker, which is deaf
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "")
    until(lambda: is_gone(process.pid))


def is_gone(group: int) -> bool:
    """Whether no process of a session is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_ctrl_c_while_the_command_line_is_loaded_shows_no_traceback() -> None:
    code = (
        "import signal, sys, runpy, threading, time, os\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Slow:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'survfuse.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from survfuse.__main__ import main\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
