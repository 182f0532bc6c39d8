"""A term of a log-risk as a function of the tiles of a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._types import AnyArray, FloatArray
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_clusters import TileClusters
from survfuse.cohort.transform_bags import as_double
from survfuse.decomposition import Readings, Term
from survfuse.decomposition.readings import term_name, term_of
from survfuse.explanations.explained import Explained
from survfuse.explanations.tile_sums import TileSums

TILES_AT_ONCE = 16_384
"""Tiles that are read at a time; bounds memory, not the result."""
MOST_REMOVED = 2_000
"""Tiles of a patient up to which terms that are not linear in a bag are computed without each."""
POINTS, POINTS_WITH_TILES = 16, 4
"""Points of the path along which the gradient of such terms is averaged; where a fusion reads
single tiles every point takes long."""
NOT_REMOVED = (
    "removal: not computed: the term is not linear in what is read of the bag, so that it must be "
    "computed anew without each tile; `tiles(patient)` does so for up to "
    f"{MOST_REMOVED:,} tiles"
)
NEVER_REMOVED = (
    "removal: not computed: the fusion reads single tiles, so that the term must be computed anew "
    "without each tile, which takes long"
)
READS_TILES = (
    "the fusion also reads single tiles; what that adds counts with the presence, not "
    "with tiles"
)


@dataclass(frozen=True, eq=False)
class BagTerm:
    """A main effect of a bag, or an interaction with the partners at the patient's own values.

    Of a patient who has the bag, a term is what a bag with the mean reading of the training
    patients would give (the presence), and the integral of its gradient from there to the
    patient's reading, which splits over tiles, for a reading is a weighted mean of tiles. Where
    the term is linear in the reading, the gradient is the same everywhere, and all is exact;
    elsewhere it is averaged over points of Gauss and Legendre, and a remainder is left.

    Attributes
    ----------
    explained : Explained
    modality : str
        The bag.
    term : tuple of str
        In the order of the model.
    """

    explained: Explained
    modality: str
    term: Term

    @classmethod
    def of(
        cls,
        explained: Explained,
        modality: str | None = None,
        term: str | None = None,
    ) -> Self:
        """Find a bag and a term of it; the same object each time.

        Parameters
        ----------
        explained : Explained
        modality : str, optional
            The only bag of the model, or of `term`, where not given.
        term : str, optional
            As columns of terms are called, in any order; the bag's main effect where not given.

        Raises
        ------
        InputError
            When there is no such bag or term, or several; when the model leaves it out.
        """
        if not isinstance(term, str | None):
            raise InputError(f"term: expected the name of a term, got {term!r}")
        own = None if term is None else term_of(term)
        name = bag_name(explained, modality, own)
        wanted = (name,) if own is None else own
        unknown = [one for one in wanted if one not in explained.modalities]
        if unknown or name not in wanted or len(set(wanted)) < len(wanted):
            raise InputError(
                f"term: expected {name!r} and other modalities of the model "
                f"({listed(explained.modalities)}) joined by '*', got {term!r}",
            )
        ordered = tuple(one for one in explained.modalities if one in wanted)
        if ordered not in explained.terms.effects:
            raise InputError(_why_no_term(explained, name, ordered))
        one: Self = explained.computed.setdefault(
            (cls, name, ordered),
            cls(explained, name, ordered),
        )
        return one

    @property
    def name(self) -> str:
        """Name of the term."""
        return term_name(self.term)

    @property
    def data(self) -> BagData | None:
        """Tiles of the patients; None where the cohort has none."""
        data = self.explained.cohort.modalities.get(self.modality)
        return data if isinstance(data, BagData) else None

    @property
    def clusters(self) -> TileClusters | None:
        """Clusters of the training tiles; None where the model does not hold them."""
        return self.explained.fitted.clusters.get(self.modality)

    @cached_property
    def is_linear(self) -> bool:
        """Whether the term is linear in what is read of the bag."""
        return self.explained.parts.is_product(self.term)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not attributed to tiles."""
        return (READS_TILES,) if self.explained.parts.needs_tiles else ()

    @property
    def not_removed(self) -> str:
        """Why the term is not computed without each tile, where it is not."""
        return NEVER_REMOVED if self.explained.parts.needs_tiles else NOT_REMOVED

    @cached_property
    def centre(self) -> FloatArray:
        """Mean of what is read of the training patients who have the bag; (width,)."""
        return self.explained.reference.average(self.modality)

    @cached_property
    def presence(self) -> FloatArray:
        """The term of each patient had the bag the mean reading, or itself without; (patients,)."""
        own = self.explained.readings.values[self.modality]
        average = np.concatenate([[1.0, 1.0], self.centre])
        values = np.where(own[:, 1:2] > 0, average, own)
        return self._values(self.explained.readings, values)

    def sums(self, patient: str, *, removal: bool = True) -> TileSums:
        """Read the tiles of a patient.

        Parameters
        ----------
        patient : str
        removal : bool
            Compute the term without each tile also where that takes an evaluation a tile.
        """
        row = self.explained.row(patient)
        weights = self._weights(row)
        scores, risks, clusters = [], [], []
        for raw in self._tiles(row):
            tiles = self.explained.parts.read_tiles(self.modality, raw)
            by_pooling = np.zeros((len(weights), tiles.scores.shape[1]))
            by_pooling[np.arange(len(weights)), tiles.pooling] = weights
            risks.append(tiles.values @ by_pooling - self.centre @ by_pooling)
            scores.append(tiles.scores)
            if self.clusters is not None:
                scaler = self.explained.fitted.transforms.bag_scaler[self.modality]
                clusters.append(self.clusters.assign_stored(raw, scaler))
        value = float(self.explained.terms.effects[self.term][row])
        if not risks:
            return TileSums.none(value)
        used = np.flatnonzero(by_pooling.any(axis=0))
        if not len(used):
            used = np.arange(by_pooling.shape[1])
        sums = TileSums(
            np.concatenate(risks)[:, used],
            np.concatenate(scores)[:, used],
            np.concatenate(clusters) if clusters else None,
            value,
            float(self.presence[row]),
            self.is_linear,
        )
        return sums.with_removal(self._removal(row, sums, removal))

    def _tiles(self, row: int) -> Iterator[AnyArray]:
        """Tiles of a patient as they are stored, in double precision, some at a time."""
        data, patient = self.data, self.explained.ids[row]
        if data is None or not self.explained.present(self.modality)[row]:
            return
        rows = data.rows(patient)
        for start in range(0, len(rows), TILES_AT_ONCE):
            yield as_double(data.store.features[rows[start : start + TILES_AT_ONCE]])

    def _weights(self, row: int) -> FloatArray:
        """Gradient of the term by what is read of a patient; (width,)."""
        if self.is_linear:
            return np.asarray(self._gradients[row, 2:])
        own = self.explained.readings.values[self.modality][row]
        reads_tiles = self.explained.parts.needs_tiles
        number = POINTS_WITH_TILES if reads_tiles else POINTS
        points, shares = np.polynomial.legendre.leggauss(number)
        along = (points[:, None] + 1) / 2
        values = np.ones((number, len(own)))
        values[:, 2:] = self.centre + along * (own[2:] - self.centre)
        here = self._repeated(row, number).replaced(self.modality, values)
        gradients = self.explained.gradient(self.modality, self.term, here)
        return np.asarray(shares @ gradients[:, 2:] / 2)

    @cached_property
    def _gradients(self) -> FloatArray:
        return self.explained.gradient(self.modality, self.term)

    def _removal(
        self,
        row: int,
        sums: TileSums,
        wanted: bool,
    ) -> FloatArray | None:
        """Change of the term without each tile; None where it is not computed; (tiles,)."""
        tiles = len(sums)
        if tiles == 1:
            absent = np.zeros((1, 2 + len(self.centre)))
            absent[:, 0] = 1.0
            return self._values(self._repeated(row, 1), absent) - sums.value
        if self.is_linear:
            return sums.removed_linearly()
        reads_tiles = self.explained.parts.needs_tiles
        if not wanted or reads_tiles or tiles > MOST_REMOVED:
            return None
        (raw,) = self._tiles(row)
        read = self.explained.parts.read_tiles(self.modality, raw)
        without = TileSums.pooled_without(read.values, read.scores[:, read.pooling])
        values = np.column_stack([np.ones((tiles, 2)), without])
        return self._values(self._repeated(row, tiles), values) - sums.value

    def _repeated(self, row: int, times: int) -> Readings:
        return self.explained.readings.take(np.full(times, row))

    def _values(self, readings: Readings, values: FloatArray) -> FloatArray:
        """The term at other values of the bag; (patients,)."""
        here = readings.replaced(self.modality, values)
        return self.explained.term_at(self.term, here)


