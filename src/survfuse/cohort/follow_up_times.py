"""Follow-up times of patients: a column, two columns of dates, or the first that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.outliers import LARGEST
from survfuse.cohort.problems import Place
from survfuse.cohort.spec import FirstOf, OutcomeSpec, TimeSpan
from survfuse.cohort.status_column import as_list, quoted
from survfuse.cohort.time_units import DAYS
from survfuse.readers.cell_text import (
    instead_of_number,
    reads_unknown,
    whole,
    whole_cells,
)
from survfuse.readers.dates import Dates, instead_of_date, read_dates

WRITE_DAY = (
    "write the day too; where nobody knows it, take one rule for all patients (the 15th of a "
    "month, 1 July of a year), or set outcome.exclude_invalid: true to leave such patients out"
)


@dataclass(frozen=True)
class Fault:
    """Cells that are no time, for one reason.

    Attributes
    ----------
    column : str
    text : str
        What was expected.
    cells : Series of str
        What came, by patient.
    hint : str
    """

    column: str
    text: str
    cells: pd.Series[str]
    hint: str = ""


@dataclass(frozen=True)
class Times:
    """Follow-up times.

    Attributes
    ----------
    values : ndarray, (patients,), float64
        In the unit of the outcome; NaN where there is no possible time.
    faults : list of Fault
        Why not.
    unclear : list of Fault
        Columns that can be read in two ways: the user must say which.
    """

    values: FloatArray
    faults: list[Fault] = field(default_factory=list)
    unclear: list[Fault] = field(default_factory=list)


def read_times(
    spec: OutcomeSpec,
    columns: Mapping[str, pd.Series[str]],
    place: Place,
) -> Times:
    """Read the times of an outcome.

    Parameters
    ----------
    spec : OutcomeSpec
    columns : mapping of name to Series of str
        The columns that make the time, all of the same patients.
    place : Place
        Where warnings go.
    """
    if isinstance(spec.time, TimeSpan):
        return _span(spec, spec.time, columns)
    if isinstance(spec.time, FirstOf):
        return _first_of(spec, spec.time, columns, place)
    cells = columns[spec.time]
    names = np.full(len(cells), spec.time, dtype=object)
    return _numbers(spec, cells, names)


def missing_cells(spec: OutcomeSpec, cells: pd.Series[str]) -> BoolArray:
    """Which cells mean "not known"."""
    return whole_cells(cells).isin({*map(whole, spec.missing)}).to_numpy(bool)


def _numbers(
    spec: OutcomeSpec,
    cells: pd.Series[str],
    names: np.ndarray[tuple[int], np.dtype[np.object_]],
) -> Times:
    """Read numbers; `names` says of which column each cell is."""
    missing = missing_cells(spec, cells)
    numbers = pd.to_numeric(cells.mask(missing), errors="coerce")
    time = numbers.to_numpy(np.float64, na_value=np.nan)
    finite = np.isfinite(time)
    no_number = ~finite & ~missing
    wrong = {
        "time is missing": missing,
        "time must be a number": no_number,
        "time must be > 0": finite & (time <= 0),
        f"time must be at most {LARGEST:g}": finite & (time > LARGEST),
    }
    faults = []
    for text, rows in wrong.items():
        for column in dict.fromkeys(names[rows]):
            own = cells[rows & (names == column)]
            hint = _instead(spec, own) if rows is no_number else ""
            faults.append(Fault(str(column), text, own, hint))
    return Times(_without(time, wrong.values()), faults)


def _without(time: FloatArray, wrong: Iterable[BoolArray]) -> FloatArray:
    return np.where(np.any(list(wrong), axis=0), np.nan, time)


def _instead(spec: OutcomeSpec, cells: pd.Series[str]) -> str:
    """Say what cells are that should have been times."""
    kinds = sorted(set(cells))
    unknown = list(filter(reads_unknown, kinds))
    if unknown:
        missing = as_list((*spec.missing, *unknown))
        return f"if it means 'not known', outcome.missing: {missing}"
    if isinstance(spec.time, TimeSpan):
        return instead_of_date(kinds[0])
    if isinstance(spec.time, str) and np.isfinite(read_dates(cells[:1]).days).all():
        return (
            "this is a date: name the column with the dates of time zero as well: "
            f"time: {{from: COLUMN, to: {quoted(spec.time)}}}"
        )
    return instead_of_number(kinds[0])


def _first_of(
    spec: OutcomeSpec,
    time: FirstOf,
    columns: Mapping[str, pd.Series[str]],
    place: Place,
) -> Times:
    """Take, patient by patient, the first column that is not missing."""
    first, *others = time.columns
    cells = columns[first].copy()
    names = np.full(len(cells), first, dtype=object)
    open_ = missing_cells(spec, cells)
    for column in others:
        own = columns[column]
        known = ~missing_cells(spec, own)
        _report_difference(place, (first, column), cells, own, known & ~open_)
        taken = known & open_
        cells[taken], names[taken] = own[taken], column
        open_ &= ~known
    return _numbers(spec, cells, names)


def _report_difference(
    place: Place,
    columns: tuple[str, str],
    cells: pd.Series[str],
    others: pd.Series[str],
    both: BoolArray,
) -> None:
    """Warn where an earlier column and this one are given and differ."""
    numbers = [
        pd.to_numeric(one[both], errors="coerce").to_numpy(np.float64)
        for one in (cells, others)
    ]
    differ = cells[both][~np.equal(*numbers)]
    if len(differ):
        example = differ.index[0]
        replace(place, column=columns[1]).warning(
            f"{len(differ)} patient(s) have a time here and in an earlier column of first_of that "
            f"differ ({example}: {cells[example]!r} and {others[example]!r}); the earlier is taken",
            patients=differ.index,
        )


def _span(
    spec: OutcomeSpec,
    time: TimeSpan,
    columns: Mapping[str, pd.Series[str]],
) -> Times:
    """Count the days between two dates, in the unit of the outcome."""
    faults: list[Fault] = []
    unclear: list[Fault] = []
    days = []
    for column in time.columns:
        cells = columns[column]
        known = cells[~missing_cells(spec, cells)]
        dates = read_dates(known, time.format)
        own = pd.Series(dates.days, known.index).reindex(cells.index)
        days.append(own.to_numpy(np.float64))
        lost = cells[missing_cells(spec, cells)]
        if len(lost):
            faults.append(Fault(column, "date is missing", lost))
        faults += _faults_of_dates(spec, column, known, dates)
        if dates.others:
            unclear.append(_ask_format(time, column, known, dates))
    texts = map(repr, ((days[1] - days[0]) / DAYS[spec.unit]).tolist())
    # as a column of these times would be read, so that a written cohort is the same
    value = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(
        float
    )
    early = value <= 0
    if early.any():
        start, end = (columns[column][early] for column in time.columns)
        text = "time must be > 0"
        both = start.str.cat(end, sep=" to ")
        hint = f"correct the dates; `{time.start}` is time zero, `{time.end}` lies after it"
        faults.append(Fault(spec.time_name, text, both, hint))
    return Times(np.where(early, np.nan, value), faults, unclear)


def _faults_of_dates(
    spec: OutcomeSpec,
    column: str,
    known: pd.Series[str],
    dates: Dates,
) -> Iterator[Fault]:
    """Cells that are no whole date."""
    absent = ~np.isfinite(dates.days)
    partial = known[absent & dates.partial]
    if len(partial):
        yield Fault(column, "expected a date with its day", partial, WRITE_DAY)
    wrong = known[absent & ~dates.partial]
    if len(wrong):
        like = "a date such as 2021-03-04"
        if np.isfinite(dates.days).any():
            like = f"a date like the others, {dates.format}"
        yield Fault(column, f"expected {like}", wrong, _instead(spec, wrong))


def _ask_format(
    time: TimeSpan,
    column: str,
    known: pd.Series[str],
    dates: Dates,
) -> Fault:
    """Ask how dates are written that can be read in two ways."""
    formats = [dates.format, *dates.others]
    choices = []
    for one in formats:
        choices.append(f"{{from: {time.start}, to: {time.end}, format: '{one}'}}")
    text = f"dates can be read in {len(formats)} ways, {' and '.join(formats)}"
    return Fault(column, text, known, f"say which: time: {' or '.join(choices)}")
