from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival._resampled import resampled_cox, resampled_risk
from survfuse.survival._smooth import SmoothCurve, counts, draws
from survfuse.survival.cox import fit_cox
from survfuse.survival.curves import kaplan_meier
from survfuse.survival.right_censored import Outcome
from survfuse.survival.smooth_calibration import (
    calibration_curve,
    calibration_errors,
    e50,
    e90,
    ici,
)
from survival.agreement_numbers import DATA, numbers

METRICS = [ici, e50, e90]
TIME, EVENT = DATA["time"].to_numpy(), DATA["event"].to_numpy()
BOTH = DATA[["s24", "s60"]].to_numpy()


def simulated(patients, slope=1.0, seed=5):
    """Time, event and predicted survival at 5, which is right when `slope` is 1."""
    rng = np.random.default_rng(seed)
    risk = 0.8 * rng.normal(size=patients)
    survived = rng.exponential(size=patients) / (0.15 * np.exp(risk))
    censored = rng.uniform(2, 12, size=patients)
    survival = np.exp(-0.15 * 5 * np.exp(slope * risk))
    return np.minimum(survived, censored), survived <= censored, survival


@pytest.mark.parametrize("knots", [3, 4, 5])
@pytest.mark.parametrize("metric", METRICS)
def test_values_are_those_of_r(metric, knots):
    found = metric(TIME, EVENT, BOTH, [24, 60], knots=knots)
    at = METRICS.index(metric)
    for horizon, estimate in zip([24, 60], found, strict=True):
        assert estimate.value == pytest.approx(
            numbers(f"smooth {horizon} k{knots}")[at],
            abs=1e-8,
        )
        assert estimate.events == (EVENT[horizon >= TIME]).sum()
        assert f"{knots} knots" in estimate.note


def test_the_curve_is_that_of_r_at_each_patient():
    for horizon in (24, 60):
        risk = 1 - DATA[f"s{horizon}"].to_numpy()
        curve = SmoothCurve.of(Outcome.of(TIME, EVENT), risk, horizon, 4)
        assert curve(risk)[:3] == pytest.approx(
            numbers(f"smooth {horizon} k4")[3:],
            abs=1e-8,
        )


@pytest.mark.parametrize("knots", [3, 4, 5])
def test_the_shared_data_are_those_of_r(shared, knots):
    d = pd.read_csv(shared / "reference" / "dca.csv")
    found = [
        metric(d["time"], d["event"], 1 - d[["p"]], [5], knots)[0].value
        for metric in METRICS
    ]
    assert found == pytest.approx(numbers(f"dca k{knots}")[:3], abs=1e-8)


def test_few_patients_are_those_of_r():
    found = [
        metric(TIME[:80], EVENT[:80], BOTH[:80, :1], [24])[0].value
        for metric in METRICS
    ]
    assert found == pytest.approx(numbers("smooth_few 24 k3")[:3], abs=1e-8)


def test_a_straight_line_is_that_of_r():
    two = np.where(DATA["s24"] > 0.8, 0.85, 0.65)
    found = [metric(TIME, EVENT, two[:, None], [24])[0] for metric in METRICS]
    assert [estimate.value for estimate in found] == pytest.approx(
        numbers("two 24")[:3],
        abs=1e-8,
    )
    assert "too few distinct values for 3 knots: a straight line" in found[0].note


def test_one_call_gives_all_three():
    time, event, survival = simulated(150, slope=1.5)
    both, horizons = np.stack([survival, survival**1.2], axis=1), [5, 6]
    ours = calibration_errors(
        time,
        event,
        both,
        horizons,
        knots=4,
        bootstrap=30,
        seed=2,
    )
    assert list(ours) == [metric.__name__ for metric in METRICS]
    for metric in METRICS:
        assert ours[metric.__name__] == metric(
            time,
            event,
            both,
            horizons,
            knots=4,
            bootstrap=30,
            seed=2,
        )
    assert ours["e50"][0].value < ours["e90"][0].value
    assert ours["e50"][0].high < ours["e90"][0].high


def test_right_predictions_score_near_0_and_wrong_ones_do_not():
    time, event, survival = simulated(8000)
    for metric, most in zip(METRICS, (0.015, 0.015, 0.03), strict=True):
        right = metric(time, event, survival[:, None], [5])[0].value
        wrong = metric(time, event, np.sqrt(survival)[:, None], [5])[0].value
        assert right < most < 5 * most < wrong


def test_the_truth_of_wrong_predictions():
    time, event, survival = simulated(8000, slope=2.0)
    right = simulated(8000)[2]
    assert ici(time, event, survival[:, None], [5])[0].value == pytest.approx(
        np.abs(survival - right).mean(),
        abs=0.012,
    )


