from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predicted import COLUMNS, TIMES, File, predicted
from survfuse._errors import InputError
from survfuse.evaluation.external_predictions import (
    choose_horizons,
    read_external,
    read_outcome,
)

HEAD = "patient_id,time,event,log_risk\n"
CURVES = "patient_id,time,event,survival_1,survival_2,survival_3\n"
FOLDED = "patient_id,time,event,fold,survival_1,survival_2,survival_3\n"


def test_a_table_is_read_as_it_stands(file: File) -> None:
    table = predicted(6)
    foreign = read_external(file(table))
    assert foreign.times == TIMES
    assert foreign.models == [""]
    assert foreign.notes == ()
    (fold,) = foreign.folds("", None)
    assert fold.patient_id.tolist() == table["patient_id"].tolist()
    for name, values in (
        ("time", fold.time),
        ("event", fold.event),
        ("log_risk", fold.risk),
    ):
        np.testing.assert_array_equal(values, table[name])
    np.testing.assert_array_equal(fold.survival(TIMES), table[COLUMNS])
    assert fold.train is None


def test_patients_that_a_model_was_trained_on_are_noted(file: File) -> None:
    """`predict` marks them; nobody shall take their scores for honest ones."""
    table = predicted(6).assign(in_training=[1, 0, 1, 0, 0, 0])
    (note,) = read_external(file(table)).notes
    first, third = table["patient_id"][0], table["patient_id"][2]
    assert note.startswith(
        f"2 patients were trained on (in_training: {first}, {third}); ",
    )
    assert read_external(file(table.assign(in_training=0))).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty, expected a header line"),
        ("\n\n", "empty, expected a header line"),
        (HEAD, "holds no rows"),
        (
            "patient_id,time\na,1\n",
            r"expected column\(s\) event, the file has patient_id, time; rename yours",
        ),
        (
            "patient_id;time;event;log_risk\na;1.5;1;0,5\n",
            "with decimal commas .* and with points",
        ),
        (
            "patient_id,time,event\na,1,1\n",
            "expected a column log_risk, or columns survival_<time>, found neither",
        ),
        ("patient_id,time,event,survival_0\na,1,1,1\n", "found neither"),
        (
            "patient_id,time,censorship,log_risk\na,1,1,0\n",
            "event is then 1 - censorship, not a new name for it",
        ),
        (
            "patient_id,time,time,event,log_risk\na,1,2,1,0\n",
            "column names appear twice: 'time'",
        ),
        (
            "patient_id,time,event,survival_1,survival_1\na,1,1,1,1\n",
            "appear twice: 'survival_1'",
        ),
        (HEAD + " ,1,1,0\n", "column patient_id, line 2: expected an id, got ' '"),
        (
            HEAD + "a,1,1,0\na,2,0,0\n",
            "line 3: patient 'a' stands there twice .1 such rows.; one row per patient",
        ),
        (HEAD + "a,1,1,0\n a ,2,0,0\n", "line 3: patient 'a' stands there twice"),
        (HEAD + "a,-1,1,0\n", "column time, line 2: expected a time above 0, got '-1'"),
        (HEAD + "a,0,1,0\n", "column time, line 2: expected a time above 0, got '0'"),
        (
            HEAD + "a,1,1,0\n\nb,,1,0\n",
            "column time, line 4: expected a finite number, got ''$",
        ),
        (HEAD + "a,x,1,0\nb,y,1,0\nc,1,1,0\n", "line 2: .*got 'x', and 1 more rows"),
        (
            HEAD + 'a,"1,5",1,0\n',
            "column time, line 2: expected a finite number, got '1,5'",
        ),
        (
            HEAD + "a,1,2,0\n",
            r"column event, line 2: expected 1 \(event\) or 0 \(censored\), got '2'",
        ),
        (HEAD + "a,1,,0\n", "column event, line 2"),
        (HEAD + "a,1,dead,0\n", "column event, line 2.*'dead'"),
        (
            HEAD + "a,1,1,inf\n",
            "column log_risk, line 2: expected a finite number, got 'inf'",
        ),
        (
            HEAD + "a,1,1,1e300\n",
            "column log_risk, line 2: expected a finite number, got '1e300'",
        ),
        (
            HEAD + "a,1,1,nan\n",
            "column log_risk, line 2: expected a finite number, got 'nan'",
        ),
        (
            HEAD + "a,1,1,True\n",
            "column log_risk, line 2: expected a finite number, got 'True'",
        ),
        (HEAD + "a,1,1,0,x\n", "line 2 has 5 cells, the header has 4"),
        (HEAD + "a,1,1\n", "line 2 has 3 cells, the header has 4"),
        (HEAD + "a,1,1,0\nb,1\0,1,0\n", "holds NUL bytes"),
        (HEAD + '"a,1,1,0\n', "line 2: unexpected end of data"),
        (
            CURVES + "a,1,1,1.2,.5,.1\n",
            r"column survival_1, line 2: survival must lie in \[0, 1\], got 1.2",
        ),
        (
            CURVES + "a,1,1,90,80,70\n",
            r"got 90 \(3 values\); is this a risk or a percentage",
        ),
        (CURVES + "a,1,1,1,.5,-.1\n", "column survival_3, line 2: survival must lie"),
        (
            CURVES + "\na,1,1,.1,.5,.9\n",
            "line 3: survival must not rise, but survival_1 is 0.1 and survival_2 is 0.5",
        ),
        (
            CURVES + "a,1,1,.9,.5,.1\nb,1,1,.9,.2,.3\n",
            "line 3: .* survival_2 is 0.2 and survival_3 is 0.3",
        ),
        (
            CURVES + "a,1,1,.9,nan,.1\nb,1,1,.9,.2,.1\n",
            "column survival_2, line 2: expected a finite number",
        ),
        (
            FOLDED + "a,1,1,0,.9,.5,\nb,1,1,0,.9,.2,.1\n",
            "column survival_3, line 2: expected a finite number",
        ),
        (
            FOLDED + "a,1,1,0,.2,,.9\nb,1,1,1,.9,.2,.1\n",
            "line 2: .* survival_1 is 0.2 and survival_3 is 0.9",
        ),
        (
            FOLDED + "a,1,1,0.5,.9,.5,.1\n",
            "column fold, line 2: expected a whole number, got '0.5'",
        ),
        (
            FOLDED + "a,1,1,1e300,.9,.5,.1\n",
            "column fold, line 2: expected a whole number, got '1e300'",
        ),
        (
            "patient_id,time,event,survival_x\na,1,1,1\n",
            "column survival_x: expected survival_<time>, such as",
        ),
        (
            "patient_id,time,event,survival_\na,1,1,1\n",
            "column survival_: expected survival_<time>",
        ),
        (
            "patient_id,time,event,survival_1_0\na,1,1,1\n",
            "column survival_1_0: expected survival_<time>",
        ),
        (
            "patient_id,time,event,survival_-1\na,1,1,1\n",
            "column survival_-1: the time must be finite and >= 0",
        ),
        (
            "patient_id,time,event,survival_inf\na,1,1,1\n",
            "column survival_inf: the time must be finite",
        ),
        (
            "patient_id,time,event,survival_1,survival_1.0\na,1,1,1,1\n",
            "columns survival_1 and survival_1.0 name one",
        ),
        (
            "patient_id,time,event,survival_1,survival_1.0000001\na,1,1,1,1\n",
            "name one time",
        ),
    ],
)
def test_a_wrong_table_is_refused_at_its_place(
    file: File,
    text: str,
    message: str,
) -> None:
    with pytest.raises(InputError, match=message) as told:
        read_external(file(text))
    assert "predictions.csv" in str(told.value)


