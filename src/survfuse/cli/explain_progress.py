"""Progress of `explain`: which table is written."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEP_SECONDS = 5.0  # between two JSON lines about patients


@contextmanager
def table_progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show which table is written: a bar on a terminal, JSON lines otherwise."""
    if quiet:
        yield lambda what, done, of: None
    elif sys.stderr.isatty():
        from survfuse._progress import progress_bars

        with progress_bars() as bars:
            task = bars.add_task("", total=None)
            yield lambda what, done, of: bars.update(
                task,
                description=what,
                completed=done,
                total=of,
            )
    else:
        yield _lines()


def _lines() -> Callable[[str, int, int], None]:
    """Writer of a JSON line for each table, and now and then for its patients."""
    from survfuse.cli.output import write_event

    last_table, last_time = "", 0.0

    def write(
        what: str,
        done: int,
        of: int,
    ) -> None:
        nonlocal last_table, last_time
        now = clock.monotonic()
        if what == last_table and now - last_time < STEP_SECONDS:
            return
        last_table, last_time = what, now
        write_event("explain", table=what, done=done, of=of)

    return write
