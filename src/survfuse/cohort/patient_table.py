"""A table by patient id, and what becomes of several rows of one patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.column_names import has_column
from survfuse.cohort.patient_ids import sample_kinds
from survfuse.cohort.problems import Problems
from survfuse.cohort.spec import Rows
from survfuse.cohort.table_file import TableFile
from survfuse.readers.cell_text import whole, whole_cells

ONE_ROW = "keep one row, or give them different ids where they are different patients"
OTHER_ROWS = (
    "or take the first row or the mean of each patient: `rows: first`, `rows: mean`"
)


@dataclass(frozen=True)
class PatientTable:
    """A table with one row per patient.

    Attributes
    ----------
    cells : DataFrame of str, (patients, columns)
        Stripped, indexed by patient id: the first row of each.
    several : DataFrame of str, (rows, columns)
        All rows of patients that have several, by their place in the file, as they stand.
    patients : Series of str
        Patient of each row of `several`.
    file : TableFile
    id_column : str
    problems : Problems
    """

    cells: pd.DataFrame
    several: pd.DataFrame
    patients: pd.Series[str]
    file: TableFile
    id_column: str
    problems: Problems

    def column(
        self,
        name: str,
        where: str,
        rows: Rows = "refuse",
    ) -> pd.Series[str] | None:
        """One column, or None (problem noted) when the table lacks it.

        Patients whose rows differ in this column are a problem, unless the first row is taken.
        """
        if not has_column(self.cells, name, self.problems.at(where, self.file, name)):
            return None
        if len(self.several) and rows != "first":
            self._refuse_different_rows(name, where, rows)
        return self.cells[name]

    def mean(
        self,
        name: str,
        where: str,
        missing: tuple[str, ...],
    ) -> pd.Series[str] | None:
        """One column of numbers: of several rows of a patient their mean, as text.

        A cell that is no number stands for its patient, so that it is reported as any other.
        """
        if not has_column(self.cells, name, self.problems.at(where, self.file, name)):
            return None
        cells = self.cells[name].copy()
        if self.several.empty:
            return cells
        texts = self.several[name].str.strip()
        known = texts[~whole_cells(texts).isin(set(map(whole, missing)))]
        numbers = pd.to_numeric(known, errors="coerce").to_numpy(np.float64)
        owners = self.patients.loc[known.index].to_numpy(object)
        codes, patients = pd.factorize(owners)
        means = np.bincount(codes, numbers, len(patients)) / np.bincount(codes)
        _, first = np.unique(codes, return_index=True)
        plain = known.to_numpy(object)
        differs = np.bincount(codes, plain != plain[first[codes]], len(patients)) > 0
        values = [repr(float(mean)) for mean in means]
        cells.loc[patients] = np.where(differs, np.array(values, object), plain[first])
        wrong = known[~np.isfinite(numbers)]
        cells.loc[self.patients.loc[wrong.index]] = wrong.to_numpy(object)
        return cells

    def _refuse_different_rows(
        self,
        name: str,
        where: str,
        rows: Rows,
    ) -> None:
        texts = self.several[name].str.strip().groupby(self.patients)
        differ = texts.nunique().loc[lambda count: count > 1].index
        if differ.empty:
            return
        lines = listed(texts.groups[differ[0]] + 1)
        ids = self.several[self.id_column][self.patients.isin(differ)]
        kinds = sample_kinds(ids)
        samples = f"; {kinds}, which `match: tcga` leaves out" if kinds else ""
        hint = f"{ONE_ROW}; {OTHER_ROWS}"
        if rows == "mean":
            hint = "`rows: mean` averages numbers alone: make them agree, or say `rows: first`"
        elif where in ("outcome", "folds", "groups"):
            hint = ONE_ROW
        self.problems.at(where, self.file, self.id_column).error(
            f"rows of {len(differ)} patient(s) differ in {name!r} "
            f"(of {differ[0]} data rows {lines}); expected one row per patient{samples}",
            patients=differ,
            hint=hint,
        )
