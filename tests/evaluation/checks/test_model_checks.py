from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.checks.evidence_of import (
    SUMMARY,
    estimate,
    nothing,
    predictions,
    run_on,
)
from survfuse.cohort.cohort import Cohort
from survfuse.evaluation.checks.model_checks import (
    beats_clinical,
    calibration_has_signal,
    calibration_holds,
    events_carry_the_parameters,
    predicted_times_differ,
)
from survfuse.evaluation.model_sizes import sizes


def metrics(**found: Any) -> dict[str, Any]:
    return {"metrics": {"ours": found}}


def test_the_clinical_baseline_must_be_beaten_by_more_than_luck(cohort: Cohort) -> None:
    assert beats_clinical(run_on(cohort))[:2] == (
        "ok",
        "Uno C minus clinical-only: +0.105 [+0.010, +0.200]",
    )
    same = metrics(delta_uno_c_vs_clinical=estimate(-0.1, 0.2))
    assert beats_clinical(run_on(cohort, **same))[::2] == (
        "warning",
        "Not shown to be better than clinical variables alone; say so beside the score.",
    )
    worse = metrics(delta_uno_c_vs_clinical=estimate(-0.2, -0.1))
    assert beats_clinical(run_on(cohort, **worse)).advice.startswith(
        "Shown to rank worse than clinical",
    )
    assert beats_clinical(run_on(cohort, clinical=None))[:2] == (
        "not applicable",
        "the cohort has no clinical table",
    )
    none = metrics(delta_uno_c_vs_clinical=nothing())
    assert beats_clinical(run_on(cohort, **none)).status == "not applicable"


def test_one_time_for_many_patients_is_a_warning(cohort: Cohort) -> None:
    assert predicted_times_differ(run_on(cohort)).status == "ok"
    table = predictions(cohort)
    same = table.assign(
        predicted_time=np.where(table.index < 5, 5.0, table.index + 10.0),
    )
    assert predicted_times_differ(run_on(cohort, models={"ours": same}))[:2] == (
        "warning",
        "21% of the predictions share one predicted time",
    )
    four = table.assign(
        predicted_time=np.where(table.index < 4, 5.0, table.index + 10.0),
    )
    assert predicted_times_differ(run_on(cohort, models={"ours": four})).status == "ok"
    none = table.assign(predicted_time=np.nan)
    assert (
        predicted_times_differ(run_on(cohort, models={"ours": none})).status
        == "not applicable"
    )


def sized(cohort: Cohort, *changes: dict[str, Any]) -> tuple[str, ...]:
    fits = [{**SUMMARY, **change} for change in changes]
    return events_carry_the_parameters(run_on(cohort, summaries={"ours": fits}))[:2]


def test_few_events_per_parameter_are_usual_and_fits_that_gain_nothing_are_not(
    cohort: Cohort,
) -> None:
    few = {"events": 33, "effective_parameters": 10.0, "likelihood_ratio": 50.0}
    told = "3.3 training events per effective parameter (10.0 of 40); expected shrinkage 0.80"
    assert sized(cohort, few) == ("ok", told)
    assert sized(cohort, {**few, "likelihood_ratio": 20.1})[0] == "ok"
    assert sized(cohort, {**few, "likelihood_ratio": 19.9}) == (
        "warning",
        told.replace("0.80", "0.50"),
    )
    assert sized(cohort, {**few, "likelihood_ratio": 4.0})[0] == "warning"


def test_the_check_counts_as_the_report_does(cohort: Cohort) -> None:
    fits = [
        {**SUMMARY, "effective_parameters": p, "events": e}
        for p, e in ((0.1, 22), (3.0, 21), (9.0, 25))
    ]
    (row,) = sizes({"ours": fits}, ["ours"])
    evidence = events_carry_the_parameters(
        run_on(cohort, summaries={"ours": fits}),
    ).evidence
    assert evidence.startswith(
        f"{row['events_per_effective']:.1f} training events per effective parameter",
    )
    assert f"({row['effective']:.1f} of 40)" in evidence


def test_fits_beyond_counting_are_unusual(cohort: Cohort) -> None:
    why = {"effective_parameters": None, "effective_note": "not computable: too close"}
    beyond = {**why, "effective_too_many": True}
    assert sized(cohort, beyond, beyond, {}) == (
        "warning",
        "2 of 3 fits have more effective parameters than events",
    )
    assert sized(cohort, beyond, {}, {})[0] == "ok"
    assert sized(cohort, why) == ("not applicable", "not computable: too close")
    assert sized(cohort, {"parameters": None}) == (
        "not applicable",
        "the model states no parameter count",
    )
    nothing_left = sized(cohort, {"effective_parameters": 0.0, "likelihood_ratio": 0.0})
    assert nothing_left == (
        "not applicable",
        "0.0 effective parameters: the fits hardly separate patients",
    )
    for ratio in (
        None,
        -9.7,
    ):  # of an older run; of risks that are worse than none where they were fitted
        status, told = sized(cohort, {"likelihood_ratio": ratio})
        assert status == "not applicable"
        assert told.endswith(
            "on their own patients the fits gain nothing, or it is not recorded",
        )


def test_a_calibration_without_signal_is_a_warning(cohort: Cohort) -> None:
    assert calibration_has_signal(run_on(cohort)).status == "ok"
    dull = {"ours": [{"calibration_note": "slope 0"}, {"calibration_note": ""}]}
    assert calibration_has_signal(run_on(cohort, summaries=dull))[:2] == (
        "warning",
        "1 of 2 folds: slope 0",
    )
    others = {"ridge:clinical": [{}]}
    assert (
        calibration_has_signal(run_on(cohort, summaries=others)).status
        == "not applicable"
    )


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [(0.5, 0.9, "warning"), (1.1, 1.3, "warning"), (1.0, 1.3, "ok")],
)
@pytest.mark.parametrize("metric", ["observed_expected", "calibration_slope"])
def test_an_interval_without_1_rejects_calibration(
    cohort: Cohort,
    metric: str,
    low: float,
    high: float,
    status: str,
) -> None:
    other = {"observed_expected", "calibration_slope"} - {metric}
    fine = dict.fromkeys(other, estimate(0.9, 1.1))
    found = calibration_holds(
        run_on(cohort, **metrics(**{metric: estimate(low, high)}, **fine)),
    )
    assert found.status == status
    assert ("away from 1" in found.advice) == (status == "warning")


def test_footnotes_are_told_and_decide_nothing(cohort: Cohort) -> None:
    given = metrics(
        observed_expected=estimate(0.9, 1.1),
        ici_36=estimate(0.2, 0.4),
        d_calibration=estimate(0, 0.002),
    )
    assert calibration_holds(run_on(cohort, **given))[:2] == (
        "ok",
        "O/E 1.00 [0.90, 1.10]; ICI at 36 0.300; D-calibration p 0.001",
    )
    none = metrics(observed_expected=nothing(), d_calibration=estimate(0, 0.002))
    assert calibration_holds(run_on(cohort, **none)).status == "not applicable"
