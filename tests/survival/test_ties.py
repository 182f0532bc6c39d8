"""Times that are equal up to rounding are one time, at horizons and between two cohorts too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from survfuse import losses, metrics
from survfuse.survival.cox import fit_cox
from survfuse.survival.curves import (
    SurvivalCurves,
    breslow,
    censoring_survival,
    kaplan_meier,
)
from survfuse.survival.right_censored import Outcome, Tally
from survfuse.survival.ties import SAME, at_or_after, at_or_before, tied

N = 120
RNG = np.random.default_rng(1)
RISK = RNG.normal(size=N)
AGE = RNG.uniform(40, 80, N).round(1)
YEARS = (
    np.ceil(np.minimum(RNG.exponential(30 * np.exp(-RISK)), RNG.uniform(5, 90, N))) / 10
)
EVENT = RNG.random(N) < 0.6
RAW = (AGE + YEARS).round(1) - AGE  # what a notebook writes
HORIZONS = np.array([1.0, 1.5, 2.0])
OFF = HORIZONS + np.array([1e-10, -1e-10, 1e-9])
SURVIVAL = np.exp(-np.outer(np.exp(RISK), HORIZONS) / 3)
TRAIN, RAW_TRAIN = (YEARS[::-1], EVENT[::-1]), (RAW[::-1] + 1e-10, EVENT[::-1])

STATISTICS = {
    "harrell_c": lambda t, h, train: metrics.harrell_c(t, EVENT, RISK, tau=h[1]),
    "uno_c": lambda t, h, train: metrics.uno_c(t, EVENT, RISK, tau=h[1]),
    "uno_c, train": lambda t, h, train: metrics.uno_c(
        t,
        EVENT,
        RISK,
        tau=h[1],
        train=train,
    ),
    "compare_c": lambda t, h, train: metrics.compare_c(
        t,
        EVENT,
        RISK,
        RISK[::-1],
        tau=h[1],
        train=train,
    ),
    "auc": lambda t, h, train: metrics.auc(t, EVENT, RISK, h),
    "auc, train": lambda t, h, train: metrics.auc(t, EVENT, RISK, h, train),
    "brier": lambda t, h, train: metrics.brier(t, EVENT, SURVIVAL, h),
    "brier, train": lambda t, h, train: metrics.brier(t, EVENT, SURVIVAL, h, train),
    "ipa": lambda t, h, train: metrics.ipa(t, EVENT, SURVIVAL, h, train),
    "integrated_brier": lambda t, h, train: metrics.integrated_brier(
        t,
        EVENT,
        SURVIVAL,
        h,
    ),
    "integrated_ipa": lambda t, h, train: metrics.integrated_ipa(
        t,
        EVENT,
        SURVIVAL,
        h,
        train,
    ),
    "log_likelihood": lambda t, h, train: metrics.log_likelihood(t, EVENT, SURVIVAL, h),
    "ici": lambda t, h, train: metrics.ici(t, EVENT, SURVIVAL, h),
    "calibration_slope": lambda t, h, train: metrics.calibration_slope(t, EVENT, RISK),
    "observed_expected_at": lambda t, h, train: metrics.observed_expected_at(
        t,
        EVENT,
        SURVIVAL[:, 1],
        h[1],
    ),
    "net_benefit": lambda t, h, train: metrics.net_benefit(
        t,
        EVENT,
        SURVIVAL[:, 1],
        h[1],
        [0.2, 0.4],
    ),
    "rmst": lambda t, h, train: metrics.rmst(t, EVENT, h[1]),
    "royston_r2": lambda t, h, train: metrics.royston_r2(t, EVENT, RISK),
}


def numbers(found):
    estimates = found if isinstance(found, list) else [found]
    return [(e.value, e.se or 0, e.low or 0, e.high or 0, e.events) for e in estimates]


def test_the_times_of_a_notebook_differ_in_their_last_digits():
    assert len(np.unique(RAW)) > len(np.unique(YEARS))


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("horizons", [HORIZONS, OFF], ids=["exact", "off by rounding"])
def test_a_statistic_is_that_of_the_rounded_times(name, horizons):
    ours = numbers(STATISTICS[name](RAW, horizons, RAW_TRAIN))
    expected = numbers(STATISTICS[name](YEARS, HORIZONS, TRAIN))
    for found, right in zip(ours, expected, strict=True):
        assert found == pytest.approx(right, abs=1e-7)


def test_curves_have_one_step_for_one_time():
    for curve in (
        kaplan_meier,
        censoring_survival,
        lambda t, e: breslow(t, e, RISK, "efron"),
    ):
        ours, right = curve(RAW, EVENT), curve(YEARS, EVENT)
        assert ours.y == pytest.approx(right.y)
        assert ours.x == pytest.approx(right.x)
        assert ours(OFF) == pytest.approx(right(HORIZONS))
        assert ours.left(OFF) == pytest.approx(right.left(HORIZONS))
    assert metrics.log_rank(RAW, EVENT, RISK > 0).chi2 == pytest.approx(
        metrics.log_rank(YEARS, EVENT, RISK > 0).chi2,
    )
    assert (
        Tally.of(Outcome.of(RAW, EVENT)).events.tolist()
        == Tally.of(Outcome.of(YEARS, EVENT)).events.tolist()
    )


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_fits_and_losses_see_the_ties(ties):
    ours, right = (
        fit_cox(RISK, RAW, EVENT, ties=ties),
        fit_cox(RISK, YEARS, EVENT, ties=ties),
    )
    assert ours.coef == pytest.approx(right.coef)
    risk, event = torch.tensor(RISK), torch.tensor(EVENT)
    loss = [losses.cox(risk, event, torch.tensor(t), ties).item() for t in (RAW, YEARS)]
    assert loss[0] == pytest.approx(loss[1], rel=1e-13)
    batch = [
        losses.cox_batch(risk, event, torch.tensor(t)).item() for t in (RAW, YEARS)
    ]
    assert batch[0] == pytest.approx(batch[1], rel=1e-13)


def test_bins_end_with_their_edge_up_to_rounding():
    edges = torch.tensor(losses.discretise(YEARS, EVENT, 4))
    event = torch.tensor(EVENT)
    right = losses.assign_bins(torch.tensor(YEARS), event, edges)
    for found, expected in zip(
        losses.assign_bins(torch.tensor(RAW), event, edges),
        right,
        strict=True,
    ):
        assert found.tolist() == expected.tolist()
    assert losses.discretise(RAW, EVENT, 4) == pytest.approx(edges.numpy())


def test_a_predicted_curve_is_known_up_to_its_last_time():
    curves = SurvivalCurves(np.array([12.0, 60.0]), np.array([[0.8, 0.4]]), 60.0)
    assert curves.at([60 + 1e-9, 60 - 1e-9]).tolist() == [[0.4, 0.4]]
    assert np.isnan(curves.at([61])).all()
    assert curves.own(np.array([12 - 1e-9])).tolist() == [0.8]
    assert curves.own(np.array([11.9])).tolist() == [1.0]


def slow(times):
    """``aeqSurv`` of R's survival 3.5, in its own steps."""
    y = sorted(set(times))
    mean = sum(map(abs, y)) / len(y)
    cuts = [y[0]]
    for before, now in itertools.pairwise(y):
        if not (now - before <= SAME or (now - before) / mean <= SAME):
            cuts.append(now)
    return [max(cut for cut in cuts if cut <= t) for t in times]


@pytest.mark.parametrize("unit", [1e-3, 1.0, 30.4375, 1e6])
def test_the_rule_is_that_of_r(unit):
    rng = np.random.default_rng(3)
    times = unit * (
        rng.integers(1, 20, 60) + rng.choice([0, 1e-10, 1e-9, 1e-8, 3e-8, 1e-7], 60)
    )
    assert tied(times)[0].tolist() == slow(times.tolist())


def test_a_difference_that_was_measured_stays():
    times = np.array([1.0, 1.0 + 1e-7, 365.0])
    assert tied(times)[0][0] == tied(times)[0][1]  # 1e-7 of a mean of 122
    assert len(np.unique(tied(times[:2])[0])) == 2


def test_before_and_after_a_time():
    times = np.array([59.0, 60 - 1e-9, 60 + 1e-9, 61])
    assert at_or_before(times, 60.0).tolist() == [True, True, True, False]
    assert at_or_after(times, 60.0).tolist() == [False, True, True, True]
