"""Bags of arrays in memory and of feature files: packed into a store that lives with its cohort."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import CohortError, FeatureFileError
from survfuse.cohort.problems import Place
from survfuse.cohort.slide_table import refused_files
from survfuse.cohort.spec import SlidesSpec
from survfuse.readers.bag_copies import copy_store
from survfuse.readers.bags import BagStore, pack
from survfuse.readers.features import slide_id_of
from survfuse.readers.packing import Item

GivenSlide = tuple[str, str, Any]  # id, patient, array or path
_ADVICE = re.compile(r" `exclude_features: [^;]*;")  # of cohort files
MOST_COPIED = 2**31  # bytes of arrays that are packed in memory


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
        with place.problems.catch(name):
            slides = list(_slides(name, given))
            if not slides:
                raise CohortError(f"bags: {name!r} has no patient")
            if _are_small(slides):
                with suppress(
                    FeatureFileError
                ):  # said below, with every other slide at fault
                    store = BagStore.from_arrays(slides, encoder=encoder, mpp=mpp)
                    copy_store(store, {slide[1] for slide in slides}, out)
                    return out
            return self._pack(slides, out, encoder, mpp, place)
        return None

    def _pack(
        self,
        slides: list[GivenSlide],
        out: Path,
        encoder: str | None,
        mpp: float | None,
        place: Place,
    ) -> Path | None:
        """Pack slides one by one, arrays as files; report every slide that is refused."""
        files = self.folder / f"{out.stem}-arrays"
        files.mkdir()
        try:
            items = [
                _as_file(number, slide, files) for number, slide in enumerate(slides)
            ]
            pack(items, out, encoder=encoder, mpp=mpp, allow_empty=True)
        except FeatureFileError as error:
            spec = SlidesSpec(packed=out, encoder=encoder, mpp=mpp)
            refused = refused_files(items, spec)
            for (slide, patient, path), why in refused.items():
                text = _ADVICE.sub(
                    "", _without_places(why, [(slide, patient, path)], files)
                )
                place.error(f"slide {slide!r}: {text}", patients=[patient])
            if not refused:
                place.error(_without_places(str(error), items, files))
            return None
        finally:
            shutil.rmtree(files)
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


def _slides(name: str, given: Mapping[str, Any]) -> Iterator[GivenSlide]:
    """Slides of all patients: id, patient, and its array or file."""
    for patient, bag in given.items():
        for slide, one in _named(str(patient), bag):
            if isinstance(one, (str, os.PathLike)):
                path = Path(one).absolute()
                yield slide or slide_id_of(path), str(patient), path
                continue
            values = _array(one, f"bags: {name!r}, patient {patient!r}")
            if values.ndim not in (1, 2) or values.dtype.kind != "f":
                raise CohortError(
                    f"bags: {name!r}, patient {patient!r}: expected an array (tiles, features) of "
                    f"floats or the path of a feature file, got {type(one).__name__} "
                    f"{values.dtype} {values.shape}",
                )
            yield slide, str(patient), np.atleast_2d(values)


def _array(one: Any, where: str) -> Any:
    """An array or a tensor as an array; masked tiles are refused."""
    if np.ma.is_masked(one):
        raise CohortError(
            f"{where}: {int(np.ma.getmaskarray(one).sum())} masked values; leave those tiles out"
        )
    if hasattr(one, "detach"):
        one = one.detach().cpu()
        one = one.float() if str(one.dtype) == "torch.bfloat16" else one
    return np.asarray(one)


def _named(patient: str, bag: Any) -> list[tuple[str, Any]]:
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


def _are_small(slides: list[GivenSlide]) -> bool:
    """Whether all are arrays, and a second copy of them fits the memory."""
    arrays = [one for _, _, one in slides if not isinstance(one, Path)]
    size = sum(array.nbytes for array in arrays)
    return len(arrays) == len(slides) and size <= MOST_COPIED


def _as_file(number: int, slide: GivenSlide, folder: Path) -> Item:
    """Write an array as a file; a file stays where it is."""
    name, patient, given = slide
    if isinstance(given, Path):
        return name, patient, given
    file = folder / f"{number}.npy"
    np.save(file, given, allow_pickle=False)
    return name, patient, file


def _without_places(message: str, items: list[Item], folder: Path) -> str:
    """Call arrays by slide and patient in a message, not by their temporary file."""
    for slide, patient, path in items:
        if folder in path.parents:
            message = message.replace(
                str(path), f"array of {slide!r} (patient {patient!r})"
            )
    return message
