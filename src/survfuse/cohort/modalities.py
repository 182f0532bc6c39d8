"""The modalities of a cohort: tables, expression and bags, each by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import listed
from survfuse._storage import sha256_text, to_json
from survfuse.cohort.outliers import copy_number_columns
from survfuse.cohort.spec import ColumnSpec
from survfuse.readers.bags import BagStore
from survfuse.readers.cell_text import is_number, whole, whole_cells
from survfuse.readers.expression import Expression
from survfuse.readers.units import log_scale


@dataclass(frozen=True)
class TableData:
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
    """

    name: str
    frame: pd.DataFrame
    columns: Mapping[str, ColumnSpec]
    missing: tuple[str, ...]
    kind: Literal["clinical", "table"] = "table"
    ignored: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()

    @property
    def patients(self) -> tuple[str, ...]:
        """Patients that have at least one known value."""
        return tuple(self.frame.index)

    @property
    def features(self) -> int:
        """Columns that may be used."""
        return sum(column.use for column in self.columns.values())

    def subset(self, ids: Iterable[str]) -> TableData:
        """Keep only these patients."""
        wanted = set(ids)
        blank = tuple(i for i in self.blank if i in wanted)
        return replace(
            self,
            frame=self.frame[self.frame.index.isin(wanted)],
            blank=blank,
        )

    def without_blank_rows(self) -> TableData:
        """Leave out rows without any known value: who has none counts as without this modality."""
        known = np.zeros(len(self.frame), bool)
        for column in self.columns:
            known |= self.texts(column).notna().to_numpy(bool)
        blank = tuple(str(patient) for patient in self.frame.index[~known])
        return replace(self, frame=self.frame[known], blank=(*self.blank, *blank))

    def texts(self, column: str, ids: Sequence[str] | None = None) -> pd.Series[str]:
        """Cells of a column, with None where the value is not known; a category ``1.0`` is ``1``.

        Parameters
        ----------
        column : str
        ids : sequence of str, optional
            Patients, all of whom have a row; all of the table's where not given.
        """
        if column not in self._texts:
            self._texts[column] = self._read_texts(column)
        cells = self._texts[column]
        return cells.copy() if ids is None else cells.loc[list(ids)]

    def _read_texts(self, column: str) -> pd.Series[str]:
        cells, spec = self.frame[column], self.columns[column]
        tokens = {whole(token) for token in (*self.missing, *spec.missing)}
        plain = cells
        if spec.kind != "numeric" or any(map(is_number, tokens)):
            plain = whole_cells(cells)
        shown = plain if spec.kind == "nominal" else cells
        return shown.astype(object).mask(plain.isin(tokens), None)

    def numbers(
        self,
        column: str,
        ids: Sequence[str] | None = None,
    ) -> npt.NDArray[np.float64]:
        """Cells of a numeric column as numbers, of an ordinal one as level index; NaN where not known."""
        if column not in self._numbers:
            self._numbers[column] = self._read_numbers(column)
        values = self._numbers[column]
        return np.array(values if ids is None else values.loc[list(ids)], np.float64)

    def _read_numbers(self, column: str) -> pd.Series[float]:
        cells, levels = self.texts(column), self.columns[column].levels
        if levels is not None:
            cells = whole_cells(cells).map(
                {whole(level): index for index, level in enumerate(levels)},
            )
        values = pd.to_numeric(cells, errors="coerce").to_numpy(
            np.float64,
            na_value=np.nan,
        )
        return pd.Series(values, index=cells.index)

    def copy_numbers(self, ids: Sequence[str] | None = None) -> frozenset[str]:
        """Names of numeric columns that hold copy numbers from -2 to 2; none of clinical ones."""
        if self.kind == "clinical":
            return frozenset()
        numeric = [
            name for name, spec in self.columns.items() if spec.kind == "numeric"
        ]
        return copy_number_columns({name: self.numbers(name, ids) for name in numeric})

    @cached_property
    def _texts(self) -> dict[str, pd.Series[str]]:
        """Columns as they were once read: every fit and every prediction asks for them."""
        return {}

    @cached_property
    def _numbers(self) -> dict[str, pd.Series[float]]:
        """Columns of numbers and levels as they were once read."""
        return {}

    def missing_share(self) -> float:
        """Share of cells of used columns that are not known."""
        used = [name for name, column in self.columns.items() if column.use]
        if not used or self.frame.empty:
            return 0.0
        return float(np.mean([self.texts(name).isna().mean() for name in used]))

    def note(self) -> str:
        """Say in words what numbers do not."""
        parts = []
        if self.blank:
            parts.append(f"{len(self.blank)} row(s) without any value count as absent")
        if self.ignored:
            parts.append(f"undeclared columns ignored: {listed(self.ignored)}")
        return "; ".join(parts)

    def fingerprint(self) -> str:
        """Hash of ids, columns, their meaning and cells; row order does not matter."""
        frame = self.frame.sort_index()
        meaning = {
            name: column.model_dump(mode="json")
            for name, column in self.columns.items()
        }
        cells = {name: frame[name].tolist() for name in self.columns}
        return sha256_text(
            to_json([frame.index.tolist(), meaning, cells, self.missing]),
        )

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hash of each patient's cells."""
        rows = self.frame[list(self.columns)].to_numpy(object).tolist()
        return {
            str(who): sha256_text(to_json(row))
            for who, row in zip(self.frame.index, rows, strict=True)
        }


