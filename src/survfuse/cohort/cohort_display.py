"""A cohort in short, as text and for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from survfuse._errors import printable

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort

MOST_MODALITIES = 6
MOST_DOUBTS = 3
LONGEST = 150  # characters of a doubt


def as_text(cohort: Cohort) -> str:
    """At most 14 lines: patients, events, modalities and the first doubts."""
    lines = [f"Cohort {cohort.name!r}: {_headline(cohort)}"]
    rows = _modalities(cohort)
    for name, kind, patients, features in rows[:MOST_MODALITIES]:
        lines.append(f"  {name:12} {kind:11} {patients} patients, {features}")
    if len(rows) > MOST_MODALITIES:
        lines.append(
            f"  and {len(rows) - MOST_MODALITIES} more modalities: `.summary()`"
        )
    doubts = _doubts(cohort)
    if doubts:
        lines.append(f"  to check ({len(doubts)}, in full in `.problems`):")
        lines += [f"  - {_short(doubt)}" for doubt in doubts[:MOST_DOUBTS]]
    return printable("\n".join(lines))


def as_html(cohort: Cohort) -> str:
    """A small table for notebooks, escaped."""
    rows = [["modality", "kind", "patients", "features"], *_modalities(cohort)]
    head, *body = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    table = f"<tr style='font-weight: bold'>{head}</tr>"
    table += "".join(f"<tr>{row}</tr>" for row in body)
    html = f"<p><b>{escape(cohort.name)}</b>: {escape(_headline(cohort))}</p>"
    html += f"<table>{table}</table>"
    doubts = _doubts(cohort)
    if doubts:
        items = "".join(f"<li>{escape(doubt)}</li>" for doubt in doubts)
        html += f"<details><summary>to check ({len(doubts)})</summary><ul>{items}</ul></details>"
    return f"<div>{html}</div>"


def _headline(cohort: Cohort) -> str:
    parts = [_counted(len(cohort), "patient")]
    if cohort.outcome is None:
        return f"{parts[0]}, no outcome"
    events = _counted(cohort.events, "event")
    parts.append(f"{events} ({cohort.endpoint}, {cohort.unit})")
    median = cohort.follow_up(cohort.patients)
    if median == median:  # NaN where it is not reached
        parts.append(f"median follow-up {median:.3g} {cohort.unit}")
    if len(cohort.groups.columns):
        parts.append(f"groups {', '.join(map(str, cohort.groups.columns))}")
    if cohort.folds is not None:
        parts.append(f"{cohort.folds.nunique()} given folds")
    return ", ".join(parts)


def _modalities(cohort: Cohort) -> Sequence[list[str]]:
    """Name, kind, patients and features of each modality."""
    words = {"expression": "gene", "bag": "feature", "prior": "risk"}
    rows = []
    for name, data in cohort.modalities.items():
        features = _counted(data.features, words.get(data.kind, "column"))
        rows.append([name, data.kind, str(len(data.patients)), features])
    return rows


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


def _doubts(cohort: Cohort) -> list[str]:
    return [f"{problem.where}: {problem.message}" for problem in cohort.problems]


def _short(doubt: str) -> str:
    line = " ".join(doubt.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
