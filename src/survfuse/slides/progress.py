"""A bar over the slides of an extraction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from survfuse._progress import Bars, is_shown, progress_bars
from survfuse.slides.slide_records import Record
from survfuse.slides.supervisor import ExtractWatcher


class SlideBar(ExtractWatcher):
    """One bar over the slides that are to be done.

    Parameters
    ----------
    bars : Bars
        That draw it.
    """

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.slides: Any = None

    def on_slides(self, total: int, waiting: int) -> None:
        """Open the bar."""
        self.slides = self.bars.add_task("slides", total=waiting)

    def on_slide(
        self,
        record: Record,
        done: int,
        waiting: int,
    ) -> None:
        """Move the bar."""
        if self.slides is not None:
            self.bars.update(
                self.slides,
                completed=done,
                description=record.slide_id,
            )


@contextmanager
def watch_slides(progress: bool | None) -> Iterator[ExtractWatcher]:
    """Show the progress of an extraction, where it is shown at all.

    Parameters
    ----------
    progress : bool or None
        As in :func:`survfuse._progress.is_shown`.
    """
    if not is_shown(progress):
        yield ExtractWatcher()
        return
    with progress_bars() as bars:
        yield SlideBar(bars)
