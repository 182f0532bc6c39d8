from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from predicted import crossed, predicted
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import WAYS
from survfuse.evaluation.comparisons import Increment, delta_uno_c
from survfuse.evaluation.scoring import DELTA, judge_models
from survfuse.results.run_tables import LISTS, tables

SCALE = Scale((10.0, 20.0, 30.0), 30.0, draws=20)
MODELS = {
    "mine": crossed(predicted()),
    "ridge:clinical": crossed(predicted(seed=1)),
    "network:slides": crossed(predicted(seed=2)),
    "permuted:slides": crossed(predicted(seed=3)),
}


@pytest.fixture(scope="module")
def judged() -> object:
    groups = pd.DataFrame(
        {"site": ["a"] * 40 + ["b"] * 40},
        index=list(predicted()["patient_id"]),
    )
    wanted = [Increment("slides", "permuted at prediction", "mine", "permuted:slides")]
    return judge_models(
        MODELS,
        "mine",
        "ridge:clinical",
        SCALE,
        wanted=wanted,
        groups=groups,
    )


def test_every_model_is_set_beside_the_clinical_one(judged: object) -> None:
    estimates = judged.estimates  # type: ignore[attr-defined]
    assert list(estimates) == list(MODELS)
    assert DELTA not in estimates["ridge:clinical"]
    assert estimates["mine"][DELTA] == delta_uno_c(
        MODELS["mine"],
        MODELS["ridge:clinical"],
        SCALE,
    )


def test_only_the_two_that_are_shown_are_resampled(judged: object) -> None:
    estimates = judged.estimates  # type: ignore[attr-defined]
    known = {name: found["ici_10"].low is not None for name, found in estimates.items()}
    assert known == {name: name in ("mine", "ridge:clinical") for name in MODELS}


def test_the_tables_are_those_that_a_report_reads(judged: object) -> None:
    performance = judged.performance  # type: ignore[attr-defined]
    by_the_run = {
        "availability",
        "characteristics",
        "sizes",
        "learning_curve",
    }  # which need the cohort, and what was learned
    assert set(performance) == {*LISTS, "interval"} - by_the_run
    assert performance["interval"] == WAYS["influence"]
    made = tables(performance)
    assert all(
        len(made[table]) == len(performance[key]) > 0
        for key, table in LISTS.items()
        if key not in by_the_run
    )
    assert {row["horizon"] for row in performance["decision"]} == {20.0}
    assert {row["reference"] for row in performance["comparisons"]} == {
        "ridge:clinical",
        "network:slides",
    }


def test_without_a_clinical_model_nothing_is_set_beside_it() -> None:
    found = judge_models({"mine": MODELS["mine"]}, "mine", None, SCALE)
    assert DELTA not in found.estimates["mine"]
    assert found.performance["comparisons"] == found.performance["increment"] == []


def test_a_single_model_is_told_without_a_widening() -> None:
    once = {"ours": (replace(crossed(predicted(40), folds=2)[0], fold=0),)}
    judged = judge_models(once, "ours", None, SCALE)
    assert judged.performance["interval"].endswith(
        "one fitted model, so nothing is widened",
    )
