"""What a patient's prediction is made of: modalities and interactions, used and left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from survfuse._errors import SurvfuseError
from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations import Explanation
from survfuse.explanations.agreement_tables import sentence
from survfuse.explanations.figures import (
    agreement_row,
    grey_terms,
    terms_by_agreement,
)

MOST_TERMS = 8
"""Rows of terms; main effects are always shown."""


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
        `why_no_points` says why), `grey`, `agreement` and `says`, `spread` over members and
        `error` of draws (0 where there is none); `rest` and `rest_count`, of interactions that are
        not shown; `all`, the agreement of whole log-risks;
        `constant`, `reference` and `risk` (percent); `most_log_risk` and `most_points`, the
        largest sizes; `left_out`.
    """
    row = explanation.explained.row(patient)
    points, why = points_of(explanation, horizon)
    own: Any = None if points is None else points.iloc[row]
    rows = _rows(explanation, row, own)
    given = [item["points"] for item in rows if item["points"] is not None]
    largest, rest = _largest(rows)
    return {
        "rows": largest,
        "rest": sum(item["log_risk"] for item in rest),
        "rest_count": len(rest),
        "constant": float(explanation.terms[CONSTANT].iloc[row]),
        "reference": None if own is None else float(own["reference"]),
        "risk": None if own is None else float(own["risk"]),
        "why_no_points": why,
        "most_log_risk": max([abs(item["log_risk"]) for item in rows], default=0.0),
        "most_points": max(map(abs, given), default=0.0),
        "has_interactions": any(item["interaction"] for item in rows),
        "all": _of_prediction(explanation),
        "left_out": _left_out(explanation, row),
    }


def _rows(explanation: Explanation, row: int, points: Any) -> list[dict[str, Any]]:
    """Every term of a patient, in the order of the model."""
    agreements, grey = terms_by_agreement(explanation), grey_terms(explanation)
    spread: Any = explanation.spread.iloc[row]
    errors: Any = explanation.errors.iloc[row]
    rows = []
    for term, value in explanation.terms.iloc[row].drop(CONSTANT).items():
        name, measured = str(term), agreements.get(str(term)) or {}
        has_points = points is not None and "*" not in name
        rows.append(
            {
                "name": explanation.explained.labels.term(name),
                "interaction": "*" in name,
                "spread": float(spread[name]),
                "error": float(errors[name]),
                "log_risk": float(value),
                "points": float(points[name]) if has_points else None,
                "grey": name in grey,
                "agreement": measured.get("agreement"),
                "says": measured.get("says") or _not_measured(explanation),
            },
        )
    return rows


def _largest(
    rows: list[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows that are shown, in order, and small interactions that are not."""
    pairs = [item for item in rows if item["interaction"]]
    room = max(0, MOST_TERMS - (len(rows) - len(pairs)))
    rest = sorted(pairs, key=lambda item: -abs(item["log_risk"]))[room:]
    return [item for item in rows if item not in rest], rest


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
    table_and_reason: tuple[pd.DataFrame | None, str] = computed[key]
    return table_and_reason


def _not_measured(explanation: Explanation) -> str:
    if len(explanation.agreement):
        return sentence(None, "")
    return "agreement was not measured"


def agreement_of(explanation: Explanation, level: str, modality: str) -> dict[str, Any]:
    """Whether what is said of a modality's "tiles" or "genes" reproduces, and the sentence."""
    grey, row = agreement_row(explanation, level, modality)
    says = "agreement was not measured" if row is None else str(row["says"])
    return {"grey": grey, "says": says}


def _of_prediction(explanation: Explanation) -> dict[str, Any]:
    """Agreement of log-risks as a whole."""
    grey, row = agreement_row(explanation, "prediction", "")
    if row is None:
        return {"agreement": None, "says": "", "grey": False}
    return {
        "agreement": None if pd.isna(row["agreement"]) else float(row["agreement"]),
        "says": str(row["says"]),
        "grey": grey,
    }


def reasons_left_out(explanation: Explanation) -> dict[str, str]:
    """Why each term that has no part in any prediction is left out."""
    table, reasons = explanation.excluded, {}
    for term, reason in table[["term", "reason"]].itertuples(index=False):
        reasons[term] = str(reason).removeprefix("not used: ").replace(f"{term}: ", "")
    return reasons


def _left_out(explanation: Explanation, row: int) -> list[dict[str, Any]]:
    """Terms without a part in any prediction, why, and what each would say alone."""
    alone, labels, rows = explanation.alone, explanation.explained.labels, []
    for term, reason in reasons_left_out(explanation).items():
        said = alone[term].iloc[row] if term in alone else None
        rows.append(
            {
                "name": labels.term(term),
                "reason": reason,
                "alone": None if pd.isna(said) else float(said),
            },
        )
    return rows
