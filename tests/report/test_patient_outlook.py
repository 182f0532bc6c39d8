from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from patients import explained, ordered, plain
from small_explanations import cohort_file
from survfuse.cohort import load_cohort
from survfuse.explanations import Explanation
from survfuse.report.patient_outlook import (
    Population,
    outlook,
    page_horizon,
    population_of,
)
from survfuse.report.patient_page import patient_page
from survfuse.survival.curves import kaplan_meier_table


def without_curve(explanation: Explanation) -> Explanation:
    """The same of a bundle that an older version wrote."""
    fitted = explanation.explained.fitted
    summary = {
        key: value for key, value in fitted.summary.items() if key != "kaplan_meier"
    }
    own = replace(explanation.explained, fitted=replace(fitted, summary=summary))
    return Explanation(own)


def test_the_population_is_the_kaplan_meier_curve_of_the_training_patients() -> None:
    explanation = ordered()
    outcome = explanation.explained.fitted.summary
    population = population_of(explanation)
    assert population.name == "training patients (Kaplan–Meier)"
    assert population.note == ""
    assert population.observed
    own = load_cohort(cohort_file()).outcome
    assert own is not None
    table = kaplan_meier_table(own["time"], own["event"])
    np.testing.assert_array_equal(population.survival, table.survival)
    at = population.risk_at(1095.0)
    place = np.searchsorted(table.time, 1095.0, side="right") - 1
    assert at["risk"] == 1 - table.survival[place]
    assert at["low"] == 1 - table.high[place]
    assert at["high"] == 1 - table.low[place]
    assert outcome["patients"] == table.at_risk[0]


def test_an_older_bundle_has_the_mean_of_predicted_curves_and_says_so() -> None:
    explanation = without_curve(ordered())
    population = population_of(explanation)
    assert population.name == "training patients (mean prediction)"
    assert "mean of the curves predicted for 24 training patients" in population.note
    assert population.low is None
    assert not population.observed
    risk = population.risk_at(1095.0)
    reference = explanation.points(1095.0)["reference"].iloc[0] / 100
    assert risk["risk"] == pytest.approx(reference)
    assert risk["low"] is None


def test_a_mean_prediction_is_never_called_observed() -> None:
    assert "them; observed: " in plain(patient_page(ordered(), "004"))
    text = plain(patient_page(without_curve(ordered()), "004"))
    assert "observed" not in text
    assert "Training patients (mean prediction): " in text


def test_other_reference_patients_are_called_so(tmp_path: Path) -> None:
    explanation = without_curve(explained(tmp_path, fusion="late_cox"))
    own = explanation.explained
    other = replace(own, reference=replace(own.reference))
    assert population_of(Explanation(other)).name.startswith("reference patients")


def test_beyond_the_follow_up_nothing_is_known() -> None:
    facts = outlook(ordered(), 0, 1e5)
    assert facts["risk"] is None
    assert "lie beyond the" in facts["why_no_risk"]
    assert facts["average"]["risk"] is None
    assert "dotted: " not in plain(patient_page(ordered(), "004", horizon=1e5))
    assert "dotted: 1,095 days" in plain(patient_page(ordered(), "004"))


def test_a_population_that_has_died_out_keeps_its_risk() -> None:
    curve = Population(np.array([0.0, 5.0]), np.array([1.0, 0.0]), None, None, "all")
    assert curve.risk_at(9.0) == {"risk": 1.0, "low": None, "high": None}
    assert curve.risk_at(4.9)["risk"] == 0.0


def test_the_range_of_members_holds_what_each_says(tmp_path: Path) -> None:
    explanation = explained(tmp_path, members=3)
    for row in range(4):
        facts = outlook(explanation, row, 1095.0)
        assert facts["members"]["count"] == 3
        assert facts["members"]["low"] <= facts["risk"] <= facts["members"]["high"]
    assert outlook(ordered(), 0, 1095.0)["members"] is None


def test_the_horizon_is_that_of_three_years_or_the_nearest_or_the_last() -> None:
    explanation = ordered()
    assert page_horizon(explanation) == 1095.0
    fitted = explanation.explained.fitted
    for longest, wanted in ((800.0, 365.0), (200.0, 200.0)):
        summary = {**fitted.summary, "longest_time": longest}
        own = replace(explanation.explained, fitted=replace(fitted, summary=summary))
        assert page_horizon(Explanation(own)) == wanted
