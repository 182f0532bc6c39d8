"""Progress of a run: bars on a terminal, JSON lines on stderr otherwise."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager

from survfuse._progress import progress_bars
from survfuse.cli.output import write_event
from survfuse.evaluation import Watcher
from survfuse.evaluation.progress import CellBars
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


@contextmanager
def watch(quiet: bool) -> Iterator[Watcher]:
    """Show progress in the way that fits where stderr goes."""
    if quiet:
        yield Watcher()
    elif sys.stderr.isatty():
        with progress_bars() as bars:
            yield CellBars(bars)
    else:
        watcher = JsonLines()
        watcher.written = clock.monotonic()
        yield watcher
