"""Progress bars with the time that is left, on terminals and in notebooks; quiet elsewhere."""

from __future__ import annotations

import os
import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any, Protocol

from survfuse._notebook import in_notebook

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

SECONDS = 0.2
"""Between two pictures of a bar in a notebook."""


class Bars(Protocol):
    """What draws bars: a part of the interface of ``rich.progress.Progress``."""

    def add_task(
        self,
        description: str,
        *,
        total: float | None = None,
        completed: int = 0,
    ) -> Any:
        """Open a bar; of unknown length without a total."""
        ...

    def update(
        self,
        task_id: Any,
        *,
        total: float | None = None,
        completed: float | None = None,
        description: str | None = None,
    ) -> Any:
        """Move a bar."""
        ...

    def remove_task(self, task_id: Any) -> None:
        """Close a bar."""
        ...


def is_shown(progress: bool | None) -> bool:
    """Whether bars are shown: as it is said, or where somebody looks.

    Parameters
    ----------
    progress : bool or None
        None: on a terminal and in a notebook, but not in workers or tests.
    """
    if progress is not None:
        return progress
    if current_process().name != "MainProcess" or "PYTEST_CURRENT_TEST" in os.environ:
        return False
    return in_notebook() or sys.stderr.isatty()


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Bars in the way that fits; they disappear at the end."""
    if in_notebook():
        bars = NotebookBars()
        try:
            yield bars
        finally:
            bars.close()
        return
    from rich.progress import TimeElapsedColumn, TimeRemainingColumn

    with terminal_bars(TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        yield progress


def terminal_bars(*clocks: ProgressColumn) -> Any:
    """Bars of rich on stderr, a ``rich.progress.Progress``; start it as a context."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *clocks,
        console=Console(stderr=True),
        transient=True,
    )


@dataclass
class NotebookTask:
    """One bar: what it is of, how long it is, how far it came, and since when."""

    description: str
    total: float | None
    completed: float
    start: int
    started: float = field(default_factory=clock.monotonic)

    def html(self, now: float) -> str:
        """The bar, with the seconds that passed and that are left."""
        passed = now - self.started
        text = f"{self.description}: {seconds_text(passed)}"
        if self.total is None:
            return f"<div><progress></progress> {escape(text)}</div>"
        done = self.completed - self.start
        if done > 0:
            left = passed / done * (self.total - self.completed)
            text += f", {seconds_text(left)} left"
        text = f"{self.completed:g}/{self.total:g} {text}"
        bar = f'<progress value="{self.completed:g}" max="{self.total:g}"></progress>'
        return f"<div>{bar} {escape(text)}</div>"


class NotebookBars:
    """Bars below the cell of a notebook, in one output that is emptied at the end."""

    def __init__(self) -> None:
        self.tasks: dict[int, NotebookTask] = {}
        self._handle: Any = None
        self._count = 0
        self._drawn = 0.0

    def add_task(
        self,
        description: str,
        *,
        total: float | None = None,
        completed: int = 0,
    ) -> int:
        """Open a bar."""
        self._count += 1
        self.tasks[self._count] = NotebookTask(description, total, completed, completed)
        self._draw(now=True)
        return self._count

    def update(
        self,
        task_id: int,
        *,
        total: float | None = None,
        completed: float | None = None,
        description: str | None = None,
    ) -> None:
        """Move a bar."""
        task = self.tasks[task_id]
        task.total = task.total if total is None else total
        task.completed = task.completed if completed is None else completed
        task.description = task.description if description is None else description
        self._draw(now=task.completed == task.total)

    def remove_task(self, task_id: int) -> None:
        """Close a bar."""
        del self.tasks[task_id]
        self._draw()

    def close(self) -> None:
        """Empty the output."""
        self.tasks.clear()
        self._draw(now=True)

    def _draw(self, now: bool = False) -> None:
        ipython: Any = import_module("IPython.display")
        time = clock.monotonic()
        if not now and time - self._drawn < SECONDS:
            return
        self._drawn = time
        picture = ipython.HTML("".join(task.html(time) for task in self.tasks.values()))
        if self._handle is None:
            self._handle = ipython.display(picture, display_id=True)
        else:
            self._handle.update(picture)


def seconds_text(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes.

    >>> seconds_text(7), seconds_text(75), seconds_text(7260)
    ('7 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
