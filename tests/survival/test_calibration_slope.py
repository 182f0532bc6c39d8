from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.survival.calibration_slope import (
    calibration_slope,
    observed_expected,
    observed_expected_at,
)
from survfuse.survival.cox import fit_cox
from survival.agreement_numbers import DATA, numbers


@pytest.fixture
def calibrated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time, event and a log-risk that is right, with hazard 0.1 exp(log-risk): 4,000 patients."""
    rng = np.random.default_rng(3)
    risk = 0.8 * rng.normal(size=4000)
    time = rng.exponential(size=4000) / (0.1 * np.exp(risk))
    censored = rng.uniform(3, 20, size=4000)
    return np.minimum(time, censored), time <= censored, risk


def test_observed_over_expected_is_that_of_r():
    d = DATA
    ours = observed_expected(d["time"], d["event"], d["hazard"])
    assert ours.value == pytest.approx(numbers("oe")[0], abs=1e-8)
    assert ours.se == pytest.approx(ours.value / np.sqrt(ours.events))
    assert np.sqrt(ours.low * ours.high) == pytest.approx(ours.value)
    assert ours.high / ours.value == pytest.approx(
        np.exp(1.959963984540054 / np.sqrt(d["event"].sum())),
    )


@pytest.mark.parametrize("horizon", [24, 60])
def test_observed_over_expected_at_a_horizon_is_that_of_r(horizon):
    d = DATA
    ours = observed_expected_at(d["time"], d["event"], d[f"s{horizon}"], horizon)
    assert ours.value == pytest.approx(numbers(f"oe_at {horizon}")[0], abs=1e-8)
    assert ours.events == ((d["time"] <= horizon) & (d["event"] == 1)).sum()
    # one prediction for everyone: what is left is Greenwood's error of Kaplan-Meier
    survival, greenwood = numbers(f"km {horizon}")
    flat = observed_expected_at(d["time"], d["event"], np.full(len(d), 0.5), horizon)
    assert flat.value == pytest.approx((1 - survival) / 0.5, abs=1e-8)
    assert flat.se == pytest.approx(greenwood / 0.5, abs=1e-8)


def test_the_error_at_a_horizon_is_the_derivative_by_patients(monthly):
    time, event, risk = monthly
    survival = 1 / (1 + np.exp(risk))
    whole = observed_expected_at(time, event, survival, 10)
    more = np.repeat(np.arange(len(time)), 400)
    moved = [
        np.log(
            observed_expected_at(time[rows], event[rows], survival[rows], 10).value
            / whole.value,
        )
        * 400
        for rows in (np.append(more, i) for i in range(len(time)))
    ]
    assert np.sqrt(np.sum(np.square(moved))) * whole.value == pytest.approx(
        whole.se,
        rel=1e-2,
    )


def test_slopes_are_those_of_r():
    d = DATA
    for label, stratum in (("slope", None), ("slope_strata", d["fold"])):
        ours = calibration_slope(d["time"], d["event"], d["risk"], stratum)
        assert [ours.value, ours.se] == pytest.approx(numbers(label), abs=1e-8)
        assert ours.high - ours.low == pytest.approx(2 * 1.959963984540054 * ours.se)


def test_the_slope_is_a_cox_coefficient_where_there_is_one_stratum(monthly):
    time, event, risk = monthly
    fit = fit_cox(risk, time, event)
    ours = calibration_slope(time, event, risk, np.full(len(time), "only"))
    assert (ours.value, ours.se) == pytest.approx((fit.coef[0], fit.se[0]), abs=1e-9)


def test_right_predictions_agree(calibrated):
    time, event, risk = calibrated
    slope = calibration_slope(time, event, risk, np.arange(4000) % 5)
    assert slope.low < 1 < slope.high
    assert slope.value == pytest.approx(1, abs=0.06)
    ratio = observed_expected(time, event, 0.1 * time * np.exp(risk))
    assert ratio.value == pytest.approx(1, abs=0.04)
    at = observed_expected_at(time, event, np.exp(-0.1 * 5 * np.exp(risk)), 5)
    assert at.value == pytest.approx(1, abs=0.04)


def test_units_of_time_and_of_risk_and_shifts_of_a_fold(monthly):
    time, event, risk = monthly
    fold = np.arange(len(time)) % 3
    slope = calibration_slope(time, event, risk, fold).value
    assert calibration_slope(time * 30.4, event, risk, fold).value == pytest.approx(
        slope,
    )
    assert calibration_slope(time, event, risk / 4, fold).value == pytest.approx(
        4 * slope,
    )
    assert calibration_slope(
        time,
        event,
        risk + 100 * fold,
        fold,
    ).value == pytest.approx(slope)
    rows = np.random.default_rng(1).permutation(len(time))
    assert calibration_slope(
        time[rows],
        event[rows],
        risk[rows],
        fold[rows],
    ).value == pytest.approx(slope)
    survival = 1 / (1 + np.exp(risk))
    at = observed_expected_at(time, event, survival, 10)
    scaled = observed_expected_at(time[rows] * 2, event[rows], survival[rows], 20)
    assert (scaled.value, scaled.se) == pytest.approx((at.value, at.se))


def test_without_an_event_the_ratio_has_an_upper_limit_only():
    ours = observed_expected([3, 4, 5], [0, 0, 0], [0.5, 0.25, 0.25])
    assert (ours.value, ours.se, ours.low) == (0.0, None, 0.0)
    assert ours.high == pytest.approx(-np.log(0.025))
    assert "Poisson" in ours.note
    at = observed_expected_at([3, 4, 5], [0, 0, 1], [0.5, 0.5, 0.5], 4)
    assert (at.value, at.se, at.events) == (0.0, None, 0)
    assert at.high == pytest.approx((1 - np.sqrt(0.025)) / 0.5)
    assert "2 patients followed" in at.note


def test_what_cannot_be_computed_says_why():
    cases = [
        (observed_expected([1, 2], [1, 0], [0, 0]), "every cumulative hazard is 0"),
        (observed_expected_at([1, 2], [1, 0], [0.5, 0.5], 3), "follow-up ends at 2"),
        (
            observed_expected_at([1, 2], [1, 0], [1, 1], 1),
            "every predicted survival is 1",
        ),
        (observed_expected_at([], [], [], 1), "no patients"),
        (calibration_slope([1, 2, 3], [0, 0, 0], [1, 2, 3]), "no event"),
        (calibration_slope([1, 2, 3], [1, 1, 0], [5, 5, 5]), "do not differ"),
        (
            calibration_slope([1, 2, 3], [1, 1, 0], [3, 2, 1]),
            "order every event rightly",
        ),
        (calibration_slope([1, 2, 3], [1, 1, 0], [1, 2, 3]), "the wrong way round"),
        (calibration_slope([1], [1], [1.0]), "do not differ"),
        (calibration_slope([1, 1, 2, 2], [0, 0, 1, 0], [1, 2, 1, 1]), "one log-risk"),
        (
            calibration_slope([1, 2, 3, 4], [1, 1, 1, 1], [1, 1, 2, 2], [0, 0, 1, 1]),
            "do not differ",
        ),
    ]
    for estimate, why in cases:
        assert estimate.value is None
        assert why in estimate.note
        assert estimate.assumptions


def test_one_event_gives_a_slope_and_a_ratio():
    slope = calibration_slope([1, 2, 3, 4], [0, 1, 0, 0], [0.0, 1.0, 2.0, 0.5])
    assert slope.value is not None
    assert slope.events == 1
    ratio = observed_expected([2], [1], [0.5])
    assert ratio.value == 2
    assert ratio.low == pytest.approx(2 * np.exp(-1.959963984540054))


def test_everyone_had_the_event():
    at = observed_expected_at([1, 2, 3], [1, 1, 1], [0.5, 0.5, 0.5], 5)
    assert at.value == pytest.approx(2)
    assert at.se is None
    assert "fallen to 0" in at.note
    # of unlike predictions: their spread alone is no uncertainty of what happened
    unlike = observed_expected_at([1, 2, 3], [1, 0, 1], [0.5, 0.25, 0.75], 3)
    assert (unlike.value, unlike.se, unlike.low) == (pytest.approx(2), None, None)


def test_malformed_input_is_refused():
    with pytest.raises(InputError, match="row 1 holds -1"):
        observed_expected([1, 2], [1, 0], [0.1, -1])
    with pytest.raises(InputError, match="survival of 0 has no finite hazard"):
        observed_expected([1, 2], [1, 0], [0.1, np.inf])
    with pytest.raises(InputError, match="expected 2, got 1"):
        observed_expected([1, 2], [1, 0], [0.1])
    with pytest.raises(InputError, match=r"within \[0, 1\]; row 1 holds 1.5"):
        observed_expected_at([1, 2], [1, 0], [0.1, 1.5], 1)
    with pytest.raises(InputError, match="horizon"):
        observed_expected_at([1, 2], [1, 0], [0.1, 0.5], 0)
    with pytest.raises(InputError, match="stratum must have one label"):
        calibration_slope([1, 2], [1, 0], [0.1, 0.5], [1])
    with pytest.raises(InputError, match="log_risk must be finite"):
        calibration_slope([1, 2], [1, 0], [0.1, np.nan])


@pytest.mark.slow
@pytest.mark.parametrize("patients", [30, 300])
def test_intervals_cover(patients):
    rng = np.random.default_rng(11)
    runs, ratio, slope, at = 800, 0, 0, 0
    for _ in range(runs):
        risk = 0.7 * rng.normal(size=patients)
        survived = rng.exponential(size=patients) / np.exp(risk)
        censored = rng.uniform(0.2, 1.5, size=patients)
        time, event = np.minimum(survived, censored), survived <= censored
        found = observed_expected(time, event, time * np.exp(risk))
        ratio += found.low <= 1 <= found.high
        found = calibration_slope(time, event, risk, np.arange(patients) % 3)
        slope += found.low <= 1 <= found.high
        found = observed_expected_at(time, event, np.exp(-0.5 * np.exp(risk)), 0.5)
        at += found.low <= 1 <= found.high if found.value else 0
    assert 0.93 < ratio / runs < 0.97
    assert 0.925 < slope / runs < 0.975
    assert 0.92 < at / runs < 0.975
