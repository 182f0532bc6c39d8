"""One vector per patient of a modality, for checks that compare patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from survfuse._types import FloatArray, IntArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData, ExpressionData, ModalityData

MIN_FEATURES = 10  # in fewer dimensions two patients come close by chance
MIN_PATIENTS = 10
TOGETHER = 0.3  # of the typical distance to the nearest other patient
MOST_TILES = 2000  # of a patient; evenly spaced rows stand for a larger bag


@dataclass(frozen=True, eq=False)
class Vectors:
    """Patients of a modality as points.

    Attributes
    ----------
    patients : tuple of str
    values : array, (patients, features)
        Each feature of mean 0 and deviation 1; features without spread are left out.
    """

    patients: tuple[str, ...]
    values: FloatArray

    @classmethod
    def of(
        cls,
        patients: tuple[str, ...],
        raw: FloatArray,
    ) -> Vectors:
        """Standardise; a value that is not known becomes its feature's mean."""
        known = np.isfinite(raw)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, raw, 0.0).sum(axis=0) / count
        centred = np.where(known, raw - mean, 0.0)
        spread = np.sqrt((centred**2).mean(axis=0))
        varies = spread > 1e-9 * np.abs(mean) + 1e-12
        return cls(patients, centred[:, varies] / spread[varies])

    @cached_property
    def together(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Rows of pairs that are much nearer than nearest patients usually are, and how near.

        Distances are in units of that usual distance. None where too few to say what is usual.
        """
        if len(self.patients) < MIN_PATIENTS or self.values.shape[1] < MIN_FEATURES:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        distance = self.distances()
        usual = float(np.median(distance.min(axis=1)))
        relative = (
            distance / usual if usual > 0 else np.where(distance > 0, np.inf, 0.0)
        )
        first, second = np.nonzero(np.triu(relative <= TOGETHER, k=1))
        return first, second, relative[first, second]

    def distances(self) -> FloatArray:
        """Euclidean distance of each pair, (patients, patients); infinite to oneself."""
        square = (self.values**2).sum(axis=1)
        squared = square[:, None] + square[None, :] - 2 * self.values @ self.values.T
        distance = np.sqrt(np.maximum(squared, 0.0))
        np.fill_diagonal(distance, np.inf)
        return np.asarray(distance)


def vectors_of(cohort: Cohort) -> Mapping[str, Vectors]:
    """Vectors of each bag and expression modality of a cohort."""
    vectors = {}
    for name, data in cohort.modalities.items():
        raw = raw_vectors(data) if data.patients else None
        if raw is not None:
            vectors[name] = Vectors.of(data.patients, raw)
    return vectors


def raw_vectors(data: ModalityData) -> FloatArray | None:
    """Mean tiles of a bag modality or expression values, (patients, features); None for tables."""
    if isinstance(data, BagData):
        return np.stack([_mean_tile(data, patient) for patient in data.patients])
    if isinstance(data, ExpressionData):
        return data.log_values()
    return None


def _mean_tile(data: BagData, patient: str) -> FloatArray:
    step = 1 + int(data.store.counts([patient])[0]) // MOST_TILES
    parts = [data.store.features[rows][::step] for rows in data.store.rows(patient)]
    return np.asarray(np.concatenate(parts).mean(axis=0, dtype=np.float64))
