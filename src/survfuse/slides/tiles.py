"""Tiles of a slide row by row, in batches: memory does not depend on their number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from survfuse._errors import SlideError
from survfuse.slides import _opencv as cv2
from survfuse.slides.geometry import Grid
from survfuse.slides.reading import MOST_PIXELS, Indices, Pixels, SlideReader

OnBad = Callable[[int, str], None]
"""Called with the position of an unreadable tile in the wanted list, and why."""

_RUN_PIXELS = 4 * 10**6
"""Largest strip of neighbouring tiles that is read at once."""


@dataclass(frozen=True)
class TileBatch:
    """Some tiles of a slide.

    Attributes
    ----------
    index : ndarray of int64, (tiles,)
        Positions in the wanted list, rising.
    pixels : ndarray, (tiles, px, px, 3) uint8 RGB
    """

    index: Indices
    pixels: Pixels


def stream_tiles(
    reader: SlideReader,
    grid: Grid,
    chosen: Indices,
    *,
    batch: int,
    on_bad: OnBad,
    threads: int = 1,
) -> Iterator[TileBatch]:
    """Yield the pixels of chosen tiles in order.

    Parameters
    ----------
    reader : SlideReader
    grid : Grid
    chosen : ndarray of int64, (tiles,)
        Flat positions in the grid, rising.
    batch : int
        Most tiles of a batch; fewer where tiles are so large that they would hold more than 64 MP.
    on_bad : callable
        Hears of each tile that cannot be read; it is left out. Called from the
        consumer's thread, in order.
    threads : int
        Readers beside the consumer; with one, reading happens in the consumer's own thread. The
        batches are the same whatever the number.
    """
    batch = max(1, min(batch, MOST_PIXELS // grid.tile_px**2))
    chosen = np.asarray(chosen, np.int64)
    jobs = _jobs(grid, chosen, batch)
    read = partial(_read, reader, grid, chosen)
    for tiles, bad in map(read, jobs) if threads <= 1 else _ahead(read, jobs, threads):
        for position, reason in bad:
            on_bad(position, reason)
        if len(tiles.index):
            yield tiles


_Job = list[range]
"""Runs of neighbouring tiles of one row: positions in the wanted list."""
_Read = tuple[TileBatch, list[tuple[int, str]]]


def _ahead(
    read: Callable[[_Job], _Read],
    jobs: Iterator[_Job],
    threads: int,
) -> Iterator[_Read]:
    """Read a bounded number of batches ahead of the consumer."""
    waiting: deque[Future[_Read]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(read, job))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _jobs(
    grid: Grid,
    chosen: Indices,
    batch: int,
) -> Iterator[_Job]:
    """Cut the wanted list into batches, and each into runs of neighbours that one read serves."""
    longest = max(1, min(batch, _RUN_PIXELS // grid.read_px**2))
    is_new_row = np.diff(chosen // grid.columns) != 0
    breaks = np.flatnonzero(is_new_row | (np.diff(chosen) != 1)) + 1
    starts = [0, *breaks.tolist()]
    stops = [*breaks.tolist(), len(chosen)]
    job: _Job = []
    size = 0
    for start, stop in zip(starts, stops, strict=True):
        while start < stop:
            # a run ends with its neighbours, where it is long, and with its batch
            ends = start + min(stop - start, longest, batch - size)
            job.append(range(start, ends))
            size += ends - start
            start = ends
            if size == batch:
                yield job
                job, size = [], 0
    if job:
        yield job


def _read(
    reader: SlideReader,
    grid: Grid,
    chosen: Indices,
    job: _Job,
) -> _Read:
    size = job[-1].stop - job[0].start
    pixels = np.empty((size, grid.tile_px, grid.tile_px, 3), np.uint8)
    index: list[int] = []
    bad: list[tuple[int, str]] = []
    for run in job:
        corners = grid.read_corners(chosen[run.start : run.stop])
        try:
            _fill(reader, grid, corners, pixels[len(index) :])
            index += run
        except SlideError:
            # one damaged native tile: find which of the run's tiles it spoils
            for position, corner in zip(run, corners, strict=True):
                try:
                    _fill(reader, grid, corner[None], pixels[len(index) :])
                    index.append(position)
                except SlideError as error:
                    bad.append((position, str(error)))
    return TileBatch(np.array(index, np.int64), pixels[: len(index)]), bad


def _fill(
    reader: SlideReader,
    grid: Grid,
    corners: Indices,
    out: Pixels,
) -> None:
    """Read neighbouring tiles of one row at once and cut them apart."""
    side, px = grid.read_px, grid.tile_px
    left, top = corners[0].tolist()
    offsets = corners[:, 0] - left
    strip = reader.region(grid.level, left, top, int(offsets[-1]) + side, side)
    shrink = cv2.INTER_AREA if side > px else cv2.INTER_LINEAR
    for tile, offset in zip(out, offsets.tolist(), strict=False):
        cut = strip[:, offset : offset + side]
        tile[...] = (
            cut if side == px else cv2.resize(cut, (px, px), interpolation=shrink)
        )
