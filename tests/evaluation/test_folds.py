from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predicted import COLUMNS, TIMES, crossed, fold_of, predicted
from survfuse._errors import InputError, NotComputableError
from survfuse.evaluation.folds import (
    Tabulated,
    folds_of,
    paired,
    patients_of,
    repeats_of,
    select,
)
from survfuse.survival.curves import SurvivalCurves

TABLE = Tabulated(np.array([10.0, 20.0]), np.array([[0.8, 0.6], [1.0, 0.0]]))
STEPS = SurvivalCurves([2.0, 5.0], [[0.9, 0.4], [0.5, 0.0]], 8.0)


# -- curves


def test_a_table_is_exact_at_its_times_and_linear_between() -> None:
    np.testing.assert_array_equal(TABLE.at([10, 20]), [[0.8, 0.6], [1.0, 0.0]])
    np.testing.assert_allclose(
        TABLE.at([5, 12.5]),
        [[0.9, 0.75], [1.0, 0.75]],
        rtol=1e-15,
    )
    np.testing.assert_array_equal(TABLE.at(0), [[1.0], [1.0]])


def test_a_table_knows_nothing_beyond_its_last_time() -> None:
    assert TABLE.last == 20
    assert np.isnan(TABLE.at([20.1])).all()
    assert not np.isnan(TABLE.at([20.0])).any()


def test_each_patients_own_time_is_read_from_the_same_curve() -> None:
    asked = np.array([3.0, 17.0])
    np.testing.assert_array_equal(TABLE.own(asked), np.diag(TABLE.at(asked)))
    np.testing.assert_array_equal(
        TABLE.own(np.array([25.0, 99.0])),
        [0.6, 0.0],
    )  # held at the last


def test_no_times_are_no_columns() -> None:
    assert TABLE.at([]).shape == (2, 0)


@pytest.mark.parametrize("curves", [TABLE, STEPS])
def test_curves_are_selected_with_repeats(curves: Tabulated | SurvivalCurves) -> None:
    rows = np.array([1, 1, 0])
    np.testing.assert_array_equal(
        curves.select(rows).at([4, 7]),
        curves.at([4, 7])[rows],
    )


def test_steps_are_the_curves_themselves() -> None:
    curves = STEPS
    for time in (0.5, 2.0, 4.9, 5.0, 8.0):
        np.testing.assert_array_equal(
            curves.own(np.full(2, time)),
            STEPS.at([time])[:, 0],
        )
        np.testing.assert_array_equal(curves.at([time]), STEPS.at([time]))
    np.testing.assert_array_equal(curves.own(np.array([9.0, 9.0])), [0.4, 0.0])
    assert curves.last == 8


def test_curves_without_a_step_are_1() -> None:
    flat = SurvivalCurves(np.empty(0), np.empty((2, 0)), 3.0)
    np.testing.assert_array_equal(flat.own(np.array([1.0, 9.0])), [1.0, 1.0])


# -- folds


def test_a_fold_says_what_it_lacks() -> None:
    bare = fold_of(predicted(5), log_risk=None, curves=None)
    with pytest.raises(NotComputableError, match="hold no log_risk"):
        bare.risk  # noqa: B018
    with pytest.raises(NotComputableError, match="hold no survival curves"):
        bare.survival([1.0])


def test_a_time_beyond_the_curves_is_told() -> None:
    fold = fold_of(predicted(5))
    assert fold.survival([60.0]).shape == (5, 1)
    with pytest.raises(NotComputableError, match="known up to 60 only, asked for 70"):
        fold.survival([10.0, 70.0])


def test_folds_of_a_table_take_the_others_of_the_repeat_for_training_patients() -> None:
    table = predicted(12).assign(repeat=[0] * 12, fold=[0, 1, 2] * 4)
    folds = folds_of(table)
    assert [(f.repeat, f.fold, len(f)) for f in folds] == [
        (0, 0, 4),
        (0, 1, 4),
        (0, 2, 4),
    ]
    for fold in folds:
        assert fold.train is not None
        np.testing.assert_array_equal(
            fold.train[0],
            table.loc[table["fold"] != fold.fold, "time"],
        )
        assert fold.curves is None
    assert folds_of(table.assign(fold=0))[0].train is None


