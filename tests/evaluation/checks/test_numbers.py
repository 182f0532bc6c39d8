from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from evaluation.checks.evidence_of import files_of, run_on
from running import loaded
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.transform_tables import TableTransform
from survfuse.evaluation.checks import Evidence
from survfuse.evaluation.checks.numbers import (
    coefficients_rest_on_many,
    numbers_are_plausible,
)

AGES = [
    str(age) for age in np.random.default_rng(0).normal(60, 8, 60).round().astype(int)
]


def frame(*ages: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [*ages, *AGES[len(ages) :]],
            "sex": ["F", "M"] * 30,
            "time": np.arange(60) * 17 % 60 + 1.0,
            "event": [0, 1, 1, 0, 1, 0] * 10,
        },
    )


@pytest.mark.parametrize(
    ("ages", "told"),
    [
        (["7000"], "clinical.age: 7000 (patient 001)"),
        (
            ["999"] * 10,
            "clinical.age: 999 (patients 001, 002, 003, 004, 005 and 5 more)",
        ),
        (["-1"], "clinical.age: -1 (patient 001)"),
        (
            ["999.0", "999", "88000"],
            "clinical.age: 999.0 (patient 001), 999 (patient 002), 88000 (patient 003)",
        ),
    ],
)
@pytest.mark.parametrize(
    "spec",
    ["numeric", {"kind": "numeric", "missing": ["?"], "known": "baseline"}],
)
def test_wrong_numbers_are_named_and_the_remedy_works(
    tmp_path: Path,
    ages: list[str],
    told: str,
    spec: Any,
) -> None:
    files = files_of(tmp_path, frame(*ages), {"age": spec, "sex": {"kind": "nominal"}})
    found = numbers_are_plausible(Evidence(cohort=loaded(files)))
    assert found[:2] == ("warning", told)
    remedy = re.search(r"clinical: columns: age: (\{.*\})\.$", found.advice)
    assert remedy is not None
    files.spec["clinical"]["columns"]["age"] = yaml.safe_load(remedy[1])
    assert numbers_are_plausible(Evidence(cohort=loaded(files)))[:2] == (
        "ok",
        "1 numeric columns",
    )


def test_of_a_table_without_declared_columns_the_whole_table_gets_the_code(
    tmp_path: Path,
) -> None:
    files = files_of(
        tmp_path,
        frame(),
        {"age": {"kind": "numeric"}, "sex": {"kind": "nominal"}},
    )
    values = [
        "9999",
        "9999",
        "",
        "NA",
        *(str(100 + row * 37 % 56) for row in range(56)),
    ]
    files.tables["blood.csv"] = pd.DataFrame(
        {"patient_id": files.patients["patient_id"], "platelets": values},
    )
    files.spec["modalities"] = {"blood": {"table": "blood.csv"}}
    found = numbers_are_plausible(Evidence(cohort=loaded(files)))
    assert found[:2] == ("warning", "blood.platelets: 9999 (patients 001, 002)")
    remedy = re.search(r"blood: missing: (\[.*\])\.$", found.advice)
    assert remedy is not None
    files.spec["modalities"]["blood"]["missing"] = yaml.safe_load(remedy[1])
    assert numbers_are_plausible(Evidence(cohort=loaded(files))).status == "ok"


def test_a_lost_copy_is_a_value_and_a_lone_minus_one_elsewhere_a_code(
    tmp_path: Path,
) -> None:
    files = files_of(
        tmp_path,
        frame(),
        {"age": {"kind": "numeric"}, "sex": {"kind": "nominal"}},
    )
    genes = {
        "EGFR": ["0", "1", "2", "-1", "0"] * 12,
        "PTEN": ["-2", "-1", "0", "0", "0", "1", "0", "0", "0", "0"] * 6,
    }
    patients = {"patient_id": files.patients["patient_id"]}
    files.tables["cnv.csv"] = pd.DataFrame(patients | genes)
    files.spec["modalities"] = {"cnv": {"table": "cnv.csv"}}
    cohort = loaded(files)
    assert numbers_are_plausible(Evidence(cohort=cohort))[:2] == (
        "ok",
        "3 numeric columns",
    )
    table = cohort.modalities["cnv"]
    assert isinstance(table, TableData)
    ids = list(cohort.patients)
    fitted = TableTransform.fit(table, ids)
    assert fitted.features == ("EGFR", "PTEN")
    assert not fitted.notes
    assert len(np.unique(fitted.apply(table, ids)[0][:, 0])) == 4
    files.tables["cnv.csv"] = pd.DataFrame(patients | {"EGFR": genes["EGFR"]})
    found = numbers_are_plausible(Evidence(cohort=loaded(files)))
    assert found.evidence.startswith("cnv.EGFR: -1 (patients ")


def test_columns_that_no_model_reads_are_not_judged(tmp_path: Path) -> None:
    columns = {"age": {"kind": "numeric", "use": False}, "sex": {"kind": "nominal"}}
    cohort = loaded(files_of(tmp_path, frame("7000"), columns))
    assert numbers_are_plausible(Evidence(cohort=cohort))[:2] == (
        "not applicable",
        "no numeric column",
    )


def fit(*rows: tuple[str, float, int, int]) -> dict[str, Any]:
    names = ("feature", "coefficient", "patients", "events")
    return {
        "anchored": {
            "carried_by_few": [
                {"modality": "clinical", **dict(zip(names, row, strict=True))}
                for row in rows
            ],
        },
    }


def test_large_coefficients_of_few_patients_are_a_warning(cohort: Cohort) -> None:
    def judged(*fits: dict[str, Any]) -> tuple[str, ...]:
        return coefficients_rest_on_many(
            run_on(cohort, summaries={"ours": list(fits)}),
        )[:2]

    assert judged({"epochs": [3]})[0] == "not applicable"
    small = fit(("grade=G3", 0.4, 12, 1))
    assert judged(small, fit()) == ("ok", "none above 0.5 (log hazard ratio) in 2 fits")
    large = fit(("grade=G3", -0.61, 14, 1), ("grade=missing", -0.81, 11, 2))
    assert judged(small, large, fit(("grade=G3", 0.7, 15, 4))) == (
        "warning",
        "clinical.grade=missing -0.81 (carried by 11 patients, 2 with the event), "
        "clinical.grade=G3 +0.70 (carried by 15 patients, 4 with the event)",
    )
