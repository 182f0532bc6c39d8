from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from builders import CohortFiles, cohort_files
from survfuse.cohort import load_cohort
from survfuse.evaluation.clinical_hazards import clinical_hazards
from survfuse.results.schema import ClinicalHazards, validate

PATIENTS = 200


def hospital(root: Path) -> CohortFiles:
    """200 patients whose hazard depends on age and grade; some grades are not known."""
    files = cohort_files(root, patients=PATIENTS, modalities=("clinical",), seed=3)
    generator = np.random.default_rng(1)
    age = generator.normal(64, 9, PATIENTS).round()
    levels = np.repeat(["low", "high", "rare", "odd"], [110, 74, 9, 7])
    grade = generator.permutation(levels)
    hazard = np.exp(0.05 * (age - 64) + 0.7 * (grade == "high"))
    event_time = generator.exponential(900 / hazard)
    censoring = generator.uniform(200, 2500, PATIENTS)
    files.patients["age"], files.patients["grade"] = age, grade
    files.patients["smoker"] = generator.integers(0, 2, PATIENTS)
    files.patients["os_days"] = np.minimum(event_time, censoring).round(1) + 1
    files.patients["os_event"] = (event_time <= censoring).astype(int)
    files.spec["clinical"]["columns"] = {
        "age": {"kind": "numeric"},
        "grade": {"kind": "nominal"},
        "smoker": {"kind": "numeric"},
        "stage": {"kind": "ordinal", "levels": ["I", "II", "III"]},
    }
    files.spec["clinical"]["missing"] = [""]
    return files


def hazards(files: CohortFiles) -> tuple[dict[str, Any], pd.DataFrame]:
    record = clinical_hazards(load_cohort(files.write()))
    assert record is not None
    validate(ClinicalHazards, record, "clinical_hazards")
    return record, pd.DataFrame(record["rows"])


def design(patients: pd.DataFrame) -> pd.DataFrame:
    """What a statistician would write down for the same cohort."""
    grade = patients["grade"].replace({"rare": "other", "odd": "other"})
    return pd.DataFrame(
        {
            "age": patients["age"].astype(float) / 10,
            "high": (grade == "high").astype(float),
            "other": (grade == "other").astype(float),
            "smoker": patients["smoker"].astype(float),
            "stage": patients["stage"].map({"I": 0.0, "II": 1.0, "III": 2.0}),
            "time": patients["os_days"],
            "event": patients["os_event"],
        },
    )


def test_both_columns_agree_with_lifelines(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    record, rows = hazards(files)
    table = design(files.patients)
    fitted = rows[rows["univariable_note"] != "reference"]
    assert fitted["column"].tolist() == ["age", "grade", "grade", "smoker", "stage"]
    assert record["parameters"] == 5
    names = ["age", "high", "other", "smoker", "stage"]
    together = CoxPHFitter().fit(table, "time", "event").summary
    alone = [["age"], ["high", "other"], ["high", "other"], ["smoker"], ["stage"]]
    for (_, row), name, columns in zip(fitted.iterrows(), names, alone, strict=True):
        one = CoxPHFitter().fit(table[[*columns, "time", "event"]], "time", "event")
        for way, oracle in (("univariable", one.summary), ("multivariable", together)):
            expected = oracle.loc[name]
            assert row[way] == pytest.approx(expected["exp(coef)"], rel=1e-4)
            assert row[f"{way}_low"] == pytest.approx(
                expected["exp(coef) lower 95%"], rel=1e-4
            )
            assert row[f"{way}_high"] == pytest.approx(
                expected["exp(coef) upper 95%"], rel=1e-4
            )


def test_rows_say_what_is_compared(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    _, rows = hazards(files)
    grade = rows[rows["column"] == "grade"]
    assert grade["level"].tolist() == ["low", "high", "other"]
    assert grade["reference"].tolist() == [None, "low", "low"]
    assert grade["univariable"].iloc[0] == 1.0
    assert grade["pooled"].iloc[-1] == ["odd", "rare"]
    counts = files.patients["grade"].value_counts()
    assert grade["patients"].tolist() == [
        counts["low"],
        counts["high"],
        counts["rare"] + counts["odd"],
    ]
    age, smoker = (rows[rows["column"] == name].iloc[0] for name in ("age", "smoker"))
    assert age["step"] == 10
    assert (smoker["level"], smoker["reference"], smoker["step"]) == ("1", "0", 1)


def test_few_events_leave_only_the_small_fits(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    events = np.flatnonzero(files.patients["os_event"] == 1)
    files.patients.loc[events[22:], "os_event"] = 0
    record, rows = hazards(files)
    assert "fewer than 5 for each" in record["note"]
    age = rows[rows["column"] == "age"].iloc[0]
    assert np.isnan(age["multivariable"])
    assert age["multivariable_note"] == record["note"]
    assert age["univariable_low"] < age["univariable"] < age["univariable_high"]


def test_unknown_cells_have_a_row_and_nobody_is_left_out(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    files.patients["age"] = files.patients["age"].astype(object)
    files.patients.loc[: PATIENTS // 4, ["age", "grade"]] = ""
    record, rows = hazards(files)
    assert record["patients"] == PATIENTS
    blank = rows[rows["level"] == "(missing)"]
    assert blank["column"].tolist() == ["age", "grade"]
    assert blank["patients"].tolist() == [PATIENTS // 4 + 1] * 2
    assert blank["univariable"].notna().all()
    assert blank["multivariable"].notna().tolist() == [True, False]
    assert "other columns determine it" in blank["multivariable_note"].iloc[1]


def test_a_table_without_variation_has_no_ratios(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    files.patients["age"] = 60
    files.spec["clinical"]["columns"] = {"age": {"kind": "numeric"}}
    record, rows = hazards(files)
    assert rows.empty
    assert "no column varies" in record["note"]


def test_a_cohort_without_clinical_table_has_none(tmp_path: Path) -> None:
    files = cohort_files(tmp_path, modalities=("expression",))
    assert clinical_hazards(load_cohort(files.write())) is None
