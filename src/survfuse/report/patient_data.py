"""What a patient lacks, and where the patient differs from the training patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from survfuse.explanations import Explanation
from survfuse.explanations.column_contributions import NOT_ATTRIBUTED, PRESENCE

MOST_REMARKS = 6
"""Of a modality; the rest is counted."""
NAMES_PATIENTS = "in training of the prior"
"""Kind of remark that lists patients, and is said of the patient alone."""


def inputs_of(explanation: Explanation, patient: str) -> dict[str, Any]:
    """Whether the patient's data are those that the model expects.

    Parameters
    ----------
    explanation : Explanation
    patient : str

    Returns
    -------
    dict
        `in_training` (None where not known); `changed`, whether any data are others than those
        trained on; `rows`: of each modality its `name`, whether it is `present`, `share` (of the
        training patients who are at least as far from what is usual, None where not known),
        `outside`, `remarks` and how many `more`; and `notes` that concern everyone.
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
                "name": explained.labels.modality(name),
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
        "changed": any(one["share"] is not None for one in rows),
        "rows": rows,
        "notes": _of_everyone(explanation),
    }


def _of_everyone(explanation: Explanation) -> list[str]:
    """Notes on the whole cohort, none of which names another patient."""
    explained, drift = explanation.explained, explanation.prediction.drift
    report = explained.prepared.report
    whole = report[(report["patient_id"] == "") & (report["kind"] != NAMES_PATIENTS)]
    notes = []
    for modality, kind, detail in whole[["modality", "kind", "detail"]].itertuples(
        index=False
    ):
        notes.append(f"{explained.labels.modality(modality)}: {kind}: {detail}")
    if drift is not None:
        notes += [text for who, text in drift.notes if not who]
    return notes


def _remarks(explanation: Explanation, patient: str, modality: str) -> list[str]:
    """What was missing, unknown or changed before the model read it."""
    report = explanation.explained.prepared.report
    own = report[(report["patient_id"] == patient) & (report["modality"] == modality)]
    labels = explanation.explained.labels
    said: dict[str, str] = {}
    for feature, kind, detail in own[["feature", "kind", "detail"]].itertuples(
        index=False
    ):
        about = labels.column(modality, feature) if feature else kind
        said[feature] = f"{about}: {detail}"
    for column in _missing(explanation, patient, modality):
        said.setdefault(column, f"{labels.column(modality, column)}: missing")
    return list(said.values())


def _missing(explanation: Explanation, patient: str, modality: str) -> list[str]:
    """Columns of a table whose cell is not known."""
    table: pd.DataFrame = explanation.variables
    own = table[(table["patient_id"] == patient) & (table["modality"] == modality)]
    unknown = own[~own["known"].astype(bool)]
    return [
        name for name in unknown["column"] if name not in (PRESENCE, NOT_ATTRIBUTED)
    ]
