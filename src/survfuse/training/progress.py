"""Bars of a fit: the epochs of each training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from survfuse._progress import Bars, is_shown, progress_bars
from survfuse.training.run import Epoch, Hook, Run


class EpochBars(Hook):
    """A bar over the epochs of the current training run.

    Parameters
    ----------
    bars : Bars
        That draw them.
    """

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.epochs: Any = None

    def on_start(self, run: Run) -> None:
        """Open the bar anew."""
        self.on_end(run)
        self.epochs = self.bars.add_task(
            run.label,
            total=run.epochs,
            completed=len(run.history),
        )

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """Move the bar."""
        if self.epochs is not None:
            self.bars.update(self.epochs, completed=epoch.number)

    def on_end(self, run: Run) -> None:
        """Close the bar."""
        if self.epochs is not None:
            self.bars.remove_task(self.epochs)
            self.epochs = None


@contextmanager
def watch_fit(progress: bool | None, what: str) -> Iterator[tuple[Hook, ...]]:
    """Hooks that show the progress of a fit, where it is shown at all.

    Parameters
    ----------
    progress : bool or None
        As in :func:`survfuse._progress.is_shown`.
    what : str
        Is fitted.
    """
    if not is_shown(progress):
        yield ()
        return
    with progress_bars() as bars:
        bars.add_task(f"fitting {what}")
        yield (EpochBars(bars),)
