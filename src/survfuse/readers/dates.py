"""Columns of dates: read only where one reading is possible for the whole column."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from survfuse._types import BoolArray, FloatArray

_CLOCK = r"([ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
_YEAR_FIRST = r"(?P<Y>\d{4})%s(?P<m>\d\d?)%s(?P<d>\d\d?)" + _CLOCK
_DAY_FIRST = r"(?P<d>\d\d?)%s(?P<m>\d\d?)%s(?P<Y>\d{4})" + _CLOCK
_MONTH_FIRST = r"(?P<m>\d\d?)%s(?P<d>\d\d?)%s(?P<Y>\d{4})" + _CLOCK
_LAYOUTS = {
    "%Y-%m-%d": _YEAR_FIRST % ("-", "-"),
    "%Y/%m/%d": _YEAR_FIRST % ("/", "/"),
    "%d.%m.%Y": _DAY_FIRST % (r"\.", r"\."),
    "%d/%m/%Y": _DAY_FIRST % ("/", "/"),
    "%m/%d/%Y": _MONTH_FIRST % ("/", "/"),
    "%d-%m-%Y": _DAY_FIRST % ("-", "-"),
    "%m-%d-%Y": _MONTH_FIRST % ("-", "-"),
}
"""Ways to write a date, the time of day after it being left out."""
_PARTIAL = re.compile(r"\d{4}([-/.]\d\d?)?|\d\d?[-/.]\d{4}")
_SERIAL = re.compile(r"[1-6]\d{4}(\.\d+)?")
_SHORT_YEAR = re.compile(r"\d\d?[-/.]\d\d?[-/.]\d\d")


@dataclass(frozen=True)
class Dates:
    """A column of dates.

    Attributes
    ----------
    days : ndarray, (cells,), float64
        Day number of the proleptic Gregorian calendar; NaN where there is none.
    partial : ndarray of bool, (cells,)
        Cells with a month or a year alone.
    format : str
        How the others are written, as for ``strptime``.
    others : tuple of str
        Further ways in which as many cells could be read, as other days.
    """

    days: FloatArray
    partial: BoolArray
    format: str
    others: tuple[str, ...] = ()


def is_date_format(text: str) -> bool:
    """Whether a format of ``strptime`` holds day, month and year.

    >>> is_date_format("%d/%m/%Y"), is_date_format("%m/%Y")
    (True, False)
    """
    try:
        for day in (datetime(2021, 3, 4), datetime(1987, 11, 25)):
            if datetime.strptime(day.strftime(text), text).date() != day.date():
                return False
    except ValueError:
        return False
    return True


def read_dates(cells: pd.Series[str], written: str | None = None) -> Dates:
    """Read a column of dates.

    Parameters
    ----------
    cells : Series of str
        Those that are not missing.
    written : str, optional
        How they are written. Where not given, the one of ISO, ``31.12.2021``, ``31/12/2021``,
        ``12/31/2021`` and their like in which most cells are dates.
    """
    partial = cells.str.fullmatch(_PARTIAL).to_numpy(bool)
    formats = list(_LAYOUTS) if written is None else [written]
    readings = {one: _days(cells, one, written is not None) for one in formats}
    counts = {one: int(np.isfinite(days).sum()) for one, days in readings.items()}
    best = max(formats, key=counts.__getitem__)
    others = []
    for one, days in readings.items():
        same = np.array_equal(days, readings[best], equal_nan=True)
        if counts[one] == counts[best] > 0 and not same:
            others.append(one)
    return Dates(readings[best], partial, best, tuple(others))


def instead_of_date(cell: str) -> str:
    """Say what a cell is that should have been a date; empty where nothing can be said.

    >>> instead_of_date("44259")
    "this is a spreadsheet's number of a day: format its cells as dates (2021-03-04)"
    """
    if _SERIAL.fullmatch(cell):
        return "this is a spreadsheet's number of a day: format its cells as dates (2021-03-04)"
    if _SHORT_YEAR.fullmatch(cell):
        return "write years with four digits, or say the format, such as format: '%d.%m.%y'"
    return ""


def _days(cells: pd.Series[str], written: str, declared: bool) -> FloatArray:
    read = (
        _by_format(written) if declared else _by_layout(re.compile(_LAYOUTS[written]))
    )
    known = {text: read(text) for text in cells.unique()}
    return cells.map(known).to_numpy(np.float64)


def _by_format(written: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return datetime.strptime(text, written).toordinal()
        except ValueError:
            return np.nan

    return read


def _by_layout(layout: re.Pattern[str]) -> Callable[[str], float]:
    def read(text: str) -> float:
        parts = layout.fullmatch(text)
        if parts is None:
            return np.nan
        try:
            return date(int(parts["Y"]), int(parts["m"]), int(parts["d"])).toordinal()
        except ValueError:  # 31 February
            return np.nan

    return read
