"""Which columns hold the outcome: pairs of a time and a status, by name and content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.status_column import says_event
from survfuse.drafts.tables import all_dates, all_numbers, known, numbers
from survfuse.drafts.words import MEASURES, TIMES, endpoint_of, words_of
from survfuse.readers.cell_text import whole

MOST_STATUSES = 8
_NO_TIME = {"birth", "age", "diagnosis", "initial", "year_of"}
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
    by_key: dict[str, list[str]] = {}
    for name in statuses:
        by_key.setdefault(endpoint_of(name), []).append(name)
    endpoints = []
    for key, own in by_key.items():
        candidates = [name for name in times if endpoint_of(name) == key]
        if key == "" and not candidates:
            continue
        if not candidates and key:
            candidates = [name for name in times if endpoint_of(name) == ""]
        pair = _best_pair(frame, candidates, own)
        if pair is not None:
            endpoints.append(Endpoint(key or own[0].casefold(), *pair))
    if not endpoints and "" in by_key and times:
        pair = _best_pair(frame, times, by_key[""])
        if pair is not None:
            key = endpoint_of(str(pair[0])) if isinstance(pair[0], str) else ""
            endpoints.append(Endpoint(key or "os", *pair))
    if not endpoints and statuses:
        dates = _dates(frame)
        if dates is not None:
            evidence = "dates: no column of numbers is a time"
            endpoints.append(
                Endpoint(endpoint_of(statuses[0]) or "os", dates, statuses[0], evidence)
            )
    return sorted(
        endpoints, key=lambda one: (one.key != "os", list(frame).index(one.columns[-1]))
    )


def _best_pair(
    frame: pd.DataFrame,
    times: Sequence[str],
    statuses: Sequence[str],
) -> tuple[object, str, str] | None:
    """Time, status and evidence of the pair that covers most patients and shares most words."""
    best: tuple[tuple[float, int, int], str, str] | None = None
    for time in times:
        for status in statuses:
            if time == status:
                continue
            covered = _covered(frame, [time], status)
            shared = len({*words_of(time)} & {*words_of(status)})
            rank = round(covered, 1), shared, -list(frame).index(time)
            if best is None or rank > best[0]:
                best = rank, time, status
    if best is None:
        return None
    (_, time, status) = best
    covered = _covered(frame, [time], status)
    several = _first_of(frame, times, status)
    if several and _covered(frame, several, status) > covered + 0.05:
        return {"first_of": several}, status, "the first of these that is filled"
    if covered < 0.5:  # the time of one kind of patients alone
        return None
    values = numbers(known(frame[time]))
    return time, status, f"{np.nanmin(values):g} to {np.nanmax(values):g}"


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
    event = [name for name in times if {"death", "event"} & {*words_of(name)}]
    last = [name for name in times if "last" in "".join(words_of(name))]
    last.sort(key=lambda name: -_covered(frame, [name], status))
    return [event[0], last[0]] if event and last else []


def _dates(frame: pd.DataFrame) -> dict[str, str] | None:
    """Columns of dates from which to which follow-up lasts."""
    filled: dict[str, int] = {}
    for name in map(str, frame):
        if all_dates(frame[name]):
            filled[name] = len(known(frame[name]))
    starts = [name for name in filled if _speaks_of(name, _START)]
    ends = [name for name in filled if _speaks_of(name, _END) and name not in starts]
    ends.sort(key=lambda name: -filled[name])
    return {"from": starts[0], "to": ends[0]} if starts and ends else None


def _speaks_of(name: str, parts: Sequence[str]) -> bool:
    return any(part in name.casefold() for part in parts)


def _is_time(name: str, cells: pd.Series[str]) -> bool:
    words = words_of(name)
    to_something = "to" in words or "from" in words or "until" in words
    if {"birth", "age"} & {*words} or (_NO_TIME & {*words} and not to_something):
        return False
    joined = "".join(words)
    says_time = (
        bool(TIMES & {*words}) or joined.endswith((*TIMES,)) or "timeto" in joined
    )
    if not says_time or {"status", "event"} == {*words}:
        return False
    outcome = named_like_outcome(name) or {*words} <= {
        *TIMES,
        "survival",
        "follow",
        "up",
        "fu",
        "in",
    }
    if not (outcome or endpoint_of(name) or to_something) or not all_numbers(cells):
        return False
    values = numbers(known(cells))
    return (
        len(np.unique(values)) >= min(6, len(values) // 2) and float(values.max()) > 1
    )


def _is_status(name: str, cells: pd.Series[str]) -> bool:
    values = {whole(cell) for cell in known(cells)}
    if not 1 <= len(values) <= MOST_STATUSES:
        return False
    meanings = {says_event(value) for value in values}
    if meanings == {True, False} and any(_life(value) for value in values):
        return True  # dead and alive, whatever the column is called
    words = {*words_of(name)}
    if not (named_like_outcome(name) or words == {"relapse"}) or words & {*MEASURES}:
        return False
    if words & {"time", "date", "age", "cause"}:
        return False
    is_code = values <= {"0", "1"} or values <= {"1", "2"}
    lowered = {value.casefold() for value in values}
    is_flag = lowered <= {"true", "false"} or lowered in ({"y", "n"}, {"t", "f"})
    return is_code or is_flag or None not in meanings


def _life(value: str) -> bool:
    return bool(_LIFE_WORDS & {*words_of(value)})
