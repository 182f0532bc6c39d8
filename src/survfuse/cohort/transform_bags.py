"""Tile features on one scale: mean and deviation of the training tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import TransformError
from survfuse.cohort.modalities import BagData

TILES_PER_PATIENT = 2000
MPP_TOLERANCE = 0.05  # relative
FLAT = 1e-6  # of the largest absolute value: a deviation below it is rounding


@dataclass(frozen=True, eq=False)
class BagScaler:
    """Standardise each tile feature.

    Every training tile weighs the same, but of a patient with more than
    ``TILES_PER_PATIENT`` tiles only that many, evenly spaced, are looked at, so that
    one huge slide does not set the scale. Features without variance keep deviation 1.

    Attributes
    ----------
    name : str
        The modality.
    dim : int
        Features per tile.
    encoder : str or None
    mpp : float or None
        Of the training tiles, microns per pixel.
    mean, sd : array, (dim,) float64, or None
        None: features pass as they are.
    """

    name: str
    dim: int
    encoder: str | None
    mpp: float | None
    mean: npt.NDArray[np.float64] | None
    sd: npt.NDArray[np.float64] | None

    @classmethod
    def fit(cls, data: BagData, patients: Sequence[str], *, scaling: str) -> BagScaler:
        """Learn from the tiles of the training patients that have any."""
        mean = sd = None
        if scaling == "standard":
            mean, sd = _moments(data, sorted(patients))
        mpp = None if data.store.mpp is None else float(data.store.mpp)
        return cls(data.name, data.features, data.store.encoder, mpp, mean, sd)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the tile features."""
        return tuple(f"{self.name}_{index}" for index in range(self.dim))

    def check(self, data: BagData) -> None:
        """Refuse tiles of another encoder, width or magnification.

        Raises
        ------
        TransformError
            Names what was expected and what came.
        """
        if data.features != self.dim:
            raise TransformError(
                f"{self.name}: trained on {self.dim} features per tile "
                f"({self.encoder or 'encoder not said'}), this cohort has {data.features} "
                f"({data.store.encoder or 'encoder not said'})"
            )
        if self.encoder and data.store.encoder and self.encoder != data.store.encoder:
            raise TransformError(
                f"{self.name}: trained on tiles of encoder {self.encoder!r}, this cohort has "
                f"{data.store.encoder!r}; extract features with {self.encoder!r}"
            )
        if self.mpp and data.store.mpp and abs(data.store.mpp / self.mpp - 1) > MPP_TOLERANCE:
            raise TransformError(
                f"{self.name}: trained on tiles of {self.mpp:g} microns per pixel, this cohort has "
                f"{data.store.mpp:g}; extract features at {self.mpp:g}"
            )

    def apply(self, tiles: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Scale tiles, (tiles, dim), into a new float32 array."""
        scaled = np.array(tiles, dtype=np.float32)
        if self.mean is not None and self.sd is not None:
            scaled -= self.mean.astype(np.float32)
            scaled *= (1 / self.sd).astype(np.float32)
        return scaled

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Everything learned: JSON and arrays."""
        about = {"name": self.name, "dim": self.dim, "encoder": self.encoder, "mpp": self.mpp}
        if self.mean is None or self.sd is None:
            return about, {}
        return about, {"mean": self.mean, "sd": self.sd}

    @classmethod
    def from_state(cls, state: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> BagScaler:
        """Make the scaler again from :meth:`state`."""
        return cls(**state, mean=tensors.get("mean"), sd=tensors.get("sd"))


def _moments(data: BagData, patients: list[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and population deviation over tiles, one block at a time (Chan et al. 1979, pairwise update)."""
    count = 0
    mean = np.zeros(data.features)
    squares = np.zeros(data.features)  # sum of squared deviations
    largest = np.zeros(data.features)
    for block in _blocks(data, patients):
        size = len(block)
        block_mean = block.mean(axis=0)
        delta = block_mean - mean
        total = count + size
        squares += ((block - block_mean) ** 2).sum(axis=0) + delta**2 * (count * size / total)
        mean += delta * (size / total)
        largest = np.maximum(largest, np.abs(block).max(axis=0))
        count = total
    sd = np.sqrt(squares / max(count, 1))
    return mean, np.where(sd > FLAT * np.maximum(largest, 1e-30), sd, 1.0)


def _blocks(data: BagData, patients: list[str]) -> Iterator[npt.NDArray[np.float64]]:
    for patient in patients:
        rows = np.concatenate([np.arange(s.start, s.stop) for s in data.store.rows(patient)])
        if len(rows) > TILES_PER_PATIENT:
            rows = rows[np.linspace(0, len(rows) - 1, TILES_PER_PATIENT).round().astype(np.int64)]
        yield np.asarray(data.store.features[rows], np.float64)
