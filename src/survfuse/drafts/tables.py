"""Tables that a draft looks at, and what their cells are."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._types import FloatArray
from survfuse.readers import read_table
from survfuse.readers.cell_text import reads_unknown
from survfuse.readers.workbooks import SUFFIXES, sheet_names

_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?([ T].*)?|\d{4}/\d\d?/\d\d?|\d\d?[./-]\d\d?[./-]\d{4}",
)
WESTERN = "cp1252"
"""Encoding in which Western spreadsheets write text that is not UTF-8."""
FILE_ENDINGS = re.compile(
    r"(\.(csv|tsv|txt|tab|parquet|xlsx|xlsm|xls|ods|gz|zip))+$", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class GivenTable:
    """A table that a person named.

    Attributes
    ----------
    path : Path
    frame : DataFrame of str, (rows, columns)
        Stripped cells.
    sheet : str or None
        Of a workbook of several sheets.
    encoding : str or None
        Of a text that is not UTF-8.
    evidence : str
        Why this sheet or encoding.
    """

    path: Path
    frame: pd.DataFrame
    sheet: str | None = None
    encoding: str | None = None
    evidence: str = ""

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return [str(name) for name in self.frame]

    def without(self, names: Collection[str]) -> GivenTable:
        """Copy this without some of its columns."""
        return replace(self, frame=self.frame.drop(columns=list(names)))

    @property
    def value(self) -> object:
        """The table as a cohort file names it."""
        if self.sheet is not None:
            return {"file": self.path, "sheet": self.sheet}
        if self.encoding is not None:
            return {"file": self.path, "encoding": self.encoding}
        return self.path


Suits = Callable[[pd.DataFrame], bool]


def read_given(path: Path, suits: Suits | None = None) -> GivenTable:
    """Read a table as stripped text.

    Parameters
    ----------
    path : Path
        Of a workbook of several sheets: ``book.xlsx:Sheet`` names one.
    suits : callable or None
        Whether a sheet is the one that is looked for, where none is named.

    Raises
    ------
    InputError
        When it cannot be read, or it is not clear which sheet is meant.
    """
    file, sheet = split_sheet(path)
    if sheet is None and file.suffix.lower() in SUFFIXES:
        names = sheet_names(file)
        if len(names) > 1:
            return _choose_sheet(file, names, suits)
    if sheet is not None:
        return GivenTable(file, _stripped(read_table(file, sheet=sheet)), sheet)
    try:
        return GivenTable(file, _stripped(read_table(file)))
    except InputError:
        try:
            frame = _stripped(read_table(file, encoding=WESTERN))
        except InputError:
            frame = None
        if frame is None:
            raise
    return GivenTable(
        file,
        frame,
        encoding=WESTERN,
        evidence=f"not UTF-8; {WESTERN} reads it: look at its umlauts",
    )


def split_sheet(path: Path) -> tuple[Path, str | None]:
    """Take the sheet off ``book.xlsx:Sheet``."""
    name, mark, sheet = path.name.partition(":")
    if mark and Path(name).suffix.lower() in SUFFIXES and not path.exists():
        return path.with_name(name), sheet
    return path, None


def _choose_sheet(file: Path, names: list[str], suits: Suits | None) -> GivenTable:
    """The one sheet of several that suits."""
    suited = []
    for name in names:
        try:
            frame = _stripped(read_table(file, sheet=name))
        except InputError:
            continue  # of text, or empty: no table
        if suits is None or suits(frame):
            suited.append((name, frame))
    if len(suited) == 1:
        (name, frame) = suited[0]
        return GivenTable(file, frame, name, evidence=f"of the sheets {listed(names)}")
    likely = [name for name, _ in suited] or names
    raise InputError(
        f"{file}: has the sheets {listed(map(repr, names), 20)}, and {len(suited)} of them could "
        f"be meant; name one, such as {str(file) + ':' + likely[0]!r}",
    )


def _stripped(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.map(str.strip)


def known(cells: pd.Series[str]) -> pd.Series[str]:
    """Cells that are not one of the words for "not known"."""
    return cells[~cells.map(is_unknown).astype(bool)]


def is_unknown(cell: str) -> bool:
    """Whether a cell says that a value is not known, also in brackets as TCGA writes it."""
    inner = cell.strip("[] ")
    return (
        reads_unknown(cell) or reads_unknown(inner) or inner.casefold() == "discrepancy"
    )


def unknown_words(cells: pd.Series[str]) -> list[str]:
    """Words for "not known" that stand in these cells."""
    return sorted({cell for cell in cells if is_unknown(cell)})


def numbers(cells: pd.Series[str]) -> FloatArray:
    """Cells as numbers; NaN where they are none."""
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def all_numbers(cells: pd.Series[str]) -> bool:
    """Whether all known cells are numbers, and there are any."""
    filled = known(cells)
    return len(filled) > 0 and not np.isnan(numbers(filled)).any()


def all_dates(cells: pd.Series[str]) -> bool:
    """Whether all known cells are dates, and there are any."""
    filled = known(cells)
    return len(filled) > 0 and all(map(_DATE.fullmatch, filled))
