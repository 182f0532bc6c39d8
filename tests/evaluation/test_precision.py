from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cross_validated import table
from survfuse._errors import NotComputableError
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import difference, estimate
from survfuse.evaluation.folds import folds_of, repeats_of
from survfuse.evaluation.metric_registry import ModelFolds
from survfuse.evaluation.precision import (
    GROUPS,
    Precision,
    jackknifed,
    of_difference,
    of_score,
)
from survfuse.evaluation.ranking import UNO_C

SCALE = Scale((20.0,), 20.0, times=())
A, B = folds_of(table(80)), folds_of(table(80, seed=1, spread=2.0))


def test_at_the_size_of_the_run_it_is_the_standard_error_of_the_run():
    score = of_score(UNO_C, A, SCALE, known_share=True)
    assert score.se(80) == pytest.approx(estimate(UNO_C, ModelFolds(A, SCALE)).se)
    delta = of_difference(UNO_C, A, B, SCALE, known_share=True)
    assert delta.se(80) == pytest.approx(difference(UNO_C, A, B, SCALE).se)
    assert len(delta.left_out) == GROUPS


def test_without_small_folds_and_training_it_falls_with_the_root_of_the_patients():
    precision = Precision("score", 100, 0.04)
    assert precision.se(400) == pytest.approx(0.1)
    assert precision.spread(400) == pytest.approx(0.1)


def test_what_small_folds_add_falls_with_the_patients():
    assert Precision("score", 100, 0.04, small_folds=1.0).se(400) == pytest.approx(0.05)


def test_what_training_changes_falls_by_its_odds():
    # odds of 1 become odds of 1/4
    precision = Precision("score", 100, 0.04, share=0.5)
    assert precision.se(400) == pytest.approx(np.sqrt(0.01 * 1.2))
    of_folds = Precision("score", 100, 0.04, share=0.5, share_of_folds=0.5)
    assert of_folds.se(400) == pytest.approx(np.sqrt(0.01 * 1.125))


def test_an_unknown_share_stays():
    precision = Precision("difference", 100, 0.04, share=1.0, known_share=False)
    assert precision.se(400) == pytest.approx(np.sqrt(0.02))


def test_the_cautious_one_keeps_the_share():
    precision = Precision("difference", 100, 0.04, share=0.5)
    assert precision.cautious.se(100) == precision.se(100)
    assert precision.cautious.se(400) == pytest.approx(precision.se(100) / 2)


def test_a_share_that_is_estimated_above_1_is_taken_as_1():
    assert Precision("score", 100, 0.04, share=1.7).se(100) == pytest.approx(
        0.2 * 2**0.5
    )


def test_risks_of_a_larger_run_are_spread_more_so_that_its_slope_is_known_better():
    assert Precision("slope", 100, 0.04, share=0.4).se(400) < 0.1
    assert Precision("slope", 100, 0.04).se(400) == pytest.approx(0.1)


def test_power_at_the_planned_size_is_the_planned_one():
    precision = Precision("difference", 100, 0.002, share=0.6, small_folds=0.2)
    needed = precision.patients_for(0.03, 0.8)
    assert precision.power(0.03, needed) == pytest.approx(0.8, abs=1e-5)
    assert needed > precision.patients_for(0.05, 0.8)
    assert needed < precision.patients_for(0.03, 0.9)


def test_power_without_a_share_is_that_of_a_normal_test():
    # 0.8 needs (1.95996 + 0.84162)² = 7.8489 variances
    precision = Precision("difference", 100, 0.01)
    assert precision.patients_for(0.1, 0.8) == pytest.approx(784.89, rel=1e-4)


def test_an_increment_that_nobody_can_show_is_refused():
    with pytest.raises(NotComputableError, match="more than 10,000,000 patients"):
        Precision("difference", 100, 1.0).patients_for(1e-5, 0.8)


def test_scaling_to_another_standard_error_keeps_how_it_falls():
    precision = of_score(UNO_C, A, SCALE, known_share=True)
    scaled = precision.scaled_to(2 * precision.se(80))
    assert scaled.se(300) == pytest.approx(2 * precision.se(300))
    assert scaled.uncertainty(300) == pytest.approx(precision.uncertainty(300))


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=30)
    means = np.array([np.delete(x, i).mean() for i in range(30)])
    assert jackknifed(means) == pytest.approx(x.std(ddof=1) / 30**0.5)


def test_its_uncertainty_is_of_the_size_that_standard_errors_of_other_patients_differ_by():
    stated, found = [], []
    for seed in range(15):
        generator = np.random.default_rng(seed)
        risk = generator.normal(size=150)
        patients = pd.DataFrame({"patient_id": [f"P{i}" for i in range(150)]})
        patients["repeat"], patients["fold"] = 0, np.arange(150) % 2
        patients["time"] = generator.exponential(20 * np.exp(-risk)).clip(0.1)
        patients["event"], patients["log_risk"] = generator.random(150) < 0.7, risk
        precision = of_score(UNO_C, folds_of(patients), SCALE, known_share=False)
        stated.append(precision.uncertainty(150))
        found.append(np.log(precision.se(150)))
    assert 0.7 < np.mean(stated) / np.std(found) < 2.5


def test_one_repeat_leaves_the_share_at_1():
    single = tuple(repeats_of(A)[0])
    precision = of_score(UNO_C, single, SCALE, known_share=False)
    assert precision.share == 1
    plain = Precision("score", 80, precision.plain, small_folds=precision.small_folds)
    assert precision.se(320) == pytest.approx(plain.se(320) * 2**0.5)
