"""Patients as tensors: prepared once, then any rows at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from survfuse._types import AnyArray, Batch, BoolArray, FloatArray, IntArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_moments import tile_moments
from survfuse.cohort.transform_bags import BagScaler
from survfuse.cohort.transforms import Transforms

MEMORY_BUDGET = 2 * 2**30  # bytes of tiles of one modality that are held in memory
BLOCK = 65_536  # tiles scaled at a time

Rows = Sequence[int] | AnyArray
Words = npt.NDArray[np.uint64]


class BatchSource:
    """Batches of chosen patients of a cohort.

    Vectors are transformed once, when the source is made. Tiles are read from the
    packed store, as float32, or as they are stored where nothing is scaled. From the second
    time on that all of them are wanted they are held in memory, scaled when that fits `budget`,
    in their stored precision when only that fits, and not at all where there is nothing to
    scale. The values are the same; principal components, to float32 rounding of a product
    taken in larger or smaller blocks.

    Parameters
    ----------
    cohort : Cohort
    transforms : Transforms
    patients : iterable of str
        Row ``i`` of the source is the ``i``-th of them.
    budget : int, bytes
        Memory for the tiles of each bag modality.

    Attributes
    ----------
    patients : tuple of str
    transforms : Transforms
    prepared : Prepared
        The vectors, and the report of what was assumed about patients.
    """

    def __init__(
        self,
        cohort: Cohort,
        transforms: Transforms,
        patients: Iterable[str],
        *,
        budget: int = MEMORY_BUDGET,
    ) -> None:
        self._cohort, self.transforms = cohort, transforms
        self.prepared = transforms.apply(cohort, patients)
        self.patients = self.prepared.patients
        self._vectors = _tensors(self.prepared.vectors)
        self._present = _tensors(self.prepared.present)
        self._time = np.full(len(self.patients), np.nan)
        self._event = np.zeros(len(self.patients), bool)
        if cohort.outcome is not None:
            outcome = cohort.outcome.loc[list(self.patients)]
            self._time = outcome["time"].to_numpy(np.float64)
            self._event = outcome["event"].to_numpy(bool)
        self._others: dict[Transforms, BatchSource] = {}
        self._bags: dict[str, _Tiles] = {}
        for name, scaler in transforms.bag_scaler.items():
            data = cohort.modalities.get(name)
            bag = data if isinstance(data, BagData) else None
            self._bags[name] = _Tiles(bag, scaler, self.patients, budget)

    def __len__(self) -> int:
        return len(self.patients)

    def read_by(self, transforms: Transforms) -> BatchSource:
        """The same patients by other transforms; tiles that both scale alike are held once."""
        if transforms not in self._others:
            other = BatchSource(self._cohort, transforms, self.patients)
            for name, tiles in self._bags.items():
                if transforms.fitted.get(name) is self.transforms.fitted[name]:
                    other._bags[name] = tiles
            self._others[transforms] = other
        return self._others[transforms]

    def batch(
        self,
        rows: Rows | None = None,
        *,
        max_tiles: int | None = None,
        seed: int | None = None,
    ) -> Batch:
        """Make a batch of some patients.

        Parameters
        ----------
        rows : sequence of int, optional
            Rows of `patients`, in any order, repeats allowed; all where not given.
        max_tiles : int, optional
            At most this many tiles per patient and modality, drawn without
            replacement; all where not given.
        seed : int, optional
            Decides the draw, needed with `max_tiles`. A patient's draw depends on the
            seed and the patient id alone, not on who else is in the batch.
        """
        if max_tiles is not None and (max_tiles < 1 or seed is None):
            raise ValueError(
                "max_tiles must be >= 1 and needs a seed: draws are never unseeded",
            )
        index = self._index(rows)
        at = torch.from_numpy(index)
        bags, offsets = {}, {}
        for name, tiles in self._bags.items():
            bags[name], offsets[name] = tiles.gather(index, max_tiles, seed)
        return Batch(
            bags=bags,
            offsets=offsets,
            vectors={name: values[at] for name, values in self._vectors.items()},
            present={name: has[at] for name, has in self._present.items()},
            time=torch.from_numpy(self._time[index]),
            event=torch.from_numpy(self._event[index]),
            patient_id=tuple(self.patients[row] for row in index),
        )

    def _index(self, rows: Rows | None) -> IntArray:
        return np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)

    def tile_counts(
        self,
        rows: Rows | None = None,
        max_tiles: int | None = None,
    ) -> dict[str, IntArray]:
        """Tiles that a batch of these rows would have of each patient, by bag modality; (rows,)."""
        counts = {}
        for name, tiles in self._bags.items():
            own = np.diff(tiles.offsets)[self._index(rows)]
            counts[name] = own if max_tiles is None else np.minimum(own, max_tiles)
        return counts

    def blocks(self) -> dict[str, tuple[FloatArray, BoolArray]]:
        """Vector, or mean tile, of each patient in each modality, and who has it."""
        blocks: dict[str, tuple[FloatArray, BoolArray]] = {}
        for name, has in self.prepared.present.items():
            if name in self.prepared.vectors:
                blocks[name] = self.prepared.vectors[name].astype(np.float64), has
            else:
                blocks[name] = self.mean_tiles(name)
        return blocks

    def mean_tiles(
        self,
        name: str,
    ) -> tuple[FloatArray, BoolArray]:
        """Mean scaled tile of each patient of a bag modality, and who has a tile.

        Tiles are read once for all sources of a store: scaling and components are affine,
        so the mean of the scaled is the scaled mean.

        Returns
        -------
        means : array, (patients, width)
            Zeros where the modality is absent.
        present : array of bool, (patients,)
        """
        tiles = self._bags[name]
        present = self._present[name].numpy() & (np.diff(tiles.offsets) > 0)
        means = np.zeros((len(self), tiles.scaler.width))
        if tiles.data is not None and present.any():
            raw = []
            for row in np.flatnonzero(present):
                moments = tile_moments(tiles.data, self.patients[row])
                raw.append(moments.mean_of_all)
            means[present] = tiles.scaler.scale_exactly(np.stack(raw))
        return means, present


def _tensors(arrays: Mapping[str, AnyArray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class _Tiles:
    """The tiles of one bag modality, patient after patient."""

    def __init__(
        self,
        data: BagData | None,
        scaler: BagScaler,
        patients: Sequence[str],
        budget: int,
    ) -> None:
        self.scaler = scaler
        self.data = data
        has = set(data.patients) if data is not None else set()
        parts = []
        keys = []
        for patient in patients:
            own: IntArray = np.zeros(0, np.int64)
            if data is not None and patient in has:
                own = data.rows(patient)
            parts.append(own)
            digest = hashlib.sha256(f"{scaler.name}/{patient}".encode()).digest()
            keys.append(int.from_bytes(digest[:8], "little"))
        self.offsets = _offsets(np.array(list(map(len, parts)), np.int64))
        self._key = np.array(keys, np.uint64)
        self._stored = np.concatenate(
            [np.zeros(0, np.int64), *parts],
        )  # rows in the store
        self._scaled: torch.Tensor | None = None
        self._matrix: AnyArray | None = None
        if data is not None and len(self._stored):
            self._matrix = data.store.features
        # nothing to scale: a copy would only repeat what the system's page cache holds
        self._budget = budget if scaler.changes and self._matrix is not None else 0
        self._gathered = 0  # tiles gathered so far where all were wanted

    def _hold(self) -> None:
        """Hold scaled float32 if it fits, else the stored precision if that fits."""
        budget, self._budget = self._budget, 0
        assert self._matrix is not None
        tiles, width = len(self._stored), self.scaler.width
        if tiles * width * 4 <= budget:
            scaled = np.empty((tiles, width), np.float32)
            for start in range(0, tiles, BLOCK):
                rows = self._stored[start : start + BLOCK]
                scaled[start : start + BLOCK] = self.scaler.scale(self._matrix[rows])
            self._scaled = torch.from_numpy(scaled)
        elif tiles * self.scaler.dim * self._matrix.dtype.itemsize <= budget:
            self._matrix = self._matrix[self._stored]
            self._stored = np.arange(tiles)

    def gather(
        self,
        index: IntArray,
        max_tiles: int | None,
        seed: int | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scaled tiles of these rows, (tiles, width), and offsets, (rows + 1,)."""
        if self._budget and self.scaler.axes is not None:
            self._hold()  # components are few: turning every tile once is faster than draws anew
        starts = self.offsets[index]
        counts = self.offsets[index + 1] - starts
        if max_tiles is None or seed is None or not (counts > max_tiles).any():
            taken, local = np.asarray(counts), _ranges(counts)
            self._gathered += len(local)
            if self._budget and self._gathered > len(self._stored):
                self._hold()
        else:
            taken, local = _draw(counts, max_tiles, self._key[index], seed)
        tiles = self._take(np.repeat(starts, taken) + local)
        return tiles, torch.from_numpy(_offsets(taken))

    def _take(self, chosen: IntArray) -> torch.Tensor:
        if self._scaled is not None:
            is_all = np.array_equal(chosen, np.arange(len(self._scaled)))
            return self._scaled if is_all else self._scaled[torch.from_numpy(chosen)]
        if self._matrix is None:
            return torch.zeros((0, self.scaler.width), dtype=torch.float32)
        tiles = np.asarray(self._matrix[self._stored[chosen]])
        if self.scaler.changes or tiles.dtype not in (np.float16, np.float32):
            tiles = self.scaler.scale(tiles)
        return torch.from_numpy(tiles)  # networks cast a chunk when they come to it


