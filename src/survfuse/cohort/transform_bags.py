"""Tile features on one scale, and fewer of them: moments and principal components of the training tiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import TransformError
from survfuse._storage import stored_array, stored_texts
from survfuse.cohort.modalities import BagData
from survfuse.cohort.principal_components import oriented
from survfuse.cohort.tile_moments import tile_moments

PATIENTS_AT_ONCE = 64
COMPONENT_TILES = 64  # of each patient, evenly spaced, for the principal components
MPP_TOLERANCE = 0.05  # relative
FLAT = 1e-6  # of the largest absolute value: a deviation below it is rounding


@dataclass(frozen=True, eq=False)
class BagScaler:
    """Standardise each tile feature, and turn them to their principal components.

    Every training tile weighs the same, but of a patient with more than
    ``MOST_TILES`` (`tile_moments`) tiles only that many, evenly spaced, are looked at, so that
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
    mean: npt.NDArray[np.float64] | None
    sd: npt.NDArray[np.float64] | None
    axes: npt.NDArray[np.float64] | None = None

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
            Principal components kept; all features where there are no more than that.
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
        if data.features != self.dim:
            raise TransformError(
                f"{self.name}: trained on {self.dim} features per tile "
                f"({self.encoder or 'encoder not said'}), this cohort has {data.features} "
                f"({data.store.encoder or 'encoder not said'})",
            )
        if self.encoder and data.store.encoder and self.encoder != data.store.encoder:
            way = f"extract features with {self.encoder!r}"
            if "_without_" in f"{self.encoder} {data.store.encoder}":
                way = "name the same columns under `exclude_features` as in training"
            raise TransformError(
                f"{self.name}: trained on tiles of encoder {self.encoder!r}, this cohort has "
                f"{data.store.encoder!r}; {way}",
            )
        if (
            self.mpp
            and data.store.mpp
            and abs(data.store.mpp / self.mpp - 1) > MPP_TOLERANCE
        ):
            raise TransformError(
                f"{self.name}: trained on tiles of {self.mpp:g} microns per pixel, this cohort has "
                f"{data.store.mpp:g}; extract features at {self.mpp:g}",
            )

    def apply(self, tiles: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Transform tiles, (tiles, dim), into a new float32 array, (tiles, width)."""
        scaled = _as_float32(tiles)
        if self.mean is not None and self.sd is not None:
            scaled -= self.mean.astype(np.float32)
            scaled *= (1 / self.sd).astype(np.float32)
        return scaled if self.axes is None else scaled @ self.axes.astype(np.float32)

    def apply_exact(self, tiles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Transform tiles, (tiles, dim), in double precision, (tiles, width)."""
        scaled = (
            tiles
            if self.mean is None or self.sd is None
            else (tiles - self.mean) / self.sd
        )
        return scaled if self.axes is None else scaled @ self.axes

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Everything learned: JSON and arrays."""
        about = {
            "name": self.name,
            "dim": self.dim,
            "encoder": self.encoder,
            "mpp": self.mpp,
        }
        arrays = {"mean": self.mean, "sd": self.sd, "axes": self.axes}
        return about, {
            name: array for name, array in arrays.items() if array is not None
        }

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        tensors: dict[str, npt.NDArray[Any]],
    ) -> BagScaler:
        """Make the scaler again from :meth:`state`.

        Raises
        ------
        InputError
            When an array does not fit the others.
        """
        dim, mpp = state["dim"], state["mpp"]
        if type(dim) is not int or (
            mpp is not None and not (type(mpp) in (int, float) and mpp > 0)
        ):
            raise TransformError(
                f"expected dim, a whole number, and mpp > 0 or null, got {dim!r} and {mpp!r}",
            )
        stored_texts([state["name"], state["encoder"] or ""], "name and encoder")
        shapes: dict[str, tuple[int | None, ...]] = {
            "mean": (dim,),
            "sd": (dim,),
            "axes": (dim, None),
        }
        arrays: dict[str, Any] = dict.fromkeys(shapes)
        for name in [name for name in shapes if name in tensors]:
            arrays[name] = stored_array(tensors, name, shapes[name])
        if (arrays["mean"] is None) != (arrays["sd"] is None):
            raise TransformError("expected both or neither of the arrays mean and sd")
        return cls(**state, **arrays)


def _moments(
    data: BagData,
    patients: list[str],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and population deviation over tiles, patient by patient (Chan et al. 1979, pairwise update)."""
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


def _as_float32(tiles: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Copy as float32; torch widens half precision ten times faster than NumPy."""
    if tiles.dtype != np.float16:
        return np.array(tiles, dtype=np.float32)
    import torch  # not at the top: looking at a cohort needs no torch

    wide: npt.NDArray[np.float32] = (
        torch.from_numpy(np.ascontiguousarray(tiles)).float().numpy()
    )
    return wide


def _axes(
    scaler: BagScaler,
    data: BagData,
    patients: list[str],
    components: int,
) -> npt.NDArray[np.float64]:
    """Principal axes of scaled training tiles, scaled to a mean variance of 1; (dim, components)."""
    count, total = 0, np.zeros(scaler.dim)
    products = np.zeros((scaler.dim, scaler.dim))
    blocks = _blocks(data, patients, COMPONENT_TILES)
    while several := list(itertools.islice(blocks, PATIENTS_AT_ONCE)):
        scaled = scaler.apply(np.concatenate(several))
        count += len(scaled)
        total += scaled.sum(axis=0, dtype=np.float64)
        products += scaled.T @ scaled
    mean = total / max(count, 1)
    variances, axes = np.linalg.eigh(products / max(count, 1) - np.outer(mean, mean))
    kept, spread = (
        axes[:, ::-1][:, :components],
        float(variances[::-1][:components].mean()),
    )
    scale = np.sqrt(max(spread, float(np.finfo(np.float32).tiny)))
    return np.asarray(oriented(kept.T).T / scale, np.float64)


def _blocks(
    data: BagData,
    patients: list[str],
    most: int,
) -> Iterator[npt.NDArray[Any]]:
    """Tiles of each patient, at most `most`, evenly spaced."""
    for patient in patients:
        rows = np.concatenate(
            [np.arange(s.start, s.stop) for s in data.store.rows(patient)],
        )
        if len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
        yield data.store.features[rows]
