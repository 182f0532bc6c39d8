"""Slides that are open: a few at a time, each read by one thread at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from survfuse.slides.opening import open_slide
from survfuse.slides.reading import SlideReader
from survfuse.viewer.deep_zoom import DeepZoom

MOST_OPEN = 8


class OpenSlides:
    """Slides by path, opened when they are first read; the one not used for longest is closed.

    Parameters
    ----------
    most : int
        Slides that are open at a time.
    opener : callable
        From a path to a reader.
    """

    def __init__(
        self,
        most: int = MOST_OPEN,
        opener: Callable[[Path], SlideReader] = open_slide,
    ) -> None:
        self._most, self._opener = most, opener
        self._lock = threading.Lock()
        self._slides: OrderedDict[Path, _OpenSlide] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slides)

    @contextmanager
    def reading(self, path: Path) -> Iterator[DeepZoom]:
        """Hold a slide while the block reads it.

        Raises
        ------
        SlideError
            When it cannot be opened.
        MissingExtraError
            Without the extra `slides`.
        """
        while True:
            slide, surplus = self._take(path)
            for old in surplus:
                old.close()
            with slide.lock:
                if slide.closed:  # meanwhile, by another thread
                    continue
                if slide.zoom is None:
                    slide.zoom = DeepZoom(self._opener(path))
                yield slide.zoom
                return

    def close(self) -> None:
        """Close all slides."""
        with self._lock:
            slides = list(self._slides.values())
            self._slides.clear()
        for slide in slides:
            slide.close()

    def _take(self, path: Path) -> tuple[_OpenSlide, list[_OpenSlide]]:
        """The entry of a slide, now the latest; and entries that are one too many."""
        surplus = []
        with self._lock:
            slide = self._slides.setdefault(path, _OpenSlide())
            self._slides.move_to_end(path)
            while len(self._slides) > self._most:
                surplus.append(self._slides.popitem(last=False)[1])
        return slide, surplus


class _OpenSlide:
    """A slide, not opened before its lock is held."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.zoom: DeepZoom | None = None
        self.closed = False

    def close(self) -> None:
        """Close the file, once nobody reads it."""
        with self.lock:
            self.closed = True
            if self.zoom is not None:
                self.zoom.reader.close()
