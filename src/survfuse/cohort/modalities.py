"""The modalities of a cohort: tables, expression, bags and priors, each by patient."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse._storage import sha256_text, to_json
from survfuse._types import Float32Array, FloatArray, IntArray
from survfuse.cohort.members import among, without
from survfuse.cohort.outliers import copy_number_columns
from survfuse.cohort.spec import ColumnSpec
from survfuse.readers.bags import BagStore
from survfuse.readers.cell_text import is_number, whole, whole_cells
from survfuse.readers.expression import Expression
from survfuse.readers.genes import match_genes
from survfuse.readers.priors import Prior, barcode_hashes
from survfuse.readers.units import log_scale


class Computed(dict[Any, Any]):
    """Results that are computed once; the copy in another process starts empty."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Computed, ()


class Modality:
    """Base of the modalities: data that transforms are fitted on."""

    @cached_property
    def fits(self) -> Computed:
        """What is computed from these data once: fitted transforms, images of slides."""
        return Computed()


@dataclass(frozen=True)
class TableData(Modality):
    """A vector modality read from a table.

    Attributes
    ----------
    name : str
    frame : DataFrame of str, (patients, columns)
        Cells as they stand in the file, stripped, indexed by patient id.
    columns : mapping of column name to ColumnSpec
        What each column of `frame` means, in the declared order.
    missing : tuple of str
        Cells that mean "not known".
    kind : "clinical" or "table"
    ignored : tuple of str
        Columns of the file that were not declared.
    blank : tuple of str
        Patients whose cells are all "not known": they count as without this modality.
    inferred : str
        Columns whose kind was inferred from a DataFrame, by kind; empty where all were declared.
    """

    name: str
    frame: pd.DataFrame
    columns: Mapping[str, ColumnSpec]
    missing: tuple[str, ...]
    kind: Literal["clinical", "table"] = "table"
    ignored: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    inferred: str = ""

    @property
    def patients(self) -> tuple[str, ...]:
        """Patients that have at least one known value."""
        return tuple(self.frame.index)

    @property
    def features(self) -> int:
        """Columns that may be used."""
        return len(self.inputs())

    def inputs(self, known: str | None = None) -> list[str]:
        """Columns that may be used; only those known at "baseline" or "followup" where given."""
        names = []
        for name, column in self.columns.items():
            if column.use and known in (None, column.known):
                names.append(name)
        return names

    def subset(self, ids: Iterable[str]) -> TableData:
        """Keep only these patients."""
        chosen = set(ids)
        frame = self.frame[self.frame.index.isin(chosen)]
        return replace(
            self,
            frame=frame,
            blank=tuple(among(self.blank, chosen)),
        )

    def without_blank_rows(self) -> TableData:
        """Leave out rows without any known value: who has none counts as without this modality."""
        known = np.zeros(len(self.frame), bool)
        for column in self.columns:
            if known.all():
                break
            known |= self.texts(column).notna().to_numpy(bool)
        blank = tuple(map(str, self.frame.index[~known]))
        return replace(
            self,
            frame=self.frame[known],
            blank=(*self.blank, *blank),
        )

    def texts(
        self,
        column: str,
        ids: Sequence[str] | None = None,
    ) -> pd.Series[str]:
        """Cells of a column, with None where the value is not known; a category ``1.0`` is ``1``.

        Parameters
        ----------
        column : str
        ids : sequence of str, optional
            Patients, all of whom have a row; all of the table's where not given.
        """
        if column not in self._texts:
            self._texts[column] = self._read_texts(column)
        cells: pd.Series[str] = self._texts[column]
        return cells.copy() if ids is None else cells.loc[list(ids)]

    def _read_texts(self, column: str) -> pd.Series[str]:
        cells, spec = self.frame[column], self.columns[column]
        missing = set(map(whole, (*self.missing, *spec.missing)))
        plain = cells
        if spec.kind != "numeric" or any(map(is_number, missing)):
            plain = whole_cells(cells)
        read = plain if spec.kind == "nominal" else cells
        texts = [
            None if one in missing else text
            for one, text in zip(plain, read, strict=True)
        ]
        return pd.Series(texts, cells.index, dtype=object)

    def numbers(
        self,
        column: str,
        ids: Sequence[str] | None = None,
    ) -> FloatArray:
        """FloatArray of a column, level indices of an ordinal one; NaN where not known."""
        if column not in self._numbers:
            self._numbers[column] = self._read_numbers(column).to_numpy(np.float64)
        values: FloatArray = self._numbers[column]
        return values.copy() if ids is None else values[self._places_of(ids)]

    def _places_of(self, ids: Sequence[str]) -> IntArray:
        """Rows of patients; those of the last ones are kept, as every column is read for them."""
        key = tuple(ids)
        last, places = self._last_places.get("last", ((), np.zeros(0, np.int64)))
        if last != key:
            places = self.frame.index.get_indexer(pd.Index(key, dtype=object))
            if (places < 0).any():
                raise KeyError(*without(key, self.patients)[:1])
            self._last_places["last"] = key, places
        return np.asarray(places)

    def _read_numbers(self, column: str) -> pd.Series[float]:
        cells, levels = self.texts(column), self.columns[column].levels
        if levels is not None:
            index = {whole(level): index for index, level in enumerate(levels)}
            cells = whole_cells(cells).map(index)
        values = pd.to_numeric(cells, errors="coerce")
        return pd.Series(values.to_numpy(np.float64, na_value=np.nan), cells.index)

    def copy_numbers(self, ids: Sequence[str] | None = None) -> frozenset[str]:
        """Names of numeric columns that hold copy numbers from -2 to 2; none of clinical ones."""
        columns: dict[str, FloatArray] = {}
        for name, spec in self.columns.items():
            if spec.kind == "numeric" and self.kind != "clinical":
                columns[name] = self.numbers(name, ids)
        return copy_number_columns(columns)

    @cached_property
    def _texts(self) -> Computed:
        """Columns as they were once read: every fit and every prediction reads them."""
        return Computed()

    @cached_property
    def _numbers(self) -> Computed:
        """Columns of numbers and levels as they were once read."""
        return Computed()

    @cached_property
    def _last_places(self) -> Computed:
        """Rows of the patients who were last read."""
        return Computed()

    def missing_share(self) -> float:
        """Share of cells of used columns that are not known."""
        shares = [self.texts(name).isna().mean() for name in self.inputs()]
        return float(np.mean(shares)) if shares and len(self.frame) else 0.0

    def note(self) -> str:
        """What the summary says besides numbers."""
        parts = []
        if self.blank:
            parts.append(f"{len(self.blank)} row(s) without any value count as absent")
        if self.ignored:
            parts.append(f"undeclared columns ignored: {listed(self.ignored)}")
        if self.inferred:
            parts.append(f"kinds inferred: {self.inferred}")
        return "; ".join(parts)

    def fingerprint(self) -> str:
        """Hash of ids, columns, their meaning and cells; row order does not matter."""
        frame = self.frame.sort_index()
        meaning, cells = {}, {}
        for name, column in self.columns.items():
            meaning[name] = column.model_dump(
                mode="json",
                exclude={"role", "label", "labels"},
            )
            cells[name] = frame[name].tolist()
        content = [frame.index.tolist(), meaning, cells, self.missing]
        return sha256_text(to_json(content))

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hash of each patient's cells."""
        rows = self.frame[list(self.columns)].to_numpy(object).tolist()
        hashes = map(sha256_text, map(to_json, rows))
        return dict(zip(map(str, self.frame.index), hashes, strict=True))


