"""Table 1 of the report: rows as a reader sees them, from the table `characteristics`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from survfuse._errors import InputError, listed
from survfuse.cohort.labels import Labels
from survfuse.evaluation.characteristics import GROUPS
from survfuse.figures.formatting import MISSING, count, known, number, percent

SUMMARIES = {"mean": "mean (SD)", "median": "median [quartiles]"}
NOT_KNOWN = "not known"
NEGATIVE = {"0", "no", "none", "never", "negative", "absent", "false", "−", "-"}
"""Levels of which the other one of two is shown."""
COLUMNS = ("numeric", "ordinal", "nominal")
"""Kinds of rows that are columns of a table."""
Row = Mapping[str, Any]


def characteristics(
    rows: Iterable[Row],
    labels: Labels,
    unit: str,
) -> dict[str, Any] | None:
    """Rows of the table for people.

    Parameters
    ----------
    rows : iterable of mapping
        Of the table `characteristics`.
    labels : Labels
        Words for columns, values and modalities.
    unit : str
        Unit of time.

    Returns
    -------
    mapping or None
        `patients` of each of `GROUPS`, and `rows`: `title`, `says` (what the numbers are), `depth`
        (0, or 1 of a level) and one of `cells` per group. None where nothing was recorded.

    Raises
    ------
    InputError
        When rows lack their kind, or a group has none.
    """
    known_rows = list(rows)
    if not known_rows:
        return None
    entries: list[dict[str, Any]] = []
    patients = {row["group"]: row["patients"] for row in known_rows}
    if set(GROUPS) - set(patients) or not all(row["kind"] for row in known_rows):
        raise InputError(
            "performance.json: characteristics: expected rows with a `kind`, of the groups "
            f"{listed(GROUPS)}; got the groups {listed(map(str, patients))}",
        )
    for _, block in groupby(known_rows, _block):
        entries += _of_block(list(block), labels, unit)
    return {"patients": [patients[group] for group in GROUPS], "rows": entries}


def _block(row: Row) -> tuple[Any, ...]:
    """What rows under one heading share."""
    if row["kind"] == "modality":
        return ("modality",)
    return row["kind"], row["modality"], row["column"]


def _of_block(
    block: list[Row],
    labels: Labels,
    unit: str,
) -> list[dict[str, Any]]:
    """Rows of a column: of a number or of two levels one, of more a heading and one per level."""
    first = block[0]
    title = _title(first, labels, unit)
    parts = [list(part) for _, part in groupby(block, _place)]
    if first["summary"] in SUMMARIES:
        says = SUMMARIES[first["summary"]]
        cell = _mean if first["summary"] == "mean" else _median
        if first["kind"] == "follow-up":
            says, cell = "median, by reverse Kaplan–Meier", _follow_up
        head = {"title": title, "says": says, "depth": 0}
        head["cells"] = _cells(parts.pop(0), cell)
    else:
        head = {"title": title, "says": "patients (%)", "depth": 0, "cells": None}
        if first["kind"] in COLUMNS and _two_levels(parts):
            second = parts[0 if _is_negative(parts[1][0], labels) else 1]
            head["title"] = f"{title}: {_level(second[0], labels)}"
            head["cells"] = _cells(second, _counted)
            parts = parts[2:]
    levels = []
    for part in parts:
        spelling = _level(part[0], labels)
        levels.append(
            {"title": spelling, "says": "", "depth": 1, "cells": _cells(part, _counted)}
        )
    return [head, *levels]


def _two_levels(parts: list[list[Row]]) -> bool:
    """Whether there are two levels, so that one says all, besides those not known."""
    levels = [part for part in parts if part[0]["summary"] != "missing"]
    return len(levels) == 2


def _is_negative(row: Row, labels: Labels) -> bool:
    """Whether a level says that something is absent, by its value or its word."""
    spellings = {str(row["level"]).casefold(), _level(row, labels).casefold()}
    return not NEGATIVE.isdisjoint(spellings)


def _place(row: Row) -> tuple[Any, ...]:
    return row["modality"], row["column"], row["level"], row["summary"]


def _title(
    row: Row,
    labels: Labels,
    unit: str,
) -> str:
    titles = {
        "time": f"Observed time ({unit})",
        "follow-up": f"Follow-up ({unit})",
        "modality": "Modalities that patients have",
    }
    if row["kind"] in titles:
        return titles[row["kind"]]
    return labels.column(str(row["modality"] or ""), str(row["column"]))


def _level(row: Row, labels: Labels) -> str:
    if row["summary"] == "missing":
        return NOT_KNOWN
    if row["kind"] == "modality":
        return labels.modality(row["modality"])
    return labels.value(str(row["modality"] or ""), row["column"], row["level"])


def _cells(rows: list[Row], write: Any) -> list[str]:
    by_group = {row["group"]: row for row in rows}
    return [write(by_group[group]) if group in by_group else "" for group in GROUPS]


def _counted(row: Row) -> str:
    if not known(row["share"]):
        return count(row["n"])
    return f"{count(row['n'])} ({percent(row['share'])})"


def _mean(row: Row) -> str:
    if not known(row["mean"]):
        return MISSING
    digits = _digits(row["sd"])
    spread = f" ({number(row['sd'], digits)})" if known(row["sd"]) else ""
    return f"{number(row['mean'], digits)}{spread}"


def _median(row: Row) -> str:
    if not known(row["median"]):
        return MISSING
    digits = _digits(row["high_quartile"] - row["low_quartile"])
    ends = [_short(row[name], digits) for name in ("low_quartile", "high_quartile")]
    return f"{_short(row['median'], digits)} [{ends[0]} to {ends[1]}]"


def _follow_up(row: Row) -> str:
    if not known(row["median"]):
        return "not reached"
    return _short(row["median"], 1)


def _short(value: float, digits: int) -> str:
    """Write a number without zeros at the end of its decimals."""
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text).replace("-", "−")


def _digits(spread: float | None) -> int:
    """Decimals that a spread calls for: two digits of it below 1, one decimal below 100."""
    if not known(spread) or spread is None or spread <= 0:
        return 1
    if spread >= 1:
        return 0 if spread >= 100 else 1
    return min(6, 1 - math.floor(math.log10(spread)))
