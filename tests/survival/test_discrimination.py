from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.curves import censoring_survival
from survfuse.survival.discrimination import auc, auc_influence
from survfuse.survival.estimate import Z

TIMES = [2.0, 5.0, 8.0]
MONTHS = [6.0, 12.0, 24.0, 30.0]
FOLDER = Path(__file__).parent / "reference"


def slow_auc(time, event, risk, t, train=None):
    """Every case with every control, then the estimated weights: censoring time by censoring time."""
    n = len(time)
    g = censoring_survival(*(train or (time, event)))
    points, pairs = np.zeros(n), np.zeros(n)
    value = total = 0.0
    for i in range(n):
        if not event[i] or time[i] > t:
            continue
        for j in range(n):
            if time[j] > t:
                weight = 1 / float(g.left(time[i])) / float(g(t))
                score = weight * (
                    1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
                )
                value, total = value + score, total + weight
                for k in (i, j):
                    points[k] += score
                    pairs[k] += weight
    value /= total
    influence = (points - value * pairs) / total
    if train is None:
        share = influence.copy()
        for u in np.unique(time[~event & (time <= t)]):
            at_risk = (time >= u).sum()
            jump = share[time > u].sum() / at_risk
            influence[~event & (time == u)] += jump
            influence[time >= u] -= jump * (~event & (time == u)).sum() / at_risk
    return value, influence * np.sqrt(n / (n - 1))


@pytest.fixture(scope="module")
def made():
    """Own data in whole months with repeated risks (reference/ipcw.R), and what R said about them."""
    return pd.read_csv(FOLDER / "ipcw.csv"), pd.read_csv(
        FOLDER / "ipcw_R.csv",
        keep_default_na=False,
    )


def said_of(said, metric, model):
    rows = said[(said.metric == metric) & (said.model == model)]
    assert rows["time"].tolist() == MONTHS
    return rows["value"].astype(float).tolist(), [float(se) for se in rows["se"]]


def test_auc_and_its_error_are_those_of_r(reference):
    table = reference.text.split(" AUC  ")[1].split("Brier")[0].splitlines()[1:4]
    ours = auc(*reference.arrays, TIMES)
    for estimate, line in zip(ours, table, strict=True):
        _, _, t, value, se, low, high = line.split()
        assert estimate.value == pytest.approx(float(value), abs=1e-8)
        assert estimate.se == pytest.approx(float(se), abs=1e-8)
        plain = (
            estimate.value + np.array([-1, 1]) * Z * estimate.se
        )  # ours is on the logit scale
        assert plain == pytest.approx([float(low), float(high)], abs=1e-8)
        logits = np.log(
            [x / (1 - x) for x in (estimate.low, estimate.value, estimate.high)],
        )
        assert np.diff(logits) == pytest.approx(
            [Z * estimate.se / estimate.value / (1 - estimate.value)] * 2,
        )
        assert (
            estimate.events
            == (reference.arrays[1][reference.arrays[0] <= float(t)] == 1).sum()
        )


@pytest.mark.parametrize("model", ["x", "z"])
def test_months_are_those_of_r(made, model):
    data, said = made
    values, errors = said_of(said, "auc", model)
    ours = auc(data.time, data.event, data[model], MONTHS)
    assert [e.value for e in ours] == pytest.approx(values, abs=1e-12)
    assert [e.se for e in ours] == pytest.approx(errors, abs=1e-12)


def test_differences_of_influences_give_the_paired_error_of_r(made):
    data, said = made
    x, z = (auc_influence(data.time, data.event, data[m], MONTHS) for m in ("x", "z"))
    values, errors = said_of(said, "auc difference", "z")
    assert z[0] - x[0] == pytest.approx(values, abs=1e-12)
    assert np.sqrt(((z[1] - x[1]) ** 2).sum(axis=0)) == pytest.approx(errors, abs=1e-12)


@pytest.mark.parametrize("trained", [False, True])
def test_the_fast_path_is_the_slow_one(monthly, trained):
    time, event, risk = (values[:90] for values in monthly)
    train = (monthly[0] + 1, monthly[1]) if trained else None
    values, influence = auc_influence(time, event, risk, [3.0, 7.5, 20.0], train)
    for k, t in enumerate([3.0, 7.5, 20.0]):
        slow_value, slow_influence = slow_auc(time, event, risk, t, train)
        assert values[k] == pytest.approx(slow_value, abs=1e-12)
        assert influence[:, k] == pytest.approx(slow_influence, abs=1e-13)
    assert influence.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)


def test_leaving_patients_out_one_by_one_gives_the_same_errors():
    rng = np.random.default_rng(5)
    n = 250
    x = rng.normal(size=n)
    time, end = rng.exponential(10 * np.exp(-x)), rng.exponential(10, n)
    time, event = np.minimum(time, end), time <= end
    left_out = np.array(
        [
            [e.value for e in auc(time[rows], event[rows], x[rows], TIMES)]
            for rows in (np.arange(n) != i for i in range(n))
        ],
    )
    jackknife = np.sqrt(
        (n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0),
    )
    ours = [e.se for e in auc(time, event, x, TIMES)]
    assert ours == pytest.approx(jackknife, rel=0.02)
    assert ours != pytest.approx(jackknife * 1.05, rel=0.02)


