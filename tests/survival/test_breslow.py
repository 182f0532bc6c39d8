from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.curves import breslow


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_the_baseline_hazard_is_that_of_r(reference, ties):
    train = reference.train
    hazard = breslow(train["time"], train["event"], train["risk"], ties=ties)
    expected = reference.numbers(f"basehaz {ties} beta=1 at t=2,5,8:")
    assert hazard([2, 5, 8]) == pytest.approx(expected, abs=1e-8)


def test_efron_by_hand():
    # at 2 three events of risks 1, 2, 3, with 4 more at risk: 1/10 + 1/(10 - 2) + 1/(10 - 4)
    hazard = breslow(
        [2, 2, 2, 5],
        [1, 1, 1, 0],
        np.log([1.0, 2.0, 3.0, 4.0]),
        ties="efron",
    )
    assert hazard([1, 2, 5]) == pytest.approx(
        [0, 1 / 10 + 1 / 8 + 1 / 6, 1 / 10 + 1 / 8 + 1 / 6],
    )


def test_without_ties_both_are_one(monthly):
    time, event, risk = monthly
    apart = time + np.arange(len(time)) / 1000
    assert breslow(apart, event, risk, "efron").y == pytest.approx(
        breslow(apart, event, risk).y,
    )


def test_efron_lies_above_breslow_where_events_share_a_time(monthly):
    time, event, risk = monthly
    assert (
        breslow(time, event, risk, "efron").y[-1]
        > breslow(time, event, risk, "breslow").y[-1] + 0.01
    )


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_a_shift_of_the_risks_scales_the_hazard(monthly, ties):
    time, event, risk = monthly
    plain = breslow(time, event, risk, ties).y
    for shift in (-300, 300):
        shifted = breslow(time, event, risk + shift, ties).y
        assert np.log(shifted[plain > 0]) == pytest.approx(
            np.log(plain[plain > 0]) - shift,
        )
    with pytest.raises(NotComputableError, match="centre them"):
        breslow(time, event, risk + 2000, ties)


def test_nobody_had_the_event():
    assert breslow([1, 2], [0, 0], [0.0, 1.0], "efron").y.tolist() == [0, 0]


def test_unknown_ties_are_refused():
    with pytest.raises(InputError, match="unknown ties 'exact'; known: efron, breslow"):
        breslow([1], [1], [0.0], "exact")
