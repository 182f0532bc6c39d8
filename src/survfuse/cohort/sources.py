"""Tables of a cohort by patient id: each file is read once, each id appears once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.problems import Problems
from survfuse.readers.cell_text import only_difference, refuse_strange
from survfuse.readers.table_files import read_table

ONE_ROW = "keep one row, or give them different ids where they are different patients"


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

    def __init__(self, root: Path, problems: Problems, *, verify: bool = False) -> None:
        self.root = root
        self.problems = problems
        self.verify = verify
        self._raw: dict[tuple[Path, str], pd.DataFrame | None] = {}
        self._by_patient: dict[tuple[Path, str], pd.DataFrame | None] = {}
        self._noted: set[Path] = set()
        self._several: dict[
            int,
            tuple[str, pd.DataFrame],
        ] = {}  # by identity of a table, which is kept

    def path(self, relative: Path) -> Path:
        """Where a path of the cohort file lies."""
        return self.root / relative

    def table(self, relative: Path, id_column: str, where: str) -> pd.DataFrame | None:
        """Read a table as stripped text, or None (problem noted) when that fails."""
        key = (relative, id_column)
        if key not in self._raw:
            self._raw[key] = None
            with self.problems.catch(where):
                frame = read_table(self.path(relative), id_column=id_column)
                self._raw[key] = frame.reset_index(drop=True)
                self._note(relative, frame.attrs["notes"], where)
                if frame.empty:
                    self.problems.error(where, "no row below the header", file=relative)
        return self._raw[key]

    def _note(self, file: Path, notes: Iterable[str], where: str) -> None:
        """Say once what was not as the suffix of a file promises."""
        if file not in self._noted:
            self._noted.add(file)
            for note in notes:
                self.problems.warning(where, note, file=file)

    def by_patient(
        self,
        relative: Path,
        id_column: str,
        where: str,
    ) -> pd.DataFrame | None:
        """Read a table indexed by patient id; equal rows are problems, and the first row of each is kept.

        Rows of one patient that differ (a row per slide) are one where they agree in every column that
        is asked for by :meth:`column`. Problems of a file's ids are noted once, for the section that
        reads it first.
        """
        key = (relative, id_column)
        if key not in self._by_patient:
            frame = self.table(relative, id_column, where)
            self._by_patient[key] = (
                None
                if frame is None
                else self._indexed(frame, relative, id_column, where)
            )
        return self._by_patient[key]

    def _indexed(
        self,
        frame: pd.DataFrame,
        file: Path,
        id_column: str,
        where: str,
    ) -> pd.DataFrame:
        ids = frame[id_column].astype(object)
        repeated = ids[ids.duplicated(keep=False)]
        several = []
        for patient, rows in repeated.groupby(repeated):
            if not frame.loc[rows.index].duplicated().any():
                several.append(str(patient))
                continue
            lines = listed((row + 1 for row in rows.index), 10)
            self.problems.error(
                where,
                f"{len(rows)} rows (data rows {lines}) have this id; expected one row per patient",
                patients=[str(patient)],
                file=file,
                column=id_column,
                hint=ONE_ROW,
            )
        if several:
            self.problems.warning(
                where,
                f"{len(several)} patient(s) have several rows (one per slide or sample?); they count as one "
                f"where they agree in the columns that are used: {listed(several, 5)}",
                file=file,
            )
        keep = ~ids.duplicated()
        cells = frame.loc[keep].drop(columns=id_column)
        stripped = {str(name): column.str.strip() for name, column in cells.items()}
        cells = pd.DataFrame(stripped, index=cells.index, dtype=object)
        cells.index = pd.Index(ids[keep], name="patient_id", dtype=object)
        if several:
            self._several[id(cells)] = (id_column, frame[ids.isin(several)])
        return cells

    def check_ids(
        self,
        ids: Iterable[str],
        file: Path,
        id_column: str,
        where: str,
    ) -> None:
        """Note ids that are empty, have spaces around them or hold characters that nobody can see."""
        given = list(ids)
        with self.problems.catch(where):
            refuse_strange(file, given, f"{id_column!r} in data row")
        empty = [row + 1 for row, one in enumerate(given) if not one.strip()]
        if empty:
            self.problems.error(
                where,
                f"no id in data row {listed(empty)}",
                file=file,
                column=id_column,
                hint="every row needs a patient id",
            )
        spaced = [one for one in given if one.strip() and one != one.strip()]
        if spaced:
            self.problems.error(
                where,
                "ids have spaces around them",
                patients=map(repr, spaced),
                file=file,
                column=id_column,
                hint="remove the spaces",
            )

    def column(
        self,
        frame: pd.DataFrame,
        name: str,
        file: Path,
        where: str,
    ) -> pd.Series[str] | None:
        """One column, or None (problem noted) when the table lacks it."""
        if name in frame:
            self._check_rows(frame, name, file, where)
            return frame[name]
        trivial = only_difference([name], frame.columns)
        self.problems.error(
            where,
            f"no such column; the table has {listed(map(repr, frame.columns), 12)}",
            file=file,
            column=name,
            hint=trivial or near_name(name, list(frame.columns)),
        )
        return None

    def _check_rows(
        self,
        frame: pd.DataFrame,
        name: str,
        file: Path,
        where: str,
    ) -> None:
        """Refuse patients whose rows differ in a column that is used."""
        id_column, rows = self._several.get(id(frame), ("", None))
        if rows is None:
            return
        by_patient = rows[name].str.strip().groupby(rows[id_column])
        differ = by_patient.nunique().loc[lambda count: count > 1].index
        if len(differ):
            lines = listed(row + 1 for row in by_patient.groups[differ[0]])
            self.problems.error(
                where,
                f"rows of {len(differ)} patient(s) differ in {name!r} (of {differ[0]} data rows {lines}); "
                "expected one row per patient",
                patients=map(str, differ),
                file=file,
                column=id_column,
                hint=ONE_ROW,
            )


def near_name(name: str, known: Sequence[str]) -> str:
    """Hint at a known name that differs only a little; empty text when there is none."""
    plain = {one.strip().casefold(): one for one in known}
    near = difflib.get_close_matches(name.strip().casefold(), plain, n=1)
    return f"did you mean {plain[near[0]]!r}?" if near else ""
