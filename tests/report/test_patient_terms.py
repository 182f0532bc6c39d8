from __future__ import annotations

from pathlib import Path

import pytest

from patients import explained, measured, ordered
from survfuse.report import patient_terms
from survfuse.report.patient_terms import terms_of


def test_both_scales_add_up() -> None:
    explanation = ordered()
    row = explanation.patients.index("010")
    facts = terms_of(explanation, "010", 1095.0)
    total = facts["constant"] + sum(item["log_risk"] for item in facts["rows"])
    assert total == pytest.approx(explanation.prediction.log_risk[row], abs=1e-6)
    points = facts["reference"] + sum(item["points"] for item in facts["rows"])
    assert points == pytest.approx(facts["risk"])
    risk = 100 * (1 - explanation.prediction.survival([1095.0])[row, 0])
    assert facts["risk"] == pytest.approx(risk)
    assert facts["most_log_risk"] == max(
        abs(item["log_risk"]) for item in facts["rows"]
    )
    assert facts["most_points"] == max(abs(item["points"]) for item in facts["rows"])


def test_agreement_stands_beside_each_term() -> None:
    rows = {item["name"]: item for item in terms_of(measured(), "004", 1095.0)["rows"]}
    assert rows["clinical"]["agreement"] == 0.9
    assert not rows["clinical"]["grey"]
    assert rows["expression"]["grey"]
    assert "too few half models" in rows["slides"]["says"]
    unmeasured = terms_of(ordered(), "004", 1095.0)
    assert {item["says"] for item in unmeasured["rows"]} == {
        "agreement was not measured"
    }
    assert unmeasured["all"]["says"] == ""


def test_small_interactions_are_added(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explanation = explained(tmp_path, fusion="pairwise")
    whole = terms_of(explanation, "004", 1095.0)
    assert whole["has_interactions"]
    assert {item["points"] for item in whole["rows"] if item["interaction"]} == {None}
    monkeypatch.setattr(patient_terms, "MOST_TERMS", 4)
    facts = terms_of(explanation, "004", 1095.0)
    assert len(facts["rows"]) == 4
    assert facts["rest_count"] == len(whole["rows"]) - 4
    total = sum(item["log_risk"] for item in facts["rows"]) + facts["rest"]
    assert total == pytest.approx(sum(item["log_risk"] for item in whole["rows"]))
    sizes = [abs(one["log_risk"]) for one in whole["rows"] if one["interaction"]]
    assert abs(facts["rows"][-1]["log_risk"]) == max(sizes)


def test_left_out_terms_say_why_and_what_they_would_say(tmp_path: Path) -> None:
    explanation = explained(tmp_path, fusion="anchored")
    left_out = {
        item["name"]: item for item in terms_of(explanation, "004", 1095.0)["left_out"]
    }
    assert set(left_out) == {
        name.replace("*", " × ") for name in explanation.excluded["term"]
    }
    assert "is needed" in left_out["slides"]["reason"]
    assert "not used" not in left_out["slides"]["reason"]
    alone = explanation.alone["slides"].loc["004"]
    assert left_out["slides"]["alone"] == pytest.approx(alone)


def test_without_curves_there_are_no_points(tmp_path: Path) -> None:
    facts = terms_of(explained(tmp_path, calibration="km_rank"), "004", 1095.0)
    assert "gives no risk at a horizon" in facts["why_no_points"]
    assert facts["reference"] is None
    assert facts["most_points"] == 0.0
