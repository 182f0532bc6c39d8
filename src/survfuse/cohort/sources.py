"""Tables of a cohort by patient id: each file is read once, each id appears once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.problems import Place, Problems
from survfuse.cohort.spec import ExpressionSpec
from survfuse.cohort.table_file import TableFile
from survfuse.readers.cell_text import only_difference, refuse_strange
from survfuse.readers.expression import Expression, read_expression
from survfuse.readers.table_files import read_table

ONE_ROW = "keep one row, or give them different ids where they are different patients"


@dataclass(frozen=True)
class PatientTable:
    """A table with one row per patient.

    Attributes
    ----------
    cells : DataFrame of str, (patients, columns)
        Stripped, indexed by patient id.
    several : DataFrame of str, (rows, columns)
        All rows of patients that have several which differ (one per slide or sample).
    file : TableFile
    id_column : str
    problems : Problems
    """

    cells: pd.DataFrame
    several: pd.DataFrame
    file: TableFile
    id_column: str
    problems: Problems

    def column(
        self,
        name: str,
        where: str,
    ) -> pd.Series[str] | None:
        """One column, or None (problem noted) when the table lacks it.

        Patients whose rows differ in this column are a problem.
        """
        if not has_column(self.cells, name, self.problems.at(where, self.file, name)):
            return None
        if len(self.several):
            self._refuse_different_rows(name, where)
        return self.cells[name]

    def _refuse_different_rows(
        self,
        name: str,
        where: str,
    ) -> None:
        rows = self.several[name].str.strip().groupby(self.several[self.id_column])
        differ = rows.nunique().loc[lambda count: count > 1].index
        if len(differ):
            lines = listed(rows.groups[differ[0]] + 1)
            self.problems.at(where, self.file, self.id_column).error(
                f"rows of {len(differ)} patient(s) differ in {name!r} "
                f"(of {differ[0]} data rows {lines}); expected one row per patient",
                patients=differ,
                hint=ONE_ROW,
            )


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
    """

    def __init__(
        self,
        root: Path,
        problems: Problems,
        *,
        verify: bool = False,
    ) -> None:
        self.root = root
        self.problems = problems
        self.verify = verify
        self._raw: dict[tuple[TableFile, str], pd.DataFrame | None] = {}
        self._by_patient: dict[tuple[TableFile, str], PatientTable] = {}
        self._noted: set[TableFile] = set()

    def path(self, relative: Path | TableFile) -> Path:
        """Where a path of the cohort file lies."""
        return self.root / relative

    def same(self, one: TableFile, other: TableFile) -> bool:
        """Whether two sections read one table."""
        return one.within(self.root) == other.within(self.root)

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

    def read(self, file: TableFile, id_column: str) -> pd.DataFrame:
        """Read a table as raw text; see :func:`~survfuse.readers.read_table`."""
        return read_table(
            self.path(file),
            id_column=id_column,
            sheet=file.sheet,
            encoding=file.encoding,
        )

    def expression(self, spec: ExpressionSpec) -> Expression:
        """Read the matrix of an expression section."""
        return read_expression(
            self.path(spec.path),
            unit=spec.unit,
            genes=spec.genes,
            patient_column=spec.patient,
            orientation=spec.orientation,
            gene_suffix=spec.gene_suffix,
            missing=spec.missing,
        )

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
        id_column: str,
        where: str,
    ) -> PatientTable | None:
        """Read a table by patient id; equal rows are problems, and the first row of each is taken.

        Rows of one patient that differ (a row per slide) are one where they agree in every
        column that is read. Problems of a file's ids are noted once, for the section that
        reads it first.
        """
        key = (relative, id_column)
        if key not in self._by_patient:
            frame = self.table(relative, id_column, where)
            if frame is None:
                return None
            self._by_patient[key] = self._index(frame, relative, id_column, where)
        return self._by_patient[key]

    def _index(
        self,
        frame: pd.DataFrame,
        file: TableFile,
        id_column: str,
        where: str,
    ) -> PatientTable:
        ids = frame[id_column].astype(object)
        several = []
        for patient, rows in frame[ids.duplicated(keep=False)].groupby(id_column):
            if not rows.duplicated().any():
                several.append(str(patient))
                continue
            self.problems.at(where, file, id_column).error(
                f"{len(rows)} rows (data rows {listed(rows.index + 1, 10)}) have this "
                "id; expected one row per patient",
                patients=[str(patient)],
                hint=ONE_ROW,
            )
        if several:
            self.problems.at(where, file).warning(
                f"{len(several)} patient(s) have several rows (one per slide or sample?); they "
                f"count as one where they agree in the columns that are used: {listed(several, 5)}",
            )
        first = frame[~ids.duplicated()].drop(columns=id_column)
        stripped = {str(name): column.str.strip() for name, column in first.items()}
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
        rows = frame[ids.isin(several)]
        return PatientTable(cells, rows, file, id_column, self.problems)


def has_column(
    frame: pd.DataFrame,
    name: str,
    place: Place,
) -> bool:
    """Whether a table has a column; a problem with the nearest name where it does not."""
    if name in frame:
        return True
    names = list(frame.columns)
    place.error(
        f"no such column; the table has {listed(map(repr, names), 12)}",
        hint=only_difference([name], names) or near_name(name, names),
    )
    return False


def check_ids(ids: pd.Series[str], place: Place) -> None:
    """Note ids that are empty, have spaces around them or hold characters that nobody can see."""
    with place.problems.catch(place.where):
        refuse_strange(place.file, ids, f"{place.column!r} in data row")
    stripped = ids.str.strip()
    empty = stripped == ""
    if empty.any():
        place.error(
            f"no id in data row {listed(np.flatnonzero(empty) + 1)}",
            hint="every row needs a patient id",
        )
    spaced = ids[~empty & (ids != stripped)]
    if len(spaced):
        place.error(
            "ids have spaces around them",
            patients=map(repr, spaced),
            hint="remove the spaces",
        )


def near_name(name: str, known: Sequence[str]) -> str:
    """Hint at a known name that differs only a little; empty text when there is none."""
    plain = {one.strip().casefold(): one for one in known}
    near = difflib.get_close_matches(name.strip().casefold(), plain, n=1)
    return f"did you mean {plain[near[0]]!r}?" if near else ""
