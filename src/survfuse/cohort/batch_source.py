"""Patients as tensors: prepared once, then any rows at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from survfuse._types import Batch, BoolArray, FloatArray, PatientId
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_moments import tile_moments
from survfuse.cohort.transform_bags import BagScaler
from survfuse.cohort.transforms import Transforms

MEMORY_BUDGET = 2 * 2**30  # bytes of tiles of one modality that are held in memory
BLOCK = 65_536  # tiles scaled at a time

Rows = Sequence[int] | npt.NDArray[Any]


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
        self.prepared = transforms.apply(cohort, patients)
        self.patients = self.prepared.patients
        self._vectors = {
            name: torch.from_numpy(v) for name, v in self.prepared.vectors.items()
        }
        self._present = {
            name: torch.from_numpy(has) for name, has in self.prepared.present.items()
        }
        self._time = np.full(len(self.patients), np.nan)
        self._event = np.zeros(len(self.patients), bool)
        if cohort.outcome is not None:
            self._time = (
                cohort.outcome["time"].loc[list(self.patients)].to_numpy(np.float64)
            )
            self._event = (
                cohort.outcome["event"].loc[list(self.patients)].to_numpy(bool)
            )
        self._bags = {
            name: _Tiles(cohort.modalities.get(name), scaler, self.patients, budget)
            for name, scaler in transforms.bag_scaler.items()
        }

    def __len__(self) -> int:
        return len(self.patients)

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
        index = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        if max_tiles is not None and (max_tiles < 1 or seed is None):
            raise ValueError(
                "max_tiles must be >= 1 and needs a seed: draws are never unseeded",
            )
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
            patient_id=tuple(PatientId(self.patients[row]) for row in index),
        )

    def tile_counts(
        self,
        rows: Rows | None = None,
        max_tiles: int | None = None,
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Tiles that a batch of these rows would have of each patient, by bag modality; (rows,)."""
        index = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        counts = {
            name: np.diff(tiles.offsets)[index] for name, tiles in self._bags.items()
        }
        return {
            name: own if max_tiles is None else np.minimum(own, max_tiles)
            for name, own in counts.items()
        }

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
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
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
            raw = [
                tile_moments(tiles.data, patient).mean_of_all
                for patient, has in zip(self.patients, present, strict=True)
                if has
            ]
            means[present] = tiles.scaler.apply_exact(np.stack(raw))
        return means, present


class _Tiles:
    """The tiles of one bag modality, patient after patient."""

    def __init__(
        self,
        data: Any,
        scaler: BagScaler,
        patients: Sequence[str],
        budget: int,
    ) -> None:
        self.scaler = scaler
        self.data = data if isinstance(data, BagData) else None
        parts: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
        counts = np.zeros(len(patients), np.int64)
        has = set(data.patients) if isinstance(data, BagData) else set()
        for row, patient in enumerate(patients):
            if patient in has:
                slices = data.store.rows(patient)
                parts.extend(np.arange(s.start, s.stop) for s in slices)
                counts[row] = sum(s.stop - s.start for s in slices)
        self.offsets = np.concatenate([[0], np.cumsum(counts)])
        self._stored = np.concatenate(parts)  # row in the store of each tile
        self._key = np.array(
            [_hash(f"{scaler.name}/{patient}") for patient in patients],
            np.uint64,
        )
        self._scaled: torch.Tensor | None = None
        self._matrix: npt.NDArray[Any] | None = None
        self._budget = budget
        self._asked = 0  # tiles gathered so far where all were wanted
        if isinstance(data, BagData) and len(self._stored):
            self._matrix = data.store.features

    def _hold(self, features: npt.NDArray[Any]) -> None:
        """Hold scaled float32 when it fits, else the stored precision when that fits, else nothing."""
        budget, self._budget = self._budget, 0
        if self.scaler.mean is None and self.scaler.axes is None:
            return  # nothing to scale: a copy would only repeat what the system's page cache holds
        cells = len(self._stored) * self.scaler.dim
        if len(self._stored) * self.scaler.width * 4 <= budget:
            scaled = np.empty((len(self._stored), self.scaler.width), np.float32)
            for start in range(0, len(scaled), BLOCK):
                scaled[start : start + BLOCK] = self.scaler.apply(
                    features[self._stored[start : start + BLOCK]],
                )
            self._scaled = torch.from_numpy(scaled)
        elif cells * features.dtype.itemsize <= budget:
            self._matrix = features[self._stored]
            self._stored = np.arange(len(self._stored))

    def gather(
        self,
        index: npt.NDArray[np.int64],
        max_tiles: int | None,
        seed: int | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scaled tiles of these rows, (tiles, width), and offsets, (rows + 1,)."""
        if self._budget and self._matrix is not None and self.scaler.axes is not None:
            self._hold(
                self._matrix,
            )  # components are few: turning every tile once beats turning draws anew
        starts = self.offsets[index]
        counts = self.offsets[index + 1] - starts
        if max_tiles is None or seed is None or not (counts > max_tiles).any():
            taken, local = counts, _ranges(counts)
            self._asked += len(local)
            if (
                self._budget
                and self._matrix is not None
                and self._asked > len(self._stored)
            ):
                self._hold(self._matrix)
        else:
            taken, local = _draw(counts, max_tiles, self._key[index], seed)
        chosen = np.repeat(starts, taken) + local
        offsets = torch.from_numpy(
            np.concatenate([[0], np.cumsum(taken)]).astype(np.int64),
        )
        return self._take(chosen), offsets

    def _take(self, chosen: npt.NDArray[np.int64]) -> torch.Tensor:
        if self._scaled is not None:
            if len(chosen) == len(self._scaled) and np.array_equal(
                chosen,
                np.arange(len(chosen)),
            ):
                return self._scaled
            return self._scaled[torch.from_numpy(chosen)]
        if self._matrix is None:
            return torch.zeros((0, self.scaler.width), dtype=torch.float32)
        drawn = np.asarray(self._matrix[self._stored[chosen]])
        if (
            self.scaler.mean is None
            and self.scaler.axes is None
            and drawn.dtype in (np.float16, np.float32)
        ):
            return torch.from_numpy(
                drawn,
            )  # nothing to scale: networks cast a chunk when they come to it
        return torch.from_numpy(self.scaler.apply(drawn))


def _ranges(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count 0, 1, ... anew for each entry: (sum of counts,).

    >>> _ranges(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)


def _draw(
    counts: npt.NDArray[np.int64],
    most: int,
    keys: npt.NDArray[np.uint64],
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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
    chance = _uniform(_mix(_mix(key ^ _mix(seeds)) + (part + 1).astype(np.uint64)))
    turn = _uniform(_mix(_mix(key ^ _mix(seeds))))
    position = low + np.minimum((chance * length).astype(np.int64), length - 1)
    drawn = (position + (turn * count).astype(np.int64)) % np.maximum(count, 1)
    whole = np.repeat(counts <= most, taken)
    return taken, np.where(whole, part, drawn)


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit words (splitmix64, Steele et al. 2014)."""
    word = state + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _uniform(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) from the upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
