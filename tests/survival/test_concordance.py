from __future__ import annotations

import time as clock

import numpy as np
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.concordance import (
    compare_c,
    concordance_influence,
    harrell_c,
    uno_c,
)
from survfuse.survival.curves import censoring_survival
from survfuse.survival.estimate import Estimate

METRICS = [harrell_c, uno_c]


def slow_concordance(time, event, risk, *, kind, tau=np.inf, train=None):
    """Every pair in turn: C and the derivative of C with respect to each patient's weight."""
    n = len(time)
    g = censoring_survival(*(train or (time, event)))
    score, pairs = np.zeros(n), np.zeros(n)
    total_score = total = 0.0
    for i in range(n):
        if not event[i] or time[i] > tau:
            continue
        weight = 1.0 if kind == "harrell" else float(g.left(time[i])) ** -2
        for j in range(n):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                points = weight * (
                    1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
                )
                total, total_score = total + weight, total_score + points
                for k in (i, j):
                    score[k] += points
                    pairs[k] += weight
    c = total_score / total
    return c, (score - c * pairs) / total


def test_harrell_is_that_of_r(reference):
    value, se = reference.numbers("Harrell")[:2]
    ours = harrell_c(*reference.arrays)
    assert ours.value == pytest.approx(value, abs=1e-8)
    assert ours.se == pytest.approx(se, abs=1e-8)
    assert (ours.n, ours.events) == (300, 159)
    assert ours.high - ours.low == pytest.approx(2 * 1.959963984540054 * se)


def test_uno_is_that_of_r(reference):
    value, se = reference.numbers("Uno n/G2 (self cens)")
    ours = uno_c(*reference.arrays)
    assert ours.value == pytest.approx(value, abs=1e-8)
    assert ours.se == pytest.approx(se, abs=1e-8)


def test_tau_is_that_of_r(reference):
    tau = float(np.quantile(reference.train["time"], 0.8))
    assert reference.numbers("Uno tau")[0] == pytest.approx(tau)
    assert uno_c(*reference.arrays, tau).value == pytest.approx(
        reference.numbers("Uno tau")[1],
        abs=1e-8,
    )
    assert harrell_c(*reference.arrays, tau).value == pytest.approx(
        reference.numbers("Harrell tau")[0],
        abs=1e-8,
    )


def test_the_paired_difference_is_that_of_r(reference):
    difference, se, _, p = reference.numbers("paired C1")[-4:]
    time, event, risk = reference.arrays
    ours = compare_c(time, event, risk, reference.test["risk2"], kind="harrell")
    assert ours.value == pytest.approx(difference, abs=1e-8)
    assert ours.se == pytest.approx(se, abs=1e-8)
    assert ours.p_value() == pytest.approx(p, abs=1e-8)


@pytest.mark.parametrize("kind", ["harrell", "uno"])
@pytest.mark.parametrize("tau", [None, 6.0])
def test_the_fast_path_is_the_slow_one(monthly, kind, tau):
    time, event, risk = monthly
    value, influence = concordance_influence(time, event, risk, kind=kind, tau=tau)
    slow_value, slow_influence = slow_concordance(
        time,
        event,
        risk,
        kind=kind,
        tau=tau or np.inf,
    )
    assert value == pytest.approx(slow_value, abs=1e-12)
    assert influence == pytest.approx(slow_influence, abs=1e-12)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_training_weights_are_the_slow_ones(monthly):
    time, event, risk = monthly
    train = (np.append(time, time.max() + 1), np.append(~event, False))
    value, influence = concordance_influence(time, event, risk, train=train)
    slow_value, slow_influence = slow_concordance(
        time,
        event,
        risk,
        kind="uno",
        train=train,
    )
    assert value == pytest.approx(slow_value, abs=1e-12)
    assert influence == pytest.approx(slow_influence, abs=1e-12)


def test_the_influence_is_the_derivative_by_a_patients_weight(monthly):
    time, event, risk = (values[:40] for values in monthly)
    value, influence = concordance_influence(time, event, risk, kind="harrell")
    copies = 2000  # one patient more in 40 x 2000 moves C by influence / 2000, to first order
    rows = np.repeat(np.arange(40), copies)
    for i in (0, 11, 27):
        more = np.append(rows, i)
        moved = concordance_influence(
            time[more],
            event[more],
            risk[more],
            kind="harrell",
        )[0]
        assert (moved - value) * copies == pytest.approx(influence[i], abs=2e-4)


