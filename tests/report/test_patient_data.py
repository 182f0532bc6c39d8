from __future__ import annotations

import pytest

from patients import ordered
from running import small
from small_explanations import fitted_model
from survfuse.cohort import load_cohort
from survfuse.explanations import Explanation, explain
from survfuse.report import patient_data
from survfuse.report.patient_data import inputs_of


@pytest.fixture(scope="module")
def explanation(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    """Explanation of other data: 004 has odd cells and no slides, 005 is new."""
    files = small(tmp_path_factory.mktemp("new"), seed=5)
    files.set("004", "age", 200)
    files.set("004", "sex", "X")
    files.set("004", "stage", "")
    files.set("006", "age", 60)
    assert files.slides is not None
    files.slides = files.slides[files.slides["patient_id"] != "004"]
    files.patients["patient_id"] = files.patients["patient_id"].replace({"005": "new"})
    files.slides["patient_id"] = files.slides["patient_id"].replace({"005": "new"})
    assert files.expression is not None
    files.expression.index = files.expression.index.str.replace("005", "new")
    return explain(fitted_model(), load_cohort(files.write()))


def rows_of(explanation: Explanation, patient: str) -> dict[str, dict[str, object]]:
    return {str(row["name"]): row for row in inputs_of(explanation, patient)["rows"]}


def test_what_was_missing_or_changed_is_said(explanation: Explanation) -> None:
    rows = rows_of(explanation, "004")
    said = " | ".join(rows["clinical"]["remarks"])  # type: ignore[arg-type]
    assert "age: 200; training" in said
    assert "sex: 'X'; treated as unknown" in said
    assert "stage: missing" in said
    assert rows["slides"]["present"] is False
    assert rows["slides"]["remarks"] == []
    assert rows_of(explanation, "006")["clinical"]["remarks"] == []


def test_how_far_a_patient_is_from_the_training_patients(
    explanation: Explanation,
) -> None:
    drift = explanation.prediction.drift
    assert drift is not None
    row = explanation.patients.index("004")
    own = rows_of(explanation, "004")
    assert own["clinical"]["outside"] is True
    assert own["clinical"]["share"] == drift.share["clinical"][row]
    assert own["slides"]["share"] is None


def test_a_training_patient_with_other_data_is_marked(explanation: Explanation) -> None:
    facts = inputs_of(explanation, "004")
    assert facts["in_training"]
    assert facts["changed"]
    assert not inputs_of(explanation, "new")["in_training"]
    own = inputs_of(ordered(), "004")
    assert own["in_training"]
    assert not own["changed"]


def test_notes_on_everyone_name_nobody(explanation: Explanation) -> None:
    for one in (explanation, ordered()):
        notes = " ".join(inputs_of(one, "006")["notes"])
        assert not [patient for patient in one.patients if patient in notes]


def test_many_remarks_are_counted(
    explanation: Explanation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patient_data, "MOST_REMARKS", 1)
    row = rows_of(explanation, "004")["clinical"]
    assert len(row["remarks"]) == 1  # type: ignore[arg-type]
    assert row["more"] == 2
