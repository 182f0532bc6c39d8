"""The outcome of a draft: table, patients, times with their unit, status with its polarity."""

from __future__ import annotations

import numpy as np

from survfuse._errors import listed
from survfuse._types import FloatArray
from survfuse.cohort.time_units import doubted_unit, on_calendar
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.endpoints import (
    Endpoint,
    find_endpoints,
    status_columns,
    time_columns,
)
from survfuse.drafts.guess import Blank, Choice, Guess
from survfuse.drafts.polarity import put_polarity
from survfuse.drafts.tables import GivenTable, known, numbers, unknown_words
from survfuse.drafts.words import ENDPOINTS, identifier, unit_of_name
from survfuse.readers.matrices import MISSING

UNITS = ("days", "months", "years")


def put_outcome(
    draft: Draft,
    table: GivenTable,
    patient: Guess[str] | None,
) -> list[str]:
    """Write the section `outcome`, or `outcomes` where a table holds several endpoints.

    Parameters
    ----------
    draft : Draft
    table : GivenTable
    patient : Guess or None
        Column of patient ids.

    Returns
    -------
    list of str
        Columns of all endpoints, which are no inputs.
    """
    endpoints = find_endpoints(table.frame)
    if not endpoints:
        section = draft.section("outcome")
        _put_table(section, table, patient)
        _ask_columns(section, table)
        return []
    columns: list[str] = []
    for endpoint in endpoints:
        if len(endpoints) > 1:
            section = draft.section("outcomes").section(identifier(endpoint.key))
        else:
            section = draft.section("outcome")
        _put_table(section, table, patient)
        put_endpoint(section, table, endpoint)
        columns += endpoint.columns
    return columns


def put_endpoint(
    section: Section,
    table: GivenTable,
    endpoint: Endpoint,
) -> None:
    """Write time, unit, status, missing words and name of one endpoint."""
    frame = table.frame
    section.add(
        "time", endpoint.time, endpoint.evidence, certain=isinstance(endpoint.time, str)
    )
    times = _times(table, endpoint)
    section.put("unit", _unit(endpoint, times))
    if endpoint.status is None:
        section.ask("event", "the column of the status")
        return
    put_polarity(section, endpoint.status, frame[endpoint.status])
    if endpoint.key in ENDPOINTS:
        section.add("endpoint", ENDPOINTS[endpoint.key], "by the names of its columns")
    unknown = {term for name in endpoint.columns for term in unknown_words(frame[name])}
    unknown -= set(MISSING)
    if unknown:
        section.add(
            "missing", [*MISSING, *sorted(unknown)], f"found: {listed(sorted(unknown))}"
        )
    _put_exclusion(section, table, endpoint, times)


def _put_exclusion(
    section: Section,
    table: GivenTable,
    endpoint: Endpoint,
    times: FloatArray | None,
) -> None:
    """Leave out, and say, patients without a usable time or status."""
    reasons = []
    if times is not None:
        for what, wrong in (
            ("no time", np.isnan(times)),
            ("a time of 0 or less", times <= 0),
        ):
            if wrong.any():
                reasons.append(f"{int(wrong.sum())} with {what}")
    cells = table.frame[str(endpoint.status)]
    lost = len(cells) - len(known(cells))
    if lost:
        reasons.append(f"{lost} without a status")
    if reasons:
        evidence = f"left out, counted and listed: {', '.join(reasons)}"
        section.add("exclude_invalid", True, evidence, certain=False)


def _times(table: GivenTable, endpoint: Endpoint) -> FloatArray | None:
    """Times of the rows, NaN where not known; None of dates."""
    time = endpoint.time
    if isinstance(time, str):
        return numbers(table.frame[time])
    if isinstance(time, dict) and "first_of" in time:
        first, *others = (numbers(table.frame[name]) for name in time["first_of"])
        for other in others:
            first = np.where(np.isnan(first), other, first)
        return first
    return None


def _unit(endpoint: Endpoint, times: FloatArray | None) -> Guess[object] | Blank:
    if times is None:
        return Guess("months", "of dates; days and years do as well")
    names = {unit_of_name(name) for name in endpoint.columns} - {""}
    return guess_unit(times, names.pop() if len(names) == 1 else "")


def guess_unit(times: FloatArray, named: str = "") -> Guess[object] | Blank:
    """Guess the unit of times by a column's name, else by their length and decimals.

    Parameters
    ----------
    times : array, (patients,)
        NaN where not known.
    named : str
        Unit that the name says; empty where it says none.
    """
    usable = times[np.isfinite(times) & (times > 0)]
    if not len(usable):
        return Blank("days, months or years")
    if named == "weeks":
        return Blank(
            "days, after the times are multiplied by 7", evidence="its name says weeks"
        )
    longest = f"longest {np.max(usable):g}"
    if named:
        doubt = doubted_unit(usable, named)
        evidence = f"by its name; {longest}" + (f"; but {doubt}" if doubt else "")
        return Guess(named, evidence, not doubt)
    fitting = [unit for unit in UNITS if not doubted_unit(usable, unit)]
    if len(fitting) == 1:
        days = ", whole days" if on_calendar(usable, fitting[0]) else ""
        evidence = f"{longest}: no other unit fits{days}"
        return Guess(fitting[0], evidence, certain=False)
    choices = [Choice(unit, "unit", unit) for unit in fitting or UNITS]
    return Blank(
        " or ".join(choice.answer for choice in choices),
        tuple(choices),
        f"{longest}, median {np.median(usable):g}: more than one unit fits",
    )


def put_table(section: Section, table: GivenTable) -> None:
    """Write the file of a table; a sheet or encoding that was guessed is to be checked."""
    rows = f"{len(table.frame)} rows"
    evidence = f"{rows}; {table.evidence}" if table.evidence else rows
    section.add("table", table.value, evidence, certain=not table.evidence)


def _put_table(
    section: Section,
    table: GivenTable,
    patient: Guess[str] | None,
) -> None:
    put_table(section, table)
    if patient is None:
        columns = listed(map(str, table.frame), 12)
        section.ask("patient", f"the column of patient ids, one of: {columns}")
    else:
        section.put("patient", Guess(patient.value, patient.evidence, patient.certain))


def _ask_columns(section: Section, table: GivenTable) -> None:
    """Leave blanks for time and status, with the columns that could be them."""
    frame = table.frame
    ways = (
        ("time", time_columns, "follow-up times"),
        ("event", status_columns, "the status"),
    )
    for key, find, what in ways:
        likely = find(frame)
        names = listed(likely or map(str, frame), 12)
        section.ask(key, f"the column of {what}, one of: {names}")
        if key == "time":
            section.ask("unit", "days, months or years")
