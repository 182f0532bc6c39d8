"""Where something is missing: availability patterns, and the model with less than it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from survfuse._errors import listed
from survfuse.report.claims import NAMED, direction
from survfuse.report.formatting import GROUPS_OF_LOSS, known, loss
from survfuse.report.performance import INTACT
from survfuse.report.report_tables import plain_records
from survfuse.report.views import footnoted

SHOWN = (
    "uno_c",
    "delta_uno_c",
    "isbs",
    "delta_isbs",
    "calibration_slope",
    "observed_expected",
)


def availability(
    patterns: Sequence[Mapping[str, Any]],
    scored: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Availability patterns with the model's numbers within each.

    Parameters
    ----------
    patterns : sequence of mapping
        `modalities`, `patients` and what else the cohort tells of each.
    scored : DataFrame
        The table `availability`: `modalities`, `metric` and the estimate.

    Returns
    -------
    list of mapping
        The patterns, each with `uno_c` and `observed_expected`: an estimate, or None where the run has none.
    """
    found = {
        (tuple(row["modalities"]), row["metric"]): row for row in plain_records(scored)
    }
    return [
        {
            **row,
            **{
                key: found.get((tuple(row["modalities"]), key))
                for key in ("uno_c", "observed_expected")
            },
        }
        for row in patterns
    ]


def robustness(
    table: pd.DataFrame,
    told: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Turn the table `robustness` into groups of rows with footnotes, and a sentence on top.

    Parameters
    ----------
    table : DataFrame
        `model`, `kind`, `what`, `nothing_left`, `metric` and the estimate.
    told : mapping or None
        As recorded: `left_out` are reasons.

    Returns
    -------
    mapping or None
        `says` and `expects` (sentences), `intact` (a row), `groups` (each with `title` and `rows`),
        `footnotes`, `left_out`; a row has `loss`, `nothing_left` and `cells` in the order of `SHOWN`.
        None where nothing was recorded.
    """
    if not told:
        return None
    rows = []
    for _, part in groupby(plain_records(table), lambda row: row["model"]):
        estimates = {row["metric"]: row for row in part}
        first = next(iter(estimates.values()))
        place = {key: first[key] for key in ("kind", "what", "nothing_left")}
        cells = [estimates.get(metric) for metric in SHOWN]
        rows.append(
            {**place, "loss": loss(first["kind"], first["what"]), "cells": cells},
        )
    marked = footnoted(rows)
    groups = [
        {
            "title": GROUPS_OF_LOSS[kind],
            "rows": [row for row in marked["rows"] if row["kind"] == kind],
        }
        for kind in GROUPS_OF_LOSS
    ]
    return {
        "says": robustness_says(rows),
        "expects": expectation_says(rows),
        "intact": next((row for row in marked["rows"] if row["kind"] == INTACT), None),
        "groups": [group for group in groups if group["rows"]],
        "footnotes": marked["footnotes"],
        "left_out": list(told.get("left_out") or ()),
    }


def robustness_says(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in a few sentences which losses are shown to change the ranking.

    Parameters
    ----------
    rows : sequence of mapping
        `kind`, `what` and `cells` in the order of `SHOWN`.
    """
    place = SHOWN.index("delta_uno_c")
    tried = [
        row for row in rows if row["kind"] != INTACT and row["cells"][place] is not None
    ]
    if not tried:
        return "Nothing could be taken from these patients."
    ways = [
        (_phrase(row), direction({**row["cells"][place], "p_holm": None}))
        for row in tried
    ]
    parts = []
    for way in ("worse", "better"):
        names = [name for name, found in ways if found == way]
        if names:
            parts.append(
                f"The same model ranked patients {way} {listed(names, NAMED)}.",
            )
    if not any(found == "worse" for _, found in ways):
        parts.insert(0, "No loss here is shown to make the ranking worse.")
    if not all(found for _, found in ways):
        parts.append(
            "An interval that includes 0 does not prove that a loss costs nothing.",
        )
    return " ".join(parts)


def expectation_says(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say under which losses the model expects too many or too few events on the whole; empty where none is.

    Parameters
    ----------
    rows : sequence of mapping
        As for :func:`robustness_says`.
    """
    rows = [row for row in rows if row["kind"] != INTACT]
    place = SHOWN.index("observed_expected")
    told = [
        (_phrase(row), row["cells"][place])
        for row in rows
        if row["cells"][place] is not None
    ]
    fewer = [name for name, e in told if known(e["high"]) and e["high"] < 1]
    more = [name for name, e in told if known(e["low"]) and e["low"] > 1]
    return " ".join(
        f"{way} events came than it predicted {listed(names, NAMED)}."
        for way, names in (("Fewer", fewer), ("More", more))
        if names
    )


def _phrase(row: Mapping[str, Any]) -> str:
    what = row["what"]
    return {"removed": f"without {what}", "only": f"with {what} alone"}.get(
        row["kind"],
        f"with {what}% of clinical values missing",
    )
