"""Progress of `extract`: a bar on a terminal, JSON lines on stderr otherwise. Needs no torch."""

from __future__ import annotations

import json
import sys
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from survfuse.slides.slide_records import Record
from survfuse.slides.supervisor import ExtractWatcher


class Silence(ExtractWatcher):
    """Says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class JsonLines(Silence):
    """Writes one JSON object a line."""

    def _tell(self, **fields: Any) -> None:
        print(json.dumps(fields), file=sys.stderr, flush=True)  # noqa: T201 - this is the log

    def on_slides(self, total: int, waiting: int) -> None:
        """Tell how many slides there are, and how many of them are to be done."""
        self._tell(event="start", slides=total, waiting=waiting)

    def on_slide(self, record: Record, done: int, waiting: int) -> None:
        """Tell of a slide that ended."""
        self._tell(
            event="slide",
            slide=record.slide_id,
            status=record.status,
            tiles=record.tiles,
            seconds=round(sum(record.seconds.values()), 2),
            done=done,
            of=waiting,
            **({"reason": record.reason} if record.reason else {}),
        )


class Bar(Silence):
    """One bar over the slides that are to be done; failed ones are named above it."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.slides: TaskID | None = None

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def on_slides(self, total: int, waiting: int) -> None:
        """Open the bar."""
        self.slides = self.progress.add_task("slides", total=waiting)

    def on_slide(self, record: Record, done: int, waiting: int) -> None:
        """Move the bar."""
        if self.slides is not None:
            self.progress.update(
                self.slides,
                completed=done,
                description=record.slide_id,
            )
        if record.reason:
            self.progress.console.print(
                f"{record.slide_id}: {record.reason}",
                markup=False,
                highlight=False,
            )


def watch(quiet: bool) -> Silence:
    """Pick the way to show progress that fits where stderr goes."""
    if quiet:
        return Silence()
    return Bar() if sys.stderr.isatty() else JsonLines()
