from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.checks.evidence_of import estimate, nothing, predictions, run_on
from survfuse.cohort.cohort import Cohort
from survfuse.evaluation.checks.model import (
    beats_clinical,
    calibration_found_signal,
    calibration_holds,
    events_per_parameter,
    predicted_times_differ,
)


def metrics(**found: Any) -> dict[str, Any]:
    return {"metrics": {"ours": found}}


def test_the_clinical_baseline_must_be_beaten_by_more_than_luck(cohort: Cohort) -> None:
    assert beats_clinical(run_on(cohort))[:2] == (
        "ok",
        "Uno C minus clinical-only: +0.105 [+0.010, +0.200]",
    )
    same = metrics(delta_uno_c_vs_clinical=estimate(-0.1, 0.2))
    assert beats_clinical(run_on(cohort, **same)).status == "warning"
    assert beats_clinical(run_on(cohort, clinical=None))[:2] == (
        "not applicable",
        "the cohort has no clinical table",
    )
    none = metrics(delta_uno_c_vs_clinical=nothing())
    assert beats_clinical(run_on(cohort, **none)).status == "not applicable"


def test_one_time_for_many_patients_is_a_warning(cohort: Cohort) -> None:
    assert predicted_times_differ(run_on(cohort)).status == "ok"
    table = predictions(cohort)
    same = table.assign(predicted_time=np.where(table.index < 5, 5.0, table.index + 10.0))
    assert predicted_times_differ(run_on(cohort, models={"ours": same}))[:2] == (
        "warning",
        "21% of the predictions share one predicted time",
    )
    four = table.assign(predicted_time=np.where(table.index < 4, 5.0, table.index + 10.0))
    assert predicted_times_differ(run_on(cohort, models={"ours": four})).status == "ok"
    none = table.assign(predicted_time=np.nan)
    assert predicted_times_differ(run_on(cohort, models={"ours": none})).status == "not applicable"


def test_few_events_per_parameter_are_a_warning(cohort: Cohort) -> None:
    def judged(*fits: dict[str, Any]) -> tuple[str, ...]:
        return events_per_parameter(run_on(cohort, summaries={"ours": list(fits)}))[:2]

    assert judged({"events": 100, "parameters": 10})[0] == "ok"
    assert judged({"events": 100, "parameters": 10}, {"events": 50, "parameters": 1000}) == (
        "warning",
        "0.05 training events per parameter (counting every weight)",
    )
    assert judged({"events": 50, "parameters": 1000, "effective_parameters": 2.5}) == (
        "ok",
        "20 training events per parameter (effective parameters after shrinkage)",
    )
    assert judged({})[0] == "not applicable"


def test_a_calibration_without_signal_is_a_warning(cohort: Cohort) -> None:
    assert calibration_found_signal(run_on(cohort)).status == "ok"
    dull = {"ours": [{"calibration_note": "slope 0"}, {"calibration_note": ""}]}
    assert calibration_found_signal(run_on(cohort, summaries=dull))[:2] == (
        "warning",
        "1 of 2 folds: slope 0",
    )
    others = {"ridge:clinical": [{}]}
    assert calibration_found_signal(run_on(cohort, summaries=others)).status == "not applicable"


@pytest.mark.parametrize(
    ("low", "high", "status"), [(0.5, 0.9, "warning"), (1.1, 1.3, "warning"), (1.0, 1.3, "ok")]
)
@pytest.mark.parametrize("metric", ["observed_expected", "calibration_slope"])
def test_an_interval_without_1_rejects_calibration(
    cohort: Cohort, metric: str, low: float, high: float, status: str
) -> None:
    other = {"observed_expected", "calibration_slope"} - {metric}
    fine = dict.fromkeys(other, estimate(0.9, 1.1))
    found = calibration_holds(run_on(cohort, **metrics(**{metric: estimate(low, high)}, **fine)))
    assert found.status == status
    assert ("away from 1" in found.advice) == (status == "warning")


def test_footnotes_are_told_and_decide_nothing(cohort: Cohort) -> None:
    given = metrics(
        observed_expected=estimate(0.9, 1.1), ici_36=estimate(0.2, 0.4), d_calibration=estimate(0, 0.002)
    )
    assert calibration_holds(run_on(cohort, **given))[:2] == (
        "ok",
        "O/E 1.00 [0.90, 1.10]; ICI at 36 0.300; D-calibration p 0.001",
    )
    none = metrics(observed_expected=nothing(), d_calibration=estimate(0, 0.002))
    assert calibration_holds(run_on(cohort, **none)).status == "not applicable"