@dataclass(frozen=True)
class ExpressionData(Modality):
    """A gene-expression modality.

    Attributes
    ----------
    name : str
    expression : Expression
        The whole matrix as read; patients outside `patients` are not used.
    patients : tuple of str
        Patients of the cohort with at least one measured gene.
    """

    name: str
    expression: Expression
    patients: tuple[str, ...]
    kind: Literal["expression"] = "expression"

    @property
    def features(self) -> int:
        """Genes."""
        return len(self.expression.genes)

    def subset(self, ids: Iterable[str]) -> Self:
        """Keep only these patients."""
        return replace(self, patients=tuple(among(self.patients, ids)))

    @cached_property
    def _rows(self) -> pd.Index:
        return pd.Index(self.expression.patients, dtype=object)

    def values(self, ids: Sequence[str] | None = None) -> Float32Array:
        """Rows of these patients or of all, (patients, genes), NaN where not measured."""
        chosen = self.patients if ids is None else ids
        rows = self._rows.get_indexer(pd.Index(list(chosen), dtype=object))
        if (rows < 0).any():
            raise KeyError(*without(chosen, self.expression.patients)[:1])
        return np.asarray(self.expression.values, np.float32)[rows]

    def log_values(self, ids: Sequence[str] | None = None) -> FloatArray:
        """Rows of these patients on a log scale (see :func:`~survfuse.readers.units.log_scale`)."""
        return log_scale(self.values(ids).astype(np.float64), self.expression.unit)

    def missing_share(self) -> float:
        """Share of values that are not measured."""
        return float(np.isnan(self.values()).mean()) if self.patients else 0.0

    def note(self) -> str:
        """What the summary says besides numbers."""
        matrix = self.expression
        parts = [f"{matrix.unit}, {matrix.gene_ids}", *matrix.notes]
        blank = len(matrix.patients) - len(measured_patients(matrix))
        if blank:
            parts.append(f"{blank} patient(s) without any value count as absent")
        missing = np.isnan(self.values())
        if missing.any():
            genes, patients = missing.any(axis=0).sum(), missing.any(axis=1).sum()
            parts.append(
                f"{missing.sum()} value(s) missing, in {genes} gene(s) and {patients} patient(s)",
            )
        return "; ".join(parts)

    def fingerprint(self) -> str:
        """Hash of unit, genes, ids and values; row order does not matter."""
        about = [self.expression.unit, self.expression.gene_ids, *self.expression.genes]
        digest = hashlib.sha256("\n".join(about).encode())
        for patient in sorted(self.patients):
            digest.update(patient.encode() + b"\n" + self.values([patient]).tobytes())
        return digest.hexdigest()

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hash of each patient's values."""
        hashes = {}
        for patient, values in zip(self.patients, self.values(), strict=True):
            hashes[patient] = hashlib.sha256(values.tobytes()).hexdigest()
        return hashes


