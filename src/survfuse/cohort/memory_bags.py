"""Bags of arrays in memory and of feature files: packed into a store that lives with its cohort."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import CohortError, FeatureFileError
from survfuse.cohort.problems import Place
from survfuse.cohort.slide_table import refused_files
from survfuse.cohort.spec import SlidesSpec
from survfuse.readers.bags import BagStore, pack
from survfuse.readers.features import slide_id_of
from survfuse.readers.packing import Item


class TemporaryStores:
    """Packed stores in a temporary folder, which goes when the last user of a store does.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="survfuse-bags-"))

    def pack(
        self,
        name: str,
        given: Mapping[str, Any],
        encoder: str | None,
        mpp: float | None,
        place: Place,
    ) -> Path | None:
        """Pack the bags of a modality; None (problems noted) when that fails.

        Parameters
        ----------
        name : str
            Name of the modality.
        given : mapping of patient to array, path, or several of them
        encoder, mpp
            Of all tiles.
        place : Place
            Where problems go.
        """
        out = self.folder / f"{name}.bags"
        arrays = self.folder / f"{name}-arrays"
        arrays.mkdir()
        try:
            with place.problems.catch(name):
                items = list(_items(name, given, arrays))
                if not items:
                    raise CohortError(f"bags: {name!r} has no patient")
                return self._pack(items, out, encoder, mpp, place)
        finally:
            shutil.rmtree(arrays)
        return None

    def _pack(
        self,
        items: list[Item],
        out: Path,
        encoder: str | None,
        mpp: float | None,
        place: Place,
    ) -> Path | None:
        try:
            pack(items, out, encoder=encoder, mpp=mpp, allow_empty=True)
        except FeatureFileError as error:
            spec = SlidesSpec(packed=out, encoder=encoder, mpp=mpp)
            refused = refused_files(items, spec)
            for (slide, patient, path), why in refused.items():
                place.error(
                    f"slide {slide!r}: {_without_place(why, path, self.folder)}",
                    patients=[patient],
                )
            if not refused:
                place.error(_named(str(error), items, self.folder))
            return None
        return out

    def keep_for(self, stores: list[BagStore]) -> None:
        """Remove the folder when the last of these stores is gone, or the program ends."""
        waiting = [len(stores)]
        for store in stores:
            weakref.finalize(store, _release, self.folder, waiting, os.getpid())

    def remove(self) -> None:
        """Remove the folder now."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _release(folder: Path, waiting: list[int], process: int) -> None:
    """Count one store less; a process that was forked off removes nothing."""
    waiting[0] -= 1
    if not waiting[0] and os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _items(
    name: str,
    given: Mapping[str, Any],
    arrays: Path,
) -> Iterator[Item]:
    """Slides of all patients as files: arrays are written."""
    numbers = count()
    for patient, bag in given.items():
        for slide, one in _slides(str(patient), bag):
            if isinstance(one, (str, os.PathLike)):
                yield (
                    slide or slide_id_of(Path(one)),
                    str(patient),
                    Path(one).absolute(),
                )
                continue
            values = np.asarray(one)
            if values.ndim not in (1, 2) or values.dtype.kind != "f":
                raise CohortError(
                    f"bags: {name!r}, patient {patient!r}: expected an array (tiles, features) of "
                    f"floats or the path of a feature file, got {type(one).__name__} "
                    f"{values.dtype} {values.shape}",
                )
            file = arrays / f"{next(numbers)}.npy"
            np.save(file, values, allow_pickle=False)
            yield slide, str(patient), file


def _slides(patient: str, bag: Any) -> list[tuple[str, Any]]:
    """Slides of a patient with their ids; empty for a file, whose name is the id."""
    if isinstance(bag, Mapping):
        return [(str(slide), one) for slide, one in bag.items()]
    several = isinstance(bag, (list, tuple))
    slides = []
    for number, one in enumerate(bag if several else [bag], start=1):
        is_file = isinstance(one, (str, os.PathLike))
        own = f"{patient}_{number}" if several else patient
        slides.append(("" if is_file else own, one))
    return slides


def _without_place(why: str, path: Path, folder: Path) -> str:
    """Leave the name of a temporary file out of a message; that of a file of the user stays."""
    return why.replace(str(path), "array") if folder in path.parents else why


def _named(message: str, items: list[Item], folder: Path) -> str:
    """Name arrays by slide and patient instead of by temporary file."""
    for slide, patient, path in items:
        if folder in path.parents:
            message = message.replace(
                str(path), f"slide {slide!r} of patient {patient!r}"
            )
    return message
