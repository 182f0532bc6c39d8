from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from running import loaded, small
from survfuse.evaluation import checks
from survfuse.evaluation.checks import CHECKS, Evidence, run_checks
from survfuse.survival.estimate import Estimate


def predictions(times: list[float]) -> pd.DataFrame:
    ids = [f"P{i}" for i in range(len(times))]
    return pd.DataFrame({"patient_id": ids, "repeat": 0, "fold": 0, "predicted_time": times})


def estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, 0.1, low, high, 10, 5, "")


@pytest.fixture
def evidence(tmp_path: Path) -> Any:
    """Make evidence; fields may be replaced."""
    cohort = loaded(small(tmp_path, modalities=("clinical",)))

    def make(**fields: Any) -> Evidence:
        given: dict[str, Any] = {
            "models": {"ours": predictions([float(i) for i in range(10)])},
            "metrics": {"ours": {"delta_uno_c_vs_clinical": estimate(0.01, 0.2)}},
            "name": "ours",
            "clinical": "ridge:clinical",
            "summaries": {"ours": [{"events": 100, "parameters": 10, "calibration_note": ""}]},
            "cohort": cohort,
        }
        return Evidence(**{**given, **fields})

    return make


def test_a_patient_tested_twice_is_a_failure(evidence: Any) -> None:
    frame = predictions([1.0, 2.0])
    assert checks.patients_once(evidence())[:2] == (
        "ok",
        "10 patients, each tested once per repeat, by folds of patients",
    )
    twice = pd.concat([frame, frame[:1]])
    assert checks.patients_once(evidence(models={"ours": twice}))[0] == "failed"
    again = pd.concat([frame, frame.assign(repeat=1)])
    assert checks.patients_once(evidence(models={"ours": again}))[0] == "ok"


def test_the_clinical_baseline_must_be_beaten_by_more_than_luck(evidence: Any) -> None:
    status, told, _ = checks.beats_clinical(evidence())
    assert (status, told) == ("ok", "Uno C minus clinical-only: +0.105 [+0.010, +0.200]")
    same = {"ours": {"delta_uno_c_vs_clinical": estimate(-0.1, 0.2)}}
    assert checks.beats_clinical(evidence(metrics=same))[0] == "warning"
    assert checks.beats_clinical(evidence(clinical=None))[:2] == (
        "not applicable",
        "the cohort has no clinical table",
    )
    none = {"ours": {"delta_uno_c_vs_clinical": Estimate(None, None, None, None, 9, 0, "why")}}
    assert checks.beats_clinical(evidence(metrics=none))[0] == "not applicable"


def test_one_time_for_many_patients_is_a_warning(evidence: Any) -> None:
    assert checks.predicted_times_differ(evidence())[0] == "ok"
    same = evidence(models={"ours": predictions([5.0] * 3 + [1.0, 2, 3, 4, 6, 7, 8])})
    assert checks.predicted_times_differ(same)[:2] == (
        "warning",
        "30% of the predictions share one predicted time",
    )
    none = evidence(models={"ours": predictions([np.nan] * 4)})
    assert checks.predicted_times_differ(none)[0] == "not applicable"


def test_few_events_per_parameter_are_a_warning(evidence: Any) -> None:
    assert checks.events_per_parameter(evidence())[0] == "ok"
    few = {"ours": [{"events": 100, "parameters": 10}, {"events": 50, "parameters": 1000}]}
    assert checks.events_per_parameter(evidence(summaries=few))[:2] == (
        "warning",
        "0.05 training events per parameter (counting every weight)",
    )
    assert checks.events_per_parameter(evidence(summaries={"ours": [{}]}))[0] == "not applicable"


def test_a_calibration_without_signal_is_a_warning(evidence: Any) -> None:
    assert checks.calibration_found_signal(evidence())[0] == "ok"
    dull = {"ours": [{"calibration_note": "slope 0"}, {"calibration_note": ""}]}
    assert checks.calibration_found_signal(evidence(summaries=dull))[:2] == (
        "warning",
        "1 of 2 folds: slope 0",
    )


def test_checks_are_numbered_and_each_says_what_it_is(evidence: Any) -> None:
    e = evidence()
    rows = run_checks(e.models, e.metrics, e.name, e.clinical, e.summaries, e.cohort)
    assert [row["id"] for row in rows] == list(CHECKS) == [f"SRV{i:03d}" for i in range(1, len(CHECKS) + 1)]
    for row in rows:
        assert set(row) == {"id", "name", "status", "evidence", "advice"}
        assert row["name"]
        assert row["evidence"]
        assert row["status"] in {"ok", "warning", "failed", "not applicable"}
        assert bool(row["advice"]) == (row["status"] in {"warning", "failed"})
