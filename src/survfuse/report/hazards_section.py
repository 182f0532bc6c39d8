"""Hazard ratios of the clinical columns: rows as a reader sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from survfuse._errors import listed
from survfuse.cohort.labels import Labels

MISSING = "(missing)"
WAYS = ("univariable", "multivariable")
Row = Mapping[str, Any]


def hazards(
    rows: Iterable[Row],
    record: Mapping[str, Any] | None,
    labels: Labels,
) -> dict[str, Any] | None:
    """Rows of the table for people.

    Parameters
    ----------
    rows : iterable of mapping
        Of the table `clinical_hazards`.
    record : mapping or None
        As recorded: `parameters`, `patients`, `events`, `cohort_patients`, `note`.
    labels : Labels
        Words for columns and values.

    Returns
    -------
    mapping or None
        The record, the `ways` that were fitted, and `rows`: `title`, `contrast`, `depth` (0, or 1
        of a level), `patients`, `events` and `cells`, an estimate per way or None of a heading.
        None where nothing was recorded.
    """
    if not record:
        return None
    ways = WAYS[:1] if record["note"] else WAYS
    entries: list[dict[str, Any]] = []
    for column, part in groupby(rows, lambda row: row["column"]):
        own = list(part)
        title = labels.column(own[0]["modality"], column)
        depth = 0
        if own[0]["kind"] == "nominal" and _of_two(own):
            own = own[1:]
        elif own[0]["kind"] == "nominal":
            heading = dict.fromkeys(("patients", "events", "cells"))
            entries.append({"title": title, "contrast": "", "depth": 0, **heading})
            depth = 1
        for row in own:
            entries.append(_row(row, title, depth, ways, labels))
            depth = 1
    return {**record, "ways": ways, "rows": entries}


def _of_two(rows: list[Row]) -> bool:
    """Whether one level is compared with one other."""
    levels = [row for row in rows if row["level"] != MISSING]
    return len(levels) == 2


def _row(
    row: Row,
    title: str,
    depth: int,
    ways: Iterable[str],
    labels: Labels,
) -> dict[str, Any]:
    cells = [_estimate(row, way) for way in ways]
    is_level = depth == 1
    return {
        "title": _level(row, row["level"], labels) if is_level else title,
        "contrast": _contrast(row, labels, alone=not is_level),
        "depth": depth,
        "patients": row["patients"],
        "events": row["events"],
        "cells": cells,
    }


def _estimate(row: Row, way: str) -> dict[str, Any]:
    cell = {key: row[f"{way}_{key}"] for key in ("low", "high", "note")}
    return {**cell, "value": row[way]}


def _level(
    row: Row,
    level: str,
    labels: Labels,
) -> str:
    """Word for a level; pooled ones are named."""
    if level == MISSING:
        return "not known"
    if row["pooled"]:
        spellings = [
            labels.value(row["modality"], row["column"], one) for one in row["pooled"]
        ]
        return f"other ({listed(spellings, 6)})"
    return labels.value(row["modality"], row["column"], level)


def _contrast(
    row: Row,
    labels: Labels,
    *,
    alone: bool,
) -> str:
    """What a ratio compares; `alone` where no heading says it."""
    if row["level"] == MISSING:
        return "against the average"
    if row["kind"] == "ordinal":
        return "per level"
    if row["kind"] == "nominal" and not alone:
        return "reference" if row["reference"] is None else ""
    if row["level"] is not None:
        reference = labels.value(row["modality"], row["column"], row["reference"])
        return f"{_level(row, row['level'], labels)} against {reference}"
    return f"per {row['step']:g}"
