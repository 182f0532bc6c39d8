from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from survfuse._errors import CohortError
from survfuse.cohort import TableData, inspect, load_cohort


def table(files: CohortFiles, name: str = "clinical") -> TableData:
    data = load_cohort(files.write()).modalities[name]
    assert isinstance(data, TableData)
    return data


def test_cells_stay_text_and_parse_on_demand(clinical: CohortFiles) -> None:
    clinical.set("002", "age", "NA")
    clinical.set("003", "stage", "")
    data = table(clinical)
    assert data.kind == "clinical"
    assert data.frame.loc["001", "age"] == str(clinical.patients["age"][0])
    assert np.flatnonzero(np.isnan(data.numbers("age"))).tolist() == [1]
    assert np.isnan(data.numbers("stage", ["003"])).all()
    assert set(data.numbers("stage", ["001", "002"])) <= {0.0, 1.0, 2.0}
    assert data.missing_share() == pytest.approx(2 / 60)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("age", "sixty", "expected a number, got 'sixty' .*add it to clinical.missing"),
        ("age", "unknown", "expected a number, got 'unknown'"),
        ("age", "inf", "expected a number, got 'inf'"),
        ("age", "1e308", r"expected a number of at most 1e\+30 in size, got '1e308'"),
        ("age", "-1e31", r"expected a number of at most 1e\+30 in size, got '-1e31'"),
        ("stage", "iii", "expected one of .*, got 'iii' .*write it as the level 'III': letter case"),
        ("stage", "IIa", r"expected one of \['I', 'II', 'III'\], got 'IIa' .*did you mean 'II'"),
    ],
)
def test_a_wrong_cell_is_named(clinical: CohortFiles, column: str, cell: str, message: str) -> None:
    clinical.set("004", column, cell)
    with pytest.raises(
        CohortError, match=f"clinical, file patients.csv, column '{column}', patient 004: {message}"
    ):
        load_cohort(clinical.write())


def test_missing_tokens_can_be_declared(clinical: CohortFiles) -> None:
    clinical.set("004", "age", "-1")
    clinical.set("004", "sex", "?")
    clinical.spec["clinical"]["missing"] = ["", "-1"]
    clinical.spec["clinical"]["columns"]["sex"]["missing"] = ["?"]
    data = table(clinical)
    assert np.isnan(data.numbers("age", ["004"])).all()
    assert data.texts("sex", ["004"]).isna().all()


def test_minus_one_is_a_number_unless_declared(clinical: CohortFiles) -> None:
    clinical.set("004", "age", "-1")
    assert table(clinical).numbers("age", ["004"]).tolist() == [-1.0]


def test_categories_in_two_spellings_are_a_warning(clinical: CohortFiles) -> None:
    clinical.set("004", "sex", "m")
    problems = load_cohort(clinical.write()).problems
    assert ["'M', 'm' differ" in problem.message for problem in problems] == [True]


def test_undeclared_columns_are_told(clinical: CohortFiles) -> None:
    assert table(clinical).ignored == ("site", "fold")
    assert "site, fold" in load_cohort(clinical.write()).summary()["note"][0]


def test_the_outcome_is_no_input(clinical: CohortFiles) -> None:
    clinical.spec["clinical"]["columns"]["os_event"] = {"kind": "numeric"}
    with pytest.raises(CohortError, match="column 'os_event': this column is the outcome"):
        load_cohort(clinical.write())


def test_a_further_table_is_all_numbers(clinical: CohortFiles) -> None:
    ids = clinical.patients["patient_id"]
    blood = pd.DataFrame({"patient_id": ids, "wbc": 1.5, "hb": np.arange(20)}).astype(object)
    blood.loc[3, ["wbc", "hb"]] = ["", ""]
    clinical.tables["blood.csv"] = blood.drop(index=5)
    clinical.spec["modalities"] = {"blood": {"table": "blood.csv"}}
    cohort = load_cohort(clinical.write())
    data = cohort.modalities["blood"]
    assert isinstance(data, TableData)
    assert data.kind == "table"
    assert list(data.columns) == ["wbc", "hb"]
    assert "006" not in data.patients
    assert "004" not in data.patients  # a row without any value is no blood test
    assert "1 row(s) without any value" in data.note()
    assert cohort.patterns().drop(columns="follow_up_median").to_dict("list") == {
        "modalities": ["clinical + blood", "clinical"],
        "patients": [18, 2],
        "events": [8, 2],
    }


def test_a_table_that_holds_the_outcome_needs_declared_columns(clinical: CohortFiles) -> None:
    clinical.spec["modalities"] = {"blood": {"table": "patients.csv"}}
    with pytest.raises(CohortError, match="also holds the outcome, so its inputs must be declared"):
        load_cohort(clinical.write())


def test_columns_can_be_a_list_of_numbers(clinical: CohortFiles) -> None:
    clinical.spec["modalities"] = {"more": {"table": "patients.csv", "columns": ["fold"]}}
    assert table(clinical, "more").features == 1


def test_patients_without_outcome_are_told(clinical: CohortFiles) -> None:
    ids = [*clinical.patients["patient_id"], "999"]
    clinical.tables["blood.csv"] = pd.DataFrame({"patient_id": ids, "hb": range(21)})
    clinical.spec["modalities"] = {"blood": {"table": "blood.csv"}}
    cohort = load_cohort(clinical.write())
    assert [(p.severity, p.where, p.file) for p in cohort.problems] == [("warning", "blood", "blood.csv")]
    assert "999" in cohort.problems[0].message


def test_a_table_of_strangers_is_an_error(clinical: CohortFiles) -> None:
    clinical.tables["blood.csv"] = pd.DataFrame({"patient_id": range(1, 21), "hb": range(20)})
    clinical.spec["modalities"] = {"blood": {"table": "blood.csv"}}
    with pytest.raises(CohortError, match=r"none of its 20 patients \('1', '2', '3' .*'001'.*leading zeros"):
        load_cohort(clinical.write())


def test_patients_without_any_modality_are_left_out_and_listed(clinical: CohortFiles) -> None:
    for column in ("age", "stage", "sex"):
        clinical.set("007", column, "")
    cohort = load_cohort(clinical.write())
    assert "007" not in cohort.patients
    assert cohort.flow[-1].step == "at least one modality"
    assert (cohort.flow[-1].patients, "007" in cohort.flow[-1].note) == (19, True)


def test_two_patients_with_the_same_row_are_suspicious(clinical: CohortFiles) -> None:
    columns = {name: {"kind": "nominal"} for name in ("age", "stage", "sex", "site", "fold")}
    clinical.spec["clinical"]["columns"] = columns
    for column in ("os_days", "os_event", *columns):
        clinical.set("008", column, clinical.patients[column][2])
    found = inspect(clinical.write())
    assert found.ok
    assert [(p.severity, p.patient) for p in found.problems] == [("warning", "003, 008")]
