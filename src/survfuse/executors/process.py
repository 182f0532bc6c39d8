"""Workers beside this process, each watched on its own.

A pool of the standard library loses all queued work when one task segfaults, and cannot
say which. Here every worker has its own pipe and holds one task, so the culprit is known:
the dead worker is replaced, its task goes to the end of the queue, the others never notice.

Workers are started fresh (`spawn`): they inherit neither threads nor locks nor open files.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from survfuse.executors.executor import EXECUTORS, Executor, Job, OnStart, Outcome
from survfuse.executors.serialization import (
    Answer,
    answered,
    call,
    pack,
    pack_answer,
    pack_work,
    unpack,
    unpack_answer,
)
from survfuse.executors.threads import Threads, cores
from survfuse.executors.worker_pool import Crew, Death, News, Worker

P = TypeVar("P")
R = TypeVar("R")

PATIENCE = 5.0  # seconds that a worker gets to end by itself
GREETING = b""  # a worker is up and waits for the work


@EXECUTORS.register(
    "process",
    summary="worker processes on this machine",
    source="ours",
)
class ProcessExecutor(Executor):
    """Carries tasks in processes of their own and survives their deaths.

    Parameters
    ----------
    workers : int, optional
        As many as the cores allow by default: cores divided by `threads`.
    threads : int, optional
        Of each worker; those of this process by default.
    """

    name = "process"

    def __init__(
        self,
        *,
        workers: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.workers, self.threads = workers, threads

    def _outcomes(
        self,
        work: Callable[[P], R],
        jobs: list[Job[P]],
        on_start: OnStart | None,
    ) -> Generator[Outcome[R], None, None]:
        if jobs:
            threads = Threads.of(self.threads)
            most = self.workers or max(1, cores() // threads.each)
            yield from _Processes(pack_work(work), threads).carry(jobs, most, on_start)


class _Process(Worker):
    """One process and its pipe."""

    def __init__(self, threads: Threads) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=serve,
            args=(theirs, threads),
            daemon=True,
        )
        try:
            with _no_interrupt():
                self.process.start()
        finally:
            theirs.close()

    def give(self, payload: Any) -> None:
        self.send(pack(payload))

    def alive(self) -> bool:
        return self.process.is_alive()

    def send(self, data: bytes) -> None:
        """Send; a worker that is dead is noticed when it is heard."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(data)

    def hear(self) -> bytes | None:
        """Receive what it says; None when it is dead."""
        try:
            return self.pipe.recv_bytes() if self.pipe.poll() else None
        except (EOFError, OSError):
            return None

    def dismiss(self) -> None:
        """Ask it to end: at once when it works, else by the end of its pipe."""
        self.pipe.close()
        if not self.idle:
            self.process.terminate()

    def bury(self) -> str:
        """Wait for its end, enforce it if need be, and say how it ended."""
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.pipe.close()
        return how_ended(code)


class _Processes(Crew[_Process]):
    """The processes of one run, and the work that each of them is sent once."""

    def __init__(self, work: bytes, threads: Threads) -> None:
        super().__init__()
        self.work, self.threads = work, threads

    def hire(self) -> _Process:
        return _Process(self.threads)

    def listen(self) -> News[_Process]:
        ready = set(
            wait(
                [w.pipe for w in self.workers]
                + [w.process.sentinel for w in self.workers],
            ),
        )
        for worker in [w for w in self.workers if {w.pipe, w.process.sentinel} & ready]:
            heard = worker.hear()
            if heard is None:
                yield worker, Death(worker.bury())
            elif heard == GREETING:
                worker.send(self.work)
            else:
                yield worker, unpack_answer(heard)

    def stop(self) -> None:
        try:
            for worker in self.workers:
                worker.dismiss()
            for worker in self.workers:
                worker.bury()
        except BaseException:  # a second Ctrl-C: nobody waits any longer
            for worker in self.workers:
                with suppress(ValueError):  # it is closed already
                    worker.process.kill()
            raise
        self.workers.clear()


def how_ended(code: int | None) -> str:
    """Name the signal or the exit status of a process.

    >>> how_ended(-11), how_ended(3)
    ('signal SIGSEGV', 'exit status 3')
    """
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
    advice = (
        " (the memory may have run out; fewer workers need less)"
        if name == "SIGKILL"
        else ""
    )
    return f"signal {name}{advice}"


TERMINAL = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)
)
"""Signals that a terminal sends to the parent and to its workers at once."""


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Keep a terminal's signals from what is started within: the parent hears them, and ends its workers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(pipe: Connection, threads: Threads) -> None:
    """Be a worker: load the work once, then answer payload after payload until the pipe ends.

    SIGTERM interrupts the work as Ctrl-C would, so that it removes its temporary files; then the
    process dies of it.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _answer_all(pipe, threads)
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _answer_all(pipe: Connection, threads: Threads) -> None:
    threads.set()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send_bytes(GREETING)
        loaded = call(unpack, pipe.recv_bytes())
        threads.set()  # loading the work may have brought torch
        pipe.send_bytes(pack_answer(Answer(error=loaded.error)))
        while loaded.error is None:
            pipe.send_bytes(answered(loaded.value, pipe.recv_bytes()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
