from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import TransformError
from survfuse._storage import to_json
from survfuse.cohort import TableData
from survfuse.cohort.spec import ColumnSpec
from survfuse.cohort.table_columns import NumberColumn
from survfuse.cohort.transform_tables import TableTransform

COLUMNS = {
    "age": ColumnSpec(kind="numeric"),
    "stage": ColumnSpec(kind="ordinal", levels=("I", "II", "III")),
    "sex": ColumnSpec(kind="nominal"),
}
TRAIN = ("a", "b", "c", "d")


def table(**cells: list[str]) -> TableData:
    given = {
        "age": ["60", "70", "80", ""],
        "stage": ["I", "I", "III", "III"],
        "sex": ["M", "F", "M", "F"],
    }
    given = {
        name: [*train, "61", "62"][:6]
        if name == "age"
        else [*train, train[0], train[0]]
        for name, train in given.items()
    }
    given.update(cells)
    frame = pd.DataFrame(
        given,
        index=pd.Index(list("abcdef"), dtype=object),
        dtype=object,
    )
    return TableData(
        "clinical",
        frame,
        {name: COLUMNS[name] for name in given},
        ("", "NA"),
        "clinical",
    )


def fit(data: TableData) -> TableTransform:
    return TableTransform.fit(data, TRAIN)


def test_a_small_example_by_hand() -> None:
    transform = fit(table())
    values, _, remarks = transform.apply(table(), ("a", "b", "d", "e"))
    sd = math.sqrt(200 / 3)
    assert transform.features == ("age", "age=missing", "stage", "sex=F", "sex=M")
    assert transform.blanks == {1: (0,)}
    expected = [
        [-10 / sd, 0, -1, 0, 1],
        [0, 0, -1, 1, 0],
        [0, 1, 1, 1, 0],
        [-9 / sd, 0, -1, 0, 1],
    ]
    np.testing.assert_allclose(values, np.array(expected, np.float32), rtol=1e-6)
    assert remarks == []