@pytest.mark.parametrize(
    ("last", "told"),
    [("a,4,1,1,0", "time 4 and event 1"), ("a,3,0,1,0", "3 and event 0")],
)
def test_a_patient_has_one_outcome_in_all_repeats(
    file: File,
    last: str,
    told: str,
) -> None:
    table = f"patient_id,time,event,repeat,log_risk\na,3,1,0,0\nb,1,1,0,0\n{last}\n"
    with pytest.raises(
        InputError,
        match=rf"line 4: patient 'a' has .*{told}, in an earlier repeat 3 and 1 \(1 such",
    ):
        read_external(file(table))
    assert (
        len(
            read_external(file(table.replace(last, "a,3.0000001,1,1,0"))).folds(
                "",
                None,
            ),
        )
        == 2
    )


def test_what_is_no_table_is_refused(file: File, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_external(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: expected a file, got a folder"):
        read_external(tmp_path / "folder.csv")
    (tmp_path / "latin.csv").write_bytes((HEAD + "Müller,1,1,0\n").encode("latin-1"))
    with pytest.raises(InputError, match="expected UTF-8 text"):
        read_external(tmp_path / "latin.csv")
    with pytest.raises(InputError, match="expected a text table"):
        read_external(file("PAR1", "p.parquet"))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + "a,1,1,0.5\nb,2,0,-1\n",
        (HEAD + "a,1,1,0.5\nb,2,0,-1\n").replace("\n", "\r\n"),
        HEAD.replace(",", " , ") + " a , 1 , 1 , 0.5 \n b,2, 0,-1",
        HEAD + "a,1,True,0.5\nb,2,FALSE,-1\n",
        HEAD + "a,1.0,1.0,5e-1\n\nb,2,0.0,-1\n\n",
        "event,extra,log_risk,time,patient_id\n1,x,0.5,1,a\n0,,-1,2,b\n",
    ],
)
def test_harmless_ways_of_writing_are_one(file: File, text: str) -> None:
    (fold,) = read_external(file(text)).folds("", None)
    assert fold.patient_id.tolist() == ["a", "b"]
    assert fold.time.tolist() == [1.0, 2.0]
    assert fold.event.tolist() == [True, False]
    assert fold.risk.tolist() == [0.5, -1.0]
    assert fold.curves is None


