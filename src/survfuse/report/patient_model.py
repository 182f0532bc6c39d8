"""Which model a patient's page is about, and the hashes that say which data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.config import FitConfig
from survfuse.estimators.base import ESTIMATORS, NETWORK, estimator_name
from survfuse.evaluation.versions import versions
from survfuse.explanations import Explanation
from survfuse.explanations.figures import terms_by_agreement
from survfuse.models.fusion import FUSIONS

MOST_TERMS = 8
"""Named; the rest is counted."""


def model_of(
    explanation: Explanation,
    patient: str,
    record: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Facts of the model, and hashes.

    Parameters
    ----------
    explanation : Explanation
    patient : str
    record : mapping or None
        As ``explanation.json`` holds it.

    Returns
    -------
    dict
        `name`, `words`, `cohort` that was trained on, `patients`, `events`, `endpoint`,
        `modalities`, `terms` and how many `more_terms`, `calibration`, `effective`, `members`,
        `trained_with` and `written_with` (versions), `hashes` by what they are of, and
        `agreement`, whether it was measured.
    """
    explained, known = explanation.explained, record or {}
    fitted = explained.fitted
    summary, config = fitted.summary, fitted.config
    terms = list(map(explained.labels.term, explanation.terms.columns[1:]))
    return {
        "name": config.fusion,
        "words": _described(config),
        "cohort": summary.get("cohort", "not recorded"),
        "patients": summary["patients"],
        "events": summary["events"],
        "endpoint": summary.get("endpoint") or "the event",
        "modalities": list(map(explained.labels.modality, explained.modalities)),
        "terms": terms[:MOST_TERMS],
        "more_terms": max(0, len(terms) - MOST_TERMS),
        "calibration": config.calibration.method,
        "calibrated_on": summary.get("calibration_cohort"),
        "effective": summary.get("effective_parameters"),
        "per_parameter": summary.get("events_per_effective_parameter"),
        "members": len(explained.parts.members),
        "agreement": bool(terms_by_agreement(explanation)),
        "reference": explained.reference.patients,
        "trained_with": (summary.get("versions") or {}).get("survfuse", "not recorded"),
        "written_with": versions()["survfuse"],
        "hashes": _hashes(explanation, patient, known),
    }


def _described(config: FitConfig) -> str:
    """The model in words, as its card has it."""
    name = estimator_name(config)
    card = FUSIONS[config.fusion] if name == NETWORK else ESTIMATORS[name]
    return card.summary.replace("`", "")


def _hashes(
    explanation: Explanation,
    patient: str,
    record: Mapping[str, Any],
) -> dict[str, str]:
    """SHA-256 of the bundle, of the cohorts, and of what was read of the patient."""
    explained, hashes = explanation.explained, {}
    if "bundle" in record:
        hashes["bundle (bundle.json)"] = str(record["bundle"]["sha256"])
    trained = explained.fitted.summary.get("cohort_fingerprint")
    if trained:
        hashes["training cohort"] = str(trained)
    if record.get("cohort_sha256"):
        hashes["this cohort"] = str(record["cohort_sha256"])
    own = explained.cohort.subset([patient])
    hashes["data of this patient, without outcome"] = own.fingerprint()
    return hashes
