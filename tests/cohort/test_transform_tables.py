from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import TransformError
from survfuse.cohort import TableData
from survfuse.cohort.spec import ColumnSpec
from survfuse.cohort.transform_tables import TableTransform

COLUMNS = {
    "age": ColumnSpec(kind="numeric"),
    "stage": ColumnSpec(kind="ordinal", levels=("I", "II", "III")),
    "sex": ColumnSpec(kind="nominal"),
}
TRAIN = ("a", "b", "c", "d")


def table(**cells: list[str]) -> TableData:
    given = {"age": ["60", "70", "80", ""], "stage": ["I", "I", "III", "III"], "sex": ["M", "F", "M", "F"]}
    given = {
        name: [*train, "61", "62"][:6] if name == "age" else [*train, train[0], train[0]]
        for name, train in given.items()
    }
    given.update(cells)
    frame = pd.DataFrame(given, index=pd.Index(list("abcdef"), dtype=object), dtype=object)
    return TableData("clinical", frame, {name: COLUMNS[name] for name in given}, ("", "NA"), "clinical")


def fit(data: TableData) -> TableTransform:
    return TableTransform.fit(data, TRAIN, list(data.columns))


def test_a_small_example_by_hand() -> None:
    transform = fit(table())
    values, remarks = transform.apply(table(), ("a", "b", "d", "e"))
    sd = math.sqrt(200 / 3)
    assert transform.features == ("age", "age=missing", "stage", "sex=F", "sex=M", "sex=unknown")
    expected = [
        [-10 / sd, 0, -1, 0, 1, 0],
        [0, 0, -1, 1, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [-9 / sd, 0, -1, 0, 1, 0],
    ]
    np.testing.assert_allclose(values, np.array(expected, np.float32), rtol=1e-6)
    assert remarks == []


def test_training_columns_are_standardised() -> None:
    values, _ = fit(table(age=["60", "71", "80", "90", "1", "2"])).apply(
        table(age=["60", "71", "80", "90", "1", "2"]), TRAIN
    )
    np.testing.assert_allclose(values[:, :2].mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(values[:, :2].std(axis=0), 1, rtol=1e-6)


def test_missing_only_at_prediction_is_imputed_and_reported() -> None:
    transform = fit(table(age=["60", "70", "80", "90", "NA", "62"]))
    values, remarks = transform.apply(table(age=["60", "70", "80", "90", "NA", "62"]), ("e",))
    assert "age=missing" not in transform.features
    assert values[0, 0] == 0
    assert remarks == [("e", "clinical", "age", "imputed", "missing; training mean 75 used")]


def test_a_new_category_is_unknown_and_reported() -> None:
    data = table(sex=["M", "F", "M", "F", "D", ""])
    values, remarks = fit(data).apply(data, ("e", "f"))
    np.testing.assert_array_equal(
        values[:, -3:], [[0.5, 0.5, 1], [0.5, 0.5, 1]]
    )  # as many F as M in training
    assert remarks == [("e", "clinical", "sex", "unseen category", "'D'; treated as unknown")]


def test_the_mean_patient_of_a_category_is_that_of_training() -> None:
    """A lost cell moves a linear risk nowhere on average, whatever its weights, unless "unknown" has one."""
    known = ["M", "F", "M", "M", "M", "F"]
    transform = TableTransform.fit(table(sex=known), list("abcdef"), list(COLUMNS))
    values, _ = transform.apply(table(sex=known), list("abcdef"))
    lost, _ = transform.apply(table(sex=[""] * 6), ("a",))
    np.testing.assert_allclose(lost[0, -3:-1], values[:, -3:-1].mean(axis=0), rtol=1e-6)
    state = transform.state()
    for column in state["columns"]:
        column.pop("shares", None)
    older = TableTransform.from_state(state)
    assert older.apply(table(sex=[""] * 6), ("a",))[0][0, -3:].tolist() == [0, 0, 1]  # as it was made


def test_a_value_far_outside_training_is_reported() -> None:
    data = table(age=["60", "70", "80", "90", "620", "62"])
    _, remarks = fit(data).apply(data, ("e", "f"))
    assert remarks == [("e", "clinical", "age", "out of range", "620; training 60 to 90")]


def test_constant_and_empty_columns_are_dropped_and_noted() -> None:
    data = table(age=["60"] * 6, stage=[""] * 6, sex=["M", "F", "M", "F", "M", "M"])
    transform = fit(data)
    assert transform.features == ("sex=F", "sex=M", "sex=unknown")
    assert transform.notes == (
        "clinical: age dropped: constant in training",
        "clinical: stage dropped: no training patient has a value",
    )


def test_of_a_constant_column_with_gaps_the_gaps_are_kept() -> None:
    data = table(age=["60", "", "60", "60", "70", "60"])
    transform = fit(data)
    assert transform.features[:2] == ("age=missing", "stage")
    values, _ = transform.apply(data, ("a", "b", "e"))
    assert values[:, 0].tolist() == [0, 1, 0]


def test_nothing_to_use_is_refused() -> None:
    data = table(age=["60"] * 6, stage=["I"] * 6, sex=["M"] * 6)
    with pytest.raises(TransformError, match="clinical: no column varies among the 4 training patients"):
        fit(data)


def test_other_levels_are_refused(tmp_path: Path) -> None:
    data = table()
    levels = {**COLUMNS, "stage": ColumnSpec(kind="ordinal", levels=("I", "III"))}
    changed = TableData("clinical", data.frame, levels, data.missing)
    with pytest.raises(
        TransformError, match=r"'stage' was ordinal \['I', 'II', 'III'\] in training, but is ordinal \['I'"
    ):
        fit(data).check(changed)


def test_the_state_is_json() -> None:
    transform = fit(table())
    assert TableTransform.from_state(transform.state()) == transform
