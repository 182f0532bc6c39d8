"""Parts of a log-risk that split exactly: products of what is read of several modalities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray
from survfuse.decomposition.readings import Readings, Term, subsets
from survfuse.decomposition.training_reference import Reference

Effects = dict[Term, FloatArray]
"""Value (patients,) of each term of a part."""


class Part(ABC):
    """A summand of a log-risk, a function of the readings of some modalities.

    Its terms under a reference add up to its value: a constant ``()``, a main effect of each
    modality, and an interaction of each set of them, each of which averages to 0 over the
    reference of any of its modalities (functional ANOVA, Hoeffding 1948; Owen 2014,
    10.1137/130936233).
    """

    exact: bool = True
    """Whether terms are computed without sampling."""
    reads_background: bool = True
    """Whether more than the mean of the reference is needed."""

    @property
    @abstractmethod
    def modalities(self) -> Term:
        """Modalities that it reads."""

    @abstractmethod
    def value(self, readings: Readings) -> FloatArray:
        """Value of each patient; (patients,)."""

    @abstractmethod
    def effects(
        self,
        readings: Readings,
        reference: Reference,
    ) -> tuple[Effects, Effects]:
        """Terms of each patient, and their standard errors where they are sampled."""

    @abstractmethod
    def gradient(
        self,
        term: Term,
        modality: str,
        readings: Readings,
        reference: Reference,
    ) -> FloatArray:
        """Gradient of a term by the readings of one of its modalities; (patients, 2 + width).

        Its other modalities are at the patient's own readings.
        """


@dataclass(frozen=True, eq=False)
class Product(Part):
    """``sum_k w_k prod_m (z_m A_m)_k``: linear in the readings of each modality.

    Attributes
    ----------
    sides : mapping of modality to array, (2 + width, products)
        ``A_m``; its first row is what the factor is without the modality, its second what
        presence adds.
    weights : array, (products,)
        ``w``.
    """

    sides: Mapping[str, FloatArray]
    weights: FloatArray
    reads_background = False

    @classmethod
    def without_any(
        cls,
        widths: Mapping[str, int],
        value: float,
    ) -> Product:
        """Give a value to patients without any modality, 0 to all others."""
        sides = {}
        for name, width in widths.items():
            sides[name] = np.zeros((2 + width, 1))
            sides[name][:2, 0] = 1.0, -1.0
        return cls(sides, np.array([value]))

    @property
    def modalities(self) -> Term:
        """Modalities that it reads."""
        return tuple(self.sides)

    def value(self, readings: Readings) -> FloatArray:
        """Value of each patient; (patients,)."""
        total = np.broadcast_to(self.weights, (len(readings), len(self.weights)))
        for name, side in self.sides.items():
            total = total * (readings.values[name] @ side)
        return np.asarray(total.sum(axis=1))

    def effects(
        self,
        readings: Readings,
        reference: Reference,
    ) -> tuple[Effects, Effects]:
        """Terms of each patient: of each factor, its mean or its deviation; nothing is sampled."""
        mean, deviation = self._factors(readings, reference)
        effects: Effects = {}
        for term in subsets(self.modalities):
            total: FloatArray = self.weights[None]
            for name in self.sides:
                total = total * (deviation if name in term else mean)[name]
            effects[term] = np.zeros(len(readings)) + total.sum(axis=1)
        return effects, {}

    def gradient(
        self,
        term: Term,
        modality: str,
        readings: Readings,
        reference: Reference,
    ) -> FloatArray:
        """Gradient of a term by the readings of a modality; one row where it is the same for all.

        Returns
        -------
        array, (patients or 1, 2 + width)
        """
        mean, deviation = self._factors(readings, reference)
        weights = self.weights[None]
        for name in self.sides:
            if name != modality:
                weights = weights * (deviation if name in term else mean)[name]
        return np.asarray(weights @ self.sides[modality].T)

    def _factors(
        self,
        readings: Readings,
        reference: Reference,
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Mean (1, products) and deviation (patients, products) of every factor."""
        mean: dict[str, FloatArray] = {}
        deviation: dict[str, FloatArray] = {}
        for name, side in self.sides.items():
            mean[name] = (reference.mean[name] @ side)[None]
            deviation[name] = (readings.values[name] - reference.mean[name]) @ side
        return mean, deviation