@dataclass(frozen=True)
class ExpressionData:
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

    def subset(self, ids: Iterable[str]) -> ExpressionData:
        """Keep only these patients."""
        wanted = set(ids)
        return replace(self, patients=tuple(i for i in self.patients if i in wanted))

    @cached_property
    def _position(self) -> dict[str, int]:
        return {patient: row for row, patient in enumerate(self.expression.patients)}

    def values(self, ids: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Rows of these patients (all where not given), (patients, genes), NaN where not measured."""
        chosen = self.patients if ids is None else ids
        rows = np.fromiter((self._position[i] for i in chosen), np.intp, len(chosen))
        return np.asarray(self.expression.values, np.float32)[rows]

    def log_values(self, ids: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """Rows of these patients on a log scale (see :func:`~survfuse.readers.units.log_scale`)."""
        return log_scale(self.values(ids).astype(np.float64), self.expression.unit)

    def missing_share(self) -> float:
        """Share of values that are not measured."""
        return float(np.isnan(self.values()).mean()) if self.patients else 0.0

    def note(self) -> str:
        """Say in words what numbers do not."""
        parts = [
            f"{self.expression.unit}, {self.expression.gene_ids}",
            *self.expression.notes,
        ]
        blank = len(self.expression.patients) - len(measured_patients(self.expression))
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
        return {
            who: hashlib.sha256(self.values([who]).tobytes()).hexdigest()
            for who in self.patients
        }


@dataclass(frozen=True)
class BagData:
    """A bag modality: tile features of each patient's slides.

    Attributes
    ----------
    name : str
    store : BagStore
        The packed features; patients outside `patients` are not used.
    patients : tuple of str
        Patients of the cohort with at least one tile.
    """

    name: str
    store: BagStore
    patients: tuple[str, ...]
    kind: Literal["bag"] = "bag"

    @property
    def features(self) -> int:
        """Width of a tile's feature vector."""
        return int(self.store.dim)

    def subset(self, ids: Iterable[str]) -> BagData:
        """Keep only these patients."""
        wanted = set(ids)
        return replace(self, patients=tuple(i for i in self.patients if i in wanted))

    def tiles(self) -> int:
        """Tiles of all patients."""
        return int(self.store.counts(self.patients).sum())

    def missing_share(self) -> float:
        """Bags have no missing cells."""
        return 0.0

    def note(self) -> str:
        """Say in words what numbers do not."""
        encoder = self.store.encoder or "encoder not said"
        mpp = f"{self.store.mpp:g} mpp" if self.store.mpp else "mpp not said"
        return f"{encoder}, {mpp}, {self.tiles()} tiles"

    def fingerprint(self) -> str:
        """Hash of the slides of the patients: ids and the hashes of their features."""
        wanted = set(self.patients)
        slides = [s for s in self.store.slides if s.patient_id in wanted]
        rows = sorted([s.patient_id, s.slide_id, s.content] for s in slides)
        return sha256_text(
            to_json([self.store.encoder, self.store.mpp, self.store.dim, rows]),
        )

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hash of each patient's slides and their features."""
        slides: dict[str, list[list[str]]] = {who: [] for who in self.patients}
        for slide in self.store.slides:
            if slide.patient_id in slides:
                slides[slide.patient_id].append([slide.slide_id, slide.content])
        return {who: sha256_text(to_json(sorted(own))) for who, own in slides.items()}


def measured_patients(expression: Expression) -> tuple[str, ...]:
    """Patients with at least one measured gene."""
    measured = ~np.isnan(np.asarray(expression.values)).all(axis=1)
    return tuple(str(expression.patients[row]) for row in np.flatnonzero(measured))


ModalityData = TableData | ExpressionData | BagData