def bags(explained: Explained) -> tuple[str, ...]:
    """Bags that the model reads."""
    scalers = explained.fitted.transforms.bag_scaler
    return tuple(name for name in explained.modalities if name in scalers)


def bag_name(
    explained: Explained,
    modality: str | None,
    term: Term | None = None,
) -> str:
    """The bag that is meant: the one named, or the only one of the model or a term.

    Raises
    ------
    InputError
        When there is none, or several.
    """
    known = bags(explained)
    if not known:
        raise InputError(
            "the model reads no tiles: its modalities are "
            f"{listed(explained.modalities)}, none of which is a bag",
        )
    if modality is not None:
        if modality not in known:
            raise InputError(
                f"modality: expected a bag of the model ({listed(known)}), got {modality!r}",
            )
        return modality
    meant = known if term is None else [name for name in known if name in term]
    if len(meant) != 1:
        what = "the model" if term is None else f"the term {term_name(term)!r}"
        raise InputError(
            f"{what} reads {len(meant)} bags: give one as modality ({listed(known)})"
            if meant
            else f"{what} reads no bag; bags of the model: {listed(known)}",
        )
    return meant[0]


def _why_no_term(
    explained: Explained,
    modality: str,
    term: Term,
) -> str:
    """Say that a term is no part of the model, why, and what may be asked for instead."""
    summary = explained.fitted.summary.get("anchored", {})
    reason = summary.get("notes", {}).get(term_name(term), "")
    others = [term_name(t) for t in explained.terms.effects if modality in t]
    text = f"{term_name(term)}: not part of this model's predictions"
    text += f" ({reason})" if reason else ""
    if others:
        text += f"; tiles count in {listed(others)}: give one as term"
    return f"{text}; what a left-out modality would say by itself is in `Explanation.alone`"
