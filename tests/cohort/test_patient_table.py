from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from builders import CohortFiles
from survfuse._errors import CohortError
from survfuse.cohort import TableData, inspect, load_cohort


@pytest.fixture
def labs(clinical: CohortFiles) -> CohortFiles:
    """A cohort with a table of two measurements of the first patient."""
    ids = clinical.patients["patient_id"].tolist()
    values = {"hb": [float(number) for number in range(20)], "wbc": ["5"] * 20}
    table = pd.DataFrame({"patient_id": ids, **values})
    again = pd.DataFrame({"patient_id": [ids[0]], "hb": [3.0], "wbc": [""]})
    clinical.tables["labs.csv"] = pd.concat([table, again])
    columns = {"hb": "numeric", "wbc": "numeric"}
    clinical.spec["modalities"] = {"labs": {"table": "labs.csv", "columns": columns}}
    return clinical


def cells(files: CohortFiles, rows: str, name: str = "labs") -> dict[str, Any]:
    """Cells of the first patient."""
    section = files.spec if name == "clinical" else files.spec["modalities"]
    section[name]["rows"] = rows
    data = load_cohort(files.write()).modalities[name]
    assert isinstance(data, TableData)
    return data.frame.loc["001"].to_dict()


def test_rows_that_differ_are_refused_with_what_can_be_said(labs: CohortFiles) -> None:
    with pytest.raises(
        CohortError,
        match=r"labs, file labs.csv, column 'patient_id', patient 001: rows of 1 patient\(s\) "
        r"differ in 'hb' \(of 001 data rows 1, 21\).*`rows: first`, `rows: mean`",
    ):
        load_cohort(labs.write())


def test_the_first_row_is_taken_whole(labs: CohortFiles) -> None:
    assert cells(labs, "first") == {"hb": "0.0", "wbc": "5"}
    labs.tables["labs.csv"] = labs.tables["labs.csv"].iloc[::-1]
    assert cells(labs, "first") == {"hb": "3.0", "wbc": ""}


def test_the_mean_is_of_what_is_known(labs: CohortFiles) -> None:
    assert cells(labs, "mean") == {"hb": "1.5", "wbc": "5"}
    labs.tables["labs.csv"] = labs.tables["labs.csv"].iloc[::-1]
    assert cells(labs, "mean") == {"hb": "1.5", "wbc": "5"}
    (problem,) = load_cohort(labs.write()).problems
    assert "of numbers their mean is taken: 001" in problem.message


def test_a_cell_that_is_no_number_is_reported_under_mean_too(labs: CohortFiles) -> None:
    labs.tables["labs.csv"]["hb"] = [*map(str, range(20)), "high"]
    with pytest.raises(
        CohortError, match="'hb', patient 001: expected a number, got 'high'"
    ):
        cells(labs, "mean")


def test_missing_codes_are_no_part_of_a_mean(labs: CohortFiles) -> None:
    labs.spec["modalities"]["labs"]["missing"] = ["", "3"]
    assert cells(labs, "mean")["hb"] == "0.0"


@pytest.mark.parametrize("column", ["stage", "sex"])
def test_words_that_differ_have_no_mean(clinical: CohortFiles, column: str) -> None:
    again = clinical.patients.iloc[[0]].copy()
    again[column] = "II" if again[column].item() != "II" else "I"
    clinical.patients = pd.concat([clinical.patients, again])
    with pytest.raises(
        CohortError, match=f"differ in '{column}'.*numbers alone: make them"
    ):
        cells(clinical, "mean", "clinical")
    own = clinical.patients.loc[0, column].iloc[0]
    assert cells(clinical, "first", "clinical")[column] == own


def test_equal_rows_are_refused_until_one_is_taken(labs: CohortFiles) -> None:
    labs.tables["labs.csv"].iloc[20, 1:] = labs.tables["labs.csv"].iloc[0, 1:]
    with pytest.raises(
        CohortError, match=r"001: 2 rows \(data rows 1, 21\) have this id"
    ):
        load_cohort(labs.write())
    assert cells(labs, "first")["hb"] == "0.0"


