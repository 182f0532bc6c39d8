"""What a patient lacks, and where the patient differs from the training patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from survfuse.explanations import Explanation
from survfuse.explanations.column_contributions import NOT_ATTRIBUTED, PRESENCE

MOST_REMARKS = 6
"""Of a modality; the rest is counted."""


def inputs_of(explanation: Explanation, patient: str) -> dict[str, Any]:
    """Whether the patient's data are those that the model expects.

    Parameters
    ----------
    explanation : Explanation
    patient : str

    Returns
    -------
    dict
        `in_training` (None where not known), `drift_known`, `rows`: of each modality its `name`,
        whether it is `present`, `share` (of the training patients who are at least as far from
        what is usual, None where not known), `outside`, `remarks` and how many `more`; and
        `notes` of the prediction that concern everyone.
    """
    explained, prediction = explanation.explained, explanation.prediction
    row = explained.row(patient)
    rows = []
    for name in explained.fitted.transforms.fitted:
        present = bool(explained.prepared.present[name][row])
        remarks = _remarks(explanation, patient, name) if present else []
        share, outside = None, False
        if prediction.drift is not None and name in prediction.drift.share:
            value = float(prediction.drift.share[name][row])
            share = value if np.isfinite(value) else None
            outside = bool(prediction.drift.outside[name][row])
        rows.append(
            {
                "name": name,
                "present": present,
                "share": share,
                "outside": outside,
                "remarks": remarks[:MOST_REMARKS],
                "more": max(0, len(remarks) - MOST_REMARKS),
            },
        )
    trained = prediction.in_training
    return {
        "in_training": None if trained is None else bool(trained[row]),
        "rows": rows,
        "notes": [text for who, text in prediction.notes if not who],
    }


def _remarks(explanation: Explanation, patient: str, modality: str) -> list[str]:
    """What was missing, unknown or changed before the model read it."""
    report = explanation.explained.prepared.report
    own = report[(report["patient_id"] == patient) & (report["modality"] == modality)]
    said: dict[str, str] = {}
    for feature, kind, detail in own[["feature", "kind", "detail"]].itertuples(
        index=False
    ):
        said[feature] = f"{feature}: {detail}" if feature else f"{kind}: {detail}"
    for column in _missing(explanation, patient, modality):
        said.setdefault(column, f"{column}: missing")
    return list(said.values())


def _missing(explanation: Explanation, patient: str, modality: str) -> list[str]:
    """Columns of a table whose cell is not known."""
    table: pd.DataFrame = explanation.variables
    own = table[(table["patient_id"] == patient) & (table["modality"] == modality)]
    unknown = own[~own["known"].astype(bool)]
    return [
        name for name in unknown["column"] if name not in (PRESENCE, NOT_ATTRIBUTED)
    ]
