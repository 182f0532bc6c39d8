"""Workers beside this process, each watched on its own.

A pool of the standard library loses all queued work when one task segfaults, and cannot
say which. Here every worker has its own pipe and computes one task, so the cause is known:
the dead worker is replaced, its task goes to the end of the queue, the others continue.

Workers are started fresh (`spawn`): they inherit neither threads nor locks nor open files.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from survfuse.executors.executor import EXECUTORS, Executor, Job, OnStart, Outcome
from survfuse.executors.serialization import (
    Answer,
    answer_packed,
    call,
    pack,
    pack_answer,
    pack_work,
    unpack,
    unpack_answer,
)
from survfuse.executors.threads import Threads, cores
from survfuse.executors.worker_pool import Death, Worker, WorkerPool

P = TypeVar("P")
R = TypeVar("R")

PATIENCE = 5.0  # seconds that a worker gets to end by itself
STARTED = b""  # first message of a worker, which waits for the work


@EXECUTORS.register(
    "process",
    summary="worker processes on this machine",
    source="ours",
)
class ProcessExecutor(Executor):
    """Computes tasks in processes of their own and survives their deaths.

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
            limit = self.workers or max(1, cores() // threads.per_worker)
            yield from ProcessPool(pack_work(work), threads).run(jobs, limit, on_start)


@dataclass(eq=False)
class WorkerProcess(Worker):
    """One process and its pipe."""

    process: SpawnProcess
    pipe: Connection


class ProcessPool(WorkerPool[WorkerProcess]):
    """The processes of one run, and the work that each of them is sent once."""

    def __init__(self, work: bytes, threads: Threads) -> None:
        super().__init__()
        self.work, self.threads = work, threads

    def start(self) -> WorkerProcess:
        """Start a process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve,
            args=(theirs, self.threads),
            daemon=True,
        )
        try:
            with _terminal_signals_blocked():
                process.start()
        finally:
            theirs.close()
        return WorkerProcess(process, ours)

    def submit(
        self,
        worker: WorkerProcess,
        payload: Any,
    ) -> None:
        """Send a payload."""
        _send(worker, pack(payload))

    def is_alive(self, worker: WorkerProcess) -> bool:
        """Whether the process runs."""
        return worker.process.is_alive()

    def poll(self) -> Iterator[tuple[WorkerProcess, Answer | Death]]:
        """Wait for messages and deaths."""
        sources: dict[Any, WorkerProcess] = {}
        for worker in self.workers:
            sources |= {worker.pipe: worker, worker.process.sentinel: worker}
        # A worker that both answered and ended is listed twice.
        for worker in dict.fromkeys(sources[source] for source in wait(list(sources))):
            message = _receive(worker)
            if message is None:
                yield worker, Death(_join(worker))
            elif message == STARTED:
                _send(worker, self.work)
            else:
                yield worker, unpack_answer(message)

    def terminate(self) -> None:
        """End all: those that work at once, the others by the end of their pipe."""
        try:
            for worker in self.workers:
                worker.pipe.close()
                if worker.job is not None or not worker.ready:
                    worker.process.terminate()
            for worker in self.workers:
                _join(worker)
        except BaseException:  # a second Ctrl-C: nobody waits any longer
            for worker in self.workers:
                with suppress(ValueError):  # it is closed already
                    worker.process.kill()
            raise
        self.workers.clear()


def _send(worker: WorkerProcess, message: bytes) -> None:
    """Send; that a worker is dead is noticed when it is polled."""
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send_bytes(message)


def _receive(worker: WorkerProcess) -> bytes | None:
    """Receive a message; None when the worker is dead."""
    try:
        return worker.pipe.recv_bytes() if worker.pipe.poll() else None
    except (EOFError, OSError):
        return None


def _join(worker: WorkerProcess) -> str:
    """Wait for the end of a process, enforce it if need be, and say how it ended."""
    worker.process.join(PATIENCE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    code = worker.process.exitcode
    worker.process.close()
    worker.pipe.close()
    return exit_reason(code)


def exit_reason(code: int | None) -> str:
    """Name the signal or the exit status of a process.

    >>> exit_reason(-11), exit_reason(3)
    ('signal SIGSEGV', 'exit status 3')
    """
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
    if name == "SIGKILL":
        return "signal SIGKILL (the memory may have run out; fewer workers need less)"
    return f"signal {name}"


TERMINAL = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)
)
"""Signals that a terminal sends to the parent and to its workers at once."""


@contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """Block a terminal's signals in what is started within: the parent ends its workers itself."""
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
        threads.set()
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            pipe.send_bytes(STARTED)
            loaded = call(unpack, pipe.recv_bytes())
            threads.set()  # loading the work may have imported torch
            pipe.send_bytes(pack_answer(Answer(error=loaded.error)))
            while loaded.error is None:
                pipe.send_bytes(answer_packed(loaded.value, pipe.recv_bytes()))
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