def test_many_equal_rows_are_one_problem(clinical: CohortFiles) -> None:
    clinical.patients = pd.concat([clinical.patients, clinical.patients])
    found = inspect(clinical.write()).problems
    (problem,) = [one for one in found if "rows" in one.message]
    assert problem.message.startswith(
        "20 patients have equal rows: 001 has 2 rows (data rows 1"
    )
    assert "and 15 more" in problem.message
    assert problem.patient == "001, 002, 003, 004, 005 and 15 more"


# -- barcodes


@pytest.fixture
def tcga(clinical: CohortFiles) -> CohortFiles:
    """A cohort whose tables have a row a sample, with TCGA barcodes."""
    ids = [f"TCGA-AA-{number:04d}" for number in range(20)]
    clinical.patients["patient_id"] = [f"{one}-01A" for one in ids]
    clinical.spec["match"] = "tcga"
    return clinical


def test_samples_become_patients_in_every_section(tcga: CohortFiles) -> None:
    normal = tcga.patients.iloc[:3].copy()
    normal["patient_id"] = normal["patient_id"].str.replace("-01A", "-11A")
    tcga.patients = pd.concat([normal, tcga.patients])
    tcga.spec["groups"] = {"site": "site"}
    tcga.spec["folds"] = {"table": "patients.csv", "column": "fold"}
    cohort = load_cohort(tcga.write())
    assert cohort.patients[:2] == ("TCGA-AA-0000", "TCGA-AA-0001")
    assert len(cohort) == 20
    assert cohort.folds is not None
    assert set(cohort.folds) == {"0", "1"}
    assert set(cohort.groups["site"]) == {"north", "south"}
    (problem,) = cohort.problems
    assert (
        "3 of 23 rows are of normal samples (TCGA sample types 10 to 29)"
        in problem.message
    )


def test_a_patient_with_a_normal_sample_alone_keeps_the_outcome(
    tcga: CohortFiles,
) -> None:
    tcga.patients.loc[0, "patient_id"] = "TCGA-AA-0000-11A"
    assert "TCGA-AA-0000" in load_cohort(tcga.write()).patients


def test_the_primary_sample_comes_first(tcga: CohortFiles) -> None:
    other = tcga.patients.iloc[[0]].copy()
    other["patient_id"], other["age"] = "TCGA-AA-0000-06A", 1
    tcga.patients = pd.concat([other, tcga.patients])
    with pytest.raises(
        CohortError, match=r"TCGA-AA-0000: rows of 1 patient.* differ in 'age'"
    ):
        load_cohort(tcga.write())
    tcga.spec["clinical"]["rows"] = "first"
    data = load_cohort(tcga.write()).modalities["clinical"]
    assert isinstance(data, TableData)
    age = data.frame.loc["TCGA-AA-0000", "age"]
    assert age == str(tcga.patients["age"].iloc[1])


def test_ids_that_are_no_barcodes_stop_a_table(tcga: CohortFiles) -> None:
    tcga.patients.loc[3, "patient_id"] = "P4"
    with pytest.raises(CohortError, match=r"1 of 20 ids are no TCGA barcodes: 'P4'"):
        load_cohort(tcga.write())


def test_a_section_may_cut_its_own_ids(clinical: CohortFiles) -> None:
    labs = clinical.patients[["patient_id", "age"]].rename(
        columns={"patient_id": "sample"}
    )
    labs["sample"] += "-x"
    clinical.tables["labs.csv"] = labs
    section: dict[str, Any] = {"table": "labs.csv", "columns": ["age"]}
    clinical.spec["modalities"] = {"labs": section}
    section["patient"] = {"column": "sample", "take": 3}
    assert load_cohort(clinical.write()).modalities["labs"].patients[0] == "001"


def test_cut_ids_of_samples_say_how_many_are_normal(tcga: CohortFiles) -> None:
    normal = tcga.patients.iloc[:3].copy()
    normal["patient_id"] = normal["patient_id"].str.replace("-01A", "-11A")
    tcga.patients = pd.concat([tcga.patients, normal])
    del tcga.spec["match"]
    tcga.spec["outcome"]["patient"] = {"column": "patient_id", "take": 12}
    (problem,) = load_cohort(tcga.write()).problems
    assert (
        "3 of 6 are normal samples, which `match: tcga` leaves out" in problem.message
    )
