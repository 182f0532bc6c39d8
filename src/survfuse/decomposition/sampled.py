"""Parts of a log-risk of which only values are known: their terms are averages over draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray, IntArray
from survfuse.decomposition.parts import Effects, Part
from survfuse.decomposition.readings import Readings, Term, differences, subsets
from survfuse.decomposition.training_reference import Reference

DRAWS, SEED = 200, 0
ROWS = 16_384
"""Mixed patients whose value is computed at a time."""
TILES = 2**18
"""Most tiles of mixed patients whose value is computed at a time."""

Function = Callable[[Readings], FloatArray]


@dataclass(frozen=True, eq=False)
class Sampled(Part):
    """Any function of the readings.

    ``v(S)`` is the mean of the function with the modalities in S the patient's and each other one
    that of an own random training patient; the term of S is the alternating sum of ``v`` over
    the subsets of S, so that terms add up exactly whatever is drawn. Every patient has the
    same draws.

    Attributes
    ----------
    names : tuple of str
        Modalities that it reads.
    function : callable
        Readings to values (patients,).
    slope : callable
        Readings and a modality to the gradient (patients, 2 + width) of `function` by its reading.
    widths : mapping of modality to int
        Numbers read of each.
    draws : int
    """

    names: Term
    function: Function
    slope: Callable[[Readings, str], FloatArray]
    widths: Mapping[str, int]
    draws: int = DRAWS
    exact = False

    @property
    def modalities(self) -> Term:
        """Modalities that it reads."""
        return self.names

    def value(self, readings: Readings) -> FloatArray:
        """Value of each patient; (patients,)."""
        size = _at_once(readings)
        values = []
        for start in range(0, len(readings), size):
            rows = np.arange(start, min(start + size, len(readings)))
            values.append(self.function(readings.take(rows)))
        return np.concatenate(values)

    def effects(
        self,
        readings: Readings,
        reference: Reference,
    ) -> tuple[Effects, Effects]:
        """Terms of each patient, and the standard error of each over the draws."""
        drawn = self._drawn(reference)
        values = {}
        for own in subsets(self.names):
            values[own] = self._values(readings, drawn, own)
        effects, errors = {}, {}
        for term, of_draws in differences(values).items():
            effects[term] = of_draws.mean(axis=1)
            errors[term] = of_draws.std(axis=1, ddof=1) / np.sqrt(len(drawn))
        return effects, errors

    def gradient(
        self,
        term: Term,
        modality: str,
        readings: Readings,
        reference: Reference,
    ) -> FloatArray:
        """Gradient of a term by the readings of a modality; (patients, 2 + width)."""
        drawn, others = self._drawn(reference), [n for n in term if n != modality]
        total = np.zeros_like(readings.values[modality])
        for own in subsets(others):
            sign = (-1) ** (len(others) - len(own))
            known = (*own, modality)
            for patients, draws in self._blocks(readings, drawn):
                mixed = readings.take(patients).mixed(drawn.take(draws), known)
                np.add.at(total, patients, sign * self.slope(mixed, modality))
        return total / len(drawn)

    def _drawn(self, reference: Reference) -> Readings:
        """Draws from the product over modalities of the background; (draws,) rows."""
        rng, background = np.random.default_rng(SEED), reference.background
        drawn = background.take(np.zeros(self.draws, dtype=np.int64))
        for name in self.names:
            repeats = -(-self.draws // len(background))
            orders = [rng.permutation(len(background)) for _ in range(repeats)]
            rows = np.concatenate(orders)[: self.draws]
            drawn = background.take(rows).mixed(drawn, (name,))
        return drawn

    def _values(
        self,
        readings: Readings,
        drawn: Readings,
        own: Term,
    ) -> FloatArray:
        """Values with some modalities the patient's; (patients, draws)."""
        if not own:
            return np.broadcast_to(self.value(drawn), (len(readings), len(drawn)))
        if len(own) == len(self.names):
            values = self.value(readings)
            return np.broadcast_to(values[:, None], (len(readings), len(drawn)))
        values = np.empty((len(readings), len(drawn)))
        for patients, draws in self._blocks(readings, drawn):
            mixed = readings.take(patients).mixed(drawn.take(draws), own)
            values[patients, draws] = self.function(mixed)
        return values

    def _blocks(
        self,
        readings: Readings,
        drawn: Readings,
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Every pair of a patient and a draw, fewer at a time where tiles are read."""
        size = min(_at_once(readings), _at_once(drawn))
        draws, pairs = len(drawn), len(readings) * len(drawn)
        for start in range(0, pairs, size):
            block = np.arange(start, min(start + size, pairs))
            yield block // draws, block % draws


def _at_once(readings: Readings) -> int:
    """Patients whose value is computed at a time: fewer where they have many tiles."""
    return max(1, min(ROWS, TILES // max(1, readings.most_tiles)))