def test_sksurv_agrees_where_r_does(reference):
    sksurv = pytest.importorskip("sksurv.metrics")
    time, event, risk = reference.arrays
    theirs = sksurv.concordance_index_censored(event == 1, time, risk)[0]
    assert harrell_c(time, event, risk).value == pytest.approx(theirs)
    if len(np.unique(time)) < len(time):
        return  # its censoring curve and its tau are read at T, not left of it
    y, y_train = (
        np.array(
            list(zip(d["event"] == 1, d["time"], strict=True)),
            dtype=[("e", bool), ("t", float)],
        )
        for d in (reference.test, reference.train)
    )
    tau = 7.0
    train = (reference.train["time"], reference.train["event"])
    theirs = sksurv.concordance_index_ipcw(y_train, y, risk, tau=tau)[0]
    assert uno_c(time, event, risk, tau, train=train).value == pytest.approx(theirs)


def test_lifelines_agrees_where_no_time_is_shared():
    utils = pytest.importorskip("lifelines.utils")
    rng = np.random.default_rng(0)
    time, event, risk = (
        rng.exponential(size=90),
        rng.random(90) < 0.5,
        rng.integers(0, 9, 90),
    )
    assert harrell_c(time, event, risk).value == pytest.approx(
        utils.concordance_index(time, -risk, event),
    )


@pytest.mark.parametrize("metric", METRICS)
def test_c_flips_with_the_sign(metric, monthly):
    time, event, risk = monthly
    up, down = metric(time, event, risk), metric(time, event, -risk)
    assert up.value + down.value == pytest.approx(1)
    assert up.se == pytest.approx(down.se)


@pytest.mark.parametrize("metric", METRICS)
def test_row_order_and_scale_never_matter(metric, monthly):
    time, event, risk = monthly
    rows = np.random.default_rng(3).permutation(len(time))
    one, other = (
        metric(time, event, risk),
        metric(time[rows], event[rows], np.exp(3 * risk[rows])),
    )
    assert other.value == pytest.approx(one.value)
    assert other.se == pytest.approx(one.se)


@pytest.mark.parametrize("metric", METRICS)
def test_a_difference_is_antisymmetric_and_zero_with_oneself(metric, monthly):
    time, event, risk = monthly
    kind = "uno" if metric is uno_c else "harrell"
    other = np.roll(risk, 1)
    ab, ba = (
        compare_c(time, event, risk, other, kind),
        compare_c(time, event, other, risk, kind),
    )
    assert ab.value == pytest.approx(-ba.value)
    assert ab.value == pytest.approx(
        metric(time, event, risk).value - metric(time, event, other).value,
    )
    same = compare_c(time, event, risk, risk, kind)
    assert (same.value, same.se, same.p_value()) == (0, None, None)
    assert "standard error is 0" in same.note


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("time", "event", "tau", "why"),
    [
        ([1, 2, 3], [0, 0, 0], None, "no event"),
        ([3, 4, 5], [1, 1, 1], 2.0, "no event"),
        ([2, 2, 2], [1, 1, 1], None, "no patient was followed beyond an event"),
        ([1, 2, 3], [0, 0, 1], None, "no patient was followed beyond an event"),
        ([1], [1], None, "no patient was followed beyond an event"),
        ([], [], None, "no event"),
    ],
)
def test_what_cannot_be_computed_says_why(metric, time, event, tau, why):
    risk = np.arange(len(time))
    estimate = metric(time, event, risk, tau)
    assert (estimate.value, estimate.se, estimate.low, estimate.high) == (None,) * 4
    assert estimate.n == len(time)
    assert why in estimate.note
    assert compare_c(time, event, risk, -risk, tau=tau).value is None
    with pytest.raises(NotComputableError, match=why):
        concordance_influence(time, event, risk, tau=tau)


@pytest.mark.parametrize("metric", METRICS)
def test_one_event_and_equal_risks(metric):
    one = metric([1, 2, 3], [1, 0, 0], [0.0, 1.0, -1.0])
    assert one.value == 0.5
    assert one.events == 1
    assert one.se > 0
    tied = metric([1, 2, 3], [1, 1, 0], [7.0, 7.0, 7.0])
    assert tied.value == 0.5
    assert tied.se is None
    assert "no interval" in tied.note


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_order_claims_no_certainty(metric):
    perfect = metric([1, 2, 3, 4], [1, 1, 1, 1], [4.0, 3.0, 2.0, 1.0])
    assert perfect.value == 1
    assert perfect.low is None
    assert "no interval" in perfect.note


