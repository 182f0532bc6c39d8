"""One short page about an explanation: what the model uses, and the terms of some patients."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from survfuse._errors import SurvfuseError
from survfuse._storage import write_text
from survfuse.explain import Explanation
from survfuse.explain.figures import grey_terms, judged_terms, signed
from survfuse.report.wording import environment
from survfuse.results.explanation_folder import PAGE
from survfuse.results.run_tables import plain_records

MOST_PATIENTS, MOST_NOTES = 50, 20


def write_page(
    folder: Path,
    explanation: Explanation,
    record: Mapping[str, Any],
) -> Path:
    """Write the page, which needs nothing but itself.

    Parameters
    ----------
    folder : path
    explanation : Explanation
    record : mapping
        As ``explanation.json`` holds it.
    """
    path = folder / PAGE
    write_text(path, render(explanation, record))
    return path


def render(
    explanation: Explanation,
    record: Mapping[str, Any],
) -> str:
    """Render the page: HTML in which every text of the data is escaped."""
    page = environment(autoescape=True)
    page.filters["signed"] = signed
    sheet = files("survfuse.report") / "templates" / "report.css"
    return page.get_template("explanation.html.j2").render(
        css=Markup(sheet.read_text(encoding="utf-8")),
        record=record,
        terms=list(explanation.terms),
        patients=_patients(explanation),
        shares=_rows(explanation, "shares"),
        excluded=_rows(explanation, "excluded"),
        judged=judged_terms(explanation),
        grey=grey_terms(explanation),
        most=MOST_PATIENTS,
        most_notes=MOST_NOTES,
    )


def _patients(explanation: Explanation) -> list[dict[str, Any]]:
    """Log-risk and terms of the first patients."""
    table = explanation.terms.head(MOST_PATIENTS)
    risks, rows = explanation.prediction.log_risk, []
    for place, (patient, terms) in enumerate(table.iterrows()):
        rows.append({"id": patient, "log_risk": risks[place], "terms": terms.to_dict()})
    return rows


def _rows(
    explanation: Explanation,
    name: str,
) -> list[dict[str, Any]]:
    """Rows of a table; none where it cannot be computed, which the record says."""
    try:
        frame: pd.DataFrame = getattr(explanation, name)
    except SurvfuseError:
        return []
    return plain_records(frame)