def _offsets(counts: IntArray) -> IntArray:
    """Where each of several runs of these lengths begins, and the end: (counts + 1,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _ranges(counts: IntArray) -> IntArray:
    """Count 0, 1, ... anew for each entry: (sum of counts,).

    >>> _ranges(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)


def _draw(
    counts: IntArray,
    most: int,
    keys: Words,
    seed: int,
) -> tuple[IntArray, IntArray]:
    """Draw at most `most` tiles per patient without replacement, spread over its tiles.

    A patient's tiles are cut into `most` runs of neighbours that differ by at most
    one in length, rotated by a random offset, and one tile of each run is drawn. With
    the rotation every tile has the same chance, most / count; neighbouring tiles, which
    look alike, seldom come together.
    """
    taken = np.minimum(counts, most)
    part = _ranges(taken)
    count = np.repeat(counts, taken)
    runs = np.repeat(taken, taken)
    low = part * count // runs
    length = (part + 1) * count // runs - low
    key = np.repeat(keys, taken)
    seeds = np.full(len(part), seed % 2**63, np.uint64)
    state = _mix(key ^ _mix(seeds))
    chance = _uniform(_mix(state + (part + 1).astype(np.uint64)))
    turn = _uniform(_mix(state))
    position = low + np.minimum((chance * length).astype(np.int64), length - 1)
    drawn = (position + (turn * count).astype(np.int64)) % np.maximum(count, 1)
    whole = np.repeat(counts <= most, taken)
    return taken, np.where(whole, part, drawn)


def _mix(state: Words) -> Words:
    """Scramble 64-bit numbers (splitmix64, Steele et al. 2014)."""
    mixed = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _uniform(numbers: Words) -> FloatArray:
    """FloatArray in [0, 1) from the upper 53 bits."""
    return (numbers >> np.uint64(11)).astype(np.float64) * 2.0**-53
