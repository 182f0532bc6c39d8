"""Outcomes and clinical tables whose columns a format names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from survfuse._errors import listed
from survfuse._types import FloatArray
from survfuse.cohort.patient_ids import is_normal
from survfuse.drafts.columns import put_columns
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.ids import participant
from survfuse.drafts.tables import GivenTable, known, numbers, unknown_words
from survfuse.drafts.words import ENDPOINTS
from survfuse.readers.matrices import MISSING


@dataclass(frozen=True)
class NamedEndpoint:
    """An endpoint whose columns and polarity the format says.

    Attributes
    ----------
    key : str
        Short name, such as "os".
    time : tuple of str
        Column of the time; of several the first that is filled.
    unit : str
    status : str
    values : mapping of str to int
        What its words mean, as 0 or 1 of the column; empty where it holds 0 and 1.
    censored : bool
        Whether 1 means censored.
    why : str
        Where unit and polarity are from.
    """

    key: str
    time: tuple[str, ...]
    unit: str
    status: str
    values: Mapping[str, int] = field(default_factory=dict)
    censored: bool = False
    why: str = ""


def put_endpoints(
    draft: Draft,
    table: GivenTable,
    patient: str,
    endpoints: Sequence[NamedEndpoint],
) -> list[str]:
    """Write `outcome`, or `outcomes` where there are several.

    Returns
    -------
    list of str
        Columns of all endpoints, which are no inputs.
    """
    columns: list[str] = []
    for endpoint in endpoints:
        if len(endpoints) == 1:
            section = draft.section("outcome")
        else:
            section = draft.section("outcomes").section(endpoint.key)
        _put_endpoint(section, table, patient, endpoint)
        columns += [*endpoint.time, endpoint.status]
    return columns


def _put_endpoint(
    section: Section,
    table: GivenTable,
    patient: str,
    endpoint: NamedEndpoint,
) -> None:
    frame = table.frame
    section.add("table", table.value, f"{len(frame)} rows")
    section.add("patient", patient, f"{frame[patient].nunique()} different")
    time: object = endpoint.time[0]
    if len(endpoint.time) > 1:
        time = {"first_of": list(endpoint.time)}
    times = first_filled(table, endpoint.time)
    usable = times[np.isfinite(times)]
    span = f"{usable.min():g} to {usable.max():g}" if len(usable) else "no number"
    section.add("time", time, span)
    section.add("unit", endpoint.unit, endpoint.why)
    cells = known(frame[endpoint.status])
    counts = cells.value_counts()
    seen = ", ".join(f"{text}: {counts[text]}" for text in sorted(counts.index))
    one = "censored" if endpoint.censored else "event"
    section.add(one, endpoint.status, f"rows by value: {seen}")
    if endpoint.values:
        section.add("event_values", dict(endpoint.values), f"1 is {one}")
    section.add("endpoint", ENDPOINTS.get(endpoint.key, endpoint.key))
    columns = (*endpoint.time, endpoint.status)
    put_missing(
        section, [term for name in columns for term in unknown_words(frame[name])]
    )
    _put_exclusion(section, table, endpoint, patient, times)


def _put_exclusion(
    section: Section,
    table: GivenTable,
    endpoint: NamedEndpoint,
    patient: str,
    times: FloatArray,
) -> None:
    """Leave out, and say, patients without a usable time or status."""
    ids = table.frame[patient]
    status = table.frame[endpoint.status]
    wrong = {
        "no time": np.isnan(times),
        "a time of 0 or less": times <= 0,
        "no status": (~status.isin(known(status))).to_numpy(),
    }
    reasons = [
        f"{ids[rows].nunique()} with {what}"
        for what, rows in wrong.items()
        if rows.any()
    ]
    if reasons:
        evidence = f"left out, counted and listed: {', '.join(reasons)}"
        section.add("exclude_invalid", True, evidence)


def first_filled(table: GivenTable, columns: Sequence[str]) -> FloatArray:
    """Numbers of the first of these columns that has one, (rows,); NaN where none has."""
    values = np.full(len(table.frame), np.nan)
    for name in columns:
        values = np.where(np.isnan(values), numbers(table.frame[name]), values)
    return values


def put_missing(section: Section, terms: Collection[str]) -> None:
    """Write the cells that mean "not known", where they are more than the usual ones."""
    extra = sorted(set(terms) - set(MISSING))
    if extra:
        section.add("missing", [*MISSING, *extra], f"found: {listed(extra)}")


def put_clinical(
    draft: Draft,
    table: GivenTable,
    patient: str,
    taken: Collection[str],
) -> None:
    """Write the section `clinical` with the columns of a table that may be inputs."""
    section = draft.section("clinical")
    section.add("table", table.value, f"{len(table.frame)} rows")
    section.add("patient", patient)
    put_columns(section, table, {patient, *taken})
    if not section.section("columns").items:
        del draft.items["clinical"]
        draft.note(f"{table.path.name}: no column that may be a clinical input")


def put_samples(section: Section, samples: Sequence[str]) -> None:
    """Take the first sample of a patient, where TCGA barcodes of tumours name several.

    Samples are ordered by their codes, so that the primary tumour (01) comes before a metastasis
    (06); those of normal tissue (10 to 29) do not count.
    """
    tumours = [one for one in samples if not is_normal(one)]
    counts = Counter(map(participant, tumours))
    several = [patient for patient, count in counts.items() if count > 1]
    if several:
        evidence = f"{len(several)} patients have several, such as {listed(several, 2)}"
        section.add("rows", "first", f"{evidence}; 01 comes before 06", certain=False)
