"""An explanation as a notebook shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse.explanations.figures import grey_terms, terms_by_agreement
from survfuse.figures.contribution_figures import signed

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation

MOST = 10
"""Patients shown."""


def summary_html(explanation: Explanation) -> str:
    """Terms of the first patients, their agreement, and notes, as HTML."""
    terms = explanation.terms
    names = [str(name).replace("*", " × ") for name in terms]
    rows = [_row("th", "patient", names, "log-risk"), *_patients(explanation)]
    agreements = terms_by_agreement(explanation)
    if agreements:
        rows.append(_row("td", "agreement", _numbers(terms, agreements), ""))
    text = "".join(f"<p>{escape(note)}</p>" for note in _notes(explanation))
    return f"<div><table>{''.join(rows)}</table>{text}</div>"


def _patients(explanation: Explanation) -> list[str]:
    """Rows of the first patients."""
    terms, grey, rows = explanation.terms.head(MOST), grey_terms(explanation), []
    risks = explanation.prediction.log_risk[:MOST]
    for risk, (patient, values) in zip(risks, terms.iterrows(), strict=True):
        cells = []
        for name, value in values.items():
            style = ' style="opacity:.45"' if name in grey else ""
            cells.append(f"<span{style}>{signed(value)}</span>")
        rows.append(_row("td", str(patient), cells, signed(risk), escaped=True))
    return rows


def _numbers(
    terms: Iterable[Any],
    agreements: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Agreement of each term, empty where there is none."""
    numbers = []
    for name in map(str, terms):
        value = agreements.get(name, {}).get("agreement")
        numbers.append("" if pd.isna(value) else f"{value:.2f}")
    return numbers


def _notes(explanation: Explanation) -> list[str]:
    """What a reader must know of the table."""
    patients = len(explanation.patients)
    counted = "1 patient" if patients == 1 else f"{patients} patients"
    if patients > MOST:
        counted += f", the first {MOST} shown"
    largest = f"largest difference {explanation.largest_difference:.1e}"
    first = f"{counted}; a row adds up to the log-risk ({largest})."
    notes = [first, *explanation.notes]
    if not terms_by_agreement(explanation):
        notes.append("Whether another cohort would give the same was not measured.")
    elif grey_terms(explanation):
        notes.append("Grey: models of other patients would not say the same.")
    return notes


def _row(
    tag: str,
    first: str,
    cells: list[str],
    last: str,
    *,
    escaped: bool = False,
) -> str:
    """Row of a table; `cells` may be HTML already."""
    written = [escape(str(first))]
    written += cells if escaped else [escape(cell) for cell in cells]
    written.append(escape(last))
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in written) + "</tr>"
