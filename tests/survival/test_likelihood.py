from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.likelihood import log_likelihood, log_likelihood_influence

GRID = np.array([2.0, 4.0, 10.0])
CURVE = [0.8, 0.5, 0.2]


def likelihood_of(time, event, curve=CURVE, times=GRID):
    return log_likelihood(time, event, np.tile(curve, (len(time), 1)), times)


@pytest.mark.parametrize(
    ("time", "event", "expected"),
    [
        (1.0, 1, 0.2 / 2),  # in (0, 2], where S falls from 1 to 0.8
        (2.0, 1, 0.2 / 2),  # the end of an interval belongs to it
        (3.0, 1, 0.3 / 2),
        (10.0, 1, 0.3 / 6),
        (1.0, 0, 0.9),
        (2.0, 0, 0.8),
        (3.5, 0, 0.575),
        (10.0, 0, 0.2),
        (11.0, 0, 0.2),  # beyond the curves: censored at their end
        (11.0, 1, 0.2),
    ],
)
def test_each_patient_by_hand(time, event, expected):
    ours = likelihood_of([time], [event])
    assert ours.value == pytest.approx(np.log(expected))
    assert ours.events == (event == 1 and time <= 10)
    assert ("1 patients followed beyond t = 10" in ours.note) == (time > 10)
    assert ours.se is None


def test_the_mean_and_its_error_are_those_of_the_patients():
    time, event = [1.0, 3.0, 3.5, 11.0], [1, 1, 0, 1]
    each = np.log([0.1, 0.15, 0.575, 0.2])
    ours = likelihood_of(time, event)
    assert ours.value == pytest.approx(each.mean())
    assert ours.se == pytest.approx(each.std() / 2)
    assert (ours.n, ours.events) == (4, 2)
    value, influence = log_likelihood_influence(
        time,
        event,
        np.tile(CURVE, (4, 1)),
        GRID,
    )
    assert value == ours.value
    assert influence == pytest.approx((each - each.mean()) / 4)


def test_on_a_fine_grid_it_is_that_of_the_exponential_distribution():
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(size=400)) / 10
    time, end = rng.exponential(1 / rate), rng.exponential(10, 400)
    event, time = time <= end, np.minimum(time, end)
    grid = np.linspace(0, time.max() * 1.001, 5001)[1:]
    ours = log_likelihood(time, event, np.exp(-np.outer(rate, grid)), grid)
    assert ours.value == pytest.approx(
        (event * np.log(rate) - rate * time).mean(),
        abs=1e-4,
    )
    assert ours.note == ""


def test_the_truth_is_best_on_average():
    rng = np.random.default_rng(1)
    rate = np.exp(rng.normal(size=5000)) / 10
    time, end = rng.exponential(1 / rate), rng.exponential(10, 5000)
    grid = np.linspace(0.5, 30, 60)
    values = [
        log_likelihood(
            np.minimum(time, end),
            time <= end,
            np.exp(-np.outer(factor * rate, grid)),
            grid,
        ).value
        for factor in (0.8, 1.0, 1.25)
    ]
    assert values[1] == max(values)


def test_row_order_never_matters_and_the_unit_of_time_moves_events_alone(monthly):
    time, event, risk = monthly
    grid = np.arange(1.0, 101)
    survival = np.exp(-np.outer(np.exp(risk), grid) / 20)
    rows = np.random.default_rng(3).permutation(len(time))
    one = log_likelihood(time, event, survival, grid)
    assert log_likelihood(
        time[rows],
        event[rows],
        survival[rows],
        grid,
    ).value == pytest.approx(one.value)
    years = log_likelihood(time / 12, event, survival, grid / 12)
    assert years.value == pytest.approx(one.value + np.log(12) * one.events / one.n)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (
            [0.8, 0.8, 0.2],
            "1 events probability 0: the log-likelihood is minus infinity",
        ),
        ([0.8, 0.5, 0.0], "1 patients no chance to live as long as they did"),
        ([0.5, 0.5, 0.0], "1 events probability 0 and 1 patients no chance"),
    ],
)
def test_what_the_curves_held_impossible_is_said(curve, why):
    time, event = [3.0, 10.0], [1, 0]
    ours = likelihood_of(time, event, curve)
    assert (ours.value, ours.se) == (None, None)
    assert why in ours.note
    with pytest.raises(NotComputableError, match="minus infinity"):
        log_likelihood_influence(time, event, np.tile(curve, (2, 1)), GRID)


def test_small_cohorts():
    assert likelihood_of([1.0, 3.5], [0, 0]).value == pytest.approx(
        np.log([0.9, 0.575]).mean(),
    )
    assert likelihood_of([3.0] * 4, [1] * 4).value == pytest.approx(np.log(0.15))
    nobody = log_likelihood([], [], np.empty((0, 3)), GRID)
    assert (nobody.value, nobody.note) == (None, "there are no patients")
    everyone_later = likelihood_of([20.0, 30.0], [1, 0])
    assert everyone_later.value == pytest.approx(np.log(0.2))
    assert everyone_later.events == 0
    assert "2 patients followed beyond" in everyone_later.note


@pytest.mark.parametrize(
    ("survival", "times", "message"),
    [
        ([[0.5, 0.6]], [1, 2], "never rise with time; in row 0 it is 0.6 at t = 2"),
        ([[0.5, 0.4]], [2, 1], "increase strictly"),
        ([[0.5, np.nan]], [1, 2], "time 1 holds nan"),
        ([[0.5]], [1, 2], r"expected \(1, 2\), got \(1, 1\)"),
    ],
)
def test_wrong_input_is_refused(survival, times, message):
    with pytest.raises(InputError, match=message):
        log_likelihood([1.0], [1], survival, times)
