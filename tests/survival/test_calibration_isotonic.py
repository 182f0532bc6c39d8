"""The monotone map, and slope and baseline on a cohort of their own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.isotonic import isotonic_regression

from survfuse._errors import BundleError
from survfuse.survival.calibration import (
    IsotonicCalibrator,
    calibrator_from_dict,
    fit_calibrator,
)
from survfuse.survival.cox import fit_cox, partial_log_likelihood
from survfuse.survival.curves import breslow
from survfuse.survival.isotonic import (
    event_bins,
    fit_multipliers,
    pool_adjacent_violators,
)
from survfuse.survival.right_censored import Outcome


def isotonic(time, event, risk) -> IsotonicCalibrator:
    fitted = fit_calibrator(
        "isotonic_oof",
        time,
        event,
        risk,
        out_of_fold=risk,
        fold=np.zeros(len(risk), dtype=int),
    )
    assert isinstance(fitted, IsotonicCalibrator)
    return fitted


def simulated(seed, n, hazard, censoring=0.6):
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    time = rng.exponential(1 / hazard(risk)) + 1e-9
    censored = rng.exponential(1 / censoring, n)
    return np.minimum(time, censored), time <= censored, risk


@pytest.mark.parametrize("seed", range(20))
def test_pooling_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    observed, expected = rng.poisson(6, 25).astype(float) + 1, rng.uniform(1, 9, 25)
    block = pool_adjacent_violators(observed, expected)
    pooled = np.bincount(block, weights=observed) / np.bincount(block, weights=expected)
    oracle = isotonic_regression(observed / expected, sample_weight=expected)
    np.testing.assert_allclose(pooled[block], oracle)
    assert (np.diff(pooled) > 0).all()


@pytest.mark.parametrize("n", [40, 150, 600])
def test_every_bin_holds_five_events_and_equal_risks_stay_together(n):
    time, event, risk = simulated(n, n, np.exp)
    risk = np.round(risk, 1)
    bins = event_bins(Outcome.of(time, event), risk)
    assert np.bincount(bins, weights=event).min() >= 5
    assert (np.diff(bins[np.argsort(risk, kind="stable")]) >= 0).all()
    for value in np.unique(risk):
        assert len(set(bins[risk == value])) == 1


@pytest.mark.parametrize("seed", range(3))
def test_multipliers_are_those_of_a_cox_model_of_the_blocks(seed):
    """Given the blocks, taking turns ends where the partial likelihood (Breslow's ties) is greatest."""
    time, event, risk = simulated(seed, 300, np.exp)
    fitted = isotonic(time, event, risk)
    outcome = Outcome.of(time, event)
    centred = risk - risk.mean()
    block, _, settled = fit_multipliers(outcome, centred)
    assert settled
    np.testing.assert_allclose(
        np.bincount(block, weights=centred) / np.bincount(block),
        fitted.knots,
    )
    dummies = (block[:, None] == np.arange(1, len(fitted.knots))).astype(float)
    cox = fit_cox(dummies, time, event, ties="breslow")
    np.testing.assert_allclose(
        fitted.log_multiplier[1:] - fitted.log_multiplier[0],
        cox.coef,
        atol=1e-5,
    )


def test_no_other_monotone_map_is_more_likely():
    time, event, risk = simulated(4, 80, np.exp)
    bins = event_bins(Outcome.of(time, event), risk)

    def loss(steps):
        level = np.concatenate([[0.0], np.cumsum(steps**2)])
        return -partial_log_likelihood(time, event, level[bins], ties="breslow")

    best = minimize(
        loss,
        np.full(bins.max(), 0.5),
        method="BFGS",
        options={"gtol": 1e-6},
    )
    block, level, settled = fit_multipliers(Outcome.of(time, event), risk)
    assert settled
    assert partial_log_likelihood(
        time,
        event,
        level[block],
        ties="breslow",
    ) == pytest.approx(-best.fun, abs=1e-4)


def test_the_map_finds_a_step_that_a_slope_cannot():
    time, event, risk = simulated(0, 4000, lambda r: np.where(r > 1, 4.0, 1.0))
    fitted = isotonic(time, event, risk)
    at = np.interp([-1.0, 0.0, 1.6, 2.2], fitted.knots, fitted.log_multiplier)
    assert at[1] - at[0] == pytest.approx(0, abs=0.15)
    assert at[3] - at[2] == pytest.approx(0, abs=0.25)
    assert at[3] - at[0] == pytest.approx(np.log(4), abs=0.25)
    truth = np.exp(-0.5 * np.array([1.0, 4.0]))
    assert fitted.curves([-1.0, 2.2]).at([0.5])[:, 0] == pytest.approx(truth, abs=0.05)


def test_it_repairs_an_overconfident_network():
    time, event, risk = simulated(1, 3000, np.exp, 0.2)
    fitted = isotonic(time, event, 4 * risk)
    inner = np.abs(fitted.knots) < 6
    slope = np.polyfit(fitted.knots[inner], fitted.log_multiplier[inner], 1)[0]
    assert slope == pytest.approx(0.25, abs=0.03)


def test_nobody_is_given_no_hazard():
    """The 40 patients of lowest risk had no event."""
    time, event, risk = simulated(2, 200, np.exp)
    event = event & (risk > np.sort(risk)[40])
    fitted = isotonic(time, event, risk)
    assert np.isfinite(fitted.log_multiplier).all()
    assert fitted.curves([-50.0]).at([time.max()])[0, 0] < 1


def test_observed_events_are_expected_events():
    time, event, risk = simulated(3, 400, np.exp)
    fitted = isotonic(time, event, risk)
    level = np.interp(risk - fitted.center, fitted.knots, fitted.log_multiplier)
    assert (fitted.baseline(time) * np.exp(level)).sum() == pytest.approx(event.sum())


def test_beyond_the_outermost_blocks_it_stays():
    time, event, risk = simulated(3, 400, np.exp)
    fitted = isotonic(time, event, risk)
    far = fitted.curves([-100.0, fitted.center + fitted.knots[0]]).survival
    np.testing.assert_array_equal(far[0], far[1])


@pytest.mark.parametrize(
    ("turn", "events", "why"),
    [
        (-1, 200, "patients of higher risk did not have more events"),
        (1, 9, "fewer than 10 events"),
    ],
)
def test_risks_that_tell_nothing_give_everyone_one_curve(turn, events, why):
    time, event, risk = simulated(5, 300, np.exp)
    event = event & (np.cumsum(event) <= events)
    fitted = isotonic(time, event, turn * risk)
    assert fitted.note == f"everyone gets the same curve: on out-of-fold risks {why}"
    np.testing.assert_allclose(
        fitted.curves([-5.0, 5.0]).survival, np.exp(-breslow(time, event, 0 * risk)(fitted.baseline.x)[None])[
            :, np.diff(fitted.baseline.y, prepend=0) > 0,
        ].repeat(2, axis=0),
    )  # fmt: skip


def test_perfect_order_is_noted():
    time = np.arange(1.0, 41)
    fitted = isotonic(time, np.ones(40), -time)
    assert "no finite multipliers" in fitted.note
    assert np.isfinite(fitted.log_multiplier).all()


@pytest.mark.parametrize("knots", [[], [0.0], [1.0, 0.0]])
def test_a_broken_map_is_refused(monthly, knots):
    saved = isotonic(*monthly).to_dict() | {"knots": knots}
    with pytest.raises(
        BundleError,
        match="calibrator 'isotonic_oof' is broken: InputError: knots must",
    ):
        calibrator_from_dict(saved)


# -- a cohort of its own


def test_a_calibration_cohort_gives_slope_and_baseline(monthly):
    time, event, risk = monthly
    fitted = fit_calibrator("breslow_cal", time, event, 3 * risk + 7)
    centred = risk - risk.mean()
    assert fitted.slope == pytest.approx(fit_cox(centred, time, event).coef[0] / 3)
    assert fitted.baseline.y == pytest.approx(
        breslow(time, event, fitted.slope * 3 * centred).y,
    )
    hazard = fitted.baseline(time) * np.exp(fitted.slope * 3 * centred)
    assert hazard.sum() == pytest.approx(event.sum())
    assert event.sum() >= 50
    assert fitted.note == ""


def test_few_events_are_noted(monthly):
    time, event, risk = monthly
    event = event & (np.cumsum(event) <= 49)
    fitted = fit_calibrator("breslow_cal", time, event, risk)
    assert (
        fitted.note
        == "calibrated on 49 events; slope and baseline are uncertain with fewer than 50"
    )
    both = fit_calibrator("breslow_cal", time, event, -risk)
    assert both.note.startswith(
        "slope 0: on the calibration patients' risks it was -0.",
    )
    assert both.note.endswith("uncertain with fewer than 50")
