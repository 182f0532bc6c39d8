from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cross_validated import by_fold, plain_variance, table
from survfuse._errors import NotComputableError
from survfuse.evaluation import ranking
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.folds import folds_of
from survfuse.evaluation.training_variance import chance_share
from survfuse.metrics import Estimate, harrell_c, uno_c

TAU = 30.0


def concordance(
    frame: pd.DataFrame,
    kind: str,
    tau: float | None,
    **how: object,
) -> Estimate:
    """Concordance of a table of predictions."""
    return ranking.concordance(folds_of(frame), kind, tau, **how)


def concordance_difference(
    a: pd.DataFrame,
    b: pd.DataFrame,
    tau: float | None,
) -> Estimate:
    """Difference of two tables of predictions."""
    return ranking.concordance_difference(folds_of(a), folds_of(b), tau)


def test_harrells_c_is_taken_within_folds_and_averaged() -> None:
    frame = table()
    expected = np.mean(
        [
            np.mean(
                [
                    harrell_c(part.time, part.event, part.log_risk).value
                    for part in parts
                ],
            )
            for parts in by_fold(frame)
        ],
    )
    found = concordance(frame, "harrell", None)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert (found.n, found.events) == (40, int(frame["event"][:40].sum()))
    assert found.note == ""


def test_unos_c_takes_its_weights_from_the_training_patients() -> None:
    frame = table(repeats=1)
    values = []
    for number in range(4):
        test, train = frame[frame["fold"] == number], frame[frame["fold"] != number]
        values.append(
            uno_c(
                test.time,
                test.event,
                test.log_risk,
                tau=TAU,
                train=(train.time, train.event),
            ).value,
        )
    assert concordance(frame, "uno", TAU).value == pytest.approx(
        np.mean(values),
        abs=1e-12,
    )


def test_the_interval_is_the_influence_variance_widened_by_what_training_changes() -> (
    None
):
    frame = table()
    found = concordance(frame, "harrell", None)
    se = float(np.sqrt(plain_variance(frame) * (1 + chance_share(folds_of(frame)))))
    assert found.se == pytest.approx(se, rel=1e-12)
    assert found.value is not None
    assert found.low == pytest.approx(max(0, found.value - 1.959964 * se), abs=1e-6)
    assert found.high == pytest.approx(min(1, found.value + 1.959964 * se), abs=1e-6)


def test_nadeau_and_bengio_widen_by_the_ratio_of_test_to_training_patients() -> None:
    frame = table()
    found = concordance(frame, "harrell", None, interval=Interval("nadeau_bengio"))
    assert found.se == pytest.approx(
        np.sqrt(plain_variance(frame) * (1 + 4 * 10 / 30)),
        rel=1e-12,
    )


@pytest.mark.slow
def test_the_bootstrap_agrees_with_the_influence_functions_where_models_are_fixed() -> (
    None
):
    frame = table(patients=150, repeats=1)
    found = concordance(frame, "harrell", None, interval=Interval("bootstrap", 400, 1))
    assert found.se == pytest.approx(np.sqrt(plain_variance(frame)), rel=0.15)
    assert found.value == concordance(frame, "harrell", None).value
    assert found.low is not None
    assert found.low < found.value < found.high  # type: ignore[operator]
    again = concordance(frame, "harrell", None, interval=Interval("bootstrap", 400, 1))
    assert again == found


def test_a_fold_may_move_its_zero_and_rows_their_order() -> None:
    frame = table()
    found = concordance(frame, "uno", TAU)
    moved = frame.assign(log_risk=frame["log_risk"] - 37 * frame["fold"]).sample(
        frac=1,
        random_state=1,
    )
    again = concordance(moved, "uno", TAU)
    assert again.value == pytest.approx(found.value, abs=1e-12)
    assert again.se == pytest.approx(found.se, abs=1e-12)


def test_concordance_turns_over_with_the_sign() -> None:
    frame = table()
    turned = concordance(frame.assign(log_risk=-frame["log_risk"]), "harrell", None)
    assert turned.value == pytest.approx(
        1 - concordance(frame, "harrell", None).value,
        abs=1e-12,
    )


def test_repeats_of_the_same_risks_are_not_more_patients() -> None:
    once = table(repeats=1)
    thrice = pd.concat([once.assign(repeat=r) for r in range(3)], ignore_index=True)
    one, three = (concordance(frame, "harrell", None) for frame in (once, thrice))
    assert (three.value, three.se, three.n, three.events) == pytest.approx(
        (one.value, one.se, one.n, one.events),
        abs=1e-12,
    )


