"""Columns, genes and gene sets of one patient, largest contribution first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import SurvfuseError
from survfuse.cohort.labels import Labels
from survfuse.explanations import Explanation
from survfuse.explanations.column_contributions import NOT_ATTRIBUTED, PRESENCE
from survfuse.explanations.figures import grey_columns, grey_terms
from survfuse.explanations.gene_sets import set_contributions
from survfuse.explanations.gene_weights import DOMINATES, matrices
from survfuse.report.patient_terms import agreement_of

MOST_COLUMNS, MOST_GENES, MOST_SETS = 12, 8, 6
ROWS = {PRESENCE: "Having the data", NOT_ATTRIBUTED: "Not split by variables"}
"""Rows that are no column, in words."""
LEAST = 0.005
"""Of log-risk, below which what is left of a modality is not shown."""


def columns_of(explanation: Explanation, patient: str) -> dict[str, Any]:
    """Columns of all tables and priors.

    Parameters
    ----------
    explanation : Explanation
    patient : str

    Returns
    -------
    dict
        `rows`: `modality`, `label`, `value` as a reader sees it, `known`, `contribution`, `ratio`
        (hazard ratio in words, or empty) and `grey`; `rest` and `rest_count`, of those that are
        not shown; `most`, the largest size; `why_no_ratio`; `modalities`, how many there are.
    """
    rows = _columns(explanation, patient)
    rows.sort(key=lambda item: -abs(item["contribution"]))
    rest = [item["contribution"] for item in rows[MOST_COLUMNS:]]
    return {
        "rows": rows[:MOST_COLUMNS],
        "rest": sum(rest),
        "rest_count": len(rest),
        "most": max([abs(item["contribution"]) for item in rows], default=0.0),
        "why_no_ratio": _ratios(explanation)[1],
        "modalities": len({item["modality"] for item in rows}),
    }


def _columns(explanation: Explanation, patient: str) -> list[dict[str, Any]]:
    """Columns of all tables, in their order."""
    labels, ratios = explanation.explained.labels, _ratios(explanation)[0]
    grey, grey_ones = grey_columns(explanation), grey_terms(explanation)
    table = explanation.variables
    own = table[table["patient_id"] == patient]
    rows = []
    for modality, column, value, known, contribution in own[
        ["modality", "column", "value", "known", "contribution"]
    ].itertuples(index=False):
        if column in ROWS and abs(contribution) < LEAST:
            continue
        of_level = ratios.get((modality, column, str(value)))
        rows.append(
            {
                "modality": labels.modality(modality),
                "label": ROWS.get(column) or labels.column(modality, column),
                "value": _written(labels, modality, column, value),
                "known": bool(known),
                "contribution": float(contribution),
                "ratio": of_level or ratios.get((modality, column, ""), ""),
                "grey": (modality, column) in grey or modality in grey_ones,
            },
        )
    return rows


def _written(labels: Labels, modality: str, column: str, value: Any) -> str:
    """A cell in the words of the cohort file; a number in four digits; empty where missing."""
    if pd.isna(value):
        return ""
    cell = labels.cell(modality, column, value)
    if isinstance(value, float) and cell == f"{value:g}":
        return f"{value:.4g}"
    return cell


def genes_of(explanation: Explanation, patient: str) -> list[dict[str, Any]]:
    """Largest genes and gene sets of each expression modality that the patient has.

    Returns
    -------
    list of dict
        Of each modality `name`, `genes` (`gene`, `z`, `value`, `contribution`), `count` of all,
        `rest` (sum of those not shown), `dominant` (a gene that is more than half of all, or
        empty), `sets` (`set`, `contribution`), `grey` and `says`.
    """
    explained, genes_by_modality = explanation.explained, []
    row = explained.row(patient)
    present = [name for name in matrices(explained) if explained.present(name)[row]]
    table = explanation.genes_of(patient) if present else pd.DataFrame()
    for name in present:
        own = table[table["modality"] == name]
        genes = own[~own["gene"].isin([PRESENCE, NOT_ATTRIBUTED])]
        sizes = genes["contribution"].abs()
        total = float(sizes.sum())
        top = genes.head(MOST_GENES)
        dominates = total > 0 and sizes.iloc[0] > DOMINATES * total
        genes_by_modality.append(
            {
                "name": explained.labels.modality(name),
                "genes": top.to_dict("records"),
                "count": len(genes),
                "rest": float(own["contribution"].sum() - top["contribution"].sum()),
                "most": float(sizes.max()) if len(sizes) else 0.0,
                "dominant": str(genes["gene"].iloc[0]) if dominates else "",
                "sets": _sets(explanation, name, row),
                **agreement_of(explanation, "genes", name),
            },
        )
    return genes_by_modality


def _sets(explanation: Explanation, modality: str, row: int) -> list[dict[str, Any]]:
    """Gene sets that the model reads, largest contribution first."""
    sets = set_contributions(explanation.explained).get(modality)
    if sets is None:
        return []
    own = sets.of(row)
    order = np.argsort(-np.abs(own), kind="stable")[:MOST_SETS]
    return [
        {"set": sets.names[place], "contribution": float(own[place])} for place in order
    ]


def _ratios(explanation: Explanation) -> tuple[Mapping[tuple[str, str, str], str], str]:
    """Hazard ratio of each column, of each level of categories, in words; computed once."""
    computed = explanation.explained.computed
    if "ratios in words" not in computed:
        try:
            frame = explanation.hazard_ratios
        except SurvfuseError as error:
            computed["ratios in words"] = {}, str(error)
        else:
            computed["ratios in words"] = _texts_of(frame), ""
    ratios: tuple[Mapping[tuple[str, str, str], str], str] = computed["ratios in words"]
    return ratios


def _texts_of(frame: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """One ratio a column or level: per SD of numbers, per level, or against the mean."""
    texts = {}
    for modality, column, level, contrast, ratio in frame[
        ["modality", "column", "level", "contrast", "hazard_ratio"]
    ].itertuples(index=False):
        if contrast == "per unit" or (level and contrast != "against the mean"):
            continue
        against = "" if contrast == "against the mean" else contrast.partition(" (")[0]
        texts[(modality, column, level)] = f"{ratio:.2f} {against}".strip()
    return texts
