"""What a patient's prediction is made of: modalities and interactions, used and left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from survfuse._errors import SurvfuseError
from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations import Explanation
from survfuse.explanations.figures import grey_terms, terms_by_agreement


def terms_of(
    explanation: Explanation,
    patient: str,
    horizon: float,
) -> dict[str, Any]:
    """Terms of the log-risk and percentage points of the risk.

    Parameters
    ----------
    explanation : Explanation
    patient : str
    horizon : float
        Of the percentage points, in the unit of the model.

    Returns
    -------
    dict
        `rows`: of each term `name`, `log_risk`, `points` (None of interactions and where
        `why_no_points` says why), `grey`, `agreement` and `says`; `constant`, `reference` and
        `risk` (percent); `most_log_risk` and `most_points`, the largest sizes; `left_out`.
    """
    row = explanation.explained.row(patient)
    terms = explanation.terms.iloc[row]
    points, why = points_of(explanation, horizon)
    own: Any = None if points is None else points.iloc[row]
    judged, grey = terms_by_agreement(explanation), grey_terms(explanation)
    rows: list[dict[str, Any]] = []
    for name, value in terms.drop(CONSTANT).items():
        measured = judged.get(str(name)) or {}
        rows.append(
            {
                "name": str(name),
                "log_risk": float(value),
                "points": None if own is None or "*" in str(name) else float(own[name]),
                "grey": name in grey,
                "agreement": measured.get("agreement"),
                "says": measured.get("says") or _not_measured(explanation),
            },
        )
    given = [item["points"] for item in rows if item["points"] is not None]
    return {
        "rows": rows,
        "constant": float(terms[CONSTANT]),
        "reference": None if own is None else float(own["reference"]),
        "risk": None if own is None else float(own["risk"]),
        "why_no_points": why,
        "most_log_risk": max([abs(item["log_risk"]) for item in rows], default=0.0),
        "most_points": max(map(abs, given), default=0.0),
        "has_interactions": any("*" in item["name"] for item in rows),
        "left_out": _left_out(explanation, row),
    }


def points_of(
    explanation: Explanation,
    horizon: float,
) -> tuple[pd.DataFrame | None, str]:
    """Percentage points of all patients, computed once, or why there are none."""
    computed = explanation.explained.computed
    key = ("points", horizon)
    if key not in computed:
        try:
            computed[key] = explanation.points(horizon), ""
        except SurvfuseError as error:
            computed[key] = None, str(error)
    found: tuple[pd.DataFrame | None, str] = computed[key]
    return found


def _not_measured(explanation: Explanation) -> str:
    if len(explanation.agreement):
        return "too few half models use it, so that nothing could be compared"
    return "agreement was not measured"


def _left_out(explanation: Explanation, row: int) -> list[dict[str, Any]]:
    """Terms without a part in any prediction, why, and what each would say alone."""
    alone, rows = explanation.alone, []
    for term, reason in explanation.excluded[["term", "reason"]].itertuples(
        index=False
    ):
        said = alone[term].iloc[row] if term in alone else None
        rows.append(
            {
                "name": term,
                "reason": str(reason)
                .removeprefix("not used: ")
                .replace(f"{term}: ", ""),
                "alone": None if pd.isna(said) else float(said),
            },
        )
    return rows
