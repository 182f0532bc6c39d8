"""Tiles stream from a slide row by row, in batches: each native tile is decoded once, memory stays flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError
from survfuse.slides.geometry import Grid
from survfuse.slides.reading import MOST_PIXELS, Pixels, SlideReader

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

    index: npt.NDArray[np.int64]
    pixels: Pixels


@dataclass(frozen=True)
class _Run:
    """Neighbouring tiles of one row: positions ``[start, stop)`` of the wanted list."""

    start: int
    stop: int


def stream_tiles(
    reader: SlideReader,
    grid: Grid,
    chosen: npt.NDArray[np.int64],
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
    jobs = list(_jobs(grid, np.asarray(chosen, np.int64), batch))
    if threads <= 1:
        done: Iterator[_Read] = (_read(reader, grid, chosen, job) for job in jobs)
    else:
        done = _ahead(reader, grid, chosen, jobs, threads)
    for found, bad in done:
        for position, why in bad:
            on_bad(position, why)
        if len(found.index):
            yield found


_Read = tuple[TileBatch, list[tuple[int, str]]]


def _ahead(
    reader: SlideReader,
    grid: Grid,
    chosen: npt.NDArray[np.int64],
    jobs: Sequence[list[_Run]],
    threads: int,
) -> Iterator[_Read]:
    """Read a bounded number of batches ahead of the consumer."""
    waiting: deque[Future[_Read]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(_read, reader, grid, chosen, job))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _jobs(
    grid: Grid,
    chosen: npt.NDArray[np.int64],
    batch: int,
) -> Iterator[list[_Run]]:
    """Cut the wanted list into batches, and each into runs of neighbours that one read serves."""
    longest = max(1, min(batch, _RUN_PIXELS // grid.read_px**2))
    job: list[_Run] = []
    size = 0
    for run in _runs(grid, chosen, longest):
        start = run.start
        while start < run.stop:
            stop = min(run.stop, start + batch - size)
            job.append(_Run(start, stop))
            size += stop - start
            start = stop
            if size == batch:
                yield job
                job, size = [], 0
    if job:
        yield job


def _runs(grid: Grid, chosen: npt.NDArray[np.int64], longest: int) -> Iterator[_Run]:
    if not len(chosen):
        return
    row, column = np.divmod(chosen, grid.columns)
    breaks = np.flatnonzero((np.diff(row) != 0) | (np.diff(column) != 1)) + 1
    for start, stop in zip([0, *breaks], [*breaks, len(chosen)], strict=True):
        for first in range(int(start), int(stop), longest):
            yield _Run(first, min(int(stop), first + longest))


def _read(
    reader: SlideReader,
    grid: Grid,
    chosen: npt.NDArray[np.int64],
    job: list[_Run],
) -> _Read:
    size = job[-1].stop - job[0].start
    pixels = np.empty((size, grid.tile_px, grid.tile_px, 3), np.uint8)
    kept: list[int] = []
    bad: list[tuple[int, str]] = []
    for run in job:
        corners = grid.read_corners(chosen[run.start : run.stop])
        try:
            _fill(reader, grid, corners, pixels[len(kept) : len(kept) + len(corners)])
            kept.extend(range(run.start, run.stop))
        except (
            SlideError
        ):  # one damaged native tile: find which of the run's tiles it spoils
            for position, corner in zip(
                range(run.start, run.stop),
                corners,
                strict=True,
            ):
                try:
                    _fill(reader, grid, corner[None], pixels[len(kept) : len(kept) + 1])
                    kept.append(position)
                except SlideError as error:
                    bad.append((position, str(error)))
    return TileBatch(np.array(kept, np.int64), pixels[: len(kept)]), bad


def _fill(
    reader: SlideReader,
    grid: Grid,
    corners: npt.NDArray[np.int64],
    out: Pixels,
) -> None:
    """Read neighbouring tiles of one row at once and cut them apart."""
    side, px = grid.read_px, grid.tile_px
    left, top = (int(value) for value in corners[0])
    strip = reader.region(
        grid.level,
        left,
        top,
        int(corners[-1, 0]) + side - left,
        side,
    )
    for tile, (x, _) in zip(out, corners, strict=True):
        cut = strip[:, x - left : x - left + side]
        if side == px:
            tile[...] = cut
        else:
            _resize(cut, px, tile)


def _resize(cut: Pixels, px: int, out: Pixels) -> None:
    import cv2

    shrink = cv2.INTER_AREA if cut.shape[0] > px else cv2.INTER_LINEAR
    out[...] = cv2.resize(cut, (px, px), interpolation=shrink)
