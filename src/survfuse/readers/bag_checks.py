"""Whether the numbers of a store are those that were packed: hashed once in a process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._storage import file_stamp, sha256_array
from survfuse._types import AnyArray
from survfuse.readers.bag_files import PACK_AGAIN, Index, Slide

FILES = ("index.json", "features.npy", "coords.npy")
MOST_THREADS = 4  # more would wait for the disk

Stamp = tuple[int, ...]

_WHOLE: dict[
    tuple[str, Stamp],
    set[str],
] = {}  # slides that were verified, by store


def stamp_of(folder: Path) -> Stamp:
    """Device, inodes, sizes and times of the files of a store."""
    return (
        folder.stat().st_dev,
        *chain.from_iterable(file_stamp(folder / name) for name in FILES),
    )


class BagChecks:
    """Holds the slides of a mapped store against the hashes in its index.

    What was verified is kept for the whole process, and for as long as the files are the same
    (device, inode, size, times of modification and of status change).

    Parameters
    ----------
    folder : Path
    index : Index
    features, coords : ndarray
        Mapped.
    """

    def __init__(
        self,
        folder: Path,
        index: Index,
        features: AnyArray,
        coords: AnyArray,
    ) -> None:
        self.stamp = stamp_of(folder)
        self.whole = _WHOLE.setdefault((str(folder.absolute()), self.stamp), set())
        self._folder, self._features, self._coords = folder, features, coords
        self._widened = index.dtype == "float32"
        self._slides = index.slides
        self.unverifiable = _unverifiable(index)
        """What cannot be verified, for a store of an older version holds no hash of it."""

    def verify(self, slides: Iterable[Slide] | None = None) -> None:
        """Verify those of some slides, or of all, that were not verified yet.

        Raises
        ------
        FeatureFileError
            Naming the first slide whose numbers are not those that were packed.
        """
        chosen = self._slides if slides is None else slides
        waiting = {}
        for slide in chosen:
            if slide.tiles and slide.slide_id not in self.whole:
                waiting[slide.slide_id] = slide
        if len(waiting) < 2:
            list(map(self._verify, waiting.values()))
        else:
            with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
                list(pool.map(self._verify, waiting.values()))
        self.whole.update(waiting)

    def _verify(self, slide: Slide) -> None:
        rows = slice(slide.start, slide.stop)
        if slide.content and not self._is_content(self._features[rows], slide.content):
            raise self._damaged("features", slide)
        if (
            slide.coords_sha256
            and sha256_array(self._coords[rows]) != slide.coords_sha256
        ):
            raise self._damaged("coordinates", slide)

    def _is_content(
        self,
        block: AnyArray,
        content: str,
    ) -> bool:
        if sha256_array(block) == content:
            return True
        if not self._widened:
            return False
        with np.errstate(over="ignore"):
            narrow = block.astype(
                np.float16,
            )  # float16 in a store that other slides made float32
        return (
            sha256_array(narrow) == content
            and narrow.astype(np.float32).tobytes() == block.tobytes()
        )

    def _damaged(
        self,
        what: str,
        slide: Slide,
    ) -> FeatureFileError:
        return FeatureFileError(
            f"{self._folder}: the {what} of slide {slide.slide_id!r} of patient "
            f"{slide.patient_id!r} are not "
            f"those that were packed (damaged, or edited since); {PACK_AGAIN}",
        )


def _unverifiable(index: Index) -> tuple[str, ...]:
    names = [] if index.sealed else ["ids and rows"]
    slides = [slide for slide in index.slides if slide.tiles]
    if not all(slide.content for slide in slides):
        names.append("features")
    if not all(slide.coords_sha256 for slide in slides):
        names.append("coordinates")
    return tuple(names)
