"""Tile features: scaled, and their principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from survfuse._errors import TransformError
from survfuse._storage import stored_array, stored_texts
from survfuse._types import AnyArray, Arrays, Float32Array, FloatArray, State
from survfuse.cohort.modalities import BagData
from survfuse.cohort.principal_components import oriented
from survfuse.cohort.tile_moments import spaced, tile_moments

PATIENTS_AT_ONCE = 64
COMPONENT_TILES = 64  # of each patient, evenly spaced, for the principal components
MPP_TOLERANCE = 0.05  # relative
ARRAYS: Mapping[str, tuple[int | None, ...]] = {"mean": (), "sd": (), "axes": (None,)}
"""Arrays of a scaler, and their shape after the features of a tile."""
FLAT = 1e-6  # of the largest absolute value: a deviation below it is rounding


@dataclass(frozen=True, eq=False)
class BagScaler:
    """Standardise each tile feature, and turn them to their principal components.

    Every training tile weighs the same, but of a patient with more than
    ``MOST_TILES`` (`tile_moments`) tiles only that many, evenly spaced, are read, so that
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
    axes : array, (dim, components) float64, or None
        Turns scaled features into components, which have a mean variance of 1 over
        the training tiles and keep their relative variances; None: features stay.
    """

    name: str
    dim: int
    encoder: str | None
    mpp: float | None
    mean: FloatArray | None
    sd: FloatArray | None
    axes: FloatArray | None = None
    kind: ClassVar[str] = "bag"
    notes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def fit(
        cls,
        data: BagData,
        patients: Sequence[str],
        *,
        scaling: str,
        components: int | None = None,
    ) -> BagScaler:
        """Learn from the tiles of the training patients that have any.

        Parameters
        ----------
        data : BagData
        patients : sequence of str
            Training patients.
        scaling : {"standard", "none"}
        components : int, optional
            Number of principal components; all features where there are no more than that.
        """
        mean = sd = None
        if scaling == "standard":
            mean, sd = _moments(data, sorted(patients))
        mpp = None if data.store.mpp is None else float(data.store.mpp)
        scaler = cls(data.name, data.features, data.store.encoder, mpp, mean, sd)
        if components is None or components >= data.features:
            return scaler
        return replace(scaler, axes=_axes(scaler, data, sorted(patients), components))

    @property
    def width(self) -> int:
        """Features per tile after the transform."""
        return self.dim if self.axes is None else self.axes.shape[1]

    @property
    def changes(self) -> bool:
        """Whether tiles are scaled or turned at all."""
        return self.mean is not None or self.axes is not None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the tile features after the transform."""
        kind = "" if self.axes is None else "pc"
        return tuple(f"{self.name}_{kind}{index}" for index in range(self.width))

    def check(self, data: BagData) -> None:
        """Refuse tiles of another encoder, width or magnification.

        Raises
        ------
        TransformError
            Names what was expected and what came.
        """
        encoder, mpp = data.store.encoder, data.store.mpp
        if data.features != self.dim:
            raise TransformError(
                f"{self.name}: trained on {self.dim} features per tile "
                f"({self.encoder or 'encoder not said'}), this cohort has {data.features} "
                f"({encoder or 'encoder not said'})",
            )
        if self.encoder and encoder and self.encoder != encoder:
            way = f"extract features with {self.encoder!r}"
            if "_without_" in f"{self.encoder} {encoder}":
                way = "name the same columns under `exclude_features` as in training"
            raise TransformError(
                f"{self.name}: trained on tiles of encoder {self.encoder!r}, this cohort has "
                f"{encoder!r}; {way}",
            )
        if self.mpp and mpp and abs(mpp / self.mpp - 1) > MPP_TOLERANCE:
            raise TransformError(
                f"{self.name}: trained on tiles of {self.mpp:g} microns per pixel, this cohort has "
                f"{mpp:g}; extract features at {self.mpp:g}",
            )

    def scale(self, tiles: AnyArray) -> Float32Array:
        """Transform tiles, (tiles, dim), into a new float32 array, (tiles, width)."""
        if tiles.dtype == np.float16:
            scaled = _from_half(tiles)
        else:
            scaled = np.array(tiles, dtype=np.float32)
        if self.mean is not None and self.sd is not None:
            scaled -= self.mean.astype(np.float32)
            scaled *= (1 / self.sd).astype(np.float32)
        return scaled if self.axes is None else scaled @ self.axes.astype(np.float32)

    def scale_exactly(self, tiles: FloatArray) -> FloatArray:
        """Transform tiles, (tiles, dim), in double precision, (tiles, width)."""
        if self.mean is not None and self.sd is not None:
            tiles = (tiles - self.mean) / self.sd
        return tiles if self.axes is None else tiles @ self.axes

    def products(self, tiles: AnyArray, weights: FloatArray) -> FloatArray:
        """Products of scaled tiles with vectors, in double precision.

        The few vectors are turned back to the stored features, instead of scaling many tiles.

        Parameters
        ----------
        tiles : array, (tiles, dim)
            As they are stored.
        weights : array, (vectors, width)

        Returns
        -------
        array, (tiles, vectors)
        """
        own = weights if self.axes is None else weights @ self.axes.T
        if self.mean is None or self.sd is None:
            return np.asarray(as_double(tiles) @ own.T)
        own = own / self.sd
        return np.asarray(as_double(tiles) @ own.T - own @ self.mean)

    def state(self) -> State:
        """Everything learned: JSON and arrays."""
        state, arrays = {}, {}
        for name, value in vars(self).items():
            if name not in ARRAYS:
                state[name] = value
            elif value is not None:
                arrays[name] = value
        return state, arrays

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        arrays: Arrays,
    ) -> BagScaler:
        """Make the scaler again from :meth:`state`.

        Raises
        ------
        InputError
            When an array does not fit the others.
        """
        dim, mpp = state["dim"], state["mpp"]
        is_mpp = mpp is None or (type(mpp) in (int, float) and mpp > 0)
        if type(dim) is not int or not is_mpp:
            raise TransformError(
                f"expected dim, a whole number, and mpp > 0 or null, got {dim!r} and {mpp!r}",
            )
        stored_texts([state["name"], state["encoder"] or ""], "name and encoder")
        if ("mean" in arrays) != ("sd" in arrays):
            raise TransformError("expected both or neither of the arrays mean and sd")
        learned: dict[str, Any] = dict.fromkeys(ARRAYS)
        for name, more in ARRAYS.items():
            if name in arrays:
                learned[name] = stored_array(arrays, name, (dim, *more))
        return cls(**state, **learned)


