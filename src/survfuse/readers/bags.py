"""All tiles of a cohort in one memory-mapped matrix: opened at once, gathered per patient.

A store is a folder ``NAME.bags/`` of ``features.npy`` (tiles, dim), ``coords.npy`` (tiles, 2) and
``index.json``. It is only ever read once written, so any number of processes may share it. The
tiles of a patient are held against their hashes when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import FeatureFileError
from survfuse._storage import sha256_text, to_json
from survfuse._types import AnyArray, FloatArray, IntArray
from survfuse.readers.bag_checks import BagChecks, Stamp
from survfuse.readers.bag_files import Index, Slide, read_store
from survfuse.readers.packing import Item, Progress, collect, write_store
from survfuse.readers.slide_features import USUAL, ReadOptions


class BagStore:
    """Tile features of many slides, by patient.

    Made by :func:`pack`, :meth:`open` or :meth:`from_arrays`.

    Attributes
    ----------
    path : Path or None
        The folder; None for a store in memory.
    slides : tuple of Slide
        In row order.
    dim : int
        Features per tile.
    encoder, mpp
        Of all slides; None when unknown.
    patients : tuple of str
        Those with at least one tile, in order of first appearance.
    """

    def __init__(
        self,
        index: Index,
        features: AnyArray,
        coords: AnyArray,
        path: Path | None = None,
        checks: BagChecks | None = None,
        owners: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self._owners = owners  # other patients than those of the files
        self._checks = checks
        self.slides: tuple[Slide, ...] = index.slides
        self.dim: int = index.dim
        self.encoder: str | None = index.encoder
        self.mpp: float | None = index.mpp
        self._index, self._features, self._coords = index, features, coords
        self._of: dict[str, list[Slide]] = {}
        for slide in index.slides:
            if slide.tiles:
                self._of.setdefault(slide.patient_id, []).append(slide)
        self._runs = {patient: _merge(slides) for patient, slides in self._of.items()}
        self.patients: tuple[str, ...] = tuple(self._of)

    def __repr__(self) -> str:
        return (
            f"BagStore({len(self.patients)} patients, {len(self.slides)} slides, "
            f"{self.tiles} tiles x {self.dim}, {self._index.dtype}, encoder={self.encoder!r}, "
            f"mpp={self.mpp})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if (
            self._checks is not None
        ):  # another process maps the files again instead of receiving the tiles
            return (
                BagStore.open,
                (self.path, self._owners),
                (self._checks.stamp, self._checks.whole),
            )
        return (BagStore, (self._index, self._features, self._coords))

    def __setstate__(self, state: tuple[Stamp, set[str]]) -> None:
        """Take over which slides the sender has verified, where the files are the same."""
        stamp, whole = state
        if self._checks is not None and self._checks.stamp == stamp:
            self._checks.whole.update(whole)

    @property
    def tiles(self) -> int:
        """All tiles of all slides."""
        return self._index.tiles

    @property
    def features(self) -> AnyArray:
        """The whole matrix, (tiles, dim), float16 or float32, read-only; rows as in `slides`.

        What :meth:`rows` gave is verified, the rest only by :meth:`verify`.
        """
        return self._features

    @property
    def index(self) -> Index:
        """What the store says of its slides."""
        return self._index

    @property
    def all_coords(self) -> FloatArray:
        """Upper left corners of all tiles, (tiles, 2), read-only, in the rows of `features`."""
        return self._coords

    @classmethod
    def open(
        cls,
        path: Path | str,
        owners: Mapping[str, str] | None = None,
    ) -> BagStore:
        """Map a packed store.

        Parameters
        ----------
        path : path
        owners : mapping of slide id to patient id, optional
            See :meth:`of_owners`.

        Raises
        ------
        FeatureFileError
            When the folder is no store, is newer than this version, or a file is cut off.
        """
        folder = Path(path)
        index, features, coords = read_store(folder)
        checks = BagChecks(folder, index, features, coords)
        store = cls(index, features, coords, folder, checks)
        return store if owners is None else store.of_owners(owners)

    def of_owners(self, owners: Mapping[str, str]) -> BagStore:
        """Give the same tiles to other patients; the files stay as they are.

        Parameters
        ----------
        owners : mapping of slide id to patient id
            Slides that are not named are left out.
        """
        slides = []
        for slide in self.slides:
            if slide.slide_id in owners:
                slides.append(replace(slide, patient_id=owners[slide.slide_id]))
        index = replace(self._index, slides=tuple(slides))
        own = None if self._checks is None else dict(owners)
        return BagStore(
            index, self._features, self._coords, self.path, self._checks, own
        )

    def verify(self, patient_ids: Iterable[str] | None = None) -> tuple[str, ...]:
        """Hold the tiles of some patients against the hashes in the index, those not yet verified.

        Parameters
        ----------
        patient_ids : iterable of str, optional
            All where not given.

        Returns
        -------
        tuple of str
            What cannot be verified, for a store of an older version holds no hash of it.

        Raises
        ------
        FeatureFileError
            Naming the first slide whose features or coordinates are not those that were packed.
        """
        if self._checks is None:
            return ()
        slides: Iterable[Slide] = self.slides
        if patient_ids is not None:
            slides = chain.from_iterable(map(self.slides_of, patient_ids))
        self._checks.verify(slides)
        return self._checks.unverifiable

    @classmethod
    def from_arrays(
        cls,
        slides: Iterable[
            tuple[str, str, AnyArray] | tuple[str, str, AnyArray, AnyArray | None]
        ],
        *,
        encoder: str | None = None,
        mpp: float | None = None,
    ) -> BagStore:
        """Make a store in memory, for simulators and small cohorts.

        Parameters
        ----------
        slides : iterable of (slide_id, patient_id, values[, coords])
            values (tiles, dim) float16, float32 or float64; coords (tiles, 2) level-0 pixels or
            None.
        encoder, mpp : str and float, or None
            Of all slides.

        Raises
        ------
        FeatureFileError
            As in :func:`pack`.
        """
        return cls(
            *collect(
                slides,
                encoder=encoder,
                mpp=mpp,
            ),
        )

    def rows(self, patient_id: str) -> tuple[slice, ...]:
        """Return the patient's rows in the matrix, one slice per slide that has tiles.

        Raises
        ------
        FeatureFileError
            As :meth:`verify`.
        """
        self.verify((patient_id,))
        return tuple(
            slice(slide.start, slide.stop) for slide in self._of.get(patient_id, ())
        )

    def slides_of(self, patient_id: str) -> tuple[Slide, ...]:
        """Return the patient's slides that have tiles, in row order."""
        return tuple(self._of.get(patient_id, ()))

    def slide_of(self, patient_id: str) -> npt.NDArray[np.str_]:
        """Name the slide of each tile of a patient, (tiles,), in the order of :meth:`gather`."""
        slides = self.slides_of(patient_id)
        names = np.array([slide.slide_id for slide in slides], dtype=np.str_)
        return np.repeat(names, [slide.tiles for slide in slides])

    def coords(self, patient_id: str) -> FloatArray:
        """Return the upper left corners of a patient's tiles, (tiles, 2), NaN where unknown.

        Their unit is `coord_unit` of the slide (:meth:`slides_of`); order as in :meth:`gather`.

        Raises
        ------
        FeatureFileError
            As :meth:`verify`.
        """
        self.verify((patient_id,))
        parts = [
            self._coords[start:stop] for start, stop in self._runs.get(patient_id, ())
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 2))

    def counts(self, patient_ids: Sequence[str]) -> IntArray:
        """Count tiles, (patients,); 0 for a patient without any."""
        counts = np.zeros(len(patient_ids), dtype=np.int64)
        for place, patient in enumerate(patient_ids):
            for start, stop in self._runs.get(patient, ()):
                counts[place] += stop - start
        return counts

    def gather(
        self,
        patient_ids: Sequence[str],
        *,
        max_tiles: int | None = None,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> tuple[AnyArray, IntArray]:
        """Copy the tiles of some patients into one matrix.

        Parameters
        ----------
        patient_ids : sequence of str, (patients,)
            Any order, repeats allowed; a patient without tiles gets none.
        max_tiles : int or None
            At most this many tiles of a patient, drawn without replacement from all
            its slides; kept in row order.
        rng : numpy Generator or None
            Needed with `max_tiles`: nothing is drawn unseeded.
        dtype : dtype
            Of the result; float16 halves the copy where the network casts later.

        Returns
        -------
        features : ndarray, (tiles, dim)
            Patient after patient.
        offsets : ndarray, (patients + 1,), int64
            Patient ``i`` owns rows ``offsets[i]:offsets[i + 1]``.

        Raises
        ------
        FeatureFileError
            As :meth:`verify`.
        """
        self.verify(patient_ids)
        counts = self.counts(patient_ids)
        if max_tiles is not None:
            if max_tiles < 1:
                raise ValueError(f"max_tiles must be at least 1, got {max_tiles}")
            if rng is None:
                raise ValueError("max_tiles needs rng: a sample must be seeded")
        used = counts if max_tiles is None else np.minimum(counts, max_tiles)
        offsets = np.concatenate([[0], np.cumsum(used)]).astype(np.int64)
        out = np.empty((int(offsets[-1]), self.dim), dtype=dtype)
        for place, patient in enumerate(patient_ids):
            block = out[offsets[place] : offsets[place + 1]]
            runs = self._runs.get(patient, ())
            if used[place] < counts[place] and rng is not None:
                drawn = rng.choice(
                    int(counts[place]),
                    int(used[place]),
                    replace=False,
                    shuffle=False,
                )
                block[...] = self._features[_to_rows(np.sort(drawn), runs)]
            else:
                at = 0
                for start, stop in runs:
                    block[at : at + stop - start] = self._features[start:stop]
                    at += stop - start
        return out, offsets

    def duplicates(self) -> list[tuple[str, str]]:
        """Name pairs of slides of different patients with identical features (first, later)."""
        first: dict[str, list[Slide]] = {}
        pairs: list[tuple[str, str]] = []
        for slide in self.slides:
            if slide.tiles:
                same = first.setdefault(slide.content, [])
                for other in same:
                    if other.patient_id != slide.patient_id:
                        pairs.append((other.slide_id, slide.slide_id))
                same.append(slide)
        return pairs

    def fingerprint(self) -> str:
        """Hash the store's content (ids, rows, hashes of the features), wherever it lies."""
        said = self._index.to_dict()
        del said["options"]  # what they chose is in the features
        for slide in said["slides"]:
            del slide["source"], slide["sha256"], slide["coords_sha256"]
        return sha256_text(to_json(said))


def pack(
    items: Iterable[tuple[str, str, Path | str]],
    out: Path | str,
    *,
    encoder: str | None = None,
    mpp: float | None = None,
    options: ReadOptions = USUAL,
    progress: Progress | None = None,
    overwrite: bool = False,
    allow_empty: bool = False,
) -> BagStore:
    """Stream the feature files of a cohort into one store.

    One slide is in memory at a time. The folder appears whole or not at all. A store that was
    packed from the same files (by hash) with the same declarations is opened and not written again.

    All files must agree in dim, encoder, mpp and magnification. Names of encoders are normalised;
    files that name none are taken to be of the declared encoder or, without a declaration, of the
    one encoder that all the others name. The same holds for mpp (2 % apart is the same).
    float16 stays float16; with any float32 file in the cohort the whole store is float32.

    Parameters
    ----------
    items : iterable of (slide_id, patient_id, path)
        In the order wanted; slide ids must differ.
    out : path
        The folder to make, by convention ``NAME.bags``.
    encoder : str or None
        The encoder that the cohort declares.
    mpp : float or None, µm per pixel
        The scale that the cohort declares.
    options : ReadOptions
        How files are read where they leave a choice. Where features are left out, the name of
        the encoder says which, so that no model takes other columns for them.
    progress : callable or None
        Called as ``progress(done, total, slide_id)`` after each slide.
    overwrite : bool
        Replace a different store that lies there; anything else there is never touched.
    allow_empty : bool
        Accept slides without tiles; they stay in the index with no rows.

    Raises
    ------
    FeatureFileError
        When files disagree (naming the file), hold NaN or infinity, are empty without
        `allow_empty`, when `out` holds something else or cannot be written, or when another run
        packs it.
    """
    write_store(
        [_item(place, item) for place, item in enumerate(items)],
        Path(out),
        encoder=encoder,
        mpp=mpp,
        options=options,
        progress=progress,
        overwrite=overwrite,
        allow_empty=allow_empty,
    )
    return BagStore.open(out)


def _item(place: int, item: Any) -> Item:
    try:
        slide, patient, path = item
        return str(slide), str(patient), Path(path)
    except (TypeError, ValueError):
        raise FeatureFileError(
            f"items[{place}]: expected (slide_id, patient_id, path), got {item!r:.80}",
        ) from None


def _merge(slides: Sequence[Slide]) -> tuple[tuple[int, int], ...]:
    """Join neighbouring rows, so that a patient is one copy where possible."""
    runs: list[tuple[int, int]] = []
    for slide in slides:
        if runs and runs[-1][1] == slide.start:
            runs[-1] = (runs[-1][0], slide.stop)
        else:
            runs.append((slide.start, slide.stop))
    return tuple(runs)


def _to_rows(
    drawn: IntArray,
    runs: Sequence[tuple[int, int]],
) -> IntArray:
    """Turn positions among a patient's tiles into rows of the matrix."""
    if len(runs) == 1:
        return drawn + runs[0][0]
    starts = np.array([start for start, _ in runs], dtype=np.int64)
    before = np.concatenate(
        [[0], np.cumsum([stop - start for start, stop in runs])[:-1]],
    ).astype(np.int64)
    run = np.searchsorted(before, drawn, side="right") - 1
    return drawn - before[run] + starts[run]
