"""A bundle and a cohort: predictions, explanations and maps, each computed once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from survfuse._errors import ConfigError, InputError
from survfuse._storage import sha256_file
from survfuse._types import FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.drift import DriftReport
from survfuse.estimator import SurvivalFusion
from survfuse.evaluation.default_horizons import main_horizon
from survfuse.explanations import Explanation, explain
from survfuse.explanations.explained import FLAT, is_flat, read
from survfuse.explanations.figures import grey_terms, terms_by_agreement
from survfuse.prediction import Prediction
from survfuse.report.patient_page import patient_page
from survfuse.viewer.neighbours import nearest_in_cluster
from survfuse.viewer.patient_table import (
    Column,
    PatientTable,
    numbers,
    of_cohort,
    patients_of,
    risk_groups,
)
from survfuse.viewer.recent import Recent
from survfuse.viewer.study import EVERY_SLIDE, Maps, SlideKey, Study, described_terms

MOST_CACHED = 8
"""Patients whose maps are kept."""
NO_MEMBERS = (
    "the bundle holds no members of an ensemble: there is no disagreement to filter by"
)


class BundleStudy(Study):
    """Patients as a model sees them.

    Terms of all patients are computed at once where they are exact; else each patient is
    explained when looked at, and so is the map of every slide.

    Parameters
    ----------
    model : SurvivalFusion
    cohort : Cohort
    source : path
        The bundle.
    reference : Cohort, optional
        Patients to compare with; see :func:`survfuse.explanations.explain`.
    """

    kind: ClassVar[str] = "bundle"

    def __init__(
        self,
        model: SurvivalFusion,
        cohort: Cohort,
        source: Path,
        reference: Cohort | None = None,
    ) -> None:
        self.model, self._reference = model, reference
        self._lock = threading.RLock()  # explanations are computed by one thread
        self._single: Recent[str, Explanation] = Recent(MOST_CACHED)
        self._maps: Recent[tuple[str, str], Maps] = Recent(MOST_CACHED)
        self._whole, self.why = _explained(model, cohort, reference)
        prediction = (
            model.predict(cohort) if self._whole is None else self._whole.prediction
        )
        self._notes: dict[str, list[str]] = {}
        for patient, text in prediction.notes:
            self._notes.setdefault(patient, []).append(text)
        horizon = main_horizon(
            model.need_fitted().summary
        )  # as the page about a patient
        spread = _disagreement(model, cohort, self._whole)
        table = _table(
            cohort, prediction, spread, horizon, is_flat(model.need_fitted())
        )
        super().__init__(cohort, source, table)

    @property
    def has_page(self) -> bool:
        """Whether there is a whole page about a patient."""
        return not self.why

    def explanation(self, patient: str) -> Explanation:
        """The explanation that holds a patient.

        Raises
        ------
        InputError, ConfigError
            When the model cannot be explained.
        """
        if self._whole is not None:
            return self._whole
        with self._lock:
            return self._single.get(
                patient,
                lambda: explain(
                    self.model, self.cohort, [patient], reference=self._reference
                ),
            )

    def notes(self, patient: str) -> list[str]:
        """Notes of the prediction on a patient; see `Study.notes`."""
        return self._notes.get(patient, [])

    def terms(self, patient: str) -> dict[str, Any]:
        """Terms of the log-risk of a patient; see `Study.terms`."""
        with self._lock:
            try:
                explanation = self.explanation(patient)
            except (InputError, ConfigError) as error:
                return {"rows": [], "why": str(error)}
            own = explanation.terms.loc[patient].to_dict()
            grey, measured = grey_terms(explanation), terms_by_agreement(explanation)
            excluded = explanation.excluded
        says = {name: row["says"] for name, row in measured.items() if row.get("says")}
        left_out = []
        for term, reason in zip(excluded["term"], excluded["reason"], strict=True):
            left_out.append(
                {"term": self.labels.term(str(term)), "reason": str(reason)}
            )
        about = described_terms(own, grey, says, self.labels)
        return about | {"excluded": left_out}

    def maps(self, patient: str, modality: str) -> Maps:
        """Maps of the slides of a patient; see `Study.maps`."""
        with self._lock:
            return self._maps.get(
                (patient, modality), lambda: self._computed_maps(patient, modality)
            )

    def _computed_maps(self, patient: str, modality: str) -> Maps:
        failed: dict[str, str] = {}
        try:
            explanation = self.explanation(patient)
            maps = explanation.slide_maps(patient, modality, failed=failed)
        except (InputError, ConfigError) as error:
            return {}, {EVERY_SLIDE: str(error)}
        return maps, failed

    def neighbours(self, patient: str, key: SlideKey, tile: int) -> dict[str, Any]:
        """Tiles of the patient nearest to one among those of its cluster; see `Study`."""
        maps, _ = self.maps(patient, key[0])
        with self._lock:
            explained = self.explanation(patient).explained
            return nearest_in_cluster(explained, maps, key[1], tile)

    def page(self, patient: str) -> str:
        """The whole page about a patient; see `Study.page`."""
        record = {"bundle": {"sha256": sha256_file(self.source / "bundle.json")}}
        with self._lock:
            return patient_page(self.explanation(patient), patient, record=record)


def _explained(
    model: SurvivalFusion,
    cohort: Cohort,
    reference: Cohort | None,
) -> tuple[Explanation | None, str]:
    """Explanation of everyone, where it costs no more than predicting; or why there is none."""
    fitted = model.need_fitted()
    try:
        if not fitted.model.parts(fitted.transforms).exact:
            return None, ""
        return explain(model, cohort, reference=reference), ""
    except ConfigError as error:
        return None, str(error)


def _table(
    cohort: Cohort,
    prediction: Prediction,
    spread: FloatArray | None,
    horizon: float,
    flat: bool,
) -> PatientTable:
    """The table of a prediction; of a flat model, which orders nobody, without risk groups."""
    ids, unit = prediction.patient_id, prediction.unit
    columns, notes = [patients_of(ids)], []
    if prediction.calibrator.has_curves:
        risk = 1 - prediction.survival([horizon])[:, 0]
        title = f"Risk at {horizon:g} {unit}"
        says = "predicted share of such patients with the event by then"
        columns.append(numbers("risk", title, risk, says, "percent", filtered=True))
    if not flat:
        columns.append(risk_groups(prediction.risk_group.astype(np.float64)))
    else:
        notes.append(FLAT)
    columns += [
        numbers("log_risk", "Log-risk", prediction.log_risk, "larger is earlier"),
        numbers(
            "predicted_time",
            f"Median time, {unit}",
            prediction.predicted_time,
            "empty where the curve does not fall to one half",
        ),
    ]
    if prediction.drift is not None:
        columns.append(_drift(prediction.drift))
    if spread is None:
        notes.append(NO_MEMBERS)
    else:
        says = "standard deviation of the log-risk over the members of the model"
        columns.append(
            numbers("disagreement", "Disagreement", spread, says, filtered=True)
        )
    if prediction.in_training is not None and prediction.in_training.any():
        texts = ["yes" if seen else "no" for seen in prediction.in_training]
        says = "trained on: fits better than it would for new patients"
        columns.append(Column("in_training", "Trained on", "text", texts, says))
    columns += of_cohort(cohort, ids)
    notes += [text for patient, text in prediction.notes if not patient]
    return PatientTable(columns, notes)


def _drift(report: DriftReport) -> Column:
    """Modalities in which patients are outside; not known of those whose data were trained on."""
    compared = np.zeros(len(report.patients), bool)
    for share in report.share.values():
        compared |= np.isfinite(share)
    marks: list[Any] = []
    for mark, known in zip(report.marks, compared, strict=True):
        marks.append(mark or "inside" if known else None)
    says = (
        "modalities in which the patient is outside the range of training patients; empty where "
        "it is not judged"
    )
    return Column("drift", "Drift", "text", marks, says)


def _disagreement(
    model: SurvivalFusion,
    cohort: Cohort,
    explanation: Explanation | None,
) -> FloatArray | None:
    """Standard deviation of the log-risk over members; None where no members are known."""
    fitted = model.need_fitted()
    try:
        parts = fitted.model.parts(fitted.transforms)
    except ConfigError:
        return None
    if len(parts.members) < 2:
        return None
    if explanation is None:
        known = replace(fitted.transforms.with_priors(cohort), outcome=None)
        readings = read(fitted, parts, known, cohort.patients)
    else:
        readings = explanation.explained.readings
    return np.asarray(parts.member_log_risks(readings).std(axis=0, ddof=1))
