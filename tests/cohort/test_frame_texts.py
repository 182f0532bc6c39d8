"""Cells of DataFrames as a CSV file would hold them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import CohortError
from survfuse.cohort.frame_texts import (
    as_frame,
    cell_texts,
    id_column,
    series_table,
    with_ids,
)
from survfuse.readers.table_files import read_table


def every_dtype() -> pd.DataFrame:
    """Columns of every dtype that tables have, each with a gap where it may have one."""
    return pd.DataFrame(
        {
            "patient_id": ["001", "002", "003"],
            "int": [1, -2, 3],
            "float": [1.0, np.nan, 0.1 + 0.2],
            "large": [1e16, 1e-7, 123456789.0],
            "single": np.array([0.1, np.nan, 3], np.float32),
            "Int": pd.array([1, None, 3], "Int64"),
            "bool": [True, False, True],
            "boolean": pd.array([True, None, False], "boolean"),
            "text": ["a,b", None, 'say "x"'],
            "string": pd.array(["é", pd.NA, "line\nbreak"], "string"),
            "mixed": [1, 2.5, "x"],
            "category": pd.Categorical(["b", None, "a"], ["a", "b"], ordered=True),
            "day": pd.to_datetime(["2020-01-02", None, "2021-03-04"]),
            "moment": pd.to_datetime(["2020-01-02 03:04", None, "2021-03-04 00:00"]),
            "date": [datetime.date(2020, 1, 2), None, datetime.date(2021, 3, 4)],
            "decimal": [Decimal("1.50"), None, Decimal("2")],
            "blank": [None, None, None],
        },
    )


def test_cells_are_those_of_a_written_file(tmp_path: Path) -> None:
    frame = every_dtype()
    frame.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(cell_texts(frame), read_table(tmp_path / "table.csv"))


def test_numbers_are_written_as_pandas_writes_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 3)) * 10.0 ** rng.integers(-20, 20, (300, 3))
    frame = pd.DataFrame(values, columns=["a", "b", "c"]).astype({"b": np.float32})
    frame.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(cell_texts(frame), read_table(tmp_path / "table.csv"))


def test_an_empty_table_has_no_cells() -> None:
    frame = pd.DataFrame(
        {"a": pd.Series([], dtype=float), "b": pd.Series([], dtype=object)}
    )
    assert cell_texts(frame).shape == (0, 2)


@pytest.mark.parametrize(
    ("frame", "patient", "expected"),
    [
        (pd.DataFrame({"patient_id": ["a"]}), None, "patient_id"),
        (pd.DataFrame({"case": ["a"], "patient_id": ["b"]}), "case", "case"),
        (pd.DataFrame({"age": [1]}, index=["a"]), None, None),
        (pd.DataFrame({"age": [1]}, index=["a"]), "case", None),
        (pd.DataFrame({"age": [1]}, index=pd.Index([7], name="case")), "case", None),
        (pd.DataFrame({"age": [1]}, index=pd.Index([7], name="case")), None, None),
    ],
)
def test_ids_stand_in_a_column_or_in_the_index(
    frame: pd.DataFrame,
    patient: str | None,
    expected: str | None,
) -> None:
    assert id_column(frame, patient, "clinical") == expected


def test_an_index_that_counts_rows_is_no_ids() -> None:
    frame = pd.DataFrame({"Case": ["a", "b", "c"], "age": [1, 2, 3]})
    for rows in (frame, frame[frame["age"] > 1]):
        with pytest.raises(CohortError, match=r"whose row is whose.*rename_axis"):
            id_column(rows, None, "clinical")
        with pytest.raises(CohortError, match=r"no column 'case'.*letter case"):
            id_column(rows, "case", "clinical")
    named = frame.rename_axis("patient_id")
    assert with_ids(named, None, "clinical")["patient_id"].tolist() == [0, 1, 2]


def test_levels_of_names_are_refused() -> None:
    frame = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))
    with pytest.raises(CohortError, match="got a MultiIndex"):
        as_frame(frame, "clinical")


def test_a_series_must_name_its_patients() -> None:
    with pytest.raises(CohortError, match="groups: whose value is whose"):
        series_table(pd.Series(["a"]), "site", "patient_id", "groups")
    with pytest.raises(
        CohortError, match=r"groups: expected the name of a column.*got list"
    ):
        series_table(["a"], "site", "patient_id", "groups")  # type: ignore[arg-type]