def test_the_interval_stays_inside_zero_and_one():
    near = harrell_c([1, 2, 3, 4, 5], [1, 1, 1, 1, 0], [5.0, 4.0, 3.0, 1.0, 2.0])
    assert near.value == pytest.approx(0.9)
    assert near.high == 1
    assert near.low > 0


def test_an_event_at_the_time_of_a_censoring_comes_first():
    assert harrell_c([2, 2], [1, 0], [1.0, 0.0]).value == 1
    assert harrell_c([2, 2], [0, 1], [1.0, 0.0]).value == 0


def test_tau_counts_an_event_at_tau():
    assert harrell_c([1, 2, 3], [1, 1, 0], [0, 2, 1], tau=2).events == 2
    assert harrell_c([1, 2, 3], [1, 1, 0], [0, 2, 1], tau=1.99).events == 1


def test_beyond_the_training_follow_up_c_is_restricted_and_says_so(monthly):
    time, event, risk = monthly
    short = (np.minimum(time, 5.0), event & (time <= 5))
    restricted = uno_c(time, event, risk, train=short)
    assert "restricted to t <= 5" in restricted.note
    assert restricted.value == pytest.approx(
        uno_c(time, event, risk, tau=5.0, train=short).value,
    )
    assert uno_c(time, event, risk, tau=5.0, train=short).note == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: harrell_c([1, 2], [1, 0], [0.0, np.nan]),
            "log_risk must be finite; row 1 holds nan",
        ),
        (
            lambda: uno_c([1, 2], [1, 0], [np.inf, 0.0]),
            "log_risk must be finite; row 0 holds inf",
        ),
        (lambda: uno_c([1, 2], [1, 0], [0.0]), "expected 2, got 1"),
        (
            lambda: uno_c([1, 2], [1, 0], [0.0, 1.0], tau=-1),
            "tau must be a finite number > 0",
        ),
        (lambda: uno_c([1, 2], [1, 0], [0.0, 1.0], train=([], [])), "train must hold"),
        (
            lambda: compare_c([1, 2], [1, 0], [0.0, 1.0], [0.0, np.nan]),
            "b must be finite; row 1",
        ),
        (
            lambda: compare_c([1, 2], [1, 0], [0, 1], [1, 0], kind="gönen"),
            "known: harrell, uno",
        ),
        (
            lambda: compare_c(
                [1, 2],
                [1, 0],
                [0, 1],
                [1, 0],
                kind="harrell",
                train=([1], [1]),
            ),
            "Harrell's C has none",
        ),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_an_estimate_without_error_has_no_p_value():
    assert Estimate(0.5, None, None, None, 3, 1).p_value() is None
    assert Estimate(0.7, 0.1, 0.5, 0.9, 30, 10).p_value(0.5) == pytest.approx(
        0.0455,
        abs=1e-4,
    )


def test_the_interval_covers():
    """Over 200 small censored cohorts the 95 % interval holds the true Uno C(tau) in about 95 of 100."""
    rng = np.random.default_rng(0)
    everyone = rng.normal(size=20_000)
    truth = uno_c(
        rng.exponential(np.exp(-everyone)),
        np.ones(20_000),
        everyone,
        tau=1.0,
    ).value
    hits = 0
    for _ in range(200):
        risk = rng.normal(size=120)
        time, end = rng.exponential(np.exp(-risk)), rng.exponential(2.0, 120)
        c = uno_c(np.minimum(time, end), time <= end, risk, tau=1.0)
        hits += c.low <= truth <= c.high
    assert 0.90 <= hits / 200 <= 0.985


def test_twenty_thousand_patients_take_well_under_a_second():
    rng = np.random.default_rng(0)
    n = 20_000
    time, event, risk = (
        np.ceil(rng.exponential(100, n)),
        rng.random(n) < 0.4,
        rng.normal(size=n),
    )
    started = clock.perf_counter()
    uno_c(time, event, risk)
    assert clock.perf_counter() - started < 1.0
