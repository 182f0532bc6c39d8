"""The run of many workers over many jobs, wherever the workers live.

The supervisor here keeps the books: who holds which job, who died on what. A crew
only knows how to hire a worker, hand it a payload, and listen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
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
    how : str
        Signal, exit status, or what a cluster says.
    lost : bool
        Whether its machine was lost, so that the task it held is not to blame.
    """

    how: str
    lost: bool = False


class Worker(ABC):
    """Whoever holds at most one job."""

    job: Job[Any] | None = None
    idle = False  # has loaded the work and holds no job

    @abstractmethod
    def give(self, payload: Any) -> None:
        """Start on a payload; a worker that is dead is noticed when it is heard."""

    def alive(self) -> bool:
        """Whether anything would come of a job; False only when it is known to be dead."""
        return True


W = TypeVar("W", bound=Worker)
News = Iterator[tuple[W, Answer | Death]]


class Crew(ABC, Generic[W]):
    """The workers of one run."""

    def __init__(self) -> None:
        self.workers: list[W] = []
        self.failed_starts = 0

    @abstractmethod
    def hire(self) -> W:
        """Start a worker; its first answer says whether it could load the work."""

    @abstractmethod
    def listen(self) -> News[W]:
        """Wait until some worker answers or dies, and tell of all that did."""

    @abstractmethod
    def stop(self) -> None:
        """End all workers at once."""

    def carry(
        self,
        jobs: list[Job[Any]],
        most: int,
        on_start: OnStart | None,
    ) -> Generator[Outcome[Any], None, None]:
        """Give the outcome of every job, with at most so many workers."""
        waiting = deque(jobs)
        try:
            while waiting or self._busy:
                while len(self.workers) < min(most, len(waiting) + self._busy):
                    self.workers.append(self.hire())
                self._deal(waiting, on_start)
                for job, outcome in self._news():
                    if outcome is None:
                        waiting.append(job)
                    else:
                        yield outcome
        finally:
            self.stop()

    @property
    def _busy(self) -> int:
        return sum(worker.job is not None for worker in self.workers)

    def _deal(self, waiting: deque[Job[Any]], on_start: OnStart | None) -> None:
        for worker in self.workers:
            if worker.idle and waiting and worker.alive():
                worker.job, worker.idle = waiting.popleft(), False
                worker.give(worker.job.start(on_start))

    def _news(self) -> Iterator[tuple[Job[Any], Outcome[Any] | None]]:
        """Give each job that a worker ended or died on; None means: again."""
        for worker, heard in self.listen():
            job = worker.job
            if isinstance(heard, Death):
                self.workers.remove(worker)
                if job is not None:
                    yield (
                        job,
                        job.lost(heard.how) if heard.lost else job.crashed(heard.how),
                    )
                elif not worker.idle:
                    self._not_started(heard)
            elif job is None:
                self._started(worker, heard)
            else:
                worker.job, worker.idle = None, True
                yield job, job.answered(heard)

    def _started(self, worker: W, answer: Answer) -> None:
        if answer.error is not None:
            raise answer.error
        worker.idle = True
        self.failed_starts = 0

    def _not_started(self, death: Death) -> None:
        self.failed_starts += not death.lost
        if self.failed_starts >= START_LIMIT:
            raise CrashError(
                f"{START_LIMIT} workers in a row died before their first task ({death.how}): each imports "
                "the main script anew and loads the work; a script must start its run under "
                "`if __name__ == '__main__':` and there must be memory for every worker",
            )