def test_ids_are_words_and_other_columns_stay_out(file: File) -> None:
    foreign = read_external(
        file("patient_id,time,event,log_risk,age\n007,1,1,0,70\n7,2,0,1,x\n"),
    )
    assert foreign.table["patient_id"].tolist() == ["007", "7"]
    assert list(foreign.table) == [
        "model",
        "patient_id",
        "repeat",
        "fold",
        "time",
        "event",
        "log_risk",
    ]


def test_survival_columns_are_sorted_by_time_and_that_of_0_is_left_out(
    file: File,
) -> None:
    foreign = read_external(
        file(
            "patient_id,time,event,survival_10,survival_0,survival_2.50\na,1,1,.1,1,.9\n",
        ),
    )
    assert foreign.times == (2.5, 10.0)
    (fold,) = foreign.folds("", None)
    np.testing.assert_array_equal(fold.survival([2.5, 10.0]), [[0.9, 0.1]])


def test_rounding_is_mended_and_told(file: File) -> None:
    foreign = read_external(
        file(CURVES + "a,1,1,1.0000001,.5,.5000001\nb,2,0,.9,.8,-1e-9\n"),
    )
    (fold,) = foreign.folds("", None)
    np.testing.assert_array_equal(
        fold.survival([1, 2, 3]),
        [[1, 0.5, 0.5], [0.9, 0.8, 0]],
    )
    assert foreign.notes == ("3 survival values moved by rounding",)


def test_small_steps_up_do_not_add_up(file: File) -> None:
    table = pd.DataFrame({"patient_id": ["a"], "time": 1, "event": 1})
    for i in range(10):
        table[f"survival_{i + 1}"] = 0.5 + i * 9e-7
    with pytest.raises(InputError, match=r"survival_1 is 0.5 and survival_3 is"):
        read_external(file(table))


def test_a_column_may_be_blank_for_a_whole_fold(file: File) -> None:
    foreign = read_external(
        file(FOLDED + "a,1,1,0,.9,.5,\nb,2,0,0,.8,.4,NA\nc,1,1,1,.7,.6,.5\n"),
    )
    first, second = foreign.folds("", None)
    assert first.curves is not None
    assert first.curves.last == 2
    np.testing.assert_array_equal(first.survival([1, 2]), [[0.9, 0.5], [0.8, 0.4]])
    np.testing.assert_array_equal(second.survival([3]), [[0.5]])
    assert foreign.notes == ()


