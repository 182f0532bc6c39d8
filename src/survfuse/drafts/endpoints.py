"""Which columns hold the outcome: pairs of a time and a status, by name and content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.status_column import says_event
from survfuse.drafts.tables import all_dates, all_numbers, known, numbers
from survfuse.drafts.words import (
    MEASURES,
    TIMES,
    endpoint_of,
    free_of,
    unit_of_name,
    words_of,
)
from survfuse.readers.cell_text import whole

MOST_STATUSES = 8
_START = (
    "diagnos",
    "surgery",
    "operat",
    "resect",
    "start",
    "random",
    "inclusion",
    "enrol",
    "index",
)
_END = (
    "last",
    "follow",
    "contact",
    "death",
    "event",
    "end",
    "relapse",
    "recur",
    "progress",
)
_FOLLOWED = {*TIMES, "survival", "follow", "up", "fu", "in"}
"""Words of which the name of a time may consist."""
_FLAGS = ({"0", "1"}, {"1", "2"}, {"true", "false"})
_LETTERS = ({"y", "n"}, {"t", "f"})
_LIFE_WORDS = {"dead", "deceased", "died", "alive", "living"}


@dataclass(frozen=True)
class Endpoint:
    """An outcome that a table holds.

    Attributes
    ----------
    key : str
        Short name, such as "os"; of no known endpoint, a word of the status column.
    time : str, or mapping
        A column, `{first_of: [...]}` or `{from: ..., to: ...}`.
    status : str or None
        Column of the status.
    evidence : str
        What the times are.
    """

    key: str
    time: object
    status: str | None
    evidence: str

    @property
    def columns(self) -> list[str]:
        """All columns of the outcome."""
        times = [self.time] if isinstance(self.time, str) else []
        if isinstance(self.time, dict):
            for one in self.time.values():
                times += one if isinstance(one, list) else [one]
        return [*map(str, times), *([self.status] if self.status else [])]


def time_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that hold follow-up times, by name and content."""
    return [str(name) for name in frame if _is_time(str(name), frame[name])]