def test_units_of_time_and_row_order():
    time, event, survival = simulated(200)
    rows = np.random.default_rng(1).permutation(200)
    for metric in METRICS:
        value = metric(time, event, survival[:, None], [5])[0].value
        moved = metric(time[rows] * 12, event[rows], survival[rows, None], [60])[
            0
        ].value
        assert moved == pytest.approx(value, abs=1e-10)


def test_one_prediction_for_everyone_is_judged_by_kaplan_meier():
    time, event, _ = simulated(200)
    survival = np.full((200, 1), 0.7)
    observed = 1 - float(kaplan_meier(time, event)(5))
    for metric in METRICS:
        (found,) = metric(time, event, survival, [5], bootstrap=100)
        assert found.value == pytest.approx(abs(observed - 0.3))
        assert "Kaplan-Meier" in found.note
        assert found.low < found.value < found.high
    curve = calibration_curve(time, event, survival[:, 0], 5)
    assert curve.predicted == pytest.approx([0.3])
    assert curve.observed == pytest.approx([observed])
    assert curve.low[0] < observed < curve.high[0]


def test_predictions_of_0_and_1_survive():
    time, event, survival = simulated(200)
    survival[:3], survival[3:5] = 1.0, 0.0
    (found,) = ici(time, event, survival[:, None], [5], bootstrap=20)
    assert 0 < found.value < 0.5
    assert "5 predicted risks within 1e-06 of 0 or 1" in found.note
    with np.errstate(all="raise"):
        (extreme,) = ici(time, event, np.r_[np.zeros(100), np.ones(100)][:, None], [5])
    assert "straight line" in extreme.note


def test_what_cannot_be_computed_says_why():
    time, event, survival = simulated(40)
    column = survival[:, None]
    cases = [
        (ici(time, np.zeros(40), column, [1]), "no event up to 1"),
        (ici(time, event, column, [50]), "follow-up ends at"),
        (ici([], [], np.zeros((0, 1)), [5]), "no patients"),
        (
            e50([1.0, 2.0, 3.0], [1, 1, 0], [[0.1], [0.4], [0.8]], [2]),
            "order every event",
        ),
        (
            ici(np.arange(1.0, 4), [0, 1, 1], [[0.2], [0.5], [0.5]], [3]),
            "those at risk together had one",
        ),
        (e90([4.0], [0], [[0.5]], [2]), "no event up to 2"),
    ]
    for (estimate,), why in cases:
        assert estimate.value is None
        assert why in estimate.note
    with pytest.raises(NotComputableError, match="no event up to 1"):
        calibration_curve(time, np.zeros(40), survival, 1)


def test_one_patient_and_one_event():
    (one,) = ici([2.0], [1], [[0.75]], [2])
    assert one.value == pytest.approx(0.75)  # observed risk 1, predicted 0.25
    time = np.arange(1.0, 31.0)
    survival = np.random.default_rng(1).uniform(0.2, 0.9, size=(30, 1))
    (found,) = ici(time, time == 7, survival, [10], bootstrap=50)
    assert found.value is not None
    assert "resamples without a finite curve left out" in found.note


def test_without_a_bootstrap_there_is_no_interval():
    time, event, survival = simulated(100)
    (found,) = ici(time, event, survival[:, None], [5])
    assert (found.se, found.low, found.high) == (None, None, None)


def test_the_interval_follows_the_seed_and_holds_the_value():
    time, event, survival = simulated(150, slope=1.5)
    a, b, c = (
        ici(time, event, survival[:, None], [5], bootstrap=100, seed=s)[0]
        for s in (1, 1, 2)
    )
    assert a == b
    assert a.se != c.se
    assert 0 <= a.low < a.value < a.high <= 1
    assert "biased upward" in a.note


def test_equal_weights_give_the_fit_itself(monthly):
    time, event, risk = monthly
    x = np.column_stack([risk, risk**2])
    fit = fit_cox(x, time, event)
    ours = resampled_cox(
        Outcome.of(time, event),
        x,
        np.ones((2, len(time))),
        np.zeros(2),
        10,
    )
    assert ours.converged.all()
    assert ours.coef == pytest.approx(np.tile(fit.coef, (2, 1)), abs=1e-9)


def test_doubling_every_patient_changes_nothing(monthly):
    time, event, risk = monthly
    once, twice = (
        resampled_cox(
            Outcome.of(time, event),
            risk[:, None],
            w * np.ones((1, len(time))),
            np.zeros(1),
            10,
        )
        for w in (1, 2)
    )
    assert twice.coef == pytest.approx(once.coef)
    assert twice.hazard == pytest.approx(once.hazard)


