from __future__ import annotations

import time as clock

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import stratified_folds
from survfuse.survival.cox import (
    fit_cox,
    partial_log_likelihood,
    ridge_cox_cv,
)
from survfuse.survival.right_censored import Outcome


def slow_log_likelihood(time, event, risk, ties):
    """The partial likelihood, one event time after the other."""
    total = 0.0
    for t in np.unique(time[event]):
        dying, at_risk = event & (time == t), time >= t
        d = int(dying.sum())
        total += risk[dying].sum()
        for k in range(d):
            f = k / d if ties == "efron" else 0.0
            total -= np.log(np.exp(risk[at_risk]).sum() - f * np.exp(risk[dying]).sum())
    return total


def naive_newton(x, time, event, ties, ridge, steps=30):
    """Newton in the given features, with derivatives summed event by event."""
    p = x.shape[1]
    b = np.zeros(p)
    for _ in range(steps):
        w = np.exp(x @ b)
        gradient, information = -ridge * b, ridge * np.eye(p)
        for t in np.unique(time[event]):
            dying, at_risk = event & (time == t), time >= t
            d = int(dying.sum())
            gradient = gradient + x[dying].sum(axis=0)
            for k in range(d):
                v = w * at_risk - (k / d if ties == "efron" else 0.0) * w * dying
                mean = v @ x / v.sum()
                gradient = gradient - mean
                information = (
                    information + (x.T * v) @ x / v.sum() - np.outer(mean, mean)
                )
        b = b + np.linalg.solve(information, gradient)
    return b, np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.fixture(scope="module")
def small(monthly):
    time, event, risk = (values[:70] for values in monthly)
    rng = np.random.default_rng(5)
    return np.c_[risk, rng.normal(size=(70, 3)) * [1, 10, 0.1]], time, event


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_the_likelihood_of_given_risks_is_that_of_r(reference, ties):
    expected = reference.numbers(f"coxph offset loglik {ties}")[0]
    time, event, risk = reference.arrays
    assert partial_log_likelihood(time, event, risk, ties) == pytest.approx(
        expected,
        abs=1e-8,
    )
    fit = fit_cox(np.zeros((300, 1)), time, event, ties=ties, offset=risk)
    assert fit.null_log_likelihood == pytest.approx(expected, abs=1e-8)
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-8)


def test_coefficients_are_those_of_r(reference):
    time, event, risk = reference.arrays
    expected = dict(
        zip(("efron", "breslow"), reference.numbers("coef efron"), strict=True),
    )
    for ties, coef in expected.items():
        fit = fit_cox(risk, time, event, ties=ties)
        assert fit.converged
        assert fit.coef == pytest.approx([coef], abs=1e-8)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_the_likelihood_is_the_slow_one(monthly, ties):
    time, event, risk = monthly
    assert partial_log_likelihood(time, event, risk, ties) == pytest.approx(
        slow_log_likelihood(time, event, risk, ties),
        abs=1e-9,
    )


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_the_fit_is_that_of_naive_newton(small, ties, penalty):
    x, time, event = small
    fit = fit_cox(x, time, event, penalty=penalty, ties=ties)
    coef, se = naive_newton(x, time, event, ties, penalty * event.sum())
    assert fit.converged
    assert fit.coef == pytest.approx(coef, abs=1e-9)
    assert fit.se == pytest.approx(se, rel=1e-6)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_more_features_than_patients_is_that_of_naive_newton(monthly, ties):
    time, event, _ = (values[:25] for values in monthly)
    x = np.random.default_rng(2).normal(size=(25, 40))
    fit = fit_cox(x, time, event, penalty=0.5, ties=ties)
    coef, se = naive_newton(x, time, event, ties, 0.5 * event.sum())
    assert fit.coef == pytest.approx(coef, abs=1e-9)
    assert fit.se == pytest.approx(se, rel=1e-6)


def test_a_fit_without_penalty_agrees_with_lifelines(small):
    lifelines = pytest.importorskip("lifelines")
    x, time, event = small
    frame = pd.DataFrame(x).assign(time=time, event=event)
    theirs = lifelines.CoxPHFitter().fit(
        frame,
        "time",
        "event",
        fit_options={"precision": 1e-12},
    )
    ours = fit_cox(x, time, event)
    assert ours.coef == pytest.approx(theirs.params_.to_numpy(), abs=1e-6)
    assert ours.se == pytest.approx(theirs.standard_errors_.to_numpy(), abs=1e-6)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood_, abs=1e-8)


def test_an_offset_shifts_the_coefficient(small):
    x, time, event = small
    plain, shifted = (
        fit_cox(x[:, 0], time, event),
        fit_cox(x[:, 0], time, event, offset=0.4 * x[:, 0]),
    )
    assert shifted.coef == pytest.approx(plain.coef - 0.4, abs=1e-8)