def status_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that say whether the event happened, by name and content."""
    return [str(name) for name in frame if _is_status(str(name), frame[name])]


def find_endpoints(frame: pd.DataFrame) -> list[Endpoint]:
    """Pair the times of a table with its statuses; the likeliest endpoint first.

    Parameters
    ----------
    frame : DataFrame of str, (rows, columns)
    """
    times, statuses = time_columns(frame), status_columns(frame)
    times_of, statuses_of = _by_endpoint(times), _by_endpoint(statuses)
    endpoints = []
    for key, own in statuses_of.items():
        candidates = times_of.get(key) or times_of.get("", [])
        endpoints += _paired(frame, candidates, own, key or own[0].casefold())
    if not endpoints and "" in statuses_of:
        endpoints = _paired(frame, times, statuses_of[""], "")
    if not endpoints and statuses:
        endpoints = _dated(frame, statuses[0])
    columns = list(frame)
    return sorted(
        endpoints, key=lambda one: (one.key != "os", columns.index(one.columns[-1]))
    )


def _by_endpoint(names: Sequence[str]) -> dict[str, list[str]]:
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(endpoint_of(name), []).append(name)
    return by_key


def _paired(
    frame: pd.DataFrame,
    times: Sequence[str],
    statuses: Sequence[str],
    key: str,
) -> list[Endpoint]:
    """Endpoint of the pair that covers most patients and shares most words; none where none does.

    Without a key, the time's name says the endpoint.
    """
    pairs = [(time, status) for time in times for status in statuses if time != status]
    if not pairs:
        return []
    order = list(frame)

    def rank(pair: tuple[str, str]) -> tuple[float, int, int]:
        time, status = pair
        shared = len({*words_of(time)} & {*words_of(status)})
        return round(_covered(frame, [time], status), 1), shared, -order.index(time)

    time, status = max(pairs, key=rank)
    covered = _covered(frame, [time], status)
    several = _first_of(frame, times, status)
    if several and _covered(frame, several, status) > covered + 0.05:
        evidence = "the first of these that is filled"
        return [Endpoint(key or "os", {"first_of": several}, status, evidence)]
    if covered < 0.5:  # the time of one kind of patients alone
        return []
    values = numbers(known(frame[time]))
    evidence = f"{np.nanmin(values):g} to {np.nanmax(values):g}"
    return [Endpoint(key or endpoint_of(time) or "os", time, status, evidence)]


def _covered(frame: pd.DataFrame, times: Sequence[str], status: str) -> float:
    """Smallest share of patients with a time, over the statuses."""
    has_time = np.zeros(len(frame), bool)
    for time in times:
        has_time |= np.isfinite(numbers(frame[time]))
    shares = []
    for _, rows in pd.Series(has_time).groupby(frame[status].to_numpy()):
        if len(rows) >= 0.02 * len(frame):
            shares.append(float(rows.mean()))
    return min(shares, default=0.0)


def _first_of(frame: pd.DataFrame, times: Sequence[str], status: str) -> list[str]:
    """Time of the event, then time of the last contact, where a table has both apart."""
    events = [name for name in times if {"death", "event"} & {*words_of(name)}]
    if not events:
        return []
    unit = unit_of_name(events[0])
    last = [name for name in times if "last" in "".join(words_of(name))]
    last = [name for name in last if unit_of_name(name) == unit]
    last.sort(key=lambda name: -_covered(frame, [name], status))
    return [events[0], last[0]] if last else []


def _dated(frame: pd.DataFrame, status: str) -> list[Endpoint]:
    """Endpoint between two columns of dates; none where there are none."""
    dates = [name for name in map(str, frame) if all_dates(frame[name])]
    starts = [name for name in dates if _speaks_of(name, _START)]
    ends = [name for name in dates if _speaks_of(name, _END) and name not in starts]
    if not starts or not ends:
        return []
    last = max(ends, key=lambda name: len(known(frame[str(name)])))
    time = {"from": starts[0], "to": last}
    evidence = "dates: no column of numbers is a time"
    return [Endpoint(endpoint_of(status) or "os", time, status, evidence)]


def _speaks_of(name: str, parts: Sequence[str]) -> bool:
    return any(part in name.casefold() for part in parts)


def named_like_time(name: str) -> bool:
    """Whether a column is called as follow-up times are.

    >>> list(map(named_like_time, ["OS.time", "days_to_death", "age_years", "months_ill"]))
    [True, True, False, False]
    """
    terms = {*words_of(name)}
    is_span = bool({"to", "from", "until"} & terms)
    if terms & {"birth", "age"} or (terms & {"diagnosis", "initial"} and not is_span):
        return False
    joined = "".join(words_of(name))
    says_time = terms & TIMES or joined.endswith((*TIMES,)) or "timeto" in joined
    says_outcome = named_like_outcome(name) or endpoint_of(name) or terms <= _FOLLOWED
    return bool(says_time and (is_span or says_outcome))


def _is_time(name: str, cells: pd.Series[str]) -> bool:
    if not named_like_time(name) or not all_numbers(cells):
        return False
    values = numbers(known(cells))
    return (
        len(np.unique(values)) >= min(6, len(values) // 2) and float(values.max()) > 1
    )


def _is_status(name: str, cells: pd.Series[str]) -> bool:
    if cells.nunique() > 3 * MOST_STATUSES:  # some of them may mean "not known"
        return False
    values = {whole(cell).casefold() for cell in known(cells)}
    if not 1 <= len(values) <= MOST_STATUSES:
        return False
    meanings = set(map(says_event, values))
    if meanings == {True, False} and _LIFE_WORDS & {*words_of(" ".join(values))}:
        return True  # dead and alive, whatever the column is called
    terms = {*words_of(name)}
    if terms & {"time", "date", "age", "cause", *MEASURES}:
        return False
    is_flag = values in _LETTERS or any(map(values.issubset, _FLAGS))
    is_named = named_like_outcome(name) or terms == {"relapse"} or free_of(name)
    return is_named and (is_flag or None not in meanings)