@dataclass(frozen=True)
class BagData(Modality):
    """A bag modality: tile features of each patient's slides.

    Attributes
    ----------
    name : str
    store : BagStore
        The packed features; patients outside `patients` are not used.
    patients : tuple of str
        Patients of the cohort with at least one tile.
    moments : Computed
        Moments of the tiles of each patient (`tile_moments`), of one patient's own tiles alone
        and so the same for every subset and fold.
    """

    name: str
    store: BagStore
    patients: tuple[str, ...]
    kind: Literal["bag"] = "bag"
    moments: Computed = field(
        default_factory=Computed,
        compare=False,
        repr=False,
    )

    @property
    def features(self) -> int:
        """Width of a tile's feature vector."""
        return int(self.store.dim)

    def subset(self, ids: Iterable[str]) -> Self:
        """Keep only these patients."""
        return replace(self, patients=tuple(among(self.patients, ids)))

    def rows(self, patient: str) -> IntArray:
        """Rows of the store that hold the tiles of a patient, (tiles,)."""
        parts = [np.zeros(0, np.int64)]
        for own in self.store.rows(patient):
            parts.append(np.arange(own.start, own.stop))
        return np.concatenate(parts)

    def tiles(self) -> int:
        """Tiles of all patients."""
        return int(self.store.counts(self.patients).sum())

    def missing_share(self) -> float:
        """Bags have no missing cells."""
        return 0.0

    def note(self) -> str:
        """What the summary says besides numbers."""
        encoder = self.store.encoder or "encoder not said"
        mpp = f"{self.store.mpp:g} mpp" if self.store.mpp else "mpp not said"
        return f"{encoder}, {mpp}, {self.tiles()} tiles"

    @cached_property
    def _slides(self) -> dict[str, list[list[str]]]:
        """Ids and content hashes of each patient's slides, sorted."""
        slides = defaultdict(list)
        for slide in self.store.slides:
            slides[slide.patient_id].append([slide.slide_id, slide.content])
        return {patient: sorted(slides[patient]) for patient in self.patients}

    def fingerprint(self) -> str:
        """Hash of the slides of the patients: ids and the hashes of their features."""
        rows = []
        for patient in sorted(self._slides):
            for slide in self._slides[patient]:
                rows.append([patient, *slide])
        about = [self.store.encoder, self.store.mpp, self.store.dim, rows]
        return sha256_text(to_json(about))

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hash of each patient's slides and their features."""
        return {who: sha256_text(to_json(own)) for who, own in self._slides.items()}