def test_training_columns_are_standardised() -> None:
    values, _, _ = fit(table(age=["60", "71", "80", "90", "1", "2"])).apply(
        table(age=["60", "71", "80", "90", "1", "2"]),
        TRAIN,
    )
    np.testing.assert_allclose(values[:, :2].mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(values[:, :2].std(axis=0), 1, rtol=1e-6)


def test_missing_only_at_prediction_is_imputed_and_reported() -> None:
    transform = fit(table(age=["60", "70", "80", "90", "NA", "62"]))
    values, _, remarks = transform.apply(
        table(age=["60", "70", "80", "90", "NA", "62"]),
        ("e",),
    )
    assert "age=missing" not in transform.features
    assert values[0, 0] == 0
    assert remarks == [
        ("e", "clinical", "age", "imputed", "missing; training mean 75 used"),
    ]


def test_letter_case_is_named_where_it_makes_a_category_new() -> None:
    transform = fit(table(sex=["M", "F", "M", "F", "M", "F"]))
    [remark] = transform.apply(table(sex=["m", "F", "M", "F", "M", "F"]), ("a", "b"))[2]
    assert remark[3] == "unseen category"
    assert remark[4].endswith(
        "('m' stands there as 'M': letter case is all that differs)",
    )


def test_a_new_category_is_unknown_and_reported() -> None:
    data = table(sex=["M", "F", "M", "F", "D", ""])
    values, _, remarks = fit(data).apply(data, ("e", "f"))
    np.testing.assert_array_equal(
        values[:, -2:],
        [[0.5, 0.5], [0.5, 0.5]],
    )  # as many F as M in training
    assert remarks == [
        ("e", "clinical", "sex", "unseen category", "'D'; treated as unknown"),
        ("f", "clinical", "sex", "imputed", "missing; training shares used"),
    ]


def test_the_mean_patient_of_a_category_is_that_of_training() -> None:
    """A lost cell moves a linear risk nowhere on average, whatever its weights, unless "unknown" has one."""
    known = ["M", "F", "M", "M", "M", "F"]
    transform = TableTransform.fit(table(sex=known), list("abcdef"))
    values, _, _ = transform.apply(table(sex=known), list("abcdef"))
    lost, _, _ = transform.apply(table(sex=[""] * 6), ("a",))
    np.testing.assert_allclose(lost[0, -2:], values[:, -2:].mean(axis=0), rtol=1e-6)


def test_a_table_that_an_older_version_wrote_reads_as_it_did() -> None:
    """Before limits, shares and pools were kept: no limit, zeros, and "unknown" always a feature."""
    known = ["M", "F", "M", "M", "M", "F"]
    state = TableTransform.fit(table(sex=known), list("abcdef")).state()[0]
    for column in state["columns"]:
        newer = ["shares", "rare", "pooled", "limited", "least", "most", "codes"]
        for name in [*newer, "indicator"] if "categories" in column else newer:
            column.pop(name, None)
    older = TableTransform.from_state(state, {})
    data = table(
        sex=["", "F", "X", "M", "", "M"],
        age=["600", "70", "80", "", "61", "62"],
    )
    values, _, remarks = older.apply(data, ("a", "c"))
    assert older.features[-3:] == ("sex=F", "sex=M", "sex=unknown")
    assert values[:, -3:].tolist() == [[0, 0, 1], [0, 0, 1]]
    age = older.columns[0]
    assert isinstance(age, NumberColumn)
    assert values[0, 0] == np.float32((600 - age.mean) / age.sd)
    assert remarks[0] == (
        "a",
        "clinical",
        "age",
        "out of range",
        "600; training 60 to 80",
    )


def test_a_value_outside_training_is_limited_and_reported() -> None:
    data = table(age=["60", "70", "80", "90", "620", "95"])
    values, _, remarks = fit(data).apply(data, ("d", "e", "f"))
    assert values[0, 0] == values[1, 0] == values[2, 0]
    assert remarks == [
        ("e", "clinical", "age", "out of range", "620; training 60 to 90; taken as 90"),
        ("f", "clinical", "age", "limited", "95; training 60 to 90; taken as 90"),
    ]


def test_constant_and_empty_columns_are_dropped_and_noted() -> None:
    data = table(age=["60"] * 6, stage=[""] * 6, sex=["M", "F", "M", "F", "M", "M"])
    transform = fit(data)
    assert transform.features == ("sex=F", "sex=M")
    assert transform.notes == (
        "clinical: age dropped: constant in training",
        "clinical: stage dropped: no training patient has a value",
    )


@pytest.mark.parametrize(
    "cells",
    [{"age": ["60", "", "60", "60", "", "60"]}, {"sex": ["M", "", "M", "M"] * 2}],
)
def test_a_blank_is_no_value(cells: dict[str, list[str]]) -> None:
    """Of a column with one value and gaps nothing is left: who means something by a gap must write it."""
    cells = {name: given[:6] for name, given in cells.items()}
    ((name, _),) = cells.items()
    transform = fit(table(**cells))
    assert not any(feature.startswith(name) for feature in transform.features)
    assert transform.notes == (
        f"clinical: {name} dropped: constant in training, but for missing cells; "
        "if a blank cell means something, write it as a value",
    )


def many(**cells: list[str]) -> TableData:
    count = len(next(iter(cells.values())))
    given = {"age": [str(40 + row % 41) for row in range(count)], **cells}
    ids = pd.Index([f"p{row:03d}" for row in range(count)], dtype=object)
    columns = {name: COLUMNS.get(name, ColumnSpec(kind="numeric")) for name in given}
    return TableData(
        "clinical",
        pd.DataFrame(given, index=ids, dtype=object),
        columns,
        ("",),
        "clinical",
    )


def learned(data: TableData, event: list[bool] | None = None) -> TableTransform:
    flags = None if event is None else np.array(event)
    return TableTransform.fit(data, data.patients, flags)


EVERY_THIRD = [row % 3 == 0 for row in range(100)]


@pytest.mark.parametrize(
    ("blank", "event", "used"),
    [
        (range(2), EVERY_THIRD, False),  # two patients
        (range(9), EVERY_THIRD, False),
        (range(10), EVERY_THIRD, True),
        (range(10), None, True),
        (range(1, 60, 3), EVERY_THIRD, False),  # twenty, none with the event
        (range(0, 60, 3), EVERY_THIRD, False),  # twenty, all with the event
        (range(5, 100), EVERY_THIRD, False),  # all but five
        (
            range(40, 100),
            [row < 40 for row in range(100)],
            False,
        ),  # events among the known alone
        (range(10), [True] * 100, True),  # no time is censored
    ],
)
def test_blanks_are_used_where_enough_patients_with_and_without_the_event_have_them(
    blank: range,
    event: list[bool] | None,
    used: bool,
) -> None:
    age = ["" if row in blank else str(40 + row % 41) for row in range(100)]
    transform = learned(many(age=age, sex=["M", "F"] * 50), event)
    assert ("age=missing" in transform.features) is used
    assert any(
        note.startswith(f"clinical: age: missing in {len(blank)} patients")
        for note in transform.notes
    ) is (not used)


def test_rare_levels_are_pooled_where_the_pool_is_large_enough() -> None:
    sites = ["A"] * 50 + ["B"] * 38 + ["C"] * 7 + ["D"] * 5
    transform = learned(many(sex=sites), EVERY_THIRD)
    assert transform.features == ("age", "sex=A", "sex=B", "sex=other")
    assert transform.notes == (
        'clinical: sex: too few to learn from, pooled as "other": '
        "'C' (7 patients, 2 with the event), 'D' (5 patients, 2 with the event)",
    )
    values, _, remarks = transform.apply(
        many(sex=["C", "D", "A", "X", ""]),
        [f"p{row:03d}" for row in range(5)],
    )
    np.testing.assert_allclose(
        values[:, 1:],
        [[0, 0, 1], [0, 0, 1], [1, 0, 0], *[[0.5, 0.38, 0.12]] * 2],
    )
    assert [remark[3] for remark in remarks] == ["unseen category", "imputed"]


def test_a_rare_level_alone_is_the_average_patient() -> None:
    sites = ["A"] * 50 + ["B"] * 47 + ["C"] * 3
    transform = learned(many(sex=sites), EVERY_THIRD)
    assert transform.features == ("age", "sex=A", "sex=B")
    values, _, remarks = transform.apply(many(sex=sites), ["p099"])
    np.testing.assert_allclose(values[0, 1:], [50 / 97, 47 / 97], rtol=1e-6)
    assert remarks == [
        ("p099", "clinical", "sex", "rare category", "'C'; training shares used"),
    ]
    assert "'C' (3 patients, 1 with the event)" in transform.notes[0]


@pytest.mark.parametrize(("free", "kept"), [(19, False), (20, True)])
def test_a_level_without_an_event_needs_twice_as_many(free: int, kept: bool) -> None:
    """None with the event among twenty says something; none among ten may be chance."""
    stage = ["A"] * free + ["B"] * (60 - free) + ["C"] * 40
    event = [row >= free and row % 2 == 0 for row in range(100)]
    assert ("sex=A" in learned(many(sex=stage), event).features) is kept


def test_a_flag_that_few_have_is_dropped() -> None:
    flags = ["1" if row in (1, 4) else "0" for row in range(100)]
    transform = learned(many(mutated=flags), EVERY_THIRD)
    assert transform.features == ("age",)
    assert transform.notes == (
        "clinical: mutated dropped: 2 patients, 0 with the event differ from 0, too few to learn from",
    )


def test_where_nothing_else_is_there_rare_levels_are_used() -> None:
    data = many(sex=["A"] * 97 + ["B"] * 3)
    data = TableData("t", data.frame[["sex"]], {"sex": COLUMNS["sex"]}, ("",))
    transform = learned(data, EVERY_THIRD)
    assert transform.features == ("sex=A", "sex=B")
    assert transform.notes[0].startswith(
        "t: used all the same, for nothing else is there: sex dropped",
    )


@pytest.mark.parametrize(
    ("wrong", "count"),
    [("7000", 1), ("999", 16), ("-1", 16), ("9999.0", 2), ("1e29", 1)],
)
def test_a_mistyped_number_changes_hardly_anything(wrong: str, count: int) -> None:
    """The honest patients keep the values they would have without it, and the wrong one is not known."""
    honest = [
        str(value)
        for value in np.random.default_rng(0).normal(60, 8, 100).round().astype(int)
    ]
    given = [wrong] * count + honest[count:]
    typed = learned(many(age=given))
    column = typed.columns[0]
    assert isinstance(column, NumberColumn)
    rest = np.array([float(value) for value in honest[count:]])
    assert (column.low, column.high) == (rest.min(), rest.max())
    assert (column.mean, column.sd) == (
        pytest.approx(rest.mean()),
        pytest.approx(rest.std()),
    )
    assert typed.notes[0].startswith(f"clinical: age: {float(wrong):g} (p000)")
    again = TableTransform.from_state(json.loads(to_json(typed.state()[0])), {})
    values, _, remarks = again.apply(many(age=given), ["p000", "p099"])
    assert values[0, 0] == 0
    assert remarks[0][3] == "out of range"
    assert remarks[0][4].endswith("taken as not known")
    new = [*honest[:-1], "96"]  # beyond all, and no mistake
    (last,), _, (remark,) = again.apply(many(age=new), ["p099"])
    assert last[0] == np.float32((column.high - column.mean) / column.sd)
    assert remark[4].endswith(f"taken as {column.high:g}")


def test_nothing_to_use_is_refused() -> None:
    data = table(age=["60"] * 6, stage=["I"] * 6, sex=["M"] * 6)
    with pytest.raises(
        TransformError,
        match="clinical: no column varies among the 4 training patients",
    ):
        fit(data)


def test_other_levels_are_refused(tmp_path: Path) -> None:
    data = table()
    levels = {**COLUMNS, "stage": ColumnSpec(kind="ordinal", levels=("I", "III"))}
    changed = TableData("clinical", data.frame, levels, data.missing)
    with pytest.raises(
        TransformError,
        match=r"'stage' was ordinal \['I', 'II', 'III'\] in training, but is ordinal \['I'",
    ):
        fit(data).check(changed)


def test_the_state_is_json() -> None:
    transform = fit(table())
    assert TableTransform.from_state(*transform.state()) == transform
