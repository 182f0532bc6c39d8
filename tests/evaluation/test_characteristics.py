from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles, cohort_files
from survfuse.cohort import load_cohort
from survfuse.evaluation.characteristics import GROUPS, MOST_LEVELS, characteristics
from survfuse.results.run_tables import TYPES
from survfuse.results.schema import CharacteristicRow, frame, validate


def hospital(root: Path) -> CohortFiles:
    """60 patients; some cells are missing, a code stands for one, and half have two sites."""
    files = cohort_files(root, patients=60, seed=3)
    generator = np.random.default_rng(1)
    files.patients["age"] = generator.normal(64, 8, 60).round()
    files.patients["psa"] = generator.lognormal(1, 1.5, 60).round(2)
    files.patients["smoker"] = generator.integers(0, 2, 60)
    files.patients["hospital"] = generator.choice(list("abcdefghijklmnop"), 60)
    files.set("002", "sex", "")
    files.set("005", "age", "")
    columns = files.spec["clinical"]["columns"]
    columns |= {"psa": {"kind": "numeric"}, "smoker": {"kind": "numeric"}}
    columns["hospital"] = {"kind": "nominal"}
    columns["doses"] = {"kind": "numeric", "use": False}
    files.patients["doses"] = 1
    files.spec["clinical"]["missing"] = [""]
    files.spec["groups"] = {"site": "site"}
    files.slides = files.slides.iloc[:40]
    files.bags = {name: files.bags[name] for name in files.slides["slide_id"]}
    return files


def table(files: CohortFiles) -> pd.DataFrame:
    rows: Any = characteristics(load_cohort(files.write()))
    return frame(TYPES["characteristics"], rows)


def of(rows: pd.DataFrame, column: str, group: str = "all") -> pd.DataFrame:
    return rows[(rows["column"] == column) & (rows["group"] == group)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    return hospital(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def rows(files: CohortFiles) -> pd.DataFrame:
    return table(files)


def test_every_group_adds_up_to_all(rows: pd.DataFrame) -> None:
    counted = rows[rows["kind"] != "follow-up"]
    places = ["modality", "column", "level", "kind", "summary"]
    for _, part in counted.groupby(places, dropna=False):
        n = part.set_index("group")["n"]
        assert list(n.index) == list(GROUPS)
        assert n["all"] == n["event"] + n["no event"]


def test_levels_and_missing_cells_add_up_to_the_group(rows: pd.DataFrame) -> None:
    for group in GROUPS:
        sex = of(rows, "sex", group)
        assert sex["n"].sum() == sex["patients"].iloc[0]
        levels = sex[sex["summary"] != "missing"]
        assert levels["share"].sum() == pytest.approx(1)
    missing = of(rows, "sex")[of(rows, "sex")["summary"] == "missing"]
    assert missing["n"].tolist() == [1]
    assert missing["share"].tolist() == [pytest.approx(1 / 60)]


def test_numbers_are_those_of_numpy(files: CohortFiles, rows: pd.DataFrame) -> None:
    known = pd.to_numeric(files.patients["age"], errors="coerce").dropna()
    (age,) = of(rows, "age")[of(rows, "age")["summary"] == "mean"].to_dict("records")
    assert age["n"] == len(known) == 59
    assert age["mean"] == pytest.approx(known.mean())
    assert age["sd"] == pytest.approx(known.std())
    assert age["median"] == pytest.approx(known.median())
    assert age["high_quartile"] == pytest.approx(known.quantile(0.75))


def test_a_skewed_number_is_summed_up_by_its_median(rows: pd.DataFrame) -> None:
    assert set(of(rows, "psa")["summary"]) == {"median"}


def test_two_numbers_are_levels(rows: pd.DataFrame) -> None:
    assert of(rows, "smoker")["level"].tolist() == ["0", "1"]


def test_levels_stand_in_their_order(rows: pd.DataFrame) -> None:
    assert of(rows, "stage")["level"].tolist() == ["I", "II", "III"]


def test_rare_levels_of_many_are_taken_together(rows: pd.DataFrame) -> None:
    hospital = of(rows, "hospital")
    assert len(hospital) == MOST_LEVELS
    assert hospital["level"].iloc[-1].endswith("other values")
    assert hospital["n"].sum() == 60


def test_columns_out_of_use_are_left_out_and_modalities_and_sites_are_counted(
    rows: pd.DataFrame,
) -> None:
    assert of(rows, "doses").empty
    present = rows[(rows["kind"] == "modality") & (rows["group"] == "all")]
    assert dict(zip(present["modality"], present["n"], strict=True)) == {
        "clinical": 60,
        "expression": 60,
        "slides": 40,
    }
    assert set(of(rows, "site")["level"]) == {"north", "south"}


def test_words_order_the_levels(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    files.spec["clinical"]["columns"]["sex"]["labels"] = {"F": "women", "M": "men"}
    assert of(table(files), "sex")["level"].tolist()[:2] == ["F", "M"]


def test_levels_that_are_numbers_stand_by_their_size(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    files.patients["hospital"] = [
        ["10", "2", "2", "9"][place % 4] for place in range(60)
    ]
    assert of(table(files), "hospital")["level"].tolist() == ["2", "9", "10"]


def test_a_code_counts_as_missing(tmp_path: Path) -> None:
    files = hospital(tmp_path)
    for patient in ("007", "008", "009"):
        files.set(patient, "age", 999)
    age = of(table(files), "age")
    assert age[age["summary"] == "missing"]["n"].tolist() == [4]
    assert age["mean"].max() < 70


def test_the_order_of_patients_changes_nothing(
    files: CohortFiles, tmp_path: Path
) -> None:
    other = hospital(tmp_path)
    other.patients = other.patients.sample(frac=1, random_state=1)
    assert characteristics(load_cohort(other.write())) == characteristics(
        load_cohort(files.write()),
    )


def test_rows_fit_their_schema(files: CohortFiles) -> None:
    rows = characteristics(load_cohort(files.write()))
    validate(list[CharacteristicRow], rows, "characteristics")