def as_double(tiles: AnyArray) -> FloatArray:
    """Tiles as float64; those that are so already are not copied."""
    single = _from_half(tiles) if tiles.dtype == np.float16 else tiles
    return np.asarray(single, np.float64)


def _from_half(tiles: AnyArray) -> Float32Array:
    """Tiles of float16 as float32, ten times faster than NumPy."""
    import torch  # not at the top: looking at a cohort needs no torch

    half = torch.from_numpy(np.require(tiles, requirements=["C", "W"]))
    return np.asarray(half.float().numpy())


def _moments(
    data: BagData,
    patients: list[str],
) -> tuple[FloatArray, FloatArray]:
    """Mean and population deviation over tiles (Chan et al. 1979, pairwise update)."""
    count = 0
    mean = np.zeros(data.features)
    squares = np.zeros(data.features)  # sum of squared deviations
    largest = np.zeros(data.features)
    for patient in patients:
        own = tile_moments(data, patient)
        delta = own.mean - mean
        total = count + own.count
        squares += own.squares + delta**2 * (count * own.count / total)
        mean += delta * (own.count / total)
        largest = np.maximum(largest, own.largest)
        count = total
    sd = np.sqrt(squares / max(count, 1))
    return mean, np.where(sd > FLAT * np.maximum(largest, 1e-30), sd, 1.0)


def _axes(
    scaler: BagScaler,
    data: BagData,
    patients: list[str],
    components: int,
) -> FloatArray:
    """Principal axes of training tiles, scaled to a mean variance of 1; (dim, components)."""
    count, total = 0, np.zeros(scaler.dim)
    products = np.zeros((scaler.dim, scaler.dim))
    for start in range(0, len(patients), PATIENTS_AT_ONCE):
        blocks = []
        for patient in patients[start : start + PATIENTS_AT_ONCE]:
            rows = spaced(data.rows(patient), COMPONENT_TILES)
            blocks.append(data.store.features[rows])
        scaled = scaler.scale(np.concatenate(blocks))
        count += len(scaled)
        total += scaled.sum(axis=0, dtype=np.float64)
        products += scaled.T @ scaled
    mean = total / max(count, 1)
    variances, axes = np.linalg.eigh(products / max(count, 1) - np.outer(mean, mean))
    largest = slice(None, -components - 1, -1)
    spread = float(variances[largest].mean())
    scale = np.sqrt(max(spread, float(np.finfo(np.float32).tiny)))
    return np.asarray(oriented(axes[:, largest].T).T / scale, np.float64)
