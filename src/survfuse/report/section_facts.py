"""Facts of the sections on missing data and on the other cohort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from survfuse._errors import listed
from survfuse.report.model_names import model_title
from survfuse.report.names import order
from survfuse.report.report_tables import Tables
from survfuse.report.verdict import LOSS_METRICS, expectation_says, robustness_says
from survfuse.results import Result
from survfuse.results.run_tables import names_with_loss

MOST_MODELS = 4


def availability(
    patterns: Iterable[Mapping[str, Any]],
    scores: Iterable[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Availability patterns with the model's numbers within each.

    Parameters
    ----------
    patterns : iterable of mapping
        `modalities`, `patients` and further columns of the cohort.
    scores : iterable of mapping
        Rows of the table `availability`: `modalities`, `metric` and the estimate.

    Returns
    -------
    list of mapping
        The patterns, each with `uno_c` and `observed_expected`: an estimate, or None.
    """
    entries = {(tuple(row["modalities"]), row["metric"]): row for row in scores}
    rows = []
    for pattern in patterns:
        row = dict(pattern)
        for key in ("uno_c", "observed_expected"):
            row[key] = entries.get((tuple(row["modalities"]), key))
        rows.append(row)
    return rows


def robustness(
    rows: Iterable[Mapping[str, Any]],
    record: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Group the rows of the table `robustness` by loss.

    Parameters
    ----------
    rows : iterable of mapping
        `model`, `kind`, `what`, `nothing_left`, `metric` and the estimate.
    record : mapping or None
        As recorded: `left_out` are reasons.

    Returns
    -------
    mapping or None
        `says` and `expects` (sentences), `rows` (each with `kind`, `what`, `nothing_left` and
        `cells` in the order of `LOSS_METRICS`) and `left_out`. None where nothing was recorded.
    """
    if not record:
        return None
    losses = []
    for _, part in groupby(rows, lambda row: row["model"]):
        cells = {row["metric"]: row for row in part}
        first = next(iter(cells.values()))
        place = {key: first[key] for key in ("kind", "what", "nothing_left")}
        losses.append({**place, "cells": [cells.get(key) for key in LOSS_METRICS]})
    return {
        "says": robustness_says(losses),
        "expects": expectation_says(losses),
        "rows": losses,
        "left_out": record.get("left_out") or (),
    }


def external_scores(tables: Tables) -> dict[str, Any] | None:
    """Numbers of the other cohort, one row per metric with one cell per model.

    Returns
    -------
    mapping or None
        `cohort` as recorded, `models`, `rows` (key of the metric, cells) and `left`.
    """
    performance: Mapping[str, Any] = tables.run.performance
    record = performance.get("external")
    if not record:
        return None
    scores, hidden = tables["external"], names_with_loss(record)
    scores = scores[~scores["model"].isin(hidden)]
    first = {tables.run.name: 0, tables.baseline: 1}
    models = sorted(dict.fromkeys(scores["model"]), key=lambda name: first.get(name, 2))
    cells = {(row["model"], row["metric"]): row for row in tables.records["external"]}
    rows = []
    for key in sorted(set(scores["metric"]), key=order):
        rows.append((key, [cells.get((name, key)) for name in models[:MOST_MODELS]]))
    left = [model_title(name, tables.labels) for name in models[MOST_MODELS:]]
    return {
        "cohort": external_cohort(tables.run),
        "models": models[:MOST_MODELS],
        "rows": rows,
        "left": f"Also scored, in report.json: {listed(left, len(left))}."
        if left
        else "",
    }


def external_cohort(run: Result) -> dict[str, Any]:
    """The other cohort as recorded; empty where there is none."""
    performance: Mapping[str, Any] = run.performance
    return (performance.get("external") or {}).get("cohort") or {}
