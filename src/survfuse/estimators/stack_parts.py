"""A stack, and the baselines that are sums of Cox regressions, taken apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from survfuse._types import AnyArray, BoolArray, FloatArray
from survfuse.cohort.transforms import Transforms
from survfuse.decomposition import Part, Product, Readings
from survfuse.estimators.base import Patients
from survfuse.estimators.linear_cox import LinearCox
from survfuse.estimators.model_parts import (
    LinearColumns,
    Members,
    ModelParts,
    Path,
    TileReadings,
    widened,
)
from survfuse.estimators.stack_terms import Terms


@dataclass(frozen=True, eq=False)
class NestedModel:
    """A fitted model that is a term of a stack.

    Attributes
    ----------
    parts : ModelParts
    transforms : Transforms
        Of the modalities that it reads.
    own : tuple of str
        Those of them whose transform is not the stack's.
    weight, centre : float
        Its term is ``weight (log-risk − centre)``, 0 without any of its modalities.
    """

    parts: ModelParts
    transforms: Transforms
    own: tuple[str, ...]
    weight: float
    centre: float

    def terms(self, places: Mapping[str, tuple[int, int]]) -> list[Part]:
        """Its term as parts that read the stack's readings; see `widened` for `places`."""
        scale = self.weight / len(self.parts.members)
        parts = [widened(part, places, scale) for part in self.parts.all_parts()]
        widths = self.parts.widths
        nobody = {n: (np.zeros((1, w)), np.zeros(1, bool)) for n, w in widths.items()}
        alone = float(self.parts.log_risk(Readings.of(nobody))[0]) - self.centre
        parts.append(Product({}, np.array([-self.weight * self.centre])))
        wide = {name: places[name][1] for name in widths}
        parts.append(Product.without_any(wide, -self.weight * alone))
        return parts


@dataclass(frozen=True, eq=False)
class LinearParts(ModelParts):
    """Linear columns of each modality, the columns of nested models beside them, and products.

    Attributes
    ----------
    columns : mapping of modality to LinearColumns
    products : tuple of Part
        Of the columns.
    transforms : Transforms
    nested : tuple of NestedModel
    """

    columns: Mapping[str, LinearColumns]
    products: tuple[Part, ...]
    transforms: Transforms
    nested: tuple[NestedModel, ...] = ()

    @property
    def widths(self) -> dict[str, int]:
        """Numbers read of each modality."""
        widths = {name: len(own.weights) for name, own in self.columns.items()}
        for model in self.nested:
            for name, width in model.parts.widths.items():
                widths[name] += width
        return widths

    @cached_property
    def members(self) -> Members:  # type: ignore[override]
        """All parts: a stack has one member."""
        widths, parts = self.widths, []
        first = {name: len(own.weights) for name, own in self.columns.items()}
        for part in self.products:
            parts.append(widened(part, {n: (0, width) for n, width in widths.items()}))
        for model in self.nested:
            places = {name: (first[name], widths[name]) for name in model.parts.widths}
            parts += model.terms(places)
            for name, width in model.parts.widths.items():
                first[name] += width
        return (tuple(parts),)

    def read(self, source: Patients) -> Readings:
        """Read patients."""
        blocks = source.blocks()
        read = {name: [own.read(blocks[name][0])] for name, own in self.columns.items()}
        for model in self.nested:
            theirs = model.parts.read(source.read_by(model.transforms))
            for name, values in theirs.values.items():
                read[name].append(values[:, 2:])
        joined = {}
        for name, columns in read.items():
            joined[name] = np.concatenate(columns, axis=1), blocks[name][1]
        return Readings.of(joined)

    def encode(
        self,
        modality: str,
        values: FloatArray,
    ) -> FloatArray:
        """Read transformed vectors; columns of models with other transforms are 0."""
        read = np.zeros((len(values), self.widths[modality]))
        own = self.columns[modality].read(values)
        read[:, : own.shape[1]] = own
        for model, place in self._sharing(modality):
            read[:, place] = model.parts.encode(modality, values)
        return read

    def pull_back(
        self,
        modality: str,
        values: FloatArray,
        weights: FloatArray,
    ) -> FloatArray:
        """Gradient by the transformed vector; see the base."""
        gradient = weights @ self._padded(modality)
        for model, place in self._sharing(modality):
            own = model.parts.pull_back(modality, values, weights[:, place])
            gradient = gradient + own
        return np.broadcast_to(gradient, values.shape)

    def pull_back_along(
        self,
        modality: str,
        path: Path,
        weights: FloatArray,
    ) -> FloatArray:
        """Mean slope over the intervals of a path; see the base."""
        slopes = weights.mean(axis=0) @ self._padded(modality)
        for model, place in self._sharing(modality):
            own = weights[:, :, place]
            slopes = slopes + model.parts.pull_back_along(modality, path, own)
        return np.asarray(slopes)

    def _padded(self, modality: str) -> FloatArray:
        """Weights of the linear columns, 0 for those of nested models; (width, features)."""
        own = self.columns[modality].weights
        return np.pad(own, [(0, self.widths[modality] - len(own)), (0, 0)])

    def _sharing(self, modality: str) -> Iterator[tuple[NestedModel, slice]]:
        """Models that read the stack's vector of a modality, and where their numbers are."""
        first = len(self.columns[modality].weights)
        for model in self.nested:
            if modality in model.parts.widths:
                stop = first + model.parts.widths[modality]
                if modality not in model.own:
                    yield model, slice(first, stop)
                first = stop

    def is_linear(self, modality: str) -> bool:
        """Whether every model that reads it does so linearly."""
        nested = [m.parts for m in self.nested if modality in m.parts.widths]
        return all(parts.is_linear(modality) for parts in nested)

    def encoded(self, modality: str) -> BoolArray:
        """Which numbers come from the stack's own vector; see the base."""
        known = np.zeros(self.widths[modality], bool)
        known[: len(self.columns[modality].weights)] = True
        for _, place in self._sharing(modality):
            known[place] = True
        return known

    def read_tiles(
        self,
        modality: str,
        tiles: AnyArray,
    ) -> TileReadings:
        """Read tiles (tiles, features) as they are stored; linear columns are plain means."""
        scaler = self.transforms.bag_scaler[modality]
        values = self.columns[modality].read_scaled(tiles, scaler)
        scores = np.zeros((len(values), 1))
        pooling = np.zeros(values.shape[1], dtype=np.int64)
        parts = [TileReadings(values, scores, pooling)]
        for model in self.nested:
            if modality in model.parts.widths:
                parts.append(model.parts.read_tiles(modality, tiles))
        return TileReadings.side_by_side(parts)


