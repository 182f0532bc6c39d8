"""What every executor promises, what it counts, and the executor that computes in this process.

An executor takes one `work` (a callable that can be pickled) and many tasks. Each task
ends in exactly one :class:`Outcome`, whatever happens to the processes that compute it:

- what `work` raises is data: it comes back and is not tried again, except
  :class:`OSError` and :class:`MemoryError`, which are tried once more;
- a worker that dies costs only the task that it was computing; after two deaths on the same task
  that task is given up as a :class:`~survfuse._errors.CrashError`.
"""

from __future__ import annotations

import time as clock
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from survfuse._errors import ConfigError, CrashError, listed
from survfuse._registry import Registry
from survfuse.executors.serialization import Answer, answered
from survfuse.executors.threads import Threads, share

P = TypeVar("P")
R = TypeVar("R")

CRASH_LIMIT = 2  # deaths of a worker on one task, after which the task is the cause
LOSS_LIMIT = (
    5  # machines lost during one task, after which nobody should wait any longer
)
ERROR_LIMIT = 2  # starts of a task whose OSError or MemoryError may be a temporary one

OnStart = Callable[[str, int], None]
"""Is called with the key of a task and the number of this attempt (from 1) before it starts."""


@dataclass(frozen=True)
class Task(Generic[P]):
    """One piece of work.

    Attributes
    ----------
    key : str
        Tells the task from all others of a run.
    payload : object
        What `work` is called with; must be picklable.
    """

    key: str
    payload: P


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """How a task ended.

    Attributes
    ----------
    key : str
        Of the task.
    value : object or None
        What `work` returned.
    error : BaseException or None
        What `work` raised, or a :class:`~survfuse._errors.CrashError`. An exception that
        cannot be pickled comes from a worker as a RuntimeError that quotes it.
    attempts : int
        How often the task was started in this run.
    crashes : int
        How often its worker died while it held the task.
    seconds : float
        What the last attempt took.
    """

    key: str
    value: R | None
    error: BaseException | None
    attempts: int
    crashes: int
    seconds: float


@dataclass
class Job(Generic[P]):
    """A task and what was tried on it so far; decides whether it is tried again.

    Each method that ends an attempt returns the outcome, or None when the task should be tried
    again.
    """

    task: Task[P]
    attempts: int = 0
    crashes: int = 0
    losses: int = 0
    started: float = field(default=0.0, repr=False)

    def start(self, on_start: OnStart | None) -> P:
        """Count an attempt, report it, and return the payload."""
        self.attempts += 1
        self.started = clock.monotonic()
        if on_start is not None:
            on_start(self.task.key, self.attempts)
        return self.task.payload

    def finish(self, answer: Answer) -> Outcome[Any] | None:
        """End an attempt with what `work` returned or raised."""
        tries = self.attempts - self.crashes - self.losses
        if answer.temporary and tries < ERROR_LIMIT:
            return None
        return self._outcome(answer)

    def crash(self, reason: str) -> Outcome[Any] | None:
        """End an attempt with the death of the worker."""
        self.crashes += 1
        if self.crashes < CRASH_LIMIT:
            return None
        return self._give_up(
            f"worker died twice ({reason}) on task {self.task.key!r}; it is not tried again",
        )

    def lose(self, reason: str) -> Outcome[Any] | None:
        """End an attempt with the loss of the machine, which the task did not cause."""
        self.losses += 1
        if self.losses < LOSS_LIMIT:
            return None
        return self._give_up(
            f"{LOSS_LIMIT} machines were lost ({reason}) under task {self.task.key!r}; "
            "look at the cluster, then run again",
        )

    def _give_up(self, message: str) -> Outcome[Any]:
        seconds = clock.monotonic() - self.started
        return self._outcome(Answer(error=CrashError(message), seconds=seconds))

    def _outcome(self, answer: Answer) -> Outcome[Any]:
        return Outcome(
            self.task.key,
            answer.value,
            answer.error,
            self.attempts,
            self.crashes,
            answer.seconds,
        )