def test_a_resample_without_shared_times_is_the_fit_of_its_patients():
    time, event, survival = simulated(120)
    keep = np.random.default_rng(2).random(120) < 0.7
    x = np.log(-np.log(survival))[:, None]
    ours = resampled_cox(
        Outcome.of(time, event),
        x,
        keep[None].astype(float),
        np.zeros(1),
        5,
    )
    assert ours.coef[0] == pytest.approx(
        fit_cox(x[keep], time[keep], event[keep]).coef,
        abs=1e-9,
    )


def test_many_patients_are_resampled_in_parts():
    parts = list(draws(50_000, 5, 1))
    assert [len(part) for part in parts] == [2, 2, 1]
    time, event, survival = simulated(30_000)
    (found,) = ici(time, event, survival[:, None], [5], bootstrap=20)
    assert "from 20 resamples" in found.note


def test_resampled_kaplan_meier_is_that_of_the_drawn_patients(monthly):
    time, event, _ = monthly
    (drawn,) = draws(len(time), 20, 3)
    ours = resampled_risk(Outcome.of(time, event), counts(drawn), 10)
    theirs = [1 - float(kaplan_meier(time[rows], event[rows])(10)) for rows in drawn]
    assert ours == pytest.approx(theirs)


def test_a_calibration_curve_for_a_figure():
    time, event, survival = simulated(400, slope=1.6)
    curve = calibration_curve(time, event, survival, 5, points=50)
    risk = 1 - survival
    assert curve.predicted[[0, -1]] == pytest.approx(np.quantile(risk, [0.01, 0.99]))
    assert (
        len(curve.predicted)
        == len(curve.observed)
        == len(curve.low)
        == len(curve.high)
        == 50
    )
    assert (curve.low < curve.observed).all()
    assert (curve.observed < curve.high).all()
    assert curve.observed[0] > curve.predicted[0]
    assert curve.observed[-1] < curve.predicted[-1]
    assert "3 knots" in curve.caption
    assert "200 resamples" in curve.caption
    plain = calibration_curve(time, event, survival, 5, bootstrap=0)
    assert plain.low is None
    assert len(plain.predicted) == 100


def test_the_band_is_as_wide_as_greenwoods_where_predictions_say_nothing():
    time, event, _ = simulated(400)
    band = calibration_curve(time, event, np.full(400, 0.6), 5, bootstrap=2000)
    km = kaplan_meier(time, event)
    at_risk = np.array([(time >= t).sum() for t in km.x])
    had = np.array([((time == t) & event).sum() for t in km.x])
    greenwood = np.sqrt(
        (had / (at_risk * (at_risk - had + (had == at_risk))))[km.x <= 5].sum(),
    ) * km(5)
    assert band.high[0] - band.low[0] == pytest.approx(2 * 1.96 * greenwood, rel=0.1)


def test_malformed_input_is_refused():
    time, event, survival = simulated(10)
    with pytest.raises(InputError, match=r"expected \(10, 2\), got \(10, 1\)"):
        ici(time, event, survival[:, None], [1, 2])
    with pytest.raises(InputError, match="3, 4 or 5 knots"):
        ici(time, event, survival[:, None], [1], knots=2)
    with pytest.raises(InputError, match=r"within \[0, 1\]"):
        ici(time, event, survival[:, None] + 1, [1])
    with pytest.raises(InputError, match="times must be finite numbers > 0"):
        ici(time, event, survival[:, None], [-1])
    with pytest.raises(InputError, match="must be numbers"):
        ici(time, event, [["high"]] * 10, [1])
    with pytest.raises(
        InputError,
        match="bootstrap must be a whole number >= 0, got -1",
    ):
        ici(time, event, survival[:, None], [time[event].min()], bootstrap=-1)
    with pytest.raises(InputError, match="points must be a whole number >= 1, got 0"):
        calibration_curve(time, event, survival, 5, points=0)


@pytest.mark.slow
@pytest.mark.parametrize("slope", [1.0, 1.4])
def test_intervals_cover(slope):
    grid = np.log(-np.log(simulated(200_000)[2])) - np.log(0.75)
    truth = np.abs(
        np.exp(-0.75 * np.exp(grid)) - np.exp(-0.75 * np.exp(slope * grid)),
    ).mean()
    held = []
    for seed in range(200):
        time, event, survival = simulated(150, slope, seed)
        (found,) = ici(time, event, survival[:, None], [5], bootstrap=100, seed=seed)
        held.append(found.low - 1e-12 <= truth <= found.high)
    assert np.mean(held) > 0.92
