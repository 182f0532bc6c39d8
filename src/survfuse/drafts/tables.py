"""Tables that a draft looks at, and what their cells are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.readers import read_table
from survfuse.readers.cell_text import reads_unknown

_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?([ T].*)?|\d{4}/\d\d?/\d\d?|\d\d?[./-]\d\d?[./-]\d{4}",
)
FILE_ENDINGS = re.compile(
    r"(\.(csv|tsv|txt|tab|parquet|xlsx|ods|gz|zip))+$", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class GivenTable:
    """A table that a person named.

    Attributes
    ----------
    path : Path
    frame : DataFrame of str, (rows, columns)
        Stripped cells.
    """

    path: Path
    frame: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return [str(name) for name in self.frame]

    @property
    def value(self) -> object:
        """The table as a cohort file names it."""
        return self.path


def read_given(path: Path) -> GivenTable:
    """Read a table as stripped text."""
    frame = read_table(path)
    return GivenTable(path, frame.apply(lambda cells: cells.str.strip()))


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
