"""An explanation as a notebook shows it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from survfuse.explanations.figures import grey_terms, judged_terms, signed

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation

MOST = 10
"""Patients shown."""


def summary_html(explanation: Explanation) -> str:
    """Terms of the first patients, their agreement, and notes, as HTML."""
    terms, patients = explanation.terms, len(explanation.patients)
    judged, grey = judged_terms(explanation), grey_terms(explanation)
    rows = [
        _row(
            "th",
            "patient",
            [str(name).replace("*", " × ") for name in terms],
            "log-risk",
        )
    ]
    for patient, risk in zip(
        terms.index[:MOST], explanation.prediction.log_risk, strict=False
    ):
        cells = []
        for name, value in terms.loc[patient].items():
            style = ' style="opacity:.45"' if name in grey else ""
            cells.append(f"<span{style}>{signed(value)}</span>")
        rows.append(_row("td", patient, cells, signed(risk), escaped=True))
    if judged:
        values = []
        for name in map(str, terms):
            known = name in judged and pd.notna(judged[name]["agreement"])
            values.append(f"{judged[name]['agreement']:.2f}" if known else "")
        rows.append(_row("td", "agreement", values, ""))
    notes = [
        f"{patients} patient{'s' if patients > 1 else ''}"
        + (f", the first {MOST} shown" if patients > MOST else "")
        + "; a row adds up to the log-risk (largest difference "
        f"{explanation.largest_difference:.1e}).",
        *explanation.notes,
    ]
    if not judged:
        notes.append("Whether another cohort would give the same was not measured.")
    elif grey:
        notes.append("Grey: models of other patients would not say the same.")
    text = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<div><table>{''.join(rows)}</table>{text}</div>"


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
