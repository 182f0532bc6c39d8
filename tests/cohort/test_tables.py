from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import CohortFiles, cohort_files
from survfuse._errors import CohortError, ConfigError
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
        (
            "age",
            "unknown",
            r"expected a number, got 'unknown' .*: \[.*, \"NULL\", unknown\]",
        ),
        ("age", "1,234", "expected a number, got '1,234' .*thousands are marked off"),
        ("age", "1950-03-01", "expected a number, got '1950-03-01' .*this is a date"),
        ("age", ">90", "expected a number, got '>90' .*this is a bound"),
        (
            "stage",
            "IV",
            r"expected one of .*, got 'IV' .*list it in `levels` at its place, lowest first",
        ),
        (
            "stage",
            "?",
            r"expected one of .*, got '\?' \(if it means 'not known', add it to clinical.missing",
        ),
        ("age", "inf", "expected a number, got 'inf'"),
        ("age", "1e308", r"expected a number of at most 1e\+30 in size, got '1e308'"),
        ("age", "-1e31", r"expected a number of at most 1e\+30 in size, got '-1e31'"),
        (
            "stage",
            "iii",
            "expected one of .*, got 'iii' .*write it as the level 'III': letter case",
        ),
        (
            "stage",
            "IIa",
            r"expected one of \['I', 'II', 'III'\], got 'IIa' .*did you mean 'II'",
        ),
    ],
)
def test_a_wrong_cell_is_named(
    clinical: CohortFiles,
    column: str,
    cell: str,
    message: str,
) -> None:
    clinical.set("004", column, cell)
    with pytest.raises(
        CohortError,
        match=f"clinical, file patients.csv, column '{column}', patient 004: {message}",
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


def test_a_hint_about_missing_cells_keeps_the_tokens_there_were(
    clinical: CohortFiles,
) -> None:
    clinical.set("004", "age", "?")
    clinical.set("005", "age", "NA")
    (problem,) = inspect(clinical.write()).problems
    _, _, words = problem.hint.partition("clinical.missing: ")
    clinical.spec["clinical"]["missing"] = yaml.load(words, yaml.BaseLoader)
    assert np.isnan(table(clinical).numbers("age", ["004", "005"])).all()


def test_a_declared_list_of_missing_tokens_is_the_whole_list(
    clinical: CohortFiles,
) -> None:
    clinical.set("004", "sex", "")
    clinical.set("005", "sex", "NA")
    clinical.set("006", "stage", "NA")
    clinical.spec["clinical"]["missing"] = ["?"]
    found = inspect(clinical.write()).problems
    assert [(p.severity, p.column, p.patient) for p in found] == [
        ("error", "stage", "006"),
        ("error", "sex", "004, 005"),
    ]
    assert (
        "an empty cell, 'NA': a category like any other, for `missing` does not list it"
        in found[1].message
    )
    assert found[1].hint.endswith('clinical.missing: ["?", "", NA]')
    clinical.spec["clinical"]["missing"] = ["?", "", "NA"]
    assert inspect(clinical.write()).problems == ()


@pytest.mark.parametrize(
    ("token", "cell"),
    [("-1", "-1.0"), ("-1.0", "-1"), ("999", "999.00")],
)
@pytest.mark.parametrize("column", ["age", "stage", "sex"])
def test_a_missing_token_is_a_number_however_written(
    clinical: CohortFiles,
    column: str,
    token: str,
    cell: str,
) -> None:
    clinical.set("004", column, cell)
    clinical.spec["clinical"]["missing"] = ["", token]
    assert table(clinical).texts(column, ["004"]).isna().all()


def test_whole_numbers_written_as_floats_are_their_levels_and_categories(
    clinical: CohortFiles,
) -> None:
    stage = np.arange(20) % 3 + 1
    clinical.patients["stage"] = np.where(
        np.arange(20) == 3,
        np.nan,
        stage,
    )  # pandas writes 1.0
    clinical.patients["sex"] = [
        f"{value:.1f}" if row % 2 else str(value) for row, value in enumerate(stage)
    ]
    clinical.spec["clinical"]["columns"]["stage"]["levels"] = ["1", "2", "3"]
    data = table(clinical)
    assert (
        np.nan_to_num(data.numbers("stage"), nan=9.0).tolist()
        == np.where(np.arange(20) == 3, 9.0, stage - 1).tolist()
    )
    assert sorted(set(data.texts("sex"))) == ["1", "2", "3"]


def test_levels_that_a_table_cannot_tell_apart_are_refused(
    clinical: CohortFiles,
) -> None:
    clinical.spec["clinical"]["columns"]["stage"]["levels"] = ["1", "1.0", "2"]
    with pytest.raises(
        ConfigError,
        match=r"levels: '1' and '1\.0' are one number; list it once",
    ):
        load_cohort(clinical.write())


@pytest.mark.parametrize(
    ("level", "cell", "says"),
    [
        ("1", "01", "write it as the level '1': leading zeros"),
        ("Male", "MALE", "the level 'Male': letter case"),
    ],
)
def test_a_trivial_difference_from_a_level_is_named(
    clinical: CohortFiles,
    level: str,
    cell: str,
    says: str,
) -> None:
    clinical.patients["stage"] = level
    clinical.set("004", "stage", cell)
    clinical.spec["clinical"]["columns"]["stage"]["levels"] = [level, "other"]
    with pytest.raises(CohortError, match=says) as refusal:
        load_cohort(clinical.write())
    assert "missing" not in str(refusal.value)


def test_composed_letters_and_blanks_of_every_kind_are_the_same_words(
    clinical: CohortFiles,
) -> None:
    clinical.patients["stage"] = ["pré\u00a0op\u200b", "post"] * 10
    clinical.spec["clinical"]["columns"]["stage"]["levels"] = [
        unicodedata.normalize("NFD", "pré op"),
        "post",
    ]
    assert table(clinical).numbers("stage").tolist() == [0.0, 1.0] * 10


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
    with pytest.raises(
        CohortError,
        match="column 'os_event': this column is the outcome",
    ):
        load_cohort(clinical.write())


@pytest.mark.parametrize(
    "table_of",
    [
        lambda name: f"../{name.parent.name}/{name.name}",
        lambda name: {"file": name.name, "encoding": "utf-8"},
        lambda name: "link.csv",
        lambda name: "copy.csv",
    ],
)
def test_the_outcome_is_no_input_however_its_table_is_named(
    clinical: CohortFiles,
    table_of: Callable[[Path], object],
) -> None:
    endpoint = clinical.spec.pop("outcome")
    clinical.patients["pfi_days"] = clinical.patients["os_days"] / 2
    clinical.spec["outcomes"] = {
        "os": endpoint,
        "pfi": {**endpoint, "time": "pfi_days"},
    }
    path = clinical.write()
    file = path.parent / endpoint["table"]
    (path.parent / "link.csv").symlink_to(file)
    shutil.copy(file, path.parent / "copy.csv")
    section = {"table": table_of(file), "columns": ["age", "pfi_days"]}
    clinical.spec["modalities"] = {"more": section}
    with pytest.raises(
        CohortError, match="column 'pfi_days': this column is the outcome"
    ):
        load_cohort(clinical.write(), endpoint="os")
    section["columns"] = ["age"]
    cohort = load_cohort(clinical.write(), endpoint="os")
    assert cohort.modalities["more"].features == 1


def test_a_column_named_as_the_outcome_may_stand_unused(clinical: CohortFiles) -> None:
    files = copies(clinical, os_event=1)
    about = files.spec["modalities"]["cnv"]
    unused = {"kind": "numeric", "use": False}
    about["columns"] = {"match": "*_cnv", "os_event": unused}
    assert table(files, "cnv").features == 3


def test_a_further_table_is_all_numbers(clinical: CohortFiles) -> None:
    ids = clinical.patients["patient_id"]
    blood = pd.DataFrame({"patient_id": ids, "wbc": 1.5, "hb": np.arange(20)}).astype(
        object,
    )
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


def test_a_table_that_holds_the_outcome_needs_declared_columns(
    clinical: CohortFiles,
) -> None:
    clinical.spec["modalities"] = {"blood": {"table": "patients.csv"}}
    with pytest.raises(
        CohortError,
        match="also holds the outcome, so its inputs must be declared",
    ):
        load_cohort(clinical.write())


def test_columns_can_be_a_list_of_numbers(clinical: CohortFiles) -> None:
    clinical.spec["modalities"] = {
        "more": {"table": "patients.csv", "columns": ["fold"]},
    }
    assert table(clinical, "more").features == 1


def copies(clinical: CohortFiles, **columns: object) -> CohortFiles:
    """A further table of copy numbers, with these columns besides; none is declared."""
    rng = np.random.default_rng(9)  # another stream than the times
    genes = {f"G{gene}_cnv": rng.integers(-2, 3, 20) for gene in range(3)}
    ids = clinical.patients["patient_id"]
    clinical.tables["cnv.csv"] = pd.DataFrame({"patient_id": ids, **genes, **columns})
    clinical.spec["modalities"] = {"cnv": {"table": "cnv.csv"}}
    return clinical


def test_columns_can_be_a_pattern(clinical: CohortFiles) -> None:
    files = copies(clinical, censorship=1.0, match=2.0)
    about = files.spec["modalities"]["cnv"]
    genes = ["G0_cnv", "G1_cnv", "G2_cnv"]
    for columns, expected in (
        ({"match": "*_cnv"}, genes),
        ({"match": ["G0*", "G2*"]}, ["G0_cnv", "G2_cnv"]),
        ({"match": "*_cnv", "censorship": {"kind": "numeric"}}, ["censorship", *genes]),
        ({"match": {"kind": "numeric"}, "G1_cnv": "numeric"}, ["match", "G1_cnv"]),
        ({"match": "numeric"}, ["match"]),
    ):
        about["columns"] = columns
        assert list(table(files, "cnv").columns) == expected
    about["columns"] = {"match": "*_cnb"}
    with pytest.raises(
        CohortError,
        match=r"no column is like '\*_cnb'; the table has 'G0_cnv'",
    ):
        load_cohort(files.write())


def test_a_pattern_leaves_the_outcome_alone(clinical: CohortFiles) -> None:
    clinical.spec["modalities"] = {
        "more": {"table": "patients.csv", "columns": {"match": "*o*"}},
    }
    clinical.patients["dose"] = np.random.default_rng(9).random(20)
    clinical.spec["folds"] = {"table": "patients.csv", "column": "fold"}
    assert list(table(clinical, "more").columns) == ["dose"]


@pytest.mark.parametrize("columns", [None, {"match": "*"}])
def test_an_undeclared_column_called_like_an_outcome_is_refused(
    clinical: CohortFiles,
    columns: object,
) -> None:
    files = copies(clinical, Overall_Survival=np.random.default_rng(1).random(20))
    about = files.spec["modalities"]["cnv"]
    if columns is not None:
        about["columns"] = columns
    with pytest.raises(
        CohortError,
        match=r"'Overall_Survival' is called as outcomes are .*match: '\*_cnv'",
    ):
        load_cohort(files.write())
    (problem,) = [
        one for one in inspect(files.write()).problems if one.severity == "error"
    ]
    start = problem.hint.index("all but these, columns: ") + len(
        "all but these, columns: ",
    )
    about["columns"] = yaml.safe_load(
        problem.hint[start : problem.hint.index("}}") + 2],
    )
    assert table(files, "cnv").features == 3
    about["columns"] = {"match": "*_cnv"}
    assert table(files, "cnv").features == 3
    about["columns"] = {"match": "*", "Overall_Survival": "numeric"}
    assert table(files, "cnv").features == 4


def test_an_undeclared_outcome_column_is_refused(clinical: CohortFiles) -> None:
    files = copies(clinical, os_event=1)
    with pytest.raises(
        CohortError,
        match=r"'os_event': this column is the outcome.*columns: \{match:",
    ):
        load_cohort(files.write())


def test_patients_without_outcome_are_told(clinical: CohortFiles) -> None:
    ids = [*clinical.patients["patient_id"], "999"]
    clinical.tables["blood.csv"] = pd.DataFrame({"patient_id": ids, "hb": range(21)})
    clinical.spec["modalities"] = {"blood": {"table": "blood.csv"}}
    cohort = load_cohort(clinical.write())
    assert [(p.severity, p.where, p.file) for p in cohort.problems] == [
        ("warning", "blood", "blood.csv"),
    ]
    assert "999" in cohort.problems[0].message


def test_a_table_of_strangers_is_an_error(clinical: CohortFiles) -> None:
    clinical.tables["blood.csv"] = pd.DataFrame(
        {"patient_id": range(1, 21), "hb": range(20)},
    )
    clinical.spec["modalities"] = {"blood": {"table": "blood.csv"}}
    with pytest.raises(
        CohortError,
        match=r"none of its 20 patients \('1', '2', '3' .*'001'.*leading zeros",
    ):
        load_cohort(clinical.write())


def test_patients_without_any_modality_are_left_out_and_listed(
    clinical: CohortFiles,
) -> None:
    for column in ("age", "stage", "sex"):
        clinical.set("007", column, "")
    cohort = load_cohort(clinical.write())
    assert "007" not in cohort.patients
    assert cohort.flow[-1].step == "at least one modality"
    assert (cohort.flow[-1].patients, "007" in cohort.flow[-1].note) == (19, True)


def test_two_patients_with_the_same_row_are_suspicious(clinical: CohortFiles) -> None:
    columns = {
        name: {"kind": "nominal"} for name in ("age", "stage", "sex", "site", "fold")
    }
    clinical.spec["clinical"]["columns"] = columns
    for column in ("os_days", "os_event", *columns):
        clinical.set("008", column, clinical.patients[column][2])
    found = inspect(clinical.write())
    assert found.ok
    assert [(p.severity, p.patient) for p in found.problems] == [
        ("warning", "003, 008"),
    ]


def with_blood(files: CohortFiles, ids: list[str]) -> CohortFiles:
    files.tables["blood.csv"] = pd.DataFrame({"patient_id": ids, "hb": range(len(ids))})
    files.spec["modalities"] = {"blood": {"table": "blood.csv", "columns": ["hb"]}}
    return files


@pytest.mark.parametrize(
    ("ids", "hint"),
    [
        ([f"{number}.0" for number in range(101, 121)], "the ending .0 of a number"),
        ([f"00{number}" for number in range(101, 121)], "leading zeros"),
        ([f"-{number}" for number in range(101, 121)], "spaces, points, dashes"),
    ],
)
def test_ids_that_differ_by_a_trifle_are_told_so(
    clinical: CohortFiles,
    ids: list[str],
    hint: str,
) -> None:
    clinical.patients["patient_id"] = range(101, 121)
    (problem,) = [
        p
        for p in inspect(with_blood(clinical, ids).write()).problems
        if p.severity == "error"
    ]
    assert "none of its 20 patients" in problem.message
    assert problem.hint.startswith(f"{ids[0]!r} stands there as '101': {hint}")


@pytest.mark.parametrize("around", ["{} ", "\u00a0{}", "{}\u200b", "\ufeff{}"])
def test_blanks_around_ids_are_nothing(clinical: CohortFiles, around: str) -> None:
    ids = [around.format(patient) for patient in clinical.patients["patient_id"]]
    assert load_cohort(with_blood(clinical, ids).write()).problems == ()


def test_some_ids_in_another_case_are_a_warning_that_says_so(
    clinical: CohortFiles,
) -> None:
    clinical.patients["patient_id"] = "P" + clinical.patients["patient_id"]
    ids = ["p001", "p002", *clinical.patients["patient_id"][2:]]
    (problem,) = load_cohort(with_blood(clinical, ids).write()).problems
    assert (
        "2 patient(s) without a row in the outcome table, not used: p001, p002"
        in problem.message
    )
    assert (
        problem.hint == "'p001' stands there as 'P001': letter case is all that differs"
    )


def test_notes_of_a_table_are_told_once(clinical: CohortFiles) -> None:
    path = clinical.write()
    frame = clinical.patients.assign(age=clinical.patients["age"] + 0.5)
    frame.to_csv(clinical.root / "patients.csv", index=False, sep=";", decimal=",")
    cohort = load_cohort(path)
    assert [problem.message for problem in cohort.problems] == [
        "semicolons separate the cells, not commas; numbers with a decimal comma are read with a point",
    ]
    assert (
        cohort.modalities["clinical"].numbers("age").tolist() == frame["age"].tolist()
    )  # type: ignore[union-attr]


def test_a_table_without_an_input_is_refused(files: CohortFiles) -> None:
    root = files.write().parent
    files.patients[["patient_id"]].to_csv(root / "ids.csv", index=False)
    files.spec["modalities"] = {"blood": {"table": "ids.csv"}}
    with pytest.raises(
        CohortError,
        match=r"blood, file ids.csv: no column of it is an input",
    ):
        load_cohort(files.write())


def test_rows_of_a_patient_are_one_where_they_agree_in_what_is_used(
    clinical: CohortFiles,
) -> None:
    again = clinical.patients.iloc[[2, 5]]
    clinical.patients["slide"] = clinical.patients["patient_id"] + "-1.svs"
    clinical.patients = pd.concat(
        [clinical.patients, again.assign(slide=again["patient_id"] + "-2.svs")],
    )
    cohort = load_cohort(clinical.write())
    assert len(cohort) == 20
    assert [p.message.partition(";")[0] for p in cohort.problems] == [
        "2 patient(s) have several rows (one per slide or sample?)",
    ]
    clinical.patients.iloc[-1, clinical.patients.columns.get_loc("age")] = 1
    with pytest.raises(
        CohortError,
        match=r"patient 006: rows of 1 patient\(s\) differ in 'age' \(of 006 data rows 6, 22\); expected one",
    ):
        load_cohort(clinical.write())


def test_columns_are_read_for_other_patients_in_turn(tmp_path: Path) -> None:
    files = cohort_files(tmp_path, modalities=("clinical",))
    table = load_cohort(files.write()).modalities["clinical"]
    assert isinstance(table, TableData)
    ages = pd.Series(table.numbers("age"), table.frame.index)
    for ids in (["003", "001"], ["001", "003"], ["002"], ["003", "001"]):
        np.testing.assert_array_equal(table.numbers("age", ids), ages[ids])
    table.numbers("age", ["001"])[:] = 0
    table.numbers("age")[:] = 0
    np.testing.assert_array_equal(table.numbers("age"), ages)
    with pytest.raises(KeyError, match="999"):
        table.numbers("age", ["001", "999"])
