"""The facts of a run from which the page and its texts are rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from survfuse._errors import listed
from survfuse.cohort.labels import Labels
from survfuse.figures.formatting import count, duration
from survfuse.report.characteristics_section import characteristics
from survfuse.report.explanation_section import uses
from survfuse.report.hazards_section import hazards
from survfuse.report.learning_section import learning_curve
from survfuse.report.names import D_CALIBRATION, DELTA, family_title, metric, order
from survfuse.report.report_tables import CONCORDANCES, Tables
from survfuse.report.term_facts import of_terms
from survfuse.report.verdict import (
    LOSS_METRICS,
    chance,
    expectation_says,
    headline_metric,
    increments_say,
    predictions_sha256,
    robustness_says,
    says,
    verdict,
)
from survfuse.report.wording import load, render
from survfuse.results import Result
from survfuse.results.run_tables import names_with_loss

MOST_MODELS = 4


def facts(tables: Tables) -> dict[str, Any]:
    """Facts for the texts on method, limits and TRIPOD items.

    Parameters
    ----------
    tables : Tables
    """
    run, texts = tables.run, load("method.yaml")
    model = _section(run, "model")
    selection = (
        "anchored" if model.get("fusion") == "anchored" else model.get("selection")
    )
    keys = sorted(run.estimates[run.name], key=order)
    return {
        "run": run,
        "unit": run.unit,
        "tables": tables.records,
        "lookup": tables.estimate,
        "model": model,
        "crossval": _section(run, "crossval"),
        "folds": int(run.predictions["fold"].nunique()),
        "repeats": int(run.predictions["repeat"].nunique()),
        "learned": texts["learned"],
        "elsewhere": texts["elsewhere"],
        "selection_key": selection,
        "selection_text": texts["selection"].get(str(selection)),
        "calibration_text": texts["calibration"].get(str(model.get("calibration"))),
        "horizons": listed(
            (duration(horizon, run.unit) for horizon in run.horizons),
            12,
        ),
        "columns": list(run.predictions),
        "external_cohort": _external_cohort(run),
        "measures": list(dict.fromkeys(map(family_title, keys))),
        "sha256": predictions_sha256(tables),
    }


def titled(
    items: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
) -> list[tuple[str, str]]:
    """Title and text of the items that have something to say."""
    rendered = [(item["title"], render(item["text"], values)) for item in items]
    return [(title, text) for title, text in rendered if text]


def tripod_items(tables: Tables) -> list[dict[str, str]]:
    """Answer the items of TRIPOD+AI as far as the files of the run can.

    Returns
    -------
    list of mapping
        `item`, `topic`, `asks`, `says` (facts of the run) and `authors` (what only they can say).
    """
    values, items = facts(tables), []
    for record in load("tripod.yaml"):
        item = {"authors": "", **record}
        if item.pop("training", False) and tables.run.foreign:
            item |= {"says": "{{ elsewhere }}", "authors": "For the authors to say."}
        items.append({**item, "says": render(item["says"], values)})
    return items


def notes(run: Result) -> list[str]:
    """Notes of the run without patient ids, each once, with the number of times it was made."""
    ids = set(run.predictions["patient_id"])
    hidden: Counter[str] = Counter()
    for note in run.record.get("notes") or ():
        parts = str(note).split(": ")
        hidden[": ".join("one patient" if part in ids else part for part in parts)] += 1
    return [
        f"{note} ({count(n)} times)" if n > 1 else note for note, n in hidden.items()
    ]


def of_page(tables: Tables) -> dict[str, Any]:
    """Facts that the sections of the page show beyond the tables."""
    run, unit = tables.run, tables.run.unit
    key, values, texts = headline_metric(tables), facts(tables), load("method.yaml")
    performance: Mapping[str, Any] = run.performance
    external, other = performance.get("external") or {}, _external_cohort(run)
    records = tables.records
    labels = Labels.read(run.cohort.get("labels"))
    counted = ""
    tau, uno = run.cohort.get("tau"), tables.estimate(run.name, "uno_c")
    if tau is not None and uno and uno["events"] not in (None, run.cohort["events"]):
        counted = f"by {duration(tau, unit)}, of {count(run.cohort['events'])} in all"
    return {
        **values,
        "cohort": {"follow_up_median": None, "tau": None, **run.cohort},
        "baseline": tables.baseline,
        "roles": tables.roles,
        "reasons": tables.reasons,
        "log_rank": tables.log_rank,
        "headline_key": key,
        "headline": metric(key, unit).title,
        "verdict": " ".join(filter(None, (verdict(tables), chance(tables)))),
        "counted": counted,
        "delta_key": DELTA,
        "has_delta": DELTA in set(tables["models"]["metric"]),
        "families": families(tables),
        "increments": compared(records["increments"], "with it"),
        "comparisons": compared(records["comparisons"], "than the reference"),
        "increments_say": increments_verdict(tables),
        **of_terms(tables),
        "characteristics": characteristics(records["characteristics"], labels, unit),
        "external_characteristics": characteristics(
            records["external_characteristics"],
            Labels.read(other.get("labels")),
            unit,
        ),
        "hazards": hazards(
            records["clinical_hazards"],
            performance.get("clinical_hazards"),
            labels,
        ),
        "availability": availability(records["patterns"], records["availability"]),
        "robustness": robustness(records["robustness"], performance.get("robustness")),
        "uses": uses(
            records["shares"],
            records["agreement"],
            performance.get("explanations"),
        ),
        "learning": learning_curve(
            records["learning_curve"],
            performance.get("learning_curve"),
            run.name,
        ),
        "external": external_scores(tables),
        "external_availability": availability(
            other.get("patterns") or (),
            records["external_availability"],
        ),
        "external_robustness": robustness(
            records["external_robustness"],
            external.get("robustness"),
        ),
        "decision_horizon": tables.decision_horizon,
        "levels": len(tables["subgroups"].drop_duplicates(["group", "level"])),
        "pooled": f"{'First repeat, all' if values['repeats'] > 1 else 'All'} test folds pooled.",
        "method": titled(texts["method"], values),
        "limits": titled(texts["limits"], values),
        "references": texts["references"],
        "notes": notes(run),
        "tripod": tripod_items(tables),
        "interval_text": str(performance.get("interval") or ""),
    }


def increments_verdict(tables: Tables) -> str | None:
    """Sentence on the increments; None where there are none."""
    rows = tables.records["increments"]
    return increments_say(rows) if rows else None


def families(tables: Tables) -> list[tuple[str, list[str]]]:
    """Metrics of the model and the clinical baseline by family, empty where there is only C.

    D-calibration has a footnote of its own, with the share of censored patients.
    """
    models = tables["models"]
    keys = set(models.loc[models["model"].isin([*tables.roles]), "metric"])
    keys -= {D_CALIBRATION, DELTA}
    if keys <= set(CONCORDANCES):
        return []
    ordered = sorted(keys, key=order)
    groups = groupby(ordered, lambda key: metric(key, tables.run.unit).family)
    return [(family, list(part)) for family, part in groups]


def compared(
    rows: Iterable[Mapping[str, Any]],
    what: str,
) -> list[dict[str, Any]]:
    """Rows of `increments` or `comparisons`, each with its conclusion and its Brier score."""
    entries = []
    for row in rows:
        brier = {key: row[f"isbs_{key}"] for key in ("low", "high", "note")}
        brier["value"] = row["isbs"]
        entries.append({**row, "says": says(row, what), "brier": brier})
    return entries


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
    left = models[MOST_MODELS:]
    return {
        "cohort": _external_cohort(tables.run),
        "models": models[:MOST_MODELS],
        "rows": rows,
        "left": f"Also scored, in report.json: {listed(left, len(left))}."
        if left
        else "",
    }


def _external_cohort(run: Result) -> dict[str, Any]:
    performance: Mapping[str, Any] = run.performance
    return (performance.get("external") or {}).get("cohort") or {}


def _section(run: Result, name: str) -> Mapping[str, Any]:
    section = run.settings.get(name)
    return section if isinstance(section, Mapping) else {}