@pytest.mark.slow
def test_the_interval_covers_what_it_says() -> None:
    """Risks that were trained on nobody: every repeat tells the same, and no widening is needed."""
    generator = np.random.default_rng(3)

    def draw(patients: int) -> pd.DataFrame:
        risk = generator.normal(size=patients)
        time = generator.exponential(np.exp(-risk))
        frame = pd.DataFrame(
            {"patient_id": np.arange(patients), "repeat": 0, "time": time, "event": 1},
        )
        return frame.assign(fold=np.arange(patients) % 5, log_risk=risk)

    big = draw(4000)
    truth = harrell_c(big.time, big.event, big.log_risk).value
    found = [concordance(draw(60), "harrell", None, chance=0.0) for _ in range(300)]
    covered = np.mean([one.low <= truth <= one.high for one in found])  # type: ignore[operator]
    assert 0.9 <= covered <= 0.98


def test_the_difference_is_paired_by_patient_whatever_the_row_order() -> None:
    a, b = table(seed=1, spread=0.5), table(seed=2, spread=2)
    found = concordance_difference(a, b, TAU)
    single = [concordance(one, "uno", TAU).value for one in (a, b)]
    assert found.value == pytest.approx(single[0] - single[1], abs=1e-12)  # type: ignore[operator]
    shuffled = concordance_difference(a, b.sample(frac=1, random_state=4), TAU)
    assert shuffled.value == pytest.approx(found.value, abs=1e-12)
    assert shuffled.se == pytest.approx(found.se, abs=1e-12)
    back = concordance_difference(b, a, TAU)
    assert back.value == pytest.approx(-found.value, abs=1e-12)  # type: ignore[operator]
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-12)  # type: ignore[operator]


def test_a_model_does_not_differ_from_itself() -> None:
    found = concordance_difference(table(), table(), TAU)
    assert (found.value, found.se, found.low, found.high) == (0, None, None, None)
    assert "the standard error is 0" in found.note


def test_pairing_makes_the_interval_of_like_models_narrow() -> None:
    a = table(seed=1)
    b = a.assign(
        log_risk=a["log_risk"] + 0.05 * np.random.default_rng(5).normal(size=len(a)),
    )
    alone = concordance(a, "uno", TAU)
    assert concordance_difference(a, b, TAU).se < alone.se / 2  # type: ignore[operator]


@pytest.mark.parametrize(
    "change",
    ["fewer", "other fold", "other patient", "fewer repeats"],
)
def test_other_patients_or_folds_cannot_be_compared(change: str) -> None:
    a, b = table(), table(seed=1)
    if change == "fewer":
        b = b[1:]
    elif change == "fewer repeats":
        b = b[b["repeat"] == 0]
    elif change == "other fold":
        b.loc[0, "fold"] = (b.loc[0, "fold"] + 1) % 4
    else:
        b.loc[0, "patient_id"] = "stranger"
    for first, second in ((a, b), (b, a)):
        with pytest.raises(
            NotComputableError,
            match=r"^the two sets of predictions do not hold the same patients in the same folds: ",
        ):
            concordance_difference(first, second, TAU)


def test_a_fold_that_gives_no_number_is_left_out_and_said() -> None:
    frame = table(repeats=1)
    frame.loc[frame["fold"] == 2, "event"] = 0
    found = concordance(frame, "harrell", None)
    rest = frame[frame["fold"] != 2]
    expected = np.mean(
        [
            harrell_c(part.time, part.event, part.log_risk).value
            for _, part in rest.groupby("fold")
        ],
    )
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.note.startswith("repeat 0 fold 2 left out: ")


def test_nothing_to_compute_is_said_and_is_no_number() -> None:
    found = concordance(table().assign(event=0), "uno", TAU)
    assert (found.value, found.se, found.low, found.high) == (None, None, None, None)
    assert found.note.startswith("repeat 0 fold 0 left out: ")
    assert (found.n, found.events) == (40, 0)


def test_the_training_patients_of_a_fold_are_the_others_of_its_repeat() -> None:
    frame = table()
    folds = folds_of(frame)
    assert [(fold.repeat, fold.fold) for fold in folds] == [
        (r, f) for r in range(2) for f in range(4)
    ]
    for fold in folds:
        others = frame[(frame["repeat"] == fold.repeat) & (frame["fold"] != fold.fold)]
        assert fold.train is not None
        np.testing.assert_array_equal(fold.train[0], others["time"])
        assert len(fold) + len(fold.train[0]) == 40
