"""A pool of workers that computes jobs, wherever the workers live.

The pool counts: which worker computes which job, who died on what. A subclass starts a
worker, submits a payload to it, polls for answers, and terminates all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from survfuse._errors import CrashError
from survfuse.executors.executor import Job, OnStart, Outcome
from survfuse.executors.serialization import Answer

START_LIMIT = 3  # workers in a row that die before they can take a task


@dataclass(frozen=True)
class Death:
    """The end of a worker.

    Attributes
    ----------
    reason : str
        Signal, exit status, or what a cluster says.
    lost : bool
        Whether its machine was lost, so that its task is not the cause.
    """

    reason: str
    lost: bool = False


@dataclass(eq=False)
class Worker:
    """A process or an actor, which computes one job at a time.

    Attributes
    ----------
    job : Job or None
        What it computes.
    ready : bool
        Whether it could load the work, and so may be given a job.
    """

    job: Job[Any] | None = field(default=None, init=False)
    ready: bool = field(default=False, init=False)


W = TypeVar("W", bound=Worker)


class WorkerPool(ABC, Generic[W]):
    """The workers of one run."""

    def __init__(self) -> None:
        self.workers: list[W] = []
        self._failed_starts = 0

    @abstractmethod
    def start(self) -> W:
        """Start a worker; its first answer says whether it could load the work."""

    @abstractmethod
    def submit(self, worker: W, payload: Any) -> None:
        """Give a worker a payload; a death that this meets is reported by `poll`."""

    @abstractmethod
    def poll(self) -> Iterator[tuple[W, Answer | Death]]:
        """Wait until some worker answers or dies, and yield all that did."""

    @abstractmethod
    def terminate(self) -> None:
        """End all workers at once."""

    def is_alive(self, worker: W) -> bool:
        """Whether a worker can take a job; False only when it is known to be dead."""
        return True

    def run(
        self,
        jobs: list[Job[Any]],
        limit: int,
        on_start: OnStart | None,
    ) -> Generator[Outcome[Any], None, None]:
        """Yield the outcome of every job; at most `limit` workers compute at once."""
        waiting = deque(jobs)
        try:
            while busy := self._busy() + len(waiting):
                while len(self.workers) < min(limit, busy):
                    self.workers.append(self.start())
                for worker in self.workers:
                    idle = worker.ready and worker.job is None
                    if idle and waiting and self.is_alive(worker):
                        worker.job = waiting.popleft()
                        self.submit(worker, worker.job.start(on_start))
                for worker, event in self.poll():
                    job, worker.job = worker.job, None
                    outcome = self._take(worker, job, event)
                    if outcome is not None:
                        yield outcome
                    elif job is not None:
                        waiting.append(job)
        finally:
            self.terminate()

    def _busy(self) -> int:
        return sum(worker.job is not None for worker in self.workers)

    def _take(
        self,
        worker: W,
        job: Job[Any] | None,
        event: Answer | Death,
    ) -> Outcome[Any] | None:
        """Outcome of a worker's job; None where there was none or it must be tried again."""
        if isinstance(event, Death):
            self.workers.remove(worker)
            if job is not None:
                return job.lose(event.reason) if event.lost else job.crash(event.reason)
            if not worker.ready:
                self._count_failed_start(event)
            return None
        if job is not None:
            return job.finish(event)
        if event.error is not None:  # the work could not be loaded
            raise event.error
        worker.ready = True
        self._failed_starts = 0
        return None

    def _count_failed_start(self, death: Death) -> None:
        self._failed_starts += not death.lost
        if self._failed_starts >= START_LIMIT:
            raise CrashError(
                f"{START_LIMIT} workers in a row died before their first task ({death.reason}): "
                "each imports the main script anew and loads the work; a script must start its run "
                "under `if __name__ == '__main__':` and there must be memory for every worker",
            )
