from __future__ import annotations

import pandas as pd
import pytest

from evaluation.checks.evidence_of import estimate, nothing, predictions, run_on
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.config import FitConfig
from survfuse.evaluation.checks import Evidence
from survfuse.evaluation.checks.protocol_checks import (
    better_than_permuted,
    events_in_folds,
    patients_once,
    permuted_finds_nothing,
    selection_is_inside,
)


def test_a_patient_tested_twice_is_a_failure(cohort: Cohort) -> None:
    table = predictions(cohort)
    assert patients_once(run_on(cohort))[:2] == (
        "ok",
        "24 patients, each tested once per repeat, by folds of patients",
    )
    twice = patients_once(
        run_on(cohort, models={"ours": pd.concat([table, table[:1]])}),
    )
    assert twice[:2] == ("failed", "1 patients are tested twice in one repeat: 001")
    again = pd.concat([table, table.assign(repeat=1)])
    assert patients_once(run_on(cohort, models={"ours": again})).status == "ok"


def test_a_patient_on_both_sides_is_a_failure(cohort: Cohort) -> None:
    splits = (
        Split(0, 0, ("001", "002"), ("003",)),
        Split(0, 1, ("001", "003"), ("003", "002")),
    )
    assert patients_once(run_on(cohort, splits=splits))[:2] == (
        "failed",
        "1 patients are trained on and tested in one fold: 003",
    )


@pytest.mark.parametrize("inside", ["inner_folds", "holdout", "last"])
def test_a_choice_inside_the_training_patients_is_in_order(
    cohort: Cohort,
    inside: str,
) -> None:
    assert selection_is_inside(run_on(cohort, selection=inside)).status == "ok"
    config = FitConfig.of(selection=inside)
    assert (
        selection_is_inside(run_on(cohort, selection=None, config=config)).status
        == "ok"
    )


def test_a_choice_on_reported_patients_is_a_failure(cohort: Cohort) -> None:
    assert selection_is_inside(run_on(cohort, selection="test"))[:2] == (
        "failed",
        "the model was chosen on 'test', which is not inside the training patients",
    )
    unknown = selection_is_inside(run_on(cohort, selection=None))
    assert unknown.status == "not applicable"
    assert "not known" in unknown.evidence


def test_folds_with_few_events_are_named(cohort: Cohort) -> None:
    assert events_in_folds(run_on(cohort))[:2] == (
        "ok",
        "6 to 6 test events in 2 folds",
    )
    table = predictions(cohort)
    table.loc[table["fold"] == 1, "event"] = False
    found = events_in_folds(run_on(cohort, models={"ours": table}))
    assert found[:2] == (
        "warning",
        "0 to 6 test events in 2 folds; fewer than 5 in 1 (repeat 0 fold 1: 0)",
    )
    table = table.assign(event=(table.index % 12 < 4))  # four events in each fold
    assert events_in_folds(run_on(cohort, models={"ours": table})).status == "warning"


def test_permuted_outcomes_must_not_score(cohort: Cohort) -> None:
    def judged(score: object) -> tuple[str, str]:
        return permuted_finds_nothing(run_on(cohort, permuted={"uno_c": score}))[:2]

    assert judged(estimate(0.4, 0.6)) == (
        "ok",
        "Uno C on permuted outcomes: 0.500 [0.400, 0.600]",
    )
    assert judged(estimate(0.51, 0.6))[0] == "failed"
    assert judged(estimate(0.49, 0.9))[0] == "ok"  # an interval decides, not a value
    assert judged(nothing("all censored")) == (
        "not applicable",
        "the score on permuted outcomes is not computable: all censored",
    )
    assert (
        permuted_finds_nothing(Evidence(cohort=cohort, permuted={})).status
        == "not applicable"
    )


def test_a_model_that_is_not_shown_to_beat_itself_on_permuted_outcomes_is_a_warning(
    cohort: Cohort,
) -> None:
    def judged(gain: object) -> tuple[str, ...]:
        return better_than_permuted(run_on(cohort, permuted={"difference": gain}))

    assert judged(estimate(0.1, 0.2))[:2] == (
        "ok",
        "Uno C minus that on permuted outcomes: +0.150 [+0.100, +0.200]",
    )
    assert judged(estimate(-0.1, 0.2))[0] == "warning"
    assert judged(estimate(-0.1, 0.2))[2].startswith(
        "The model is not shown to be better than one that",
    )
    assert judged(nothing())[0] == "not applicable"


def test_how_an_anchored_model_was_chosen_is_told_as_it_is(cohort: Cohort) -> None:
    """It has no epochs, whatever `selection` says."""
    config = FitConfig.of(fusion="anchored", selection="inner_folds")
    told = selection_is_inside(
        run_on(cohort, selection=config.chosen_by, config=config),
    )
    assert told[:2] == (
        "ok",
        "penalties and weights were chosen on inner folds of the training patients",
    )