def test_efron_is_breslow_without_ties():
    rng = np.random.default_rng(0)
    x, time, event = (
        rng.normal(size=(50, 2)),
        rng.exponential(size=50),
        rng.random(50) < 0.6,
    )
    efron, breslow = (
        fit_cox(x, time, event, ties=ties) for ties in ("efron", "breslow")
    )
    assert efron.coef == pytest.approx(breslow.coef, abs=1e-12)


def test_row_order_never_matters(small):
    x, time, event = small
    rows = np.random.default_rng(1).permutation(len(time))
    assert fit_cox(x[rows], time[rows], event[rows]).coef == pytest.approx(
        fit_cox(x, time, event).coef,
    )


def test_features_may_be_shifted_and_without_penalty_scaled(small):
    x, time, event = small
    plain = fit_cox(x, time, event)
    moved = fit_cox(x * [1e-9, 1e9, 1, 1] + [0, 0, 1e4, 0], time, event)
    assert moved.coef == pytest.approx(plain.coef / [1e-9, 1e9, 1, 1], rel=1e-6)


def test_the_ridge_does_not_see_rotations(small):
    x, time, event = small
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    plain, turned = (
        fit_cox(x, time, event, penalty=0.2),
        fit_cox(x @ turn, time, event, penalty=0.2),
    )
    assert turn @ turned.coef == pytest.approx(plain.coef, abs=1e-9)


def test_the_penalty_means_the_same_in_a_doubled_cohort(small):
    x, time, event = small
    twice = fit_cox(
        np.r_[x, x],
        np.r_[time, time],
        np.r_[event, event],
        penalty=0.2,
        ties="breslow",
    )
    assert twice.coef == pytest.approx(
        fit_cox(x, time, event, penalty=0.2, ties="breslow").coef,
        abs=1e-8,
    )


def test_a_constant_feature_tells_nothing(small):
    x, time, event = small
    plain, more = (
        fit_cox(x, time, event),
        fit_cox(np.c_[x, np.full(len(x), 0.1)], time, event),
    )
    assert more.coef == pytest.approx(np.append(plain.coef, 0))
    assert np.isnan(more.se[-1])
    assert "1 constant feature" in more.note
    ridged = fit_cox(np.c_[x, np.zeros(len(x))], time, event, penalty=0.1)
    assert ridged.coef[-1] == 0
    assert ridged.note == ""


def test_collinear_features_need_a_penalty(small):
    x, time, event = small
    double = np.c_[x, x[:, 0] + x[:, 3]]
    with pytest.raises(
        NotComputableError,
        match="5 features vary in only 4 independent ways",
    ):
        fit_cox(double, time, event)
    assert fit_cox(double, time, event, penalty=0.1).converged


def test_separation_is_told_and_never_infinite():
    x = np.arange(12.0)
    fit = fit_cox(x, 20 - x, np.ones(12))
    assert not fit.converged
    assert np.isfinite(fit.coef).all()
    assert np.isnan(fit.se).all()
    assert "separate the events" in fit.note
    assert fit_cox(x, 20 - x, np.ones(12), penalty=0.01).converged


def test_one_event_is_separation_or_a_fit():
    inside = fit_cox([0.0, 1.0, 3.0], [1, 2, 3], [1, 0, 0])
    assert not inside.converged  # the event had the lowest value: no finite coefficient
    assert fit_cox([1.0, 0.0, 3.0], [1, 2, 3], [1, 0, 0]).converged


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_extreme_likelihoods_stay_finite(monthly, scale):
    time, event, risk = monthly
    assert np.isfinite(partial_log_likelihood(time, event, scale * risk * 1000))


def test_an_extreme_offset_is_refused(monthly):
    time, event, risk = monthly
    with pytest.raises(NotComputableError, match="do not fit a double"):
        fit_cox(risk, time, event, offset=-time * 100)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        ([[1.0], [np.nan], [2.0]], {}, InputError, "row 1, feature 0 holds nan"),
        ([[1.0], [2.0]], {}, InputError, r"with 3 patients, got shape \(2, 1\)"),
        ([["a"], ["b"], ["c"]], {}, InputError, "x must be numbers"),
        ([1.0, 2.0, 3.0], {"penalty": -1}, InputError, "penalty must be"),
        ([1.0, 2.0, 3.0], {"ties": "exact"}, InputError, "known: efron, breslow"),
        (
            [1.0, 2.0, 3.0],
            {"offset": [0.0, np.nan, 1.0]},
            InputError,
            "offset must be finite; row 1",
        ),
    ],
)
def test_wrong_input_is_refused(x, options, error, message):
    with pytest.raises(error, match=message):
        fit_cox(x, [1, 2, 3], [1, 1, 0], **options)


