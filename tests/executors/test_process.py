from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time as clock
from pathlib import Path

import pytest

from carried import Deeds, Fatal, Refusing
from contract import (
    BETWEEN_PROCESSES,
    Promise,
    a_crash_costs_only_its_own_task,
    carried,
)
from survfuse._errors import CrashError
from survfuse.executors import ProcessExecutor, Task
from survfuse.executors.process import exit_reason

TESTS = Path(__file__).resolve().parents[1]


def two() -> ProcessExecutor:
    return ProcessExecutor(workers=2)


@pytest.mark.parametrize(
    "promise",
    BETWEEN_PROCESSES,
    ids=lambda promise: promise.__name__,
)
def test_what_travels_between_processes(promise: Promise, tmp_path: Path) -> None:
    promise(two(), tmp_path)


def test_a_segfault_costs_only_its_own_task(tmp_path: Path) -> None:
    a_crash_costs_only_its_own_task(two(), tmp_path)


@pytest.mark.parametrize(
    ("deed", "how"),
    [
        (("segfault", 0), "signal SIGSEGV"),
        (
            ("kills_itself", 0),
            r"signal SIGKILL \(the memory may have run out; fewer workers need less\)",
        ),
        (("dies", 7), "exit status 7"),
        (("dies", 0), "exit status 0"),
    ],
)
def test_a_crash_says_how(deed: tuple[str, int], how: str, tmp_path: Path) -> None:
    outcome = carried(ProcessExecutor(workers=1), tmp_path, deed)[0]
    with pytest.raises(CrashError, match=rf"worker died twice \({how}\) on task 't0'"):
        raise outcome.error or AssertionError


def test_a_worker_killed_at_work_costs_one_attempt(tmp_path: Path) -> None:
    def kill_later(key: str, attempt: int) -> None:
        if (key, attempt) == ("second", 1):
            threading.Timer(0.3, os.kill, (pids[0], signal.SIGKILL)).start()

    pids: list[int] = []
    tasks = [
        Task("first", ("wait", 0.0)),
        Task("second", ("wait", 0.6)),
        Task("third", ("wait", 0.0)),
    ]
    outcomes = {}
    for outcome in ProcessExecutor(workers=1).run(
        Deeds(tmp_path),
        tasks,
        on_start=kill_later,
    ):
        assert outcome.value is not None
        pids.append(outcome.value)
        outcomes[outcome.key] = outcome
    assert [*outcomes] == ["first", "third", "second"]  # tried again at the end
    assert {key: (o.error, o.attempts, o.crashes) for key, o in outcomes.items()} == {
        "first": (None, 1, 0),
        "second": (None, 2, 1),
        "third": (None, 1, 0),
    }
    assert len(set(pids)) == 2


def test_a_worker_killed_while_idle_costs_nothing(tmp_path: Path) -> None:
    tasks = [
        Task("first", ("wait", 0.0)),
        Task("second", ("wait", 0.2)),
        Task("third", ("wait", 0.0)),
    ]
    outcomes = {}
    for outcome in ProcessExecutor(workers=1).run(Deeds(tmp_path), tasks):
        outcomes[outcome.key] = outcome
        if outcome.key == "first":
            os.kill(outcome.value, signal.SIGKILL)
            clock.sleep(0.3)
    assert {(o.error, o.attempts, o.crashes) for o in outcomes.values()} == {
        (None, 1, 0),
    }
    assert len({o.value for o in outcomes.values()}) == 2


def test_work_that_cannot_be_loaded_is_the_error_itself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights\.bin: not here"):
        list(two().run(Refusing(), [Task("a", 1)]))


def test_work_that_cannot_be_sent_is_told_before_anything_starts() -> None:
    with pytest.raises(
        TypeError,
        match=r"the work \(function\) cannot be sent to workers: .*module",
    ):
        list(two().run(lambda number: number, [Task("a", 1)]))


def test_workers_that_cannot_start_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        CrashError,
        match=r"3 workers in a row died before .* \(exit status 9\)",
    ):
        list(two().run(Fatal(), [Task("a", 1), Task("b", 2)]))


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    pids = {o.value for o in carried(two(), tmp_path, *[("wait", 0.05)] * 4)}
    assert not any(alive(pid) for pid in pids)
    running = two().run(
        Deeds(tmp_path),
        [Task("a", ("wait", 0.0)), Task("b", ("wait", 60.0))],
    )
    pid = next(running).value
    started = clock.monotonic()
    running.close()
    assert clock.monotonic() - started < 5
    assert not alive(pid)


def test_workers_remove_their_temporary_files_when_they_are_ended(
    tmp_path: Path,
) -> None:
    running = two().run(
        Deeds(tmp_path),
        [Task("b", ("tidies", "b.part")), Task("a", ("wait", 0.0))],
    )
    next(running)
    until((tmp_path / "b.part").exists)
    running.close()
    assert not (tmp_path / "b.part").exists()


def test_a_signal_without_a_name_is_a_number() -> None:
    assert exit_reason(-64) == "signal SIGRTMAX"
    assert exit_reason(-40) == "signal 40"
    assert exit_reason(None) == "exit status None"


SCRIPT = """
    import signal
    import sys
    from pathlib import Path

    from carried import Deeds
    from survfuse.executors import ProcessExecutor, Task

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        folder = Path(sys.argv[1])
        tasks = [Task(str(n), ("wait", 0.0 if n < 2 else 60.0)) for n in range(6)]
        for outcome in ProcessExecutor(workers=2).run(Deeds(folder), tasks):
            print(outcome.value, flush=True)
"""


@pytest.mark.parametrize(
    "end",
    [signal.SIGKILL, signal.SIGTERM, signal.SIGINT],
    ids=lambda end: end.name,
)
def test_workers_go_when_the_parent_goes(end: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        pids = {int(parent.stdout.readline()) for _ in range(2)}
        until(lambda: (tmp_path / "starts").read_text().count("60.0") == 2)
        if end == signal.SIGINT:
            os.killpg(parent.pid, end)  # as a terminal does: to the workers, too
        else:
            parent.send_signal(end)
        assert parent.wait(10) != 0
        until(lambda: not any(alive(pid) for pid in pids))
        told = parent.stderr.read()
    assert len(re.findall("Traceback", told)) == (1 if end == signal.SIGINT else 0), (
        told
    )


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def until(happened: object, seconds: float = 15.0) -> None:
    end = clock.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert clock.monotonic() < end, "waited in vain"
        clock.sleep(0.02)
