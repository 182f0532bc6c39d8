"""The summary on the first screen of the report: what a reader should take away, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.report.names import metric
from survfuse.report.report_tables import Tables
from survfuse.report.verdict import (
    PERMUTED,
    calibrated,
    chance,
    checks_say,
    direction,
    headline_metric,
    increments_say,
    says,
    verdict,
)
from survfuse.report.wording import load, render, sentence
from survfuse.results.schema import CheckRecord

MOST_DOUBTS = 3


def summary(
    tables: Tables,
    checks: Sequence[CheckRecord],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Sentences of the summary.

    Parameters
    ----------
    tables : Tables
    checks : sequence of CheckRecord
        As :func:`survfuse.report.verdict.judge` gives them.
    facts : mapping
        As :func:`survfuse.report.facts.facts` gives them.

    Returns
    -------
    list of mapping
        `title`, `text` and `items` (further sentences), in the order of the page.
    """
    key = headline_metric(tables)
    added = added_by_modality(tables)
    values = {
        **facts,
        "ours": tables.estimate(tables.run.name, key),
        "headline_key": key,
        "headline": metric(key, tables.run.unit).title,
        "verdict": verdict(tables),
        "chance": chance(tables),
        "calibrated": calibrated(tables),
        "adds": increments_say(tables.labelled_records("increments")),
        "added": added,
        "checks_say": checks_say(checks),
    }
    rows = []
    for item in load("summary.yaml"):
        items = values[item["items"]] if "items" in item else []
        text = render(item["text"], values)
        rows.append({"title": item["title"], "text": text, "items": items})
    return rows


def added_by_modality(tables: Tables) -> list[str]:
    """What each modality adds to the model, one sentence each, and where other models differ."""
    rows = [
        row for row in tables.labelled_records("increments") if row["kind"] != PERMUTED
    ]
    sentences = []
    for own in rows:
        if own["with"] != tables.run.name or own["value"] is None:
            continue
        others = []
        for row in rows:
            same = row["modality"] == own["modality"]
            if same and row["kind"] != own["kind"] and direction(row):
                others.append((row["kind"], says(row)))
        values = {"modality": own["modality"], "own": own}
        sentences.append(sentence("added", **values, says=says(own), others=others))
    return sentences


def doubts(checks: Sequence[CheckRecord]) -> list[CheckRecord]:
    """The gravest checks that failed or warn: failed first, errors before warnings."""
    held: list[Any] = [row for row in checks if row["status"] in ("failed", "warning")]
    held.sort(key=lambda row: (row["status"] != "failed", row["severity"] != "error"))
    return held[:MOST_DOUBTS]