def test_no_event_no_fit():
    with pytest.raises(NotComputableError, match="at least one event"):
        fit_cox([1.0, 2.0], [1, 2], [0, 0])
    with pytest.raises(NotComputableError, match="two events or more, got 1"):
        ridge_cox_cv([1.0, 2.0, 3.0], [1, 2, 3], [1, 0, 0])


def test_the_path_chooses_the_least_deviance_and_refits(small):
    x, time, event = small
    path = ridge_cox_cv(x, time, event, penalties=[0.01, 1.0, 100.0], seed=3)
    assert path.penalties.tolist() == [100.0, 1.0, 0.01]
    assert path.penalty == path.penalties[path.deviance.argmin()]
    assert path.coef == pytest.approx(
        fit_cox(x, time, event, penalty=path.penalty).coef,
        abs=1e-9,
    )
    assert path.deviance.min() < path.null_deviance
    assert path.folds == 5
    again = ridge_cox_cv(x, time, event, penalties=[1.0, 0.01, 100.0], seed=3)
    assert again.deviance.tolist() == path.deviance.tolist()


def test_a_path_that_gets_worse_is_given_up():
    rng = np.random.default_rng(0)
    noise, time, event = (
        rng.normal(size=(80, 40)),
        rng.exponential(size=80),
        np.arange(80) % 2 == 0,
    )
    whole = ridge_cox_cv(noise, time, event)
    short = ridge_cox_cv(noise, time, event, give_up=3)
    tried = len(short.penalties)
    assert 4 <= tried < 20 == len(whole.penalties)
    assert short.penalties.tolist() == whole.penalties[:tried].tolist()
    assert short.deviance.tolist() == whole.deviance[:tried].tolist()
    best = int(short.deviance.argmin())
    assert tried == best + 4  # three worse ones behind the best
    assert short.penalty == short.penalties[best]


def test_the_cross_validated_likelihood_is_the_slow_one(small):
    x, time, event = small
    path = ridge_cox_cv(x, time, event, penalties=[0.1], folds=3, seed=0)
    gain = 0.0
    for held in stratified_folds(event, 3, np.random.default_rng(0)):
        assert abs(event[held].sum() - event.sum() / 3) < 1
        coef = fit_cox(x[~held], time[~held], event[~held], penalty=0.1).coef
        gain += slow_log_likelihood(time, event, x @ coef, "efron")
        gain -= slow_log_likelihood(time[~held], event[~held], x[~held] @ coef, "efron")
    assert path.deviance[0] == pytest.approx(-2 * gain / event.sum(), abs=1e-8)


def test_a_path_without_signal_says_so(monthly):
    time, event, _ = monthly
    noise = np.random.default_rng(1).normal(size=(len(time), 30))
    path = ridge_cox_cv(noise, time, event, penalties=[1e-3, 1e-2])
    assert path.deviance.min() > path.null_deviance
    assert "no penalty beats" in path.note
    flat = ridge_cox_cv(np.ones((len(time), 2)), time, event)
    assert flat.coef.tolist() == [0, 0]
    assert "no penalty beats" in flat.note


def test_few_events_make_fewer_folds():
    path = ridge_cox_cv(
        np.arange(8.0),
        [1, 2, 3, 4, 5, 6, 7, 8],
        [0, 1, 0, 0, 1, 0, 1, 0],
    )
    assert path.folds == 3
    assert "3 folds, because there are 3 events" in path.note


def test_a_path_over_repeated_folds_is_the_mean_of_theirs_and_stops_at_the_smallest_penalty(
    small,
):
    x, time, event = small
    path = ridge_cox_cv(x, time, event, smallest=0.01, folds=3, repeats=4, seed=2)
    assert path.penalties[-1] == pytest.approx(0.01)
    assert len(path.penalties) == 20
    gain = 0.0
    generator = np.random.default_rng(2)
    for _ in range(4):
        for held in stratified_folds(event, 3, generator):
            coef = fit_cox(x[~held], time[~held], event[~held], penalty=0.01).coef
            gain += slow_log_likelihood(time, event, x @ coef, "efron")
            gain -= slow_log_likelihood(
                time[~held],
                event[~held],
                x[~held] @ coef,
                "efron",
            )
    assert path.deviance[-1] == pytest.approx(-2 * gain / 4 / event.sum(), abs=1e-8)
    null = [
        ridge_cox_cv(x, time, event, repeats=repeats).null_deviance
        for repeats in (1, 2)
    ]
    assert null[0] == pytest.approx(null[1], rel=0.1)
    assert ridge_cox_cv(1e-4 * x, time, event, smallest=0.01).penalties.tolist() == [
        0.01,
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "at least 2 folds"),
        ({"repeats": 0}, "at least 1 repeat"),
        ({"penalties": [1.0, 0.0]}, "finite numbers > 0"),
    ],
)
def test_a_wrong_path_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        ridge_cox_cv([1.0, 2.0, 3.0], [1, 2, 3], [1, 1, 1], **options)


