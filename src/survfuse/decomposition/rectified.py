"""A layer of rectified sums over modalities, split exactly over the training patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray
from survfuse.decomposition.parts import Effects, Part
from survfuse.decomposition.readings import Readings, Term, differences, subsets
from survfuse.decomposition.training_reference import Reference

MOST_MODALITIES = 3
"""The sums of two modalities of 500 patients are 250,000 a unit; those of three do not fit."""


@dataclass(frozen=True, eq=False)
class RectifiedSum(Part):
    """``sum_j w_j max(0, sum_m (z_m A_m)_j)`` of at most three modalities.

    The mean over other modalities of ``max(0, x + s)`` needs the distribution of their sum ``s``
    over all combinations of reference patients: it is sorted once, and each mean is then one
    look-up in its running sums.

    Attributes
    ----------
    sides : mapping of modality to array, (2 + width, units)
        ``A_m``.
    weights : array, (units,)
        ``w``.
    """

    sides: Mapping[str, FloatArray]
    weights: FloatArray

    @property
    def modalities(self) -> Term:
        """Modalities that it reads."""
        return tuple(self.sides)

    def value(self, readings: Readings) -> FloatArray:
        """Value of each patient; (patients,)."""
        total = np.sum([readings.values[n] @ a for n, a in self.sides.items()], axis=0)
        return np.asarray(np.maximum(total, 0.0) @ self.weights)

    def effects(
        self,
        readings: Readings,
        reference: Reference,
    ) -> tuple[Effects, Effects]:
        """Terms of each patient; nothing is sampled."""
        background = reference.background
        first = self.modalities[0]
        constant = self._mean(background, background, (first,)).mean()
        means: Effects = {(): np.full(len(readings), constant)}
        for own in subsets(self.modalities):
            if own:
                means[own] = self._mean(readings, background, own)
        return differences(means), {}

    def gradient(
        self,
        term: Term,
        modality: str,
        readings: Readings,
        reference: Reference,
    ) -> FloatArray:
        """Gradient of a term by the readings of a modality; (patients, 2 + width)."""
        others = [name for name in term if name != modality]
        chance = np.zeros((len(readings), len(self.weights)))
        for own in subsets(others):
            sign = (-1) ** (len(others) - len(own))
            known = (*own, modality)
            chance += sign * self._share_active(readings, reference.background, known)
        return np.asarray((chance * self.weights) @ self.sides[modality].T)

    def _mean(
        self,
        readings: Readings,
        background: Readings,
        own: Term,
    ) -> FloatArray:
        """Mean with some modalities the patient's, the rest of the background; (patients,)."""
        total = np.zeros(len(readings))
        for unit, weight in enumerate(self.weights):
            here = self._sum(readings, own, unit)
            sums = self._sums(background, own, unit)
            if len(sums) == 1:
                total += weight * np.maximum(here + sums[0], 0.0)
                continue
            first = np.searchsorted(sums, -here)  # from it on the unit is above 0
            rest = np.append(np.cumsum(sums[::-1])[::-1], 0.0)[first]
            total += weight * (rest + (len(sums) - first) * here) / len(sums)
        return total

    def _share_active(
        self,
        readings: Readings,
        background: Readings,
        own: Term,
    ) -> FloatArray:
        """Share of the background in which each unit is above 0; (patients, units)."""
        shares = np.empty((len(readings), len(self.weights)))
        for unit in range(len(self.weights)):
            here = self._sum(readings, own, unit)
            sums = self._sums(background, own, unit)
            above = len(sums) - np.searchsorted(sums, -here, side="right")
            shares[:, unit] = above / len(sums)
        return shares

    def _sum(
        self,
        readings: Readings,
        names: Term,
        unit: int,
    ) -> FloatArray:
        parts = [readings.values[name] @ self.sides[name][:, unit] for name in names]
        return np.asarray(np.sum(parts, axis=0))

    def _sums(
        self,
        background: Readings,
        own: Term,
        unit: int,
    ) -> FloatArray:
        """All sums of the other modalities over combinations of patients, rising."""
        sums = np.zeros(1)
        for name in self.modalities:
            if name not in own:
                other = background.values[name] @ self.sides[name][:, unit]
                sums = np.add.outer(sums, other).ravel()
        return np.sort(sums)
