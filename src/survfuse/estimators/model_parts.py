"""A fitted model taken apart: what it reads of each modality, and how it adds that up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from survfuse._types import AnyArray, BoolArray, FloatArray, IntArray
from survfuse.decomposition import (
    Part,
    Product,
    Readings,
    RectifiedSum,
    Sampled,
    Term,
)

if TYPE_CHECKING:
    from survfuse.cohort.transform_bags import BagScaler
    from survfuse.estimators.base import Patients

Members = tuple[tuple[Part, ...], ...]


@dataclass(frozen=True, eq=False)
class TileReadings:
    """What a model reads of each tile: a bag's reading is a weighted mean of them.

    Attributes
    ----------
    values : array, (tiles, width)
    scores : array, (tiles, poolings)
        The weights of a pooling are the softmax of its scores over the patient's tiles.
    pooling : array of int, (width,)
        Pooling of each value.
    """

    values: FloatArray
    scores: FloatArray
    pooling: IntArray

    @classmethod
    def side_by_side(cls, parts: Iterable[TileReadings]) -> TileReadings:
        """Join the readings of the same tiles by several readers."""
        values, scores, pooling, first = [], [], [], 0
        for part in parts:
            values.append(part.values)
            scores.append(part.scores)
            pooling.append(part.pooling + first)
            first += part.scores.shape[1]
        return cls(
            np.concatenate(values, axis=1),
            np.concatenate(scores, axis=1),
            np.concatenate(pooling),
        )


@dataclass(frozen=True, eq=False)
class Path:
    """Straight lines from one transformed vector to those of patients, in equal intervals.

    Attributes
    ----------
    start : array, (features,)
    stop : array, (patients, features)
    intervals : int
    """

    start: FloatArray
    stop: FloatArray
    intervals: int

    @property
    def edges(self) -> FloatArray:
        """Where intervals begin and end, from 0 to 1; (intervals + 1,)."""
        return np.linspace(0.0, 1.0, self.intervals + 1)

    @property
    def middles(self) -> FloatArray:
        """Middle of each interval; (intervals,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def vectors(self, at: float) -> FloatArray:
        """Vectors at a place on the lines; (patients, features)."""
        return np.asarray(self.start + at * (self.stop - self.start))


class ModelParts(ABC):
    """A model that can be explained.

    Attributes
    ----------
    members : tuple of tuple of Part
        The log-risk is the mean over members of the sum of their parts.
    """

    members: Members

    @property
    @abstractmethod
    def widths(self) -> Mapping[str, int]:
        """Numbers read of each modality."""

    def all_parts(self, term: Term = ()) -> list[Part]:
        """Parts of all members that read every modality of a term."""
        parts = [part for own in self.members for part in own]
        return [part for part in parts if set(term) <= set(part.modalities)]

    @property
    def from_background(self) -> bool:
        """Whether any part needs more of the training patients than their mean."""
        return any(part.reads_background for part in self.all_parts())

    @property
    def exact(self) -> bool:
        """Whether all terms are computed without sampling."""
        return all(part.exact for part in self.all_parts())

    def is_product(self, term: Term) -> bool:
        """Whether a term is linear in what is read of each of its modalities."""
        return all(isinstance(part, Product) for part in self.all_parts(term))

    @property
    def needs_tiles(self) -> bool:
        """Whether a part reads single tiles, which no reference in a bundle holds."""
        return False

    @abstractmethod
    def read(self, source: Patients) -> Readings:
        """Read patients."""

    @abstractmethod
    def encode(
        self,
        modality: str,
        values: FloatArray,
    ) -> FloatArray:
        """Read transformed vectors (patients, features) of a modality; (patients, width)."""

    @abstractmethod
    def pull_back(
        self,
        modality: str,
        values: FloatArray,
        weights: FloatArray,
    ) -> FloatArray:
        """Gradient by the transformed vector, of that by what is read of it.

        Parameters
        ----------
        modality : str
        values : array, (patients, features)
        weights : array, (patients or 1, width)

        Returns
        -------
        array, (patients, features)
        """

    @abstractmethod
    def is_linear(self, modality: str) -> bool:
        """Whether what is read of a vector is a linear map of it."""

    def encoded(self, modality: str) -> BoolArray:
        """Which of the numbers read of a vector :meth:`encode` computes; (width,)."""
        return np.ones(self.widths[modality], bool)

    def encode_along(
        self,
        modality: str,
        path: Path,
    ) -> FloatArray:
        """Read the middle of each interval of a path; (intervals, patients, width)."""
        return np.stack(
            [self.encode(modality, path.vectors(at)) for at in path.middles]
        )

    def pull_back_along(
        self,
        modality: str,
        path: Path,
        weights: FloatArray,
    ) -> FloatArray:
        """Mean over the intervals of a path of what `pull_back` gives; (patients, features).

        Parameters
        ----------
        modality : str
        path : Path
        weights : array, (intervals, patients, width)
        """
        total = np.zeros_like(path.stop)
        for at, own in zip(path.middles, weights, strict=True):
            total += self.pull_back(modality, path.vectors(at), own)
        return total / path.intervals

    @abstractmethod
    def read_tiles(
        self,
        modality: str,
        tiles: AnyArray,
    ) -> TileReadings:
        """Read tiles (tiles, features) of a bag as they are stored."""

    def log_risk(self, readings: Readings) -> FloatArray:
        """Log-risk in double precision; (patients,)."""
        total = np.zeros(len(readings))
        for part in self.all_parts():
            total += part.value(readings)
        return total / len(self.members)

    def member_log_risks(self, readings: Readings) -> FloatArray:
        """Log-risk that each member alone gives; (members, patients)."""
        risks = np.zeros((len(self.members), len(readings)))
        for own, member in zip(risks, self.members, strict=True):
            for part in member:
                own += part.value(readings)
        return risks


@dataclass(frozen=True, eq=False)
class LinearColumns:
    """Columns ``(x − c_k) . a_k`` that a model reads of one modality.

    Attributes
    ----------
    centres : array, (columns, features)
    weights : array, (columns, features)
    """

    centres: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, columns: Sequence[tuple[FloatArray, FloatArray]]) -> LinearColumns:
        """Stack columns, given as pairs of a centre and weights, (features,) each."""
        centres, weights = zip(*columns, strict=True)
        return cls(np.stack(centres), np.stack(weights))

    def read(self, values: FloatArray) -> FloatArray:
        """Read vectors (patients, features); (patients, columns)."""
        return np.asarray(values @ self.weights.T - self._constant)

    def read_scaled(self, tiles: AnyArray, scaler: BagScaler) -> FloatArray:
        """Read tiles (tiles, dim) as they are stored, which a scaler scales; (tiles, columns)."""
        return np.asarray(scaler.products(tiles, self.weights) - self._constant)

    @property
    def _constant(self) -> FloatArray:
        return np.asarray(np.einsum("kf,kf->k", self.centres, self.weights))


