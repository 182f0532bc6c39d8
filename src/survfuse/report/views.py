"""Tables of the run, turned the way a reader wants to see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from survfuse._errors import listed
from survfuse.report import claims
from survfuse.report.artefacts import Run
from survfuse.report.formatting import known
from survfuse.report.names import D_CALIBRATION, DELTA, metric, order
from survfuse.report.performance import HONEST, SELECTED, under_loss
from survfuse.report.report_tables import CONCORDANCES, Tables, plain_records

NAMED_MODELS = 4
SHORT = (
    60  # letters of a reason that stands in its cell; a longer one becomes a footnote
)


def models(tables: Tables) -> list[dict[str, Any]]:
    """One row per model with its concordances.

    Parameters
    ----------
    tables : Tables
    """
    rows = []
    for model, part in tables.models.groupby("model", sort=False):
        estimates = {row["metric"]: row for row in plain_records(part)}
        shown = [estimates.get(metric) for metric in CONCORDANCES]
        rows.append(
            {
                "model": model,
                "role": part["role"].iloc[0],
                "estimates": dict(zip(CONCORDANCES, shown, strict=True)),
                "delta": estimates.get(DELTA),
                "notes": _notes(
                    [e for e in [*shown, estimates.get(DELTA)] if e is not None],
                ),
            },
        )
    return rows


def _notes(estimates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Remarks on numbers that are there; why a number is not there stands in its cell."""
    return list(
        dict.fromkeys(
            e["note"] for e in estimates if e["note"] and e["value"] is not None
        ),
    )


def families(run: Run, tables: Tables) -> list[dict[str, Any]]:
    """All metrics of the model and the clinical baseline side by side, by family.

    D-calibration is left to the footnote of calibration, where its censoring stands beside it.

    Parameters
    ----------
    run : Run
    tables : Tables

    Returns
    -------
    list of mapping
        `family`, `rows` (each with `metric` and `cells`: of the model, then of the
        baseline) and `footnotes`; empty where there is nothing beyond concordance.
    """
    names = [run.model] + ([tables.baseline] if tables.baseline is not None else [])
    keys = {key for name in names for key in run.metrics[name]} - {D_CALIBRATION, DELTA}
    if keys <= set(CONCORDANCES):
        return []
    rows: list[dict[str, Any]] = []
    for key in sorted(keys, key=order):
        rows.append(
            {
                "metric": metric(key, run.unit),
                "cells": [tables.estimate(name, key) for name in names],
            },
        )
    return [
        {"family": name, **footnoted(list(part))}
        for name, part in groupby(rows, lambda row: row["metric"].family)
    ]


def footnoted(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Turn the notes of a table's cells into footnotes, each said once.

    Parameters
    ----------
    rows : sequence of mapping
        `cells`: estimates or None.

    Returns
    -------
    mapping
        `rows`, whose cells have a `mark` (the footnote's number, or None), and `footnotes`.
    """
    numbers: dict[str, int] = {}
    marked = [
        {**row, "cells": [_mark(cell, numbers) for cell in row["cells"]]}
        for row in rows
    ]
    return {"rows": marked, "footnotes": list(numbers)}


def _mark(
    cell: Mapping[str, Any] | None,
    numbers: dict[str, int],
) -> dict[str, Any] | None:
    if cell is None:
        return None
    note = str(cell["note"])
    if not note or (cell["value"] is None and len(note) <= SHORT):
        return {**cell, "mark": None}
    return {**cell, "mark": numbers.setdefault(note, len(numbers) + 1)}


def others(run: Run, tables: Tables) -> list[dict[str, Any]]:
    """Every metric of every further model, one row each.

    Parameters
    ----------
    run : Run
    tables : Tables
    """
    shown = set(tables.roles())
    return [
        {**row, "metric": metric(row["metric"], run.unit)}
        for row in plain_records(tables.models)
        if row["model"] not in shown and row["metric"] not in (*CONCORDANCES, DELTA)
    ]


def compared(tables: Tables, name: str) -> list[dict[str, Any]]:
    """Rows of `increments` or `comparisons`, each with what it allows to be said.

    Parameters
    ----------
    tables : Tables
    name : str
    """
    what = "with it" if name == "increments" else "than the reference"
    return [
        {
            **row,
            "says": claims.says(row, what),
            "brier": {
                "value": row["isbs"],
                "low": row["isbs_low"],
                "high": row["isbs_high"],
            }
            | {"note": row["isbs_note"]},
        }
        for row in plain_records(tables.performance[name])
    ]


def agreement(run: Run, tables: Tables) -> dict[str, Any]:
    """The numbers that stand beside the calibration curves of the model.

    Parameters
    ----------
    run : Run
    tables : Tables

    Returns
    -------
    mapping
        `whole`: observed / expected and slope; `horizons`: ICI, E50 and E90 of each
        horizon as rows with footnotes.
    """
    found = {
        key: tables.estimate(run.model, key)
        for key in ("observed_expected", "calibration_slope")
    }
    whole = [
        {"metric": metric(key, run.unit), "estimate": e}
        for key, e in found.items()
        if e is not None
    ]
    horizons = []
    for horizon in run.horizons:
        cells = [
            tables.estimate(run.model, f"{name}_{horizon:g}")
            for name in ("ici", "e50", "e90")
        ]
        if any(cell is not None for cell in cells):
            horizons.append({"horizon": horizon, "cells": cells})
    return {"whole": whole, "horizons": footnoted(horizons)}


def optimism(tables: Tables) -> dict[str, Any] | None:
    """The honest score and the one that choosing on the scored patients would have given.

    Parameters
    ----------
    tables : Tables

    Returns
    -------
    mapping or None
        `metric`, `honest`, `selected` and `difference` (text, None where either is not there).
    """
    rows = {row["score"]: row for row in plain_records(tables.performance["optimism"])}
    if not rows:
        return None
    honest, selected = rows[HONEST], rows[SELECTED]
    both = known(honest["value"]) and known(selected["value"])
    difference = (
        f"{selected['value'] - honest['value']:+.3f}".replace("-", "−")
        if both
        else None
    )
    return {
        "metric": honest["metric"],
        "honest": honest,
        "selected": selected,
        "difference": difference,
    }


def external(run: Run, tables: Tables) -> dict[str, Any] | None:
    """Numbers of the other cohort, one row per metric with one cell per model.

    Parameters
    ----------
    run : Run
    tables : Tables

    Returns
    -------
    mapping or None
        `cohort` as recorded, `models`, `rows` (`metric`, `cells`), `footnotes` and `left`.
    """
    found = run.performance.get("external")
    if not found:
        return None
    scored = plain_records(tables.performance["external"])
    hidden = under_loss(found)
    cells = {
        (row["model"], row["metric"]): row
        for row in scored
        if row["model"] not in hidden
    }
    names = sorted(
        dict.fromkeys(model for model, _ in cells),
        key=lambda name: (name != run.model, name != tables.baseline),
    )
    rows = []
    for key in sorted({key for _, key in cells}, key=order):
        row = [cells.get((name, key)) for name in names[:NAMED_MODELS]]
        rows.append({"metric": metric(key, run.unit), "cells": row})
    left = names[NAMED_MODELS:]
    return {
        "cohort": dict(found.get("cohort") or {}),
        "models": names[:NAMED_MODELS],
        **footnoted(rows),
        "left": f"Also scored, in report.json: {listed(left, len(left))}."
        if left
        else "",
    }
