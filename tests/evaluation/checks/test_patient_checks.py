from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from evaluation.checks.evidence_of import run_on
from running import loaded, small
from survfuse.cohort.splits import Split
from survfuse.evaluation.checks import Evidence
from survfuse.evaluation.checks.patient_checks import (
    crowd,
    near_pairs,
    patients_differ,
    twins,
    twins_stay_together,
    vectors_say_something,
)
from survfuse.evaluation.checks.vectors import Vectors


def rename(files: CohortFiles, old: str, new: str) -> None:
    for table in (files.patients, files.slides):
        assert table is not None
        table["patient_id"] = table["patient_id"].replace(old, new)
    assert files.expression is not None
    files.expression = files.expression.rename(index={old: new})


def another_spelling(files: CohortFiles) -> None:
    rename(files, "003", "002_")


def near_expression(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression.loc["003"] = files.expression.loc["002"] + 0.001


def near_slides(files: CohortFiles) -> None:
    files.bags["003_2"] = files.bags["002_1"] * np.float32(1.0001)


def same_rows(files: CohortFiles) -> None:
    for name in ("bmi", "grade", "size"):
        files.patients[name] = np.arange(len(files.patients)) * 1.5
        files.spec["clinical"]["columns"][name] = {"kind": "numeric"}
    row = files.patients.index[files.patients["patient_id"] == "002"][0]
    other = files.patients.index[files.patients["patient_id"] == "003"][0]
    files.patients.loc[other] = files.patients.loc[row].to_dict() | {
        "patient_id": "003",
    }


SPOILT = {
    "ids differ in punctuation or case only": (another_spelling, ("002", "002_")),
    "expression is nearly the same": (near_expression, ("002", "003")),
    "slides is nearly the same": (near_slides, ("002", "003")),
    "clinical and outcome are the same": (same_rows, ("002", "003")),
}


@pytest.mark.parametrize("why", SPOILT)
def test_one_patient_under_two_ids_is_found(tmp_path: Path, why: str) -> None:
    spoil: Callable[[CohortFiles], None]
    spoil, pair = SPOILT[why]
    files = small(tmp_path, dim=16)
    assert twins(Evidence(cohort=loaded(files))) == {}
    spoil(files)
    cohort = loaded(files)
    assert twins(Evidence(cohort=cohort)) == {pair: [why]}
    alone = patients_differ(Evidence(cohort=cohort))
    assert alone[:2] == ("warning", f"{pair[0]} and {pair[1]} ({why})")
    assert "exclude" in alone.advice


def test_twins_across_a_split_are_a_failure(tmp_path: Path) -> None:
    files = small(tmp_path)
    near_expression(files)
    cohort = loaded(files)
    rest = tuple(i for i in cohort.patients if i not in {"002", "003"})
    across = (Split(0, 0, (*rest, "002"), ("003",)),)
    found = twins_stay_together(run_on(cohort, splits=across))
    assert found[:2] == ("failed", "002 and 003 (expression is nearly the same)")
    turned = (Split(0, 0, (*rest, "003"), ("002",)),)
    assert twins_stay_together(run_on(cohort, splits=turned)).status == "failed"
    together = (Split(0, 0, rest, ("002", "003")), Split(0, 1, ("002", "003"), rest))
    assert twins_stay_together(run_on(cohort, splits=together))[:2] == (
        "ok",
        "none of 1 such pairs",
    )


def test_a_cohort_without_twins_says_what_was_compared(tmp_path: Path) -> None:
    cohort = loaded(small(tmp_path))
    assert patients_differ(Evidence(cohort=cohort))[:2] == (
        "ok",
        "no two of 24 patients are alike in ids, expression, slides, clinical",
    )
    assert (
        patients_differ(Evidence(cohort=cohort.subset(["002"]))).status
        == "not applicable"
    )


def vectors(values: np.ndarray) -> Vectors:
    return Vectors.of(tuple(f"P{i:02d}" for i in range(len(values))), values)


def test_alike_is_not_the_same() -> None:
    values = np.random.default_rng(0).normal(size=(40, 30))
    values[7] = values[3] + np.random.default_rng(1).normal(0, 0.25, 30)
    distance = vectors(values).distances()
    assert 0.1 < distance[3, 7] / np.median(distance.min(axis=1)) < 0.5
    assert near_pairs(vectors(values)) == []


def test_near_is_relative_to_the_usual_distance() -> None:
    values = np.random.default_rng(0).normal(size=(40, 30))
    assert near_pairs(vectors(values)) == []
    values[7] = values[3] + 0.02
    assert near_pairs(vectors(values)) == [("P03", "P07")]
    assert near_pairs(vectors(values * 1000 + 5)) == [("P03", "P07")]
    assert near_pairs(vectors(values[:, :9])) == []  # few dimensions: close by chance
    assert near_pairs(vectors(values[:9])) == []


def test_a_crowd_is_no_set_of_twins(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 30))
    assert crowd(vectors(values)) == []
    values[:4] = values[0] + np.random.default_rng(1).normal(0, 0.01, (4, 30))
    assert crowd(vectors(values)) == ["P00", "P01", "P02", "P03"]
    assert near_pairs(vectors(values)) == []


def test_glass_in_many_bags_is_told(tmp_path: Path) -> None:
    files = small(tmp_path, dim=16)
    assert vectors_say_something(Evidence(cohort=loaded(files)))[:2] == (
        "ok",
        "no crowd of patients in expression, slides",
    )
    rng = np.random.default_rng(0)
    for slide in ("002_1", "003_2", "004_3", "005_4"):
        files.bags[slide] = rng.normal(1, 0.01, (6, 16)).astype(np.float32)
    found = vectors_say_something(Evidence(cohort=loaded(files)))
    assert found[:2] == (
        "warning",
        "slides: 4 patients hardly differ (002, 003, 004, 005)",
    )
    table = loaded(small(tmp_path, modalities=("clinical",)))
    assert vectors_say_something(Evidence(cohort=table)).status == "not applicable"


def test_an_empty_value_does_not_make_patients_alike() -> None:
    values = np.random.default_rng(0).normal(size=(20, 12))
    values[3, :] = np.nan
    made = vectors(values)
    assert np.isfinite(made.values).all()
    assert pd.Series(made.values[3]).abs().max() == 0
    assert near_pairs(made) == []