@dataclass(frozen=True)
class PriorData(Modality):
    """A risk that was learned elsewhere: one number for each patient.

    Attributes
    ----------
    name : str
    source : ExpressionData or TableData
        What the weights of a prior's genes are applied to, or a table of one column, the risk.
    prior : Prior or None
        Weights of genes; None where `source` holds the risk.
    in_training : frozenset of str
        Patients that whoever gave the risk learned it from.
    """

    name: str
    source: ExpressionData | TableData
    prior: Prior | None = None
    in_training: frozenset[str] = frozenset()
    kind: Literal["prior"] = "prior"

    @classmethod
    def of_genes(
        cls,
        name: str,
        prior: Prior,
        source: ExpressionData,
    ) -> PriorData:
        """Apply a prior to an expression modality; its training patients are known by barcode."""
        known = set()
        for patient, digest in barcode_hashes(source.patients).items():
            if digest in prior.patients:
                known.add(patient)
        return cls(name, source, prior, frozenset(known))

    @property
    def patients(self) -> tuple[str, ...]:
        """Patients that have the risk, or the expression that it is computed from."""
        return self.source.patients

    @property
    def features(self) -> int:
        """One, the risk."""
        return 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that holds the risk; none of a prior with genes."""
        return tuple(self.source.columns) if isinstance(self.source, TableData) else ()

    def column_values(self, ids: Sequence[str] | None = None) -> FloatArray:
        """Risks of these patients or of all, as the column holds them; NaN where it has none."""
        assert isinstance(self.source, TableData)
        return self.source.numbers(self.columns[0], ids)

    @cached_property
    def places(self) -> IntArray:
        """Place of each gene of the prior in the expression matrix; -1 where it is not there."""
        assert self.prior is not None
        assert isinstance(self.source, ExpressionData)
        genes = self.source.expression.genes
        return match_genes(self.prior.genes, genes, self.prior.gene_ids)[0]

    @property
    def coverage(self) -> float:
        """Share of the prior's squared weights whose genes the matrix has; 1 without genes."""
        if self.prior is None:
            return 1.0
        squares = self.prior.weights**2
        held = float(squares[self.places >= 0].sum())
        return held / float(squares.sum()) if held else 0.0

    def subset(self, ids: Iterable[str]) -> PriorData:
        """Keep only these patients."""
        chosen = set(ids)
        known = self.in_training & chosen
        return replace(self, source=self.source.subset(chosen), in_training=known)

    def missing_share(self) -> float:
        """No cell is missing: who has no risk is without this modality."""
        return 0.0

    def note(self) -> str:
        """What the summary says besides numbers."""
        if self.prior is None:
            return f"column {listed(map(repr, self.columns))}"
        return (
            f"prior {self.prior.name!r} of {self.source.name}: {int((self.places >= 0).sum())} of "
            f"{len(self.places)} genes, {self.coverage:.0%} of its squared weights"
        )

    def fingerprint(self) -> str:
        """Hash of the source and of the weights."""
        content: list[Any] = ["prior", self.source.fingerprint()]
        if self.prior is not None:
            own = self.prior
            content += [own.gene_ids, own.genes, own.weights.tolist()]
            content += [own.slope, own.slope_spread, own.limit]
        return sha256_text(to_json(content))

    @property
    def contents(self) -> dict[str, str]:
        """Hash of what each patient's risk is made from."""
        return self.source.contents


def measured_patients(expression: Expression) -> tuple[str, ...]:
    """Patients with at least one measured gene."""
    measured = ~np.isnan(np.asarray(expression.values)).all(axis=1)
    return tuple(map(str, np.array(expression.patients, object)[measured]))


ModalityData = TableData | ExpressionData | BagData | PriorData
