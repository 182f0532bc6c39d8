from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.survival.rmst import rmst, rmst_difference
from survival.agreement_numbers import DATA, numbers

TIME, EVENT = DATA["time"].to_numpy(), DATA["event"].to_numpy()


def test_the_mean_of_the_shared_data_is_that_of_r(reference):
    time, event, _ = reference.arrays
    assert rmst(time, event, 8).value == pytest.approx(
        reference.numbers("KM median")[-1],
        abs=1e-8,
    )


@pytest.mark.parametrize("horizon", [24, 60])
def test_value_and_error_are_those_of_r(horizon):
    ours = rmst(TIME, EVENT, horizon)
    assert [ours.value, ours.se] == pytest.approx(numbers(f"rmst {horizon}"), abs=1e-8)
    assert ours.events == EVENT[horizon >= TIME].sum()
    assert ours.high - ours.low == pytest.approx(2 * 1.959963984540054 * ours.se)


def test_the_difference_is_that_of_r():
    group = np.where(DATA["fold"] >= 2, "B late", "A early")
    ours = rmst_difference(TIME, EVENT, group, 60)
    assert [ours.value, ours.se] == pytest.approx(numbers("rmst_difference"), abs=1e-8)
    assert ours.note == "B late minus A early"
    turned = rmst_difference(TIME, EVENT, DATA["fold"] < 2, 60)
    assert turned.value == pytest.approx(-ours.value)


def test_by_hand():
    # S is 1 to 2, 2/3 to 4, then 1/3: 2 + 4/3 + 1/3 up to 5
    ours = rmst([2, 4, 6], [1, 1, 0], 5)
    assert ours.value == pytest.approx(2 + 4 / 3 + 1 / 3)
    assert ours.se == pytest.approx(
        np.sqrt((5 / 3) ** 2 / (3 * 2) + (1 / 3) ** 2 / (2 * 1)),
    )


def test_units_and_row_order(monthly):
    time, event, _ = monthly
    rows = np.random.default_rng(1).permutation(len(time))
    ours, days = rmst(time, event, 12), rmst(time[rows] * 30, event[rows], 360)
    assert (days.value, days.se) == pytest.approx((30 * ours.value, 30 * ours.se))


def test_the_truth_lies_as_far_away_as_the_error_says():
    away = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        time, censored = rng.exponential(size=300), rng.uniform(1, 3, size=300)
        ours = rmst(np.minimum(time, censored), time <= censored, 1.5)
        away.append((ours.value - (1 - np.exp(-1.5))) / ours.se)
    assert abs(np.mean(away)) < 0.25
    assert 0.85 < np.std(away) < 1.15


def test_edges():
    beyond = rmst([1, 2], [1, 0], 3)
    assert beyond.value is None
    assert "follow-up ends at 2, before the horizon 3" in beyond.note
    everyone = rmst([1, 2], [1, 1], 3)  # the curve has reached 0: nothing lies beyond
    assert everyone.value == pytest.approx(1.5)
    censored = rmst([4, 5], [0, 0], 4)
    assert (censored.value, censored.se) == (4.0, None)
    assert "no uncertainty" in censored.note
    one = rmst([2], [1], 2)
    assert (one.value, one.se, one.events) == (2.0, None, 1)
    assert rmst([], [], 2).value is None
    short = rmst_difference([1, 2, 5], [1, 0, 0], ["a", "a", "b"], 4)
    assert short.value is None
    assert "group a: follow-up ends at 2" in short.note


def test_malformed_input_is_refused():
    with pytest.raises(InputError, match="horizon must be a finite number > 0"):
        rmst([1, 2], [1, 0], np.nan)
    with pytest.raises(InputError, match="needs two groups, got 3"):
        rmst_difference([1, 2, 3], [1, 0, 1], [0, 1, 2], 1)
    with pytest.raises(InputError, match="one label per patient"):
        rmst_difference([1, 2, 3], [1, 0, 1], [0, 1], 1)
