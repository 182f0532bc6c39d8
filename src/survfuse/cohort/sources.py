"""Tables of a cohort by patient id: each file is read once, each id appears once."""

from __future__ import annotations

from copy import copy
from pathlib import Path

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.patient_ids import (
    barcode,
    normal_samples,
    note_normal,
    patients_of,
    sample_kinds,
)
from survfuse.cohort.patient_table import ONE_ROW, OTHER_ROWS, PatientTable
from survfuse.cohort.problems import Place, Problems
from survfuse.cohort.spec import ExpressionSpec, Match, PatientColumn, Rows
from survfuse.cohort.table_file import TableFile
from survfuse.readers.expression import Expression, read_expression
from survfuse.readers.table_files import read_table

MERGED: dict[Rows, str] = {
    "refuse": "they count as one where they agree in the columns that are used",
    "first": "the first of each is taken",
    "mean": "of numbers their mean is taken",
}
"""What becomes of several rows of a patient, for a message."""


class Sources:
    """Reads the tables that a cohort file names, collecting problems.

    Parameters
    ----------
    root : Path
        Folder that relative paths start from.
    problems : Problems
        Where problems go.
    verify : bool
        Whether to hash every file of features, and every slide of a packed store, again.
    match : str, optional
        Form of the ids where a section says none.
    """

    def __init__(
        self,
        root: Path,
        problems: Problems,
        *,
        verify: bool = False,
        match: Match | None = None,
    ) -> None:
        self.root = root
        self.problems = problems
        self.verify = verify
        self.match = match
        self._raw: dict[tuple[TableFile, str], pd.DataFrame | None] = {}
        self._by_patient: dict[
            tuple[TableFile, PatientColumn, bool],
            PatientTable | None,
        ] = {}
        self._noted: set[object] = set()

    def quiet(self) -> Sources:
        """Copy this for a look at which problems are of no interest."""
        other = copy(self)
        other.problems = Problems()
        other._raw, other._by_patient, other._noted = {}, {}, set()
        return other

    def path(self, relative: Path | TableFile) -> Path:
        """Where a path of the cohort file lies."""
        return self.root / relative

    def same(self, one: TableFile, other: TableFile) -> bool:
        """Whether two sections read one table, however each names it."""
        sheets = {one.sheet, other.sheet} - {None}
        return (
            self.path(one).resolve() == self.path(other).resolve() and len(sheets) < 2
        )

    def expression(self, spec: ExpressionSpec) -> Expression:
        """Read the matrix of an expression section.

        Raises
        ------
        InputError
            When it cannot be read, or is not what the section says.
        """
        return read_expression(
            self.path(spec.path),
            unit=spec.unit,
            genes=spec.genes,
            patient_column=None if spec.patient is None else spec.patient.column,
            orientation=spec.orientation,
            gene_suffix=spec.gene_suffix,
            missing=spec.missing,
            sheet=spec.path.sheet,
            encoding=spec.path.encoding,
            layer=spec.layer,
            duplicates=spec.duplicates,
            repeated_patients=True,
        )

    def read(self, file: TableFile, id_column: str) -> pd.DataFrame:
        """Read a table as raw text; see :func:`~survfuse.readers.table_files.read_table`."""
        return read_table(
            self.path(file),
            id_column=id_column,
            sheet=file.sheet,
            encoding=file.encoding,
        )

    def table(
        self,
        relative: TableFile,
        id_column: str,
        where: str,
    ) -> pd.DataFrame | None:
        """Read a table as stripped text, or None (problem noted) when that fails."""
        key = (relative, id_column)
        if key not in self._raw:
            self._raw[key] = None
            with self.problems.catch(where):
                frame = self.read(relative, id_column)
                self._raw[key] = frame.reset_index(drop=True)
                self._note(relative, frame, where)
        return self._raw[key]

    def _note(
        self,
        file: TableFile,
        frame: pd.DataFrame,
        where: str,
    ) -> None:
        """Note, once for a file, what its suffix does not promise; and that it has no rows."""
        place = self.problems.at(where, file)
        notes = () if file in self._noted else frame.attrs["notes"]
        self._noted.add(file)
        for note in notes:
            place.warning(note)
        if frame.empty:
            place.error("no row below the header")

    def by_patient(
        self,
        relative: TableFile,
        patient: PatientColumn,
        where: str,
        *,
        rows: Rows = "refuse",
        measured: bool = False,
    ) -> PatientTable | None:
        """Read a table by patient id, with the first row of each.

        Rows of one patient that differ (a row per slide) are one where they agree in every
        column that is read; rows that are equal are a problem, unless `rows` takes one. Problems of
        a file's ids are noted once, for the section that reads it first.

        Parameters
        ----------
        relative : TableFile
            The table.
        patient : PatientColumn
            Its column of ids, and what is taken of them.
        where : str
            Section that problems belong to.
        rows : {"refuse", "first", "mean"}
            What becomes of several rows of one patient.
        measured : bool
            Whether rows are measurements: normal samples of TCGA are then left out of it even
            where a patient has no other.
        """
        ids = self.rule(patient)
        key = (relative, ids, measured)
        if key not in self._by_patient:
            self._by_patient[key] = self._index(relative, ids, where, measured)
        table = self._by_patient[key]
        if table is not None and len(table.several):
            self._note_several(table, ids, where, rows)
        return table

    def rule(self, patient: PatientColumn) -> PatientColumn:
        """Fill in what a section leaves out of its column of ids."""
        return patient.within("patient_id", self.match)

    def _index(
        self,
        file: TableFile,
        rule: PatientColumn,
        where: str,
        measured: bool,
    ) -> PatientTable | None:
        frame = self.table(file, str(rule), where)
        if frame is None:
            return None
        place = self.problems.at(where, file, str(rule))
        ids = patients_of(frame[rule.column], rule, place)
        if ids is None:
            return None
        if rule.match is not None:
            # the samples of a patient by their codes: 01A before 01B and 06A
            order = frame[rule.column].map(barcode).sort_values(kind="stable").index
            frame, ids = frame.loc[order], ids.loc[order]
            kept = self._without_normal(frame[rule.column], ids, rule, measured, place)
            frame, ids = frame.loc[kept], ids.loc[kept]
        first = frame[~ids.duplicated()].drop(columns=str(rule))
        stripped = {
            str(name): list(map(str.strip, column)) for name, column in first.items()
        }
        cells = pd.DataFrame(
            stripped,
            index=first.index,
            dtype=object,
        )
        cells.index = pd.Index(
            ids[first.index],
            name="patient_id",
            dtype=object,
        )
        repeated = ids[ids.duplicated(keep=False)]
        rows = frame.loc[repeated.index]
        return PatientTable(cells, rows, repeated, file, str(rule), self.problems)

    def _without_normal(
        self,
        samples: pd.Series[str],
        ids: pd.Series[str],
        rule: PatientColumn,
        measured: bool,
        place: Place,
    ) -> pd.Index[int]:
        """Rows without those of normal samples; of other tables where the patient has another."""
        normal = normal_samples(samples, rule)
        if not measured:
            normal &= ids.isin(ids[~normal])
        note_normal(normal, ids, "rows are of normal samples", place)
        return ids.index[~normal]

    def _note_several(
        self,
        table: PatientTable,
        rule: PatientColumn,
        where: str,
        rows: Rows,
    ) -> None:
        """Report patients with several rows, once for a table; rows that are equal are errors."""
        key = (table.file, rule, rows)
        if key in self._noted:
            return
        self._noted.add(key)
        ids, place = table.patients, self.problems.at(where, table.file)
        again = ids[table.several.duplicated(keep=False)]
        equal = list(dict.fromkeys(again)) if rows == "refuse" else []
        if equal:
            self._refuse_equal(table, equal, where)
        differ = [one for one in dict.fromkeys(ids) if one not in set(equal)]
        if differ:
            kinds = sample_kinds(table.several[table.id_column])
            normal = f"; {kinds}, which `match: tcga` leaves out" if kinds else ""
            place.warning(
                f"{len(differ)} patient(s) have several rows (one per slide or sample?); "
                f"{MERGED[rows]}: {listed(differ, 5)}{normal}",
            )

    def _refuse_equal(
        self,
        table: PatientTable,
        equal: list[str],
        where: str,
    ) -> None:
        """Report patients whose row stands there again, all in one problem."""
        ids = table.patients
        lines = []
        for patient in equal[:5]:
            own = sorted(ids.index[ids == patient] + 1)
            lines.append(f"{len(own)} rows (data rows {listed(own, 10)})")
        text = f"{lines[0]} have this id"
        if len(equal) > 1:
            pairs = zip(equal, lines, strict=False)
            named = [f"{patient} has {line}" for patient, line in pairs]
            rest = len(equal) - len(named)
            more = f" and {rest} more" if rest else ""
            text = f"{len(equal)} patients have equal rows: {', '.join(named)}{more}"
        hint = ONE_ROW
        if where not in ("outcome", "folds", "groups"):
            hint = f"{ONE_ROW}; {OTHER_ROWS}"
        self.problems.at(where, table.file, table.id_column).error(
            f"{text}; expected one row per patient",
            patients=equal,
            hint=hint,
        )