def test_each_horizon_may_have_its_own_risks(monthly):
    time, event, risk = monthly
    both = np.stack([risk, np.roll(risk, 1)], axis=1)
    one, other = auc(time, event, both, [5.0, 12.0])
    assert one == auc(time, event, risk, [5.0])[0]
    assert other == auc(time, event, np.roll(risk, 1), [12.0])[0]


def test_auc_flips_with_the_sign(monthly):
    time, event, risk = monthly
    for up, down in zip(
        auc(time, event, risk, MONTHS),
        auc(time, event, -risk, MONTHS),
        strict=True,
    ):
        assert up.value + down.value == pytest.approx(1)
        assert up.se == pytest.approx(down.se)


def test_row_order_scale_of_risk_and_unit_of_time_never_matter(monthly):
    time, event, risk = monthly
    rows = np.random.default_rng(3).permutation(len(time))
    ones = auc(time, event, risk, MONTHS)
    others = auc(
        time[rows] / 16,
        event[rows],
        np.exp(3 * risk[rows]),
        np.array(MONTHS) / 16,
    )
    for one, other in zip(ones, others, strict=True):
        assert other.value == pytest.approx(one.value)
        assert other.se == pytest.approx(one.se)


def test_perfect_and_useless_risks():
    time, event = np.arange(1.0, 9.0), np.ones(8)
    assert auc(time, event, -time, [4.5])[0].value == 1
    assert "no interval" in auc(time, event, -time, [4.5])[0].note
    assert auc(time, event, np.zeros(8), [4.5])[0].value == 0.5


def test_sksurv_agrees_where_r_does(reference):
    """Not on shared times: it reads the censoring curve at T, not left of it, and is not R's there."""
    sksurv = pytest.importorskip("sksurv.metrics")
    time, event, risk = reference.arrays
    train = reference.train["time"].to_numpy(), reference.train["event"].to_numpy()
    kind = [("e", bool), ("t", float)]
    y, y_train = (
        np.array(list(zip(e == 1, t, strict=True)), dtype=kind)
        for t, e in ((time, event), train)
    )
    ours = [e.value for e in auc(time, event, risk, TIMES, train)]
    theirs = sksurv.cumulative_dynamic_auc(y_train, y, risk, TIMES)[0]
    assert (ours == pytest.approx(theirs, rel=1e-9)) == (
        len(np.unique(time)) == len(time)
    )


@pytest.mark.parametrize(
    ("time", "event", "t", "train", "why"),
    [
        ([1, 2, 3], [0, 0, 0], 2.5, None, "no event at or before t = 2.5"),
        ([2, 3, 4], [1, 1, 0], 1, None, "no event at or before t = 1"),
        ([1, 2, 2], [1, 1, 1], 2, None, "no patient was followed beyond t = 2"),
        ([1], [1], 1, None, "no patient was followed beyond t = 1"),
        ([1, 2], [1, 1], 5, None, "t = 5 lies beyond all follow-up"),
        (
            [1, 2, 9],
            [1, 1, 0],
            5,
            ([1, 3], [1, 0]),
            "beyond the training censoring curve, which ends at 3",
        ),
        ([], [], 1, None, "there are no patients"),
    ],
)
def test_what_cannot_be_computed_says_why(time, event, t, train, why):
    risk = np.arange(len(time))
    (estimate,) = auc(time, event, risk, [t], train)
    assert (estimate.value, estimate.se, estimate.low, estimate.high) == (None,) * 4
    assert (estimate.n, why in estimate.note) == (len(time), True)
    with pytest.raises(NotComputableError, match=why):
        auc_influence(time, event, risk, [t], train)


def test_one_horizon_that_fails_leaves_the_others():
    ours = auc([2, 3, 4, 5], [1, 1, 0, 0], [2, 0, 1, 0], [1, 3.5, 9])
    assert [e.value for e in ours] == [None, pytest.approx(5 / 8), None]
    assert ours[1].events == 2


def test_an_event_at_the_horizon_is_a_case_and_a_censoring_there_is_neither():
    assert auc([2, 2, 3, 3], [1, 0, 1, 0], [1, 0, 0, 0], [2])[0].value == 1
    assert auc([2, 2, 3, 3], [0, 1, 1, 0], [9, 1, 0, 0], [2])[0].value == 1


@pytest.mark.parametrize(
    ("log_risk", "message"),
    [
        ([0.0], "expected 2, got 1"),
        ([0.0, np.nan], "row 1 holds nan"),
        ([[0.0, 1.0], [0.0, 1.0]], "expected 1 columns, got 2"),
        ([[0.0], [np.inf]], "row 1 holds inf"),
    ],
)
def test_wrong_input_is_refused(log_risk, message):
    with pytest.raises(InputError, match=message):
        auc([1, 2], [1, 0], log_risk, [1])


def test_the_interval_covers():
    """Over 200 small censored cohorts the 95 % interval holds the true AUC in about 95 of 100."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=200_000)
    truth = [
        e.value
        for e in auc(rng.exponential(10 * np.exp(-x)), np.ones(len(x)), x, TIMES)
    ]
    hits = np.zeros(3)
    for _ in range(200):
        x = rng.normal(size=200)
        time, end = rng.exponential(10 * np.exp(-x)), rng.exponential(15.0, 200)
        ours = auc(np.minimum(time, end), time <= end, x, TIMES)
        hits += [e.low <= t <= e.high for e, t in zip(ours, truth, strict=True)]
    assert ((hits / 200 >= 0.90) & (hits / 200 <= 0.985)).all(), hits / 200
