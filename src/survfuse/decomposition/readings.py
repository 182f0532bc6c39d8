"""What a model reads of each modality of some patients."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from survfuse._types import AnyArray, BoolArray, FloatArray

Term = tuple[str, ...]
"""Modalities of a term, in the order of the model; none: the constant."""
CONSTANT = "constant"
"""Name of the term of no modality."""


def term_name(term: Term) -> str:
    """Name of a term, as columns and files have it.

    >>> term_name(("slides", "clinical"))
    'slides*clinical'
    """
    return "*".join(term) or CONSTANT


def term_of(name: str) -> Term:
    """Modalities of a term that is called so.

    >>> term_of("slides*clinical"), term_of("constant")
    (('slides', 'clinical'), ())
    """
    return () if name == CONSTANT else tuple(name.split("*"))


@dataclass(frozen=True, eq=False)
class Readings:
    """What a model reads of each modality, one row per patient.

    Attributes
    ----------
    values : mapping of modality to array, (patients, 2 + width)
        1, presence (0 or 1), and presence times what is read.
    tiles : mapping of bag to sequence over patients
        Projected tiles (tiles, width) by each network, of fusions that read them; empty of all
        others.
    """

    values: Mapping[str, FloatArray]
    tiles: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, blocks: Mapping[str, tuple[FloatArray, BoolArray]]) -> Readings:
        """Make readings of values (patients, width) and presence (patients,) of each modality."""
        values = {}
        for name, (read, present) in blocks.items():
            known = np.where(present[:, None], read, 0.0)
            ones = np.ones(len(present))
            values[name] = np.column_stack([ones, present.astype(np.float64), known])
        return cls(values)

    @classmethod
    def joined(cls, blocks: Sequence[Readings]) -> Readings:
        """Readings of several groups of patients, one after another."""
        values, tiles = {}, {}
        for name in blocks[0].values:
            values[name] = np.concatenate([block.values[name] for block in blocks])
        for name in blocks[0].tiles:
            tiles[name] = [own for block in blocks for own in block.tiles[name]]
        return cls(values, tiles)

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def most_tiles(self) -> int:
        """Largest number of tiles that a patient has in a bag; 0 where none are read."""
        most = 0
        for patients in self.tiles.values():
            most = max(most, max(len(own[0]) for own in patients))
        return most

    def take(self, rows: AnyArray) -> Readings:
        """Readings of some rows, in any order, repeats allowed."""
        values = {name: value[rows] for name, value in self.values.items()}
        return Readings(values, {name: _of(t, rows) for name, t in self.tiles.items()})

    def mixed(
        self,
        others: Readings,
        own: Collection[str],
    ) -> Readings:
        """Keep the modalities `own`, and take those of as many other patients for the rest."""
        values, tiles = {}, {}
        for name in self.values:
            source = self if name in own else others
            values[name] = source.values[name]
            if name in self.tiles:
                tiles[name] = source.tiles[name]
        return Readings(values, tiles)

    def replaced(
        self,
        modality: str,
        values: FloatArray,
    ) -> Readings:
        """Other values (patients, 2 + width) of one modality."""
        return Readings({**self.values, modality: values}, self.tiles)


def differences(values: Mapping[Term, FloatArray]) -> dict[Term, FloatArray]:
    """Alternating sums over subsets (Moebius), which add up to the value of the whole set.

    Parameters
    ----------
    values : mapping of term to array
        Of every subset of some modalities.

    Examples
    --------
    >>> sets = {(): 1.0, ("a",): 3.0, ("b",): 4.0, ("a", "b"): 10.0}
    >>> differences(sets)
    {(): 1.0, ('a',): 2.0, ('b',): 3.0, ('a', 'b'): 4.0}
    """
    effects: dict[Term, FloatArray] = {}
    for term in values:
        parts = [(-1) ** (len(term) - len(own)) * values[own] for own in subsets(term)]
        effects[term] = sum(parts[1:], parts[0])
    return effects


def _of(tiles: Sequence[Any], rows: AnyArray) -> list[Any]:
    return [tiles[row] for row in np.arange(len(tiles))[rows].tolist()]


def subsets(names: Sequence[str]) -> Iterator[Term]:
    """All subsets, small ones first, each in the order of `names`.

    >>> list(subsets("ab"))
    [(), ('a',), ('b',), ('a', 'b')]
    """
    for size in range(len(names) + 1):
        yield from itertools.combinations(names, size)
