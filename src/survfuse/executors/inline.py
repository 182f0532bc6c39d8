"""Everything in this process, one task after the other: no surprises, easy to debug."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import nullcontext
from typing import TypeVar

from survfuse.executors.executor import EXECUTORS, Executor, Job, OnStart, Outcome
from survfuse.executors.serialization import call
from survfuse.executors.threads import Threads

P = TypeVar("P")
R = TypeVar("R")


@EXECUTORS.register(
    "inline",
    summary="in this process, one after the other",
    source="ours",
)
class InlineExecutor(Executor):
    """Carries tasks here, in their order; a crash takes this process with it.

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
                with (
                    Threads.of(self.threads).while_running()
                    if self.threads
                    else nullcontext()
                ):
                    answer = call(work, payload)
                outcome = job.answered(answer)
            yield outcome
