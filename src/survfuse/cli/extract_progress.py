"""Progress of `extract`: a bar on a terminal, JSON lines on stderr otherwise. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from survfuse._progress import progress_bars
from survfuse.cli.output import write_event
from survfuse.slides.progress import SlideBar
from survfuse.slides.slide_records import Record
from survfuse.slides.supervisor import ExtractWatcher


class JsonLines(ExtractWatcher):
    """Writes one JSON object a line."""

    def on_slides(self, total: int, waiting: int) -> None:
        """Write how many slides there are, and how many of them are to be done."""
        write_event(
            "start",
            slides=total,
            waiting=waiting,
        )

    def on_slide(
        self,
        record: Record,
        done: int,
        waiting: int,
    ) -> None:
        """Write of a slide that ended."""
        reason = {"reason": record.reason} if record.reason else {}
        write_event(
            "slide",
            slide=record.slide_id,
            status=record.status,
            tiles=record.tiles,
            seconds=round(sum(record.seconds.values()), 2),
            done=done,
            of=waiting,
            **reason,
        )


class NamedFailures(SlideBar):
    """The bar, above which failed slides are named."""

    def on_slide(
        self,
        record: Record,
        done: int,
        waiting: int,
    ) -> None:
        """Move the bar."""
        super().on_slide(record, done, waiting)
        if record.reason:
            line = f"{record.slide_id}: {record.reason}"
            self.bars.console.print(  # type: ignore[attr-defined]
                line,
                markup=False,
                highlight=False,
            )


@contextmanager
def watch(quiet: bool) -> Iterator[ExtractWatcher]:
    """Show progress in the way that fits where stderr goes."""
    if quiet:
        yield ExtractWatcher()
    elif sys.stderr.isatty():
        with progress_bars() as bars:
            yield NamedFailures(bars)
    else:
        yield JsonLines()
