"""Progress of a run: bars on a terminal, JSON lines on stderr otherwise."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress, TaskID, TimeElapsedColumn

from survfuse.cli.output import progress_bars, write_event
from survfuse.evaluation import Watcher
from survfuse.training import Epoch, Run

LINE_SECONDS = 10.0  # between two JSON lines about epochs, which would fill the log


class JsonLines(Watcher):
    """Writes one JSON object a line."""

    total = 0
    written = 0.0

    def on_cells(self, total: int) -> None:
        """Write how many cells there are."""
        self.total = total
        self._write("start", cells=total)

    def on_cell(
        self,
        name: str,
        done: int,
        resumed: bool,
    ) -> None:
        """Write of a finished cell."""
        self._write(
            "cell",
            name=name,
            done=done,
            of=self.total,
            resumed=resumed,
        )

    def on_half(self, text: str) -> None:
        """Write of a model of half the patients."""
        self._write("agreement", fit=text)

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """Write of an epoch now and then."""
        if clock.monotonic() - self.written < LINE_SECONDS:
            return
        self._write(
            "epoch",
            run=run.label,
            epoch=epoch.number,
            of=run.epochs,
            loss=round(epoch.train_loss, 5),
            score=None if epoch.score is None else round(epoch.score, 5),
        )

    def _write(self, event: str, **fields: object) -> None:
        write_event(event, **fields)
        self.written = clock.monotonic()


class Bars(Watcher):
    """Two bars: cells of the grid, epochs of the current training."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.cells: TaskID | None = None
        self.epochs: TaskID | None = None

    def on_cells(self, total: int) -> None:
        """Open the upper bar."""
        self.cells = self.progress.add_task("models × folds", total=total)

    def on_cell(
        self,
        name: str,
        done: int,
        resumed: bool,
    ) -> None:
        """Move the upper bar."""
        if self.cells is not None:
            self.progress.update(
                self.cells,
                completed=done,
                description=name,
            )

    def on_half(self, text: str) -> None:
        """Say in the upper bar which half model is fitted."""
        if self.cells is not None:
            self.progress.update(self.cells, description=f"agreement, {text}")

    def on_start(self, run: Run) -> None:
        """Open the lower bar anew."""
        self.on_end(run)
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


@contextmanager
def watch(quiet: bool) -> Iterator[Watcher]:
    """Show progress in the way that fits where stderr goes."""
    if quiet:
        yield Watcher()
    elif sys.stderr.isatty():
        with progress_bars(TimeElapsedColumn()) as progress:
            yield Bars(progress)
    else:
        watcher = JsonLines()
        watcher.written = clock.monotonic()
        yield watcher
