from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import viewed
from running import quick
from survfuse.cohort import load_cohort
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, explain
from survfuse.explanations.explained import FLAT
from survfuse.report.patient_outlook import page_horizon
from survfuse.viewer import bundle_study
from survfuse.viewer.bundle_study import MOST_CACHED, BundleStudy


def column(study: BundleStudy, key: str) -> list[Any]:
    return next(one.values for one in study.table.columns if one.key == key)


def test_the_table_is_the_prediction() -> None:
    study = viewed.study()
    prediction = study.model.predict(study.cohort)
    assert study.patients == list(prediction.patient_id)
    np.testing.assert_allclose(
        column(study, "log_risk"), prediction.log_risk, rtol=1e-5, atol=1e-9
    )
    risk = 1 - prediction.survival([1095.0])[:, 0]
    np.testing.assert_allclose(column(study, "risk"), risk, rtol=1e-5)
    assert set(column(study, "in_training")) == {"yes"}
    assert set(column(study, "drift")) == {None}  # trained on: not judged
    assert any("no members" in note for note in study.table.notes)


def test_table_and_page_show_the_risk_at_the_same_time() -> None:
    model = SurvivalFusion.load(viewed.bundle())
    fitted = model.need_fitted()
    for longest in (1200.0, 200.0):  # 1 and 3 years; none
        summary = {**fitted.summary, "longest_time": longest}
        model.fitted = replace(fitted, summary=summary)
        study = BundleStudy(model, viewed.study().cohort, viewed.bundle())
        at = page_horizon(study.explanation("001"))
        titles = [one.title for one in study.table.columns]
        assert f"Risk at {at:g} days" in titles


def test_what_is_absent_is_noted() -> None:
    study = viewed.study()
    assert study.notes("001") == []
    assert "slides: absent" in study.notes("002")
    assert study.record_of("002")["notes"] == study.notes("002")


def test_terms_of_a_patient_are_sorted_and_named() -> None:
    study = viewed.study()
    terms = explain(study.model, study.cohort).terms.loc["003"]
    rows = study.terms("003")["rows"]
    values = {row["name"]: row["value"] for row in rows}
    assert values == pytest.approx(terms.drop("constant").to_dict())
    whole = study.terms("003")
    assert whole["constant"] == terms["constant"]
    facts = {fact["title"]: fact["value"] for fact in study.table.facts("003")}
    assert whole["total"] == pytest.approx(facts["Log-risk"], rel=1e-4)
    sizes = [abs(row["value"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert {row["says"] for row in rows} == {"agreement not measured"}


def test_disagreement_is_the_spread_of_members() -> None:
    cohort = load_cohort(viewed.cohort_file())
    model = quick(fusion="concat", members=2).fit(cohort)
    study = BundleStudy(model, cohort, viewed.bundle())
    risks = []
    for network in range(2):
        parts = study._whole.explained.parts.members[network]  # type: ignore[union-attr]
        readings = study._whole.explained.readings  # type: ignore[union-attr]
        risks.append(sum(part.value(readings) for part in parts))
    spread = np.abs(risks[0] - risks[1]) / np.sqrt(2)
    assert spread.max() > 0
    np.testing.assert_allclose(column(study, "disagreement"), spread, rtol=1e-5)


def test_disagreement_needs_no_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = load_cohort(viewed.cohort_file())
    model = quick(fusion="concat", members=2).fit(cohort)
    explained = BundleStudy(model, cohort, viewed.bundle())
    monkeypatch.setattr(bundle_study, "_explained", lambda *_: (None, ""))
    study = BundleStudy(model, cohort, viewed.bundle())
    assert column(study, "disagreement") == column(explained, "disagreement")


def test_a_model_that_reads_single_tiles_needs_a_reference() -> None:
    cohort = load_cohort(viewed.cohort_file())
    model = quick(fusion="coattention").fit(cohort)
    study = BundleStudy(model, cohort, viewed.bundle())
    assert "--reference COHORT" in study.terms("001")["why"]
    study = BundleStudy(model, cohort, viewed.bundle(), cohort)
    assert study.terms("001")["rows"]
    assert study.has_page


def test_models_without_exact_terms_explain_who_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = load_cohort(viewed.cohort_file())
    asked = []

    def watched(model: Any, cohort: Any, patients: Any = None, **how: Any) -> Any:
        asked.append(patients)
        return explain(model, cohort, patients, **how)

    monkeypatch.setattr(bundle_study, "explain", watched)
    monkeypatch.setattr(bundle_study, "_explained", lambda *_: (None, ""))
    study = BundleStudy(viewed.model(), cohort, viewed.bundle())
    assert asked == []
    expected = viewed.study().terms("003")["rows"]
    for got, wanted in zip(study.terms("003")["rows"], expected, strict=True):
        assert got["value"] == pytest.approx(wanted["value"])
    assert asked == [["003"]]
    for number in range(1, 12):
        study.terms(f"{number:03d}")
    assert len(study._single) == MOST_CACHED


def test_models_that_cannot_be_explained_still_predict() -> None:
    cohort = load_cohort(viewed.cohort_file())
    model = quick(fusion="kaplan_meier").fit(cohort)
    study = BundleStudy(model, cohort, viewed.bundle())
    assert len(study.patients) == 20
    assert not study.has_page
    assert "nothing to explain" in study.terms("001")["why"]
    maps, why = study.maps("001", "slides")
    assert not maps
    assert "nothing to explain" in why[""]


def test_maps_are_kept_for_few_patients() -> None:
    study = viewed.study()
    first = study.maps("001", "slides")
    assert study.maps("001", "slides") is first
    for number in range(3, 3 + MOST_CACHED):
        study.maps(f"{number:03d}", "slides")
    assert study.maps("001", "slides") is not first


def test_the_whole_page_names_the_bundle() -> None:
    html = viewed.study().page("002")
    assert html.startswith("<!DOCTYPE html>")
    assert "<script" not in html


def test_a_slide_without_places_says_so_and_the_others_have_maps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = Explanation.slide_maps

    def partly(self: Explanation, *names: str, failed: dict[str, str]) -> Any:
        maps = usual(self, *names, failed=failed)
        failed[viewed.FIRST] = "nobody knows where its tiles lie"
        return {viewed.SECOND: maps[viewed.SECOND]}

    monkeypatch.setattr(Explanation, "slide_maps", partly)
    study = BundleStudy(viewed.model(), viewed.study().cohort, viewed.bundle())
    slides = {slide.slide_id: slide for slide in study.slides("001")}
    one, why = study.map_of("001", slides[viewed.FIRST])
    assert (one, why) == (None, "nobody knows where its tiles lie")
    one, why = study.map_of("001", slides[viewed.SECOND])
    assert one is not None
    assert why == ""


def test_a_model_that_orders_nobody_has_no_risk_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "high risk" in column(viewed.study(), "risk_group")
    monkeypatch.setattr(bundle_study, "is_flat", lambda fitted: True)
    study = BundleStudy(viewed.model(), viewed.study().cohort, viewed.bundle())
    assert "risk_group" not in [one.key for one in study.table.columns]
    assert FLAT in study.table.notes