def test_folds_of_a_table_take_given_curves_and_training_patients() -> None:
    table = predicted(2).assign(repeat=3, fold=1)
    train = (np.array([1.0, 2.0]), np.array([True, False]))
    (fold,) = folds_of(table, {(3, 1): STEPS}, {(3, 1): train})
    assert fold.train is train
    assert fold.label == "repeat 3 fold 1"
    np.testing.assert_array_equal(fold.survival([5.0])[:, 0], [0.4, 0.0])


def test_a_patient_counts_once_over_repeats() -> None:
    table = predicted(30)
    folds = crossed(table, repeats=3)
    assert patients_of(folds) == (30, int(table["event"].sum()))
    assert [len(part) for part in repeats_of(folds)] == [3, 3, 3]


def test_selected_patients_keep_their_predictions_and_empty_folds_go() -> None:
    folds = crossed(predicted(30), repeats=1)
    chosen = folds[1].patient_id[[2, 0]]
    (kept,) = select(folds, chosen)
    rows = np.array([0, 2])
    assert (kept.fold, kept.patient_id.tolist()) == (
        1,
        folds[1].patient_id[rows].tolist(),
    )
    np.testing.assert_array_equal(kept.risk, folds[1].risk[rows])
    np.testing.assert_array_equal(kept.survival(TIMES), folds[1].survival(TIMES)[rows])
    assert select(folds, ["nobody"]) == ()


# -- pairs


def test_pairs_stand_in_one_order() -> None:
    a = fold_of(predicted(20))
    b = fold_of(predicted(20, seed=1).sample(frac=1, random_state=3))
    ((first, second),) = paired([a], [b])
    assert first.patient_id.tolist() == second.patient_id.tolist()
    frame = predicted(20, seed=1).set_index("patient_id").loc[list(second.patient_id)]
    np.testing.assert_array_equal(second.risk, frame["log_risk"])
    np.testing.assert_array_equal(second.survival(TIMES), frame[COLUMNS])


def test_other_patients_or_folds_are_no_pair() -> None:
    folds = crossed(predicted(30), repeats=1)
    for other in (
        folds[:2],
        (*folds[:2], folds[2].select(np.arange(3))),
        (replace(folds[0], fold=9), *folds[1:]),
    ):
        for a, b in ((folds, other), (other, folds)):
            with pytest.raises(
                NotComputableError,
                match="not hold the same patients in the same folds",
            ):
                paired(a, b)


def test_a_missing_patient_is_named() -> None:
    fold = fold_of(predicted(6))
    fewer, moved = fold.select(np.arange(2, 6)), replace(fold, fold=9)
    with pytest.raises(
        NotComputableError,
        match=r"folds: 2 only in the first \(P000, P001\)$",
    ):
        paired([fold], [fewer])
    with pytest.raises(
        NotComputableError,
        match=r"folds: 2 only in the second \(P000, P001\)$",
    ):
        paired([fewer], [fold])
    with pytest.raises(NotComputableError, match=r"folds: the folds differ$"):
        paired([fold], [moved])


@pytest.mark.parametrize("change", ["time", "event"])
def test_other_outcomes_are_no_pair(change: str) -> None:
    fold = fold_of(predicted(6))
    values = getattr(fold, change).copy()
    values[4] = not values[4] if change == "event" else values[4] + 1
    with pytest.raises(NotComputableError, match=r"tell other outcomes of P004$"):
        paired([fold], [replace(fold, **{change: values})])


def test_outcomes_may_differ_by_a_files_rounding() -> None:
    fold = fold_of(predicted(6))
    rounded = replace(fold, time=(fold.time / 3).astype(np.float32).astype(float))
    assert len(paired([replace(fold, time=fold.time / 3)], [rounded])) == 1


def test_a_patient_twice_in_a_fold_cannot_be_paired() -> None:
    fold = fold_of(predicted(4)).select(np.array([0, 0, 1]))
    with pytest.raises(
        InputError,
        match="repeat 0 fold 0: a patient is predicted twice",
    ):
        paired([fold], [fold])
