"""One short page about an explanation: what the model uses, and the terms of some patients."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from survfuse._errors import SurvfuseError
from survfuse._storage import write_text
from survfuse.explanations import Explanation
from survfuse.explanations.figures import grey_terms, terms_by_agreement
from survfuse.figures.contribution_figures import signed
from survfuse.report.wording import environment
from survfuse.results.explanation_folder import PAGE
from survfuse.results.run_tables import plain_records

MOST_PATIENTS, MOST_NOTES, MOST_PICTURES = 50, 20, 5


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
    table, clusters = folder / "clusters.csv", {}
    if table.exists():
        clusters = cluster_rows(pd.read_csv(table), explanation)
    write_text(path, render(explanation, record, clusters))
    return path


def render(
    explanation: Explanation,
    record: Mapping[str, Any],
    clusters: Mapping[str, Any],
) -> str:
    """Render the page: HTML in which every text of the data is escaped.

    Parameters
    ----------
    explanation : Explanation
    record : mapping
        As ``explanation.json`` holds it.
    clusters : mapping of bag to list of mapping
        As :func:`cluster_rows` gives them.
    """
    page = environment(autoescape=True)
    page.filters["signed"] = signed
    sheet = files("survfuse.report") / "templates" / "report.css"
    return page.get_template("explanation.html.j2").render(
        css=Markup(sheet.read_text(encoding="utf-8")),
        record=record,
        labels=explanation.explained.labels,
        terms=list(explanation.terms),
        patients=_patients(explanation),
        shares=_rows(explanation, "shares"),
        excluded=_rows(explanation, "excluded"),
        clusters=clusters,
        cluster_agreement=_cluster_agreement(explanation),
        judged=terms_by_agreement(explanation),
        grey=grey_terms(explanation),
        most=MOST_PATIENTS,
        most_notes=MOST_NOTES,
    )


def cluster_rows(
    table: pd.DataFrame,
    explanation: Explanation,
) -> dict[str, list[dict[str, Any]]]:
    """Clusters of the tiles of each bag, the highest risk first, with pictures as PNG in Base64.

    Parameters
    ----------
    table : DataFrame
        As ``clusters.csv``.
    explanation : Explanation
        Whose cohort has the slides, or not.

    Returns
    -------
    dict of bag to list of dict
        `cluster`, `share` of a patient's tiles, `risk` of a tile, and `pictures`.
    """
    bags = {}
    for bag, rows in table.groupby("modality", sort=False):
        try:
            pictures = explanation.cluster_pictures(
                str(bag), count=MOST_PICTURES, side=96
            )
        except SurvfuseError:  # no slides at hand, or coordinates
            pictures = {}
        weighted = rows.assign(risk=rows["share"] * rows["tile_risk"])
        summed = weighted.groupby("cluster")[["share", "risk"]].sum()
        summed["risk"] /= summed["share"]
        summed["share"] /= rows["patient_id"].nunique()
        records = plain_records(
            summed.sort_values("risk", ascending=False).reset_index()
        )
        for row in records:
            images = pictures.get(row["cluster"], [])
            row["pictures"] = [b64encode(one).decode() for one in images]
        bags[str(bag)] = records
    return bags


def _cluster_agreement(explanation: Explanation) -> dict[str, dict[str, Any]]:
    """Whether another cohort would give the same risks of clusters, by bag."""
    frame = explanation.agreement
    rows: Any = frame[frame["level"] == "clusters"].to_dict("records")
    return {row["modality"]: row for row in rows}


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
