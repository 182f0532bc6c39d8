from __future__ import annotations

from pathlib import Path

import pytest

from patients import explained, measured, ordered
from survfuse.report import patient_model
from survfuse.report.patient_model import model_of


def test_facts_are_those_of_the_fit() -> None:
    explanation = ordered()
    facts, summary = (
        model_of(explanation, "004", None),
        explanation.explained.fitted.summary,
    )
    for name in ("cohort", "patients", "events", "endpoint"):
        assert facts[name] == summary[name]
    assert facts["terms"] == list(explanation.terms.columns[1:])
    assert facts["members"] == 1
    assert not facts["agreement"]
    assert model_of(measured(), "004", None)["agreement"]


def test_hashes_say_which_data() -> None:
    explanation = ordered()
    own = model_of(explanation, "004", None)["hashes"]
    trained = explanation.explained.fitted.summary["cohort_fingerprint"]
    assert own["training cohort"] == trained
    name = "data of this patient, without outcome"
    assert own[name] == model_of(explanation, "004", None)["hashes"][name]
    assert own[name] != model_of(explanation, "005", None)["hashes"][name]
    record = {"bundle": {"sha256": "ab"}, "cohort_sha256": "cd"}
    more = model_of(explanation, "004", record)["hashes"]
    assert more == {**own, "bundle (bundle.json)": "ab", "this cohort": "cd"}


def test_many_terms_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_model, "MOST_TERMS", 2)
    facts = model_of(explained(tmp_path, fusion="pairwise"), "004", None)
    assert len(facts["terms"]) == 2
    assert facts["more_terms"] > 0
