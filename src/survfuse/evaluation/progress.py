"""Bars of a cross-validation: cells of the grid, and epochs of the current training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from survfuse._progress import Bars, is_shown, progress_bars
from survfuse.evaluation.cells import Watcher
from survfuse.training.progress import EpochBars


class CellBars(EpochBars, Watcher):
    """Two bars: cells of the grid, epochs of the current training."""

    def __init__(self, bars: Bars) -> None:
        super().__init__(bars)
        self.cells: Any = None

    def on_cells(self, total: int) -> None:
        """Open the upper bar."""
        self.cells = self.bars.add_task("models × folds", total=total)

    def on_cell(
        self,
        name: str,
        done: int,
        resumed: bool,
    ) -> None:
        """Move the upper bar."""
        if self.cells is not None:
            self.bars.update(
                self.cells,
                completed=done,
                description=name,
            )

    def on_half(self, text: str) -> None:
        """Say in the upper bar which half model is fitted."""
        if self.cells is not None:
            self.bars.update(self.cells, description=f"agreement, {text}")


@contextmanager
def watch_cells(progress: bool | None) -> Iterator[Watcher]:
    """Show the progress of a cross-validation, where it is shown at all.

    Parameters
    ----------
    progress : bool or None
        As in :func:`survfuse._progress.is_shown`.
    """
    if not is_shown(progress):
        yield Watcher()
        return
    with progress_bars() as bars:
        yield CellBars(bars)
