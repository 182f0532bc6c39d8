from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import NotComputableError
from survfuse.evaluation.combine import concordance, concordance_difference, folds_of, summarise
from survfuse.metrics import concordance_influence, harrell_c, uno_c

TAU = 30.0


def table(
    patients: int = 40, repeats: int = 2, folds: int = 4, seed: int = 0, spread: float = 1.0
) -> pd.DataFrame:
    """Predictions whose folds each have their own zero."""
    generator = np.random.default_rng(seed)
    truth = np.random.default_rng(99).normal(size=patients)  # the same patients whatever the seed
    time = np.random.default_rng(98).exponential(20 * np.exp(-truth)).clip(0.1)
    event = np.random.default_rng(97).random(patients) < 0.7
    parts = []
    for repeat in range(repeats):
        fold = np.random.default_rng(repeat).permutation(patients) % folds
        part = pd.DataFrame({"patient_id": [f"P{i:02d}" for i in range(patients)], "repeat": repeat})
        part["fold"], part["time"], part["event"] = fold, time, event.astype(int)
        part["log_risk"] = truth + spread * generator.normal(size=patients) + 10 * fold
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def by_fold(frame: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """Plain tables of folds, by repeat."""
    return [[part for _, part in whole.groupby("fold")] for _, whole in frame.groupby("repeat")]


def test_harrells_c_is_taken_within_folds_and_averaged() -> None:
    frame = table()
    expected = np.mean(
        [
            np.mean([harrell_c(part.time, part.event, part.log_risk).value for part in parts])
            for parts in by_fold(frame)
        ]
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
            uno_c(test.time, test.event, test.log_risk, tau=TAU, train=(train.time, train.event)).value
        )
    assert concordance(frame, "uno", TAU).value == pytest.approx(np.mean(values), abs=1e-12)


def test_the_interval_is_the_influence_variance_widened_for_overlapping_training_sets() -> None:
    frame = table()
    variances = []
    for parts in by_fold(frame):
        of_folds = [
            np.sum(
                concordance_influence(
                    part.time.to_numpy(),
                    part.event.to_numpy(bool),
                    part.log_risk.to_numpy(),
                    kind="harrell",
                    tau=None,
                    train=None,
                )[1]
                ** 2
            )
            for part in parts
        ]
        variances.append(np.mean(of_folds))
    found = concordance(frame, "harrell", None)
    overlap = np.mean(
        [len(part) / (len(frame) / 2 - len(part)) for parts in by_fold(frame) for part in parts]
    )
    se = float(np.sqrt(np.mean(variances) * (1 / len(by_fold(frame)[0]) + overlap)))
    assert found.se == pytest.approx(se, rel=1e-12)
    assert found.value is not None
    assert found.low == pytest.approx(max(0, found.value - 1.959964 * se), abs=1e-6)
    assert found.high == pytest.approx(min(1, found.value + 1.959964 * se), abs=1e-6)


def test_a_fold_may_move_its_zero_and_rows_their_order() -> None:
    frame = table()
    found = concordance(frame, "uno", TAU)
    moved = frame.assign(log_risk=frame["log_risk"] - 37 * frame["fold"]).sample(frac=1, random_state=1)
    again = concordance(moved, "uno", TAU)
    assert again.value == pytest.approx(found.value, abs=1e-12)
    assert again.se == pytest.approx(found.se, abs=1e-12)


def test_concordance_turns_over_with_the_sign() -> None:
    frame = table()
    turned = concordance(frame.assign(log_risk=-frame["log_risk"]), "harrell", None)
    assert turned.value == pytest.approx(1 - concordance(frame, "harrell", None).value, abs=1e-12)


def test_repeats_of_the_same_risks_are_not_more_patients() -> None:
    once = table(repeats=1)
    thrice = pd.concat([once.assign(repeat=r) for r in range(3)], ignore_index=True)
    one, three = (concordance(frame, "harrell", None) for frame in (once, thrice))
    assert (three.value, three.se, three.n, three.events) == pytest.approx(
        (one.value, one.se, one.n, one.events), abs=1e-12
    )


def test_the_interval_covers_what_it_says() -> None:
    """Over simulated cohorts the 95 % interval holds the true concordance in 90 to 99 % of the draws."""
    generator = np.random.default_rng(3)

    def draw(patients: int) -> pd.DataFrame:
        risk = generator.normal(size=patients)
        time = generator.exponential(np.exp(-risk))
        frame = pd.DataFrame({"patient_id": np.arange(patients), "repeat": 0, "time": time, "event": 1})
        return frame.assign(fold=np.arange(patients) % 5, log_risk=risk)

    big = draw(4000)
    truth = harrell_c(big.time, big.event, big.log_risk).value
    found = [concordance(draw(60), "harrell", None) for _ in range(150)]
    covered = np.mean([one.low <= truth <= one.high for one in found])  # type: ignore[operator]
    # These risks were trained on nobody: no training sets overlap, and the widening is more than is needed.
    assert covered >= 0.95


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
    assert (found.value, found.se, found.low, found.high) == (0, 0, 0, 0)


def test_pairing_makes_the_interval_of_like_models_narrow() -> None:
    a = table(seed=1)
    b = a.assign(log_risk=a["log_risk"] + 0.05 * np.random.default_rng(5).normal(size=len(a)))
    alone = concordance(a, "uno", TAU)
    assert concordance_difference(a, b, TAU).se < alone.se / 2  # type: ignore[operator]


@pytest.mark.parametrize("change", ["fewer", "other fold", "other patient", "fewer repeats"])
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
            match=r"^the two sets of predictions do not hold the same patients in the same folds$",
        ):
            concordance_difference(first, second, TAU)


def test_a_fold_that_gives_no_number_is_left_out_and_said() -> None:
    frame = table(repeats=1)
    frame.loc[frame["fold"] == 2, "event"] = 0
    found = concordance(frame, "harrell", None)
    rest = frame[frame["fold"] != 2]
    expected = np.mean(
        [harrell_c(part.time, part.event, part.log_risk).value for _, part in rest.groupby("fold")]
    )
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.note.startswith("repeat 0 fold 2 left out: ")


def test_nothing_to_compute_is_said_and_is_no_number() -> None:
    found = concordance(table().assign(event=0), "uno", TAU)
    assert (found.value, found.se, found.low, found.high) == (None, None, None, None)
    assert found.note.startswith("not computable: repeat 0 fold 0 left out: ")
    assert (found.n, found.events) == (40, 0)


def test_the_training_patients_of_a_fold_are_the_others_of_its_repeat() -> None:
    frame = table()
    folds = folds_of(frame)
    assert sorted(folds) == [(repeat, fold) for repeat in range(2) for fold in range(4)]
    for (repeat, number), fold in folds.items():
        others = frame[(frame["repeat"] == repeat) & (frame["fold"] != number)]
        np.testing.assert_array_equal(fold.train_time, others["time"])
        assert len(fold.table) + len(fold.train_time) == 40


def test_every_model_is_compared_with_the_clinical_one() -> None:
    models = {"ours": table(seed=1), "clinical": table(seed=2), "other": table(seed=3)}
    found = summarise(models, TAU, "clinical")
    assert list(found) == ["ours", "clinical", "other"]
    assert list(found["ours"]) == ["uno_c", "harrell_c", "delta_uno_c_vs_clinical"]
    assert list(found["clinical"]) == ["uno_c", "harrell_c"]
    assert found["ours"]["delta_uno_c_vs_clinical"] == concordance_difference(
        models["ours"], models["clinical"], TAU
    )
    assert list(summarise(models, TAU, None)["ours"]) == ["uno_c", "harrell_c"]