def cox_parts(
    coxes: Mapping[str, LinearCox],
    weights: Mapping[str, float],
    means: Mapping[str, float],
    transforms: Transforms,
) -> LinearParts:
    """Take apart ``sum_m w_m (risk_m − mean_m)``, 0 of those that a patient lacks.

    Parameters
    ----------
    coxes : mapping of modality to LinearCox
        Whose coefficients of that modality are read.
    weights, means : mapping of modality to float
    transforms : Transforms
    """
    columns, products = {}, []
    for name, cox in coxes.items():
        columns[name] = LinearColumns.of([(cox.centre[name], cox.coef[name])])
        side = np.array([[0.0], [-means[name]], [1.0]])
        products.append(Product({name: side}, np.array([weights[name]])))
    return LinearParts(columns, tuple(products), transforms)


def stack_parts(
    terms: Terms,
    weights: Mapping[str, float],
    transforms: Transforms,
    nested: tuple[NestedModel, ...],
) -> LinearParts:
    """Take apart a stack; terms without a weight are left out.

    Parameters
    ----------
    terms : Terms
    weights : mapping of term to float
        Of those terms of modalities and pairs that no nested model takes the place of.
    transforms : Transforms
    nested : tuple of NestedModel
    """
    own: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for name, cox in terms.modalities.items():
        own[name] = [(cox.centre[name], cox.coef[name])]
    chosen: list[tuple[dict[str, range], float]] = []
    for name in terms.modalities:
        if weights.get(name, 0.0):
            chosen.append(({name: range(1)}, weights[name]))
    for (left, right), pair in terms.pairs.items():
        weight = weights[f"{left}*{right}"]
        if not (pair.rank and weight):
            continue
        places = {}
        for name, centre, side in (
            (left, pair.left_centre, pair.left),
            (right, pair.right_centre, pair.right),
        ):
            first = len(own[name])
            own[name] += [(centre, one) for one in side.T]
            places[name] = range(first, first + pair.rank)
        chosen.append((places, weight))
    columns = {name: LinearColumns.of(parts) for name, parts in own.items()}
    products = [_of_columns(columns, *one) for one in chosen]
    return LinearParts(columns, tuple(products), transforms, nested)


def _of_columns(
    columns: Mapping[str, LinearColumns],
    places: Mapping[str, range],
    weight: float,
) -> Product:
    """Products of columns of modalities, one by one, each times a weight."""
    sides = {}
    for name, at in places.items():
        sides[name] = np.eye(2 + len(columns[name].weights))[:, 2:][:, at]
    return Product(sides, np.full(len(at), weight))
