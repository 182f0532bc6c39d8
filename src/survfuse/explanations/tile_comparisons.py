"""How far two models of halves of a cohort draw the same maps of tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray, IntArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_clusters import TileClusters
from survfuse.cohort.transform_bags import BagScaler
from survfuse.config import FitConfig
from survfuse.decomposition.coefficients import Products, compared
from survfuse.explanations.compare_halves import Compared, modalities_of
from survfuse.explanations.explained import Explained
from survfuse.explanations.half_models import Pair
from survfuse.explanations.tile_tables import tile_tables


@dataclass(frozen=True, eq=False)
class CommonClusters:
    """Clusters of the tiles of all patients, whatever half they are in: no outcome is read.

    Attributes
    ----------
    scaler : BagScaler
    clusters : TileClusters
    """

    scaler: BagScaler
    clusters: TileClusters

    @classmethod
    def of(cls, data: BagData, config: FitConfig) -> CommonClusters:
        """Cluster the tiles of everyone who has some."""
        scaler = BagScaler.fit(
            data,
            data.patients,
            scaling=config.inputs.bag_scaling,
            components=config.inputs.bag_components,
        )
        return cls(scaler, TileClusters.fit(data, data.patients, scaler))

    @property
    def count(self) -> int:
        """Clusters."""
        return len(self.clusters.shares)

    def label(self, data: BagData, patient: str) -> IntArray:
        """Cluster of each tile of a patient; (tiles,)."""
        tiles = data.store.features[data.rows(patient)]
        return self.clusters.assign(self.scaler.scale(tiles))


def common_clusters(
    cohort: Cohort,
    config: FitConfig,
) -> dict[str, CommonClusters]:
    """Clusters of the tiles of each bag of a cohort that the configuration reads."""
    by_bag = {}
    for name in config.inputs.modalities or cohort.modalities:
        data = cohort.modalities.get(name)
        if isinstance(data, BagData) and data.patients:
            by_bag[name] = CommonClusters.of(data, config)
    return by_bag


def compare_tiles(
    pair: Pair,
    clusters: Mapping[str, CommonClusters],
) -> Compared:
    """Compare the maps of tiles within each patient, and the mean risk of each cluster of tiles.

    Parameters
    ----------
    pair : Pair
    clusters : mapping of bag to CommonClusters
    """
    for modality in modalities_of(pair, BagData):
        if not pair.first.present(modality).any():
            continue  # nobody is held out who has tiles
        first, second = (_tile_risks(one, modality) for one in pair.both)
        yield ("tiles", modality, ""), _of_maps(first, second)
        data = pair.first.cohort.modalities[modality]
        assert isinstance(data, BagData)
        agreement = _of_clusters(first, second, data, clusters[modality])
        yield ("clusters", modality, ""), agreement


def _tile_risks(explained: Explained, modality: str) -> dict[str, FloatArray]:
    """Risk of each tile of each patient; none where the model does not use the modality."""
    risks: dict[str, FloatArray] = {}
    effect = explained.terms.effects.get((modality,))
    if effect is not None and effect.any():
        for patient, table in tile_tables(explained, modality):
            risks[patient] = table["tile_risk"].to_numpy(float)
    return risks


def _both(
    first: Mapping[str, FloatArray],
    second: Mapping[str, FloatArray],
    patient: str,
) -> FloatArray:
    """Tile risks of a patient by both models, 0 by one that does not use tiles; (2, tiles)."""
    known = first.get(patient, second.get(patient))
    assert known is not None
    zeros = np.zeros(len(known))
    return np.stack([first.get(patient, zeros), second.get(patient, zeros)])


def _of_maps(
    first: Mapping[str, FloatArray],
    second: Mapping[str, FloatArray],
) -> float | None:
    """Correlation over tiles, centred within each patient."""
    products = Products()
    for patient in first or second:
        products += compared(*_both(first, second, patient))
    return products.correlation


def _of_clusters(
    first: Mapping[str, FloatArray],
    second: Mapping[str, FloatArray],
    data: BagData,
    common: CommonClusters,
) -> float | None:
    """Compare the mean risk of each cluster, weighted by its share of the patients' tiles."""
    share, sums = np.zeros(common.count), np.zeros((2, common.count))
    for patient in first or second:
        label = common.label(data, patient)
        risks = _both(first, second, patient)
        share += np.bincount(label, minlength=common.count) / len(label)
        for row, own in enumerate(risks):
            added = np.bincount(label, weights=own, minlength=common.count)
            sums[row] += added / len(label)
    seen = share > 0
    means = sums[:, seen] / share[seen]
    return compared(means[0], means[1], share[seen]).correlation
