"""Splits of other people, in the layouts that their repositories publish (tiny, written here)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import CohortFiles, cohort_files
from survfuse._errors import CohortError, InputError, LeakageError
from survfuse.cohort import Cohort, load_cohort
from survfuse.cohort.split_files import FixedSplits, read_splits

Writer = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path) -> CohortFiles:
    """Six patients 001 to 006; 002, 004 and 006 have the event."""
    (tmp_path / "cohort").mkdir()
    return cohort_files(tmp_path / "cohort", patients=6, modalities=("clinical",))


@pytest.fixture
def cohort(files: CohortFiles) -> Cohort:
    return load_cohort(files.write())


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def write(name: str, text: str, *, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    return write


def told(found: FixedSplits) -> list[tuple[int, int, str, str]]:
    """Splits as (repeat, fold, train, test), ids as their last digits."""
    return [
        (
            s.repeat,
            s.fold,
            "".join(one[-1] for one in s.train),
            "".join(one[-1] for one in s.test),
        )
        for s in found.splits
    ]


# -- CLAM, MCAT, SurvPath

MCAT = ",train,val\n0,001,003\n1,002,004\n2,005,\n3,006,\n"


@pytest.mark.parametrize(
    "text",
    [
        MCAT,
        "\ufeff" + MCAT,
        MCAT.replace("\n", "\r\n"),
        MCAT.replace("001", '"001"').replace("004", '" 004 "'),
        "train,val\n001,003\n002,004\n005,\n006,\n",
    ],
    ids=["plain", "byte order mark", "carriage returns", "quotes", "no index"],
)
def test_without_test_patients_validation_is_tested(
    write: Writer,
    cohort: Cohort,
    text: str,
) -> None:
    found = read_splits(write("splits_0.csv", text), cohort)
    assert told(found) == [(0, 0, "1256", "34")]
    assert found.notes[0] == "the splits name no test patients: validation is tested"
    assert (
        found.notes[1]
        == "4 patient(s) of the cohort are never tested: 001, 002, 005, 006"
    )


def test_validation_joins_training_where_there_are_test_patients(
    write: Writer,
    cohort: Cohort,
) -> None:
    text = ",train,val,test\n0,001,003,005\n1,002,004,006\n"
    found = read_splits(write("splits_0.csv", text), cohort)
    assert told(found) == [(0, 0, "1234", "56")]
    assert (
        found.notes[0] == "validation patients of the splits join the training patients"
    )


def test_an_empty_test_column_is_none(write: Writer, cohort: Cohort) -> None:
    found = read_splits(
        write("splits_0.csv", ",train,val,test\n0,001,003,\n1,002,004,\n"),
        cohort,
    )
    assert told(found) == [(0, 0, "12", "34")]
    assert (
        "splits_0.csv: 2 patient(s) of the cohort are neither trained on nor tested: 005, 006"
        in found.notes
    )


def test_a_folder_is_read_in_the_order_of_its_numbers(
    write: Writer,
    cohort: Cohort,
) -> None:
    for number, (train, test) in {
        10: ("001\n002", "006"),
        2: ("006\n002", "001"),
    }.items():
        rows = zip(train.split("\n"), [test, ""], strict=True)
        write(
            f"folder/splits_{number}.csv",
            "train,val\n" + "".join(f"{a},{b}\n" for a, b in rows),
        )
    write("folder/splits_2_bool.csv", "not,a,split\n")
    write("folder/splits_2_descriptor.csv", "not,a,split\n")
    found = read_splits(write("folder/readme.txt", "").parent, cohort)
    assert told(found) == [(0, 0, "26", "1"), (0, 1, "12", "6")]
    assert (
        "splits_2.csv: no event among the 1 tested; no concordance can be computed there"
        in found.notes
    )


def test_the_boolean_form_is_the_same(write: Writer, cohort: Cohort) -> None:
    rows = {
        "001": "train",
        "002": "train",
        "003": "val",
        "004": "test",
        "005": "train",
        "006": "test",
    }
    lines = [
        f"{one},{part == 'train'},{part == 'val'},{part == 'test'}\n"
        for one, part in rows.items()
    ]
    path = write("bools/splits_0_bool.csv", ",train,val,test\n" + "".join(lines))
    for place in (path, path.parent):
        assert told(read_splits(place, cohort)) == [(0, 0, "1235", "46")]
    path.write_text("train,val\nTrue,False\n")
    with pytest.raises(InputError, match="True and False need a first column of ids"):
        read_splits(path, cohort)


def test_slides_are_read_as_their_patients(tmp_path: Path, write: Writer) -> None:
    files = cohort_files(tmp_path, patients=6, modalities=("slides",))
    cohort = load_cohort(files.write())
    text = "train,test\n001_0,003_2\n001_6.svs,004_3\n002_1,\n005_4,\n006_5.h5,\n"
    assert told(read_splits(write("s/splits_0.csv", text), cohort)) == [
        (0, 0, "1256", "34"),
    ]
    with pytest.raises(
        LeakageError,
        match=r"splits_0.csv: 1 patient\(s\) are both .* tested: 001; a split",
    ):
        read_splits(
            write("s/splits_0.csv", "train,test\n001_0,001_6\n002_1,\n"),
            cohort,
        )


def test_tcga_slides_are_read_by_their_first_twelve_characters(
    write: Writer,
    files: CohortFiles,
) -> None:
    files.patients["patient_id"] = [f"TCGA-05-440{number}" for number in range(1, 7)]
    cohort = load_cohort(files.write())
    text = "train,test\n{0}2-01Z-00-DX1.ABC.svs,{0}3-01Z-00-DX1\n{0}4-01Z-00-DX1,{0}3-01Z-00-DX2\n"
    path = write("splits_0.csv", text.format("TCGA-05-440"))
    assert told(read_splits(path, cohort)) == [(0, 0, "24", "3")]


def test_numbers_that_pandas_wrote_are_read(write: Writer, files: CohortFiles) -> None:
    files.patients["patient_id"] = [str(number) for number in range(1, 7)]
    cohort = load_cohort(files.write())
    found = read_splits(
        write("splits_0.csv", ",train,val\n0,1,3.0\n1,2,4.0\n2,5,\n"),
        cohort,
    )
    assert told(found) == [(0, 0, "125", "34")]


# -- Patho-Bench


def test_patho_bench_is_read(write: Writer, cohort: Cohort) -> None:
    text = (
        "case_id\tslide_id\tOS_event\tfold_0\tfold_1\tfold_10\tfold_2\n"
        "001\ta\t0\ttest\ttrain\ttrain\ttrain\n001\tb\t0\ttest\ttrain\ttrain\ttrain\n"
        "002\tc\t1\ttrain\ttest\ttrain\tval\n003\td\t0\ttrain\ttrain\ttest\ttrain\n"
        "004\te\t1\ttrain\tTrain\ttrain\ttest\n"
    )
    found = read_splits(write("k=all.tsv", text), cohort)
    assert told(found) == [
        (0, 0, "234", "1"),
        (0, 1, "134", "2"),
        (0, 2, "123", "4"),
        (0, 3, "124", "3"),
    ]
    assert "validation patients of the splits join the training patients" in found.notes
    assert not any("more than once" in note for note in found.notes), (
        "a case has a row per slide"
    )


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "case_id\tfold_0\n001\tdev\n",
            InputError,
            "fold_0 must hold train, val or test, got 'dev'",
        ),
        (
            "name\tfold_0\n001\ttrain\n",
            InputError,
            "expected a column case_id or patient_id or slide_id",
        ),
        (
            "case_id\tfold_0\n001\ttest\n001\ttrain\n",
            LeakageError,
            "k=all.tsv, fold_0: 1 .* tested: 001",
        ),
        (
            "case_id\tfold_0\n002\ttrain\n",
            CohortError,
            "fold_0: nobody of the cohort is tested",
        ),
        (
            "case_id\tfold_0\n001\ttrain\n002\ttest\n",
            CohortError,
            "none of the 1 training patients has",
        ),
    ],
)
def test_a_broken_patho_bench_table_is_refused(
    write: Writer,
    cohort: Cohort,
    text: str,
    error: type[InputError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        read_splits(write("k=all.tsv", text), cohort)


# -- STAMP


def stamp(*splits: tuple[list[str], list[str]]) -> str:
    return json.dumps(
        {"splits": [{"train_patients": a, "test_patients": b} for a, b in splits]},
    )


def test_stamp_is_read(write: Writer, cohort: Cohort) -> None:
    one, other = ["001", "002", "003"], ["004", "005", "006"]
    found = read_splits(write("splits.json", stamp((one, other), (other, one))), cohort)
    assert told(found) == [(0, 0, "123", "456"), (0, 1, "456", "123")]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", 'expected {"splits":'),
        ('{"splits": []}', 'expected {"splits":'),
        (
            '{"splits": [{"train_patients": ["001"]}]}',
            "split 0: test_patients: expected a list of texts",
        ),
        (
            '{"splits": [{"train_patients": [1], "test_patients": []}]}',
            "train_patients: expected a list",
        ),
        ('{"splits": [], "splits": []}', "splits"),
    ],
)
def test_a_broken_stamp_file_is_refused(
    write: Writer,
    cohort: Cohort,
    text: str,
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        read_splits(write("splits.json", text), cohort)


# -- laws of every format


def test_a_patient_on_both_sides_is_leakage(write: Writer, cohort: Cohort) -> None:
    path = write("splits.json", stamp((["001", "002", "003"], ["003", "002"])))
    with pytest.raises(
        LeakageError,
        match=r"split 0: 2 patient\(s\) are both .* tested: 002, 003",
    ):
        read_splits(path, cohort)
    path = write("splits.json", stamp((["002", "X"], ["X", "001"])))
    with pytest.raises(LeakageError, match="tested: X"):
        read_splits(path, cohort)


def test_unknown_patients_are_refused_by_name(write: Writer, cohort: Cohort) -> None:
    path = write("splits.json", stamp((["001", "002", "1"], ["003", "nan"])))
    with pytest.raises(
        CohortError,
        match=r"2 id\(s\) are neither .*'tiny': '1', 'nan'; .* like '001'",
    ):
        read_splits(path, cohort)


def test_patients_whom_the_cohort_left_out_are_told(
    write: Writer,
    files: CohortFiles,
) -> None:
    files.spec["exclude"] = ["003"]
    files.spec["outcome"]["exclude_invalid"] = True
    files.set("005", "os_days", "")
    cohort = load_cohort(files.write())
    assert cohort.patients == ("001", "002", "004", "006")
    path = write("splits.json", stamp((["001", "002", "003"], ["004", "005", "006"])))
    found = read_splits(path, cohort)
    assert told(found) == [(0, 0, "12", "46")]
    assert (
        found.notes[0]
        == "2 patient(s) of the splits were left out of the cohort: 003, 005"
    )


def test_ids_that_stand_twice_on_one_side_are_told_and_used_once(
    write: Writer,
    cohort: Cohort,
) -> None:
    found = read_splits(
        write("splits_0.csv", "train,test\n001,003\n002,004\n001,\n"),
        cohort,
    )
    assert told(found) == [(0, 0, "12", "34")]
    assert "ids that stand more than once on one side of a split: 001" in found.notes


@pytest.mark.parametrize(
    ("tests", "places"),
    [
        (["12", "34", "56"], [(0, 0), (0, 1), (0, 2)]),
        (["12", "34"], [(0, 0), (0, 1)]),
        (["12", "3456", "145", "236"], [(0, 0), (0, 1), (1, 0), (1, 1)]),
        (["12", "34", "25", "61"], [(0, 0), (1, 0), (2, 0), (3, 0)]),
        (["12", "12"], [(0, 0), (1, 0)]),
        (["1234", "1256"], [(0, 0), (1, 0)]),
    ],
    ids=[
        "partition",
        "disjoint",
        "two partitions",
        "drawn anew",
        "the same twice",
        "overlapping",
    ],
)
def test_nobody_is_tested_twice_in_a_repeat(
    write: Writer,
    cohort: Cohort,
    tests: list[str],
    places: list[tuple[int, int]],
) -> None:
    sides = [
        ([f"00{c}" for c in "123456" if c not in test], [f"00{c}" for c in test])
        for test in tests
    ]
    found = read_splits(write("splits.json", stamp(*sides)), cohort)
    assert [(s.repeat, s.fold) for s in found.splits] == places
    tested = [(s.repeat, patient) for s in found.splits for patient in s.test]
    assert len(set(tested)) == len(tested)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "x,y\n1,2\n",
            r"expected columns train, val and test \(CLAM\).*got 'x', 'y'",
        ),
        ("a.csv", "train\n001\n", "expected columns train, val and test"),
        (
            "a.csv",
            "train,train,test\n001,002,003\n",
            "column names appear twice: 'train'",
        ),
        ("a.csv", "train,test\n001,002,003\n", "line 2 has 3 cells, the header has 2"),
        ("a.txt.pkl", "", "expected a table"),
    ],
)
def test_anything_else_is_refused(
    write: Writer,
    cohort: Cohort,
    name: str,
    text: str,
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        read_splits(write(name, text), cohort)


def test_a_place_where_nothing_is_is_refused(tmp_path: Path, cohort: Cohort) -> None:
    for name in ("none", "none.csv", "none.json"):
        with pytest.raises(InputError, match=rf"{name}: no such file or folder"):
            read_splits(tmp_path / name, cohort)


def test_an_empty_folder_is_refused(write: Writer, cohort: Cohort) -> None:
    with pytest.raises(InputError, match=r"holds no splits_<number>\.csv"):
        read_splits(write("folder/other.csv", "").parent, cohort)


# -- MMP

ROWS = "case_id,slide_id,os_survival_days\n"


def fold(write: Writer, name: str, **parts: str) -> Path:
    """Write one fold: letters are the last digits of patients, each with two slides."""
    for part, ids in parts.items():
        rows = "".join(
            f"00{one},{one}-{number}.uuid,1.0\n" for one in ids for number in (1, 2)
        )
        path = write(f"{name}/{part}.csv", ROWS + rows)
    return path.parent


@pytest.fixture
def mmp(write: Writer, tmp_path: Path) -> Path:
    """Three folds of one task, in the layout of MMP; the tenth comes after the second."""
    (tmp_path / "survival").mkdir()
    for number, test in {10: "56", 0: "12", 2: "34"}.items():
        train = "".join(one for one in "123456" if one not in test)
        fold(
            write,
            f"survival/TCGA_X_overall_survival_k={number}",
            train=train,
            test=test,
        )
    return tmp_path / "survival"


FOLDS = [(0, 0, "3456", "12"), (0, 1, "1256", "34"), (0, 2, "1234", "56")]


def test_folds_of_mmp_are_read_in_the_order_of_their_numbers(
    mmp: Path,
    cohort: Cohort,
) -> None:
    assert told(read_splits(mmp, cohort)) == FOLDS
    assert read_splits(mmp, cohort).notes == ()
    assert told(read_splits(mmp / "TCGA_X_overall_survival_k=2", cohort)) == [
        (0, 0, "1256", "34"),
    ]


def test_one_of_several_tasks_is_named_as_mmp_names_it(
    mmp: Path,
    write: Writer,
    cohort: Cohort,
) -> None:
    fold(write, "survival/TCGA_Y2_k=0", train="123", test="456")
    with pytest.raises(
        InputError,
        match=r"the folds of 2 tasks: TCGA_X_overall_survival, TCGA_Y2; name one",
    ) as e:
        read_splits(mmp, cohort)
    named = str(e.value).rpartition("such as ")[2]
    assert told(read_splits(named, cohort)) == FOLDS  # the hint is right
    assert told(read_splits(mmp / "TCGA_Y2", cohort)) == [(0, 0, "123", "456")]
    with pytest.raises(InputError, match=r"TCGA_Z: no such file or folder"):
        read_splits(mmp / "TCGA_Z", cohort)


def test_validation_of_mmp_joins_training(write: Writer, cohort: Cohort) -> None:
    found = read_splits(fold(write, "f", train="12", val="3", test="456"), cohort)
    assert told(found) == [(0, 0, "123", "456")]
    assert (
        found.notes[0] == "validation patients of the splits join the training patients"
    )
    assert told(read_splits(fold(write, "g", train="12", val="3456"), cohort)) == [
        (0, 0, "12", "3456"),
    ]


def test_a_broken_fold_of_mmp_is_refused(write: Writer, cohort: Cohort) -> None:
    with pytest.raises(
        InputError,
        match=r"f: expected train\.csv and test\.csv \(or val\.csv\), got train\.csv",
    ):
        read_splits(fold(write, "f", train="12"), cohort)
    folder = write("g/train.csv", "name\n001\n").parent
    write("g/test.csv", ROWS)
    with pytest.raises(
        InputError,
        match=r"train\.csv: expected a column case_id or .*, got 'name'",
    ):
        read_splits(folder, cohort)
    with pytest.raises(
        LeakageError,
        match=r"1 patient.* are both trained on and tested: 002",
    ):
        read_splits(fold(write, "h", train="12", test="23"), cohort)


# -- names that are nearly the same


@pytest.mark.parametrize(
    ("written", "trifle"),
    [("p001", "letter case"), ("P1", "leading zeros"), ("P_001", "underscores or #")],
)
def test_the_trifle_by_which_ids_differ_is_told(
    write: Writer,
    files: CohortFiles,
    written: str,
    trifle: str,
) -> None:
    files.patients["patient_id"] = "P" + files.patients["patient_id"]
    cohort = load_cohort(files.write())
    with pytest.raises(
        CohortError,
        match=rf"'{written}' stands there as 'P001': .*{trifle} is all",
    ):
        read_splits(write("splits_0.csv", f"train,val\nP002,{written}\n"), cohort)


@pytest.mark.parametrize(
    "ending",
    [".h5", ".safetensors", ".ome.tiff", ".NDPI", ".svs.pt"],
)
def test_slides_may_have_any_ending(tmp_path: Path, write: Writer, ending: str) -> None:
    (tmp_path / "bags").mkdir()
    files = cohort_files(tmp_path / "bags", patients=6)
    cohort = load_cohort(files.write())
    text = f"train,val\n001_0{ending},003_2\n002_1,004_3{ending}\n"
    assert told(read_splits(write("splits_0.csv", text), cohort)) == [
        (0, 0, "12", "34"),
    ]
