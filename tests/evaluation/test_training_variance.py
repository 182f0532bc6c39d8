from __future__ import annotations

import numpy as np
import pytest

from cross_validated import plain_variance, table
from survfuse.evaluation import ranking
from survfuse.evaluation.folds import folds_of
from survfuse.evaluation.training_variance import chance_share
from survfuse.metrics import harrell_c


def test_one_repeat_leaves_the_share_unknown_and_is_widened_most() -> None:
    frame = table(repeats=1)
    assert chance_share(folds_of(frame)) == 1
    assert ranking.concordance(folds_of(frame), "harrell", None).se == pytest.approx(
        np.sqrt(2 * plain_variance(frame)),
    )


def test_the_same_risks_in_every_repeat_have_no_share_of_chance() -> None:
    frame = table(spread=0.0)
    frame["log_risk"] -= 10 * frame["fold"]
    exact = frame.assign(log_risk=frame.groupby(["repeat", "fold"])["log_risk"].rank())
    assert 0 <= chance_share(folds_of(exact)) < 1
    frame["fold"] = frame.groupby("patient_id")["fold"].transform(
        "first",
    )  # the same folds twice
    assert (
        chance_share(folds_of(frame)) == 1
    )  # nothing can be told from one way to split


def test_risks_that_change_with_every_training_set_are_all_chance() -> None:
    frame = table(patients=200)
    noise = np.random.default_rng(3).normal(size=len(frame))
    assert chance_share(folds_of(frame.assign(log_risk=noise))) == 1


def test_a_single_model_tested_once_is_not_widened() -> None:
    frame = table(repeats=1).assign(fold=0)
    alone = folds_of(
        frame,
        None,
        {(0, 0): (frame["time"].to_numpy(), frame["event"].to_numpy(bool))},
    )
    assert chance_share(alone) == 0
    found = ranking.concordance(alone, "harrell", None)
    expected = harrell_c(frame.time, frame.event, frame.log_risk)
    assert (found.value, found.se) == pytest.approx(
        (expected.value, expected.se),
        abs=1e-12,
    )