def widened(
    part: Part,
    places: Mapping[str, tuple[int, int]],
    scale: float = 1.0,
) -> Part:
    """Make a part read some columns of wider readings.

    Parameters
    ----------
    part : Part
    places : mapping of modality to (first column, width)
        Where the columns that the part reads begin, and how many columns there are in all.
    scale : float
        Factor on its value.
    """
    if isinstance(part, Product | RectifiedSum):
        sides = {}
        for name, side in part.sides.items():
            first, width = places[name]
            wide = np.zeros((2 + width, side.shape[1]))
            wide[:2] = side[:2]
            wide[2 + first : first + len(side)] = side[2:]
            sides[name] = wide
        return replace(part, sides=sides, weights=part.weights * scale)
    assert isinstance(part, Sampled)
    widths = {name: part.widths[name] for name in part.names}

    def narrow(readings: Readings) -> Readings:
        values = {}
        for name, width in widths.items():
            first, value = places[name][0], readings.values[name]
            own = value[:, 2 + first : 2 + first + width]
            values[name] = np.concatenate([value[:, :2], own], axis=1)
        return Readings(values, readings.tiles)

    def slope(readings: Readings, name: str) -> FloatArray:
        first, width = places[name]
        wide = np.zeros((len(readings), 2 + width))
        own = part.slope(narrow(readings), name)
        wide[:, 2 + first : 2 + first + widths[name]] = scale * own[:, 2:]
        return wide

    return replace(
        part,
        function=lambda readings: scale * part.function(narrow(readings)),
        slope=slope,
        widths={name: places[name][1] for name in part.names},
    )