class Executor(ABC):
    """Computes tasks; :meth:`run` starts and stops whatever it needs.

    Attributes
    ----------
    name : str
    threads : int or None
        Of each worker, where they were asked for.
    """

    name: str
    threads: int | None = None

    def run(
        self,
        work: Callable[[P], R],
        tasks: Sequence[Task[P]],
        *,
        on_start: OnStart | None = None,
    ) -> Generator[Outcome[R], None, None]:
        """Yield the outcome of every task, each once, as they finish.

        Closing the generator, or an exception raised beside it, stops the workers at once.

        Parameters
        ----------
        work : callable
            Goes to each worker once and is called there with payload after payload, so it
            may store what is slow to load in a field at the first call. It and what it
            returns must be picklable unless the executor is ``inline``.
        tasks : sequence of Task
        on_start : callable, optional
            Called in this process with (key, attempt) before a task is started.

        Yields
        ------
        Outcome
            In any order; under ``inline`` in the order of the tasks.

        Raises
        ------
        ValueError
            When two tasks have the same key.
        TypeError
            When `work` cannot be sent to workers.
        CrashError
            When no worker can be started at all.
        """
        counts = Counter(task.key for task in tasks)
        repeated = [key for key, count in counts.items() if count > 1]
        if repeated:
            raise ValueError(
                f"task keys must differ; more than once: {listed(repeated)}",
            )
        return self._outcomes(work, [Job(task) for task in tasks], on_start)

    @abstractmethod
    def _outcomes(
        self,
        work: Callable[[P], R],
        jobs: list[Job[P]],
        on_start: OnStart | None,
    ) -> Generator[Outcome[R], None, None]:
        """Compute jobs whose keys differ."""


EXECUTORS: Registry[Executor] = Registry("executor")


def make_executor(
    name: str,
    *,
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
) -> Executor:
    """Make an executor by name.

    Parameters
    ----------
    name : {"inline", "process", "ray"}
    workers : int, optional
        How many compute at once; as many as the cores allow by default. ``inline`` is one.
    threads : int, optional
        Of each worker, for its linear algebra; as many as this process has by default, so
        that sums come out the same, but no more than the cores that `workers` leave to each:
        threads that wait for a core take many times as long.
    address : str, optional
        Of a running Ray cluster ("auto", "host:port"); one is started here by default.

    Raises
    ------
    ConfigError
        When the name is unknown or an option does not fit it.
    """
    for option, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise ConfigError(f"{option} must be 1 or more, got {number}")
    if address is not None and name != "ray":
        raise ConfigError(
            f"address {address!r} is for the ray executor, not for {name}",
        )
    if name == "inline":
        if workers not in (None, 1):
            raise ConfigError(
                f"workers={workers}: inline computes in one process; choose process or ray",
            )
        return EXECUTORS.build(name, threads=threads)
    if threads is None and workers is not None and address is None:
        threads = share(workers)
    options: dict[str, Any] = {} if address is None else {"address": address}
    return EXECUTORS.build(name, workers=workers, threads=threads, **options)


@EXECUTORS.register(
    "inline",
    summary="in this process, one after the other",
    source="ours",
)
class InlineExecutor(Executor):
    """Computes tasks here, in their order; a crash ends this process, too.

    Parameters
    ----------
    threads : int, optional
        While it runs; unchanged by default.
    """

    name = "inline"

    def __init__(self, *, threads: int | None = None) -> None:
        self.threads = threads

    def _outcomes(
        self,
        work: Callable[[P], R],
        jobs: list[Job[P]],
        on_start: OnStart | None,
    ) -> Generator[Outcome[R], None, None]:
        for job in jobs:
            outcome = None
            while outcome is None:
                payload = job.start(on_start)
                # Another number of threads holds while work runs, not while a caller reads.
                threads: AbstractContextManager[None] = nullcontext()
                if self.threads is not None:
                    threads = Threads.of(self.threads).while_running()
                with threads, answered() as answer:
                    answer.value = work(payload)
                outcome = job.finish(answer)
            yield outcome