def test_nineteen_thousand_genes_and_a_path_are_fast():
    rng = np.random.default_rng(0)
    time, event = np.ceil(rng.exponential(30, 176)), rng.random(176) < 0.4
    genes = rng.normal(size=(176, 19_359))
    started = clock.perf_counter()
    fit = fit_cox(genes, time, event, penalty=1000.0)
    assert clock.perf_counter() - started < 5
    assert fit.converged
    assert fit.coef.shape == fit.se.shape == (19_359,)

    time, event = np.ceil(rng.exponential(30, 760)), rng.random(760) < 0.4
    x = rng.normal(size=(760, 60))
    started = clock.perf_counter()
    ridge_cox_cv(x, time, event)
    assert clock.perf_counter() - started < 2


@pytest.mark.parametrize("far", [20.0, -20.0])
def test_a_fit_that_starts_far_away_arrives(monthly, far):
    time, event, risk = monthly
    away = fit_cox(risk, time, event, offset=far * risk)
    assert away.converged
    assert away.coef == pytest.approx(fit_cox(risk, time, event).coef - far, abs=1e-7)
    assert away.log_likelihood > away.null_log_likelihood


def test_without_events_the_likelihood_is_one():
    assert partial_log_likelihood([1, 2], [0, 0], [3.0, 4.0]) == 0


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_tiny_cohorts_have_finite_errors_or_are_told(ties):
    """Separated or not, warnings being errors: what converged has standard errors, what did not says why."""
    rng = np.random.default_rng(0)
    told = set()
    for _ in range(300):
        n = int(rng.integers(2, 7))
        x = rng.normal(size=(n, int(rng.integers(1, 3)))) * rng.choice([1, 400])
        time, event = rng.integers(1, 5, n), rng.random(n) < 0.7
        if not event.any() or np.linalg.matrix_rank(x - x.mean(axis=0)) < x.shape[1]:
            continue
        fit = fit_cox(x, time, event, ties=ties)
        assert np.isfinite(fit.coef).all()
        assert np.isfinite(fit.se).all() == fit.converged
        told.add(
            "flat" if "alike" in fit.note else "separated" if fit.note else "found",
        )
    assert told == {"flat", "separated", "found"}


def test_patients_who_are_alike_when_it_counts_have_no_coefficient():
    fit = fit_cox(
        [0.0, 1.0, 2.0, 2.0],
        [1, 1, 2, 3],
        [0, 0, 1, 0],
    )  # the two left at the event are alike
    assert (fit.converged, fit.coef.tolist()) == (False, [0.0])
    assert "patients at risk were alike" in fit.note
    assert fit_cox(
        [0.0, 1.0, 2.0, 2.0],
        [1, 1, 2, 3],
        [0, 0, 1, 0],
        penalty=0.1,
    ).converged


def test_a_span_that_a_double_cannot_hold_gives_no_derivatives():
    sets = RiskSets.of(Outcome.of([1, 2, 3], [1, 1, 1]), "efron")
    x = np.ones((3, 1))
    assert np.isfinite(sets.derivatives(x, np.array([0.0, -300, -600]))[1]).all()
    for lowest in (
        -660.0,
        -730.0,
        -2000.0,
    ):  # 1/size may be finite, and the sum of such hazards not
        assert np.isnan(sets.derivatives(x, np.array([0.0, 0.0, lowest]))[1]).all()


def test_an_outlier_who_is_the_first_tells_nothing_and_is_no_separation():
    """The information falls far below what it was at 0, where the outlier made nearly all of it."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=60)
    time, event = rng.exponential(size=60) / np.exp(0.5 * x), rng.random(60) < 0.8
    others = fit_cox(x, time, event)
    fit = fit_cox(np.r_[900.0, x], np.r_[1e-6, time], np.r_[True, event])
    assert fit.converged
    assert [fit.coef[0], fit.se[0]] == pytest.approx(
        [others.coef[0], others.se[0]],
        rel=1e-6,
    )


def test_features_that_are_all_constant_are_a_fit_of_nothing():
    fit = fit_cox(np.ones((5, 2)), np.arange(1, 6), [1, 0, 1, 1, 0])
    assert fit.converged
    assert fit.coef.tolist() == [0, 0]
    assert fit.log_likelihood == fit.null_log_likelihood
    assert "2 constant feature(s)" in fit.note