def test_models_repeats_and_folds_are_told_apart(file: File) -> None:
    rows = "".join(
        f"{model},{p},{r},{f},{1 + i},1,{i}\n"
        for model in ("x", "y")
        for r in (0, 1)
        for i, (p, f) in enumerate([("a", 0), ("b", 7)])
    )
    foreign = read_external(
        file("model,patient_id,repeat,fold,time,event,log_risk\n" + rows),
    )
    assert foreign.models == ["x", "y"]
    train = (np.array([1.0]), np.array([True]))
    folds = foreign.folds("y", train)
    assert [(f.repeat, f.fold, len(f)) for f in folds] == [
        (0, 0, 1),
        (0, 7, 1),
        (1, 0, 1),
        (1, 7, 1),
    ]
    assert all(f.train is train for f in folds)


# -- training patients


def test_training_patients_need_time_and_event_alone(file: File) -> None:
    time, event = read_outcome(file("event,time\n1,3\n0,4.5\n"))
    assert time.tolist() == [3.0, 4.5]
    assert event.tolist() == [True, False]
    with pytest.raises(
        InputError,
        match=r"expected column\(s\) event, the file has time",
    ):
        read_outcome(file("time\n1\n"))
    with pytest.raises(
        InputError,
        match="column time, line 2: expected a time above 0",
    ):
        read_outcome(file("time,event\n0,1\n"))


# -- horizons


def test_given_horizons_are_sorted_and_told_once(file: File) -> None:
    foreign = read_external(file(predicted(20)))
    assert choose_horizons(foreign, [30, 10, 30.0]) == ((10.0, 30.0), 30.0, [])
    for wrong in ([0.0], [-1.0], [float("nan")], [float("inf"), 2]):
        with pytest.raises(InputError, match=r"horizons must be finite and > 0"):
            choose_horizons(foreign, wrong)
    with pytest.raises(
        InputError,
        match=r"horizons must differ in their first 6 digits, got 3, 3.0000001",
    ):
        choose_horizons(foreign, [3, 3.0000001])


def test_without_columns_horizons_are_quartiles_of_follow_up(file: File) -> None:
    table = predicted(40)[["patient_id", "time", "event", "log_risk"]]
    horizons, tau, notes = choose_horizons(read_external(file(table)), None)
    assert horizons == tuple(
        sorted(
            {float(f"{q:.3g}") for q in np.quantile(table["time"], [0.25, 0.5, 0.75])},
        ),
    )
    assert tau == horizons[-1]
    assert notes == ["horizons: quartiles of follow-up, because none were given"]


def test_a_quartile_is_not_rounded_beyond_follow_up(file: File) -> None:
    assert choose_horizons(read_external(file(HEAD + "a,5.006,1,0\n")), None)[0] == (
        5.006,
    )


def test_columns_beyond_follow_up_are_no_horizons(file: File) -> None:
    horizons, tau, notes = choose_horizons(read_external(file(predicted())), None)
    assert horizons == (10.0, 20.0, 30.0)
    assert tau == 30.0
    assert notes[0].startswith("1 survival columns beyond ")


@pytest.mark.parametrize("columns", [5, 6, 7, 50])
def test_tau_is_the_last_horizon_however_many_columns(file: File, columns: int) -> None:
    table = pd.DataFrame({"patient_id": list("abcdefghij"), "time": 100, "event": 1})
    for t in range(1, columns + 1):
        table[f"survival_{t}"] = 1 - t / 100
    horizons, tau, notes = choose_horizons(read_external(file(table)), None)
    assert tau == horizons[-1]
    assert len(horizons) == (columns if columns <= 6 else 3)
    assert len(notes) == (columns > 6)


def test_the_unit_of_times_is_read_where_the_file_names_one(file: File) -> None:
    table = predicted(6)
    assert read_external(file(table)).unit == ""
    assert read_external(file(table.assign(unit="months"))).unit == "months"
    assert read_external(file(table.assign(unit="intensive care"))).unit == ""
    two = table.assign(unit=["months"] * 3 + ["days"] * 3)
    with pytest.raises(
        InputError, match=r"expected one unit of time, got days, months"
    ):
        read_external(file(two))
