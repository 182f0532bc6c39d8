"""Progress: bars on a terminal, JSON lines on stderr otherwise."""

from __future__ import annotations

import json
import sys
import time as clock
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from survfuse.evaluation import Watcher
from survfuse.training import Epoch, Run

LINE_SECONDS = 10.0  # a JSON line per epoch would drown the log; one per this many seconds does not


class JsonLines(Watcher):
    """Writes one JSON object a line."""

    def __init__(self) -> None:
        self.total = 0
        self.told = clock.monotonic()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _tell(self, **fields: Any) -> None:
        print(json.dumps(fields), file=sys.stderr, flush=True)  # noqa: T201 - this is the log
        self.told = clock.monotonic()

    def on_cells(self, total: int) -> None:
        """Remember how many cells there are."""
        self.total = total
        self._tell(event="start", cells=total)

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        """Tell of a finished cell."""
        self._tell(event="cell", name=name, done=done, of=self.total, resumed=resumed)

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """Tell of an epoch now and then."""
        if clock.monotonic() - self.told >= LINE_SECONDS:
            self._tell(
                event="epoch",
                run=run.label,
                epoch=epoch.number,
                of=run.epochs,
                loss=round(epoch.train_loss, 5),
                score=None if epoch.score is None else round(epoch.score, 5),
            )


class Bars(Watcher):
    """Two bars: cells of the grid, epochs of the current training."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.cells: TaskID | None = None
        self.epochs: TaskID | None = None

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def on_cells(self, total: int) -> None:
        """Open the upper bar."""
        self.cells = self.progress.add_task("models × folds", total=total)

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        """Move the upper bar."""
        if self.cells is not None:
            self.progress.update(self.cells, completed=done, description=name)

    def on_start(self, run: Run) -> None:
        """Open the lower bar anew."""
        if self.epochs is not None:
            self.progress.remove_task(self.epochs)
        self.epochs = self.progress.add_task(
            run.label,
            total=run.epochs,
            completed=len(run.history),
        )

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """Move the lower bar."""
        if self.epochs is not None:
            self.progress.update(self.epochs, completed=epoch.number)

    def on_end(self, run: Run) -> None:
        """Close the lower bar."""
        if self.epochs is not None:
            self.progress.remove_task(self.epochs)
            self.epochs = None


class Silence(Watcher):
    """Says nothing."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def watch(quiet: bool) -> Bars | JsonLines | Silence:
    """Pick the way to show progress that fits where stderr goes."""
    if quiet:
        return Silence()
    return Bars() if sys.stderr.isatty() else JsonLines()
