from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.net_benefit import (
    net_benefit,
    net_benefit_all,
    net_benefit_influence,
)
from survival.agreement_numbers import DATA, numbers

TIME, EVENT = DATA["time"].to_numpy(), DATA["event"].to_numpy()
THRESHOLDS = [0.1, 0.25, 0.5]


@pytest.mark.parametrize("horizon", [24, 60])
def test_model_and_treat_all_are_those_of_r(horizon):
    model = net_benefit(TIME, EVENT, DATA[f"s{horizon}"], horizon, THRESHOLDS)
    everyone = net_benefit_all(TIME, EVENT, horizon, THRESHOLDS)
    for threshold, a, b in zip(THRESHOLDS, model, everyone, strict=True):
        assert [a.value, b.value] == pytest.approx(
            numbers(f"benefit {horizon} {threshold}"),
            abs=1e-8,
        )


def test_the_shared_data_are_those_of_r(shared):
    d = pd.read_csv(shared / "reference" / "dca.csv")
    thresholds = [0.2, 0.4, 0.6]
    model = net_benefit(d["time"], d["event"], 1 - d["p"], 5, thresholds)
    everyone = net_benefit_all(d["time"], d["event"], 5, thresholds)
    for threshold, a, b in zip(thresholds, model, everyone, strict=True):
        assert [a.value, b.value] == pytest.approx(
            numbers(f"dca benefit {threshold}"),
            abs=1e-8,
        )
        assert a.events == (d["event"] * (d["time"] <= 5) * (d["p"] >= threshold)).sum()


def test_without_censoring_it_is_a_count():
    time = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    survival = np.array([0.2, 0.9, 0.3, 0.4, 0.8, 0.9, 0.5, 0.9])
    (found,) = net_benefit(time, np.ones(8), survival, 4, [0.5])
    assert found.value == pytest.approx(
        3 / 8 - 1 / 8,
    )  # treated: 0.2, 0.3, 0.4 die; 0.5 lives
    y = np.array(
        [1, 0, 1, 1, 0, 0, -1, 0],
    )  # without censoring the error is that of a mean
    assert found.se == pytest.approx(y.std() / np.sqrt(8))


def test_a_risk_at_the_threshold_is_treated():
    survival = np.array([0.9, 0.9, 0.8])  # 1 - 0.9 is a hair below 0.1
    (found,) = net_benefit([1, 2, 3], [1, 1, 1], survival, 2, [0.1])
    (everyone,) = net_benefit_all([1, 2, 3], [1, 1, 1], 2, [0.1])
    assert found.value == pytest.approx(everyone.value)


def test_the_influence_is_the_derivative_by_a_patients_weight(monthly):
    time, event, risk = (values[:60] for values in monthly)
    survival = 1 / (1 + np.exp(risk))
    values, influence = net_benefit_influence(time, event, survival, 8, [0.3, 0.5])
    assert influence.shape == (60, 2)
    assert influence.sum(axis=0) == pytest.approx([0, 0], abs=1e-12)
    for estimate, value, column in zip(
        net_benefit(time, event, survival, 8, [0.3, 0.5]),
        values,
        influence.T,
        strict=True,
    ):
        assert (estimate.value, estimate.se) == pytest.approx(
            (value, np.sqrt((column**2).sum())),
        )
    copies = 2000
    rows = np.repeat(np.arange(60), copies)
    for i in (0, 11, 27, 44):
        more = np.append(rows, i)
        moved = net_benefit_influence(
            time[more],
            event[more],
            survival[more],
            8,
            [0.3, 0.5],
        )[0]
        assert (moved - values) * copies == pytest.approx(influence[i], abs=2e-4)


def test_the_error_of_treat_all_is_greenwoods():
    (found,) = net_benefit_all(TIME, EVENT, 60, [0.2])
    assert found.se == pytest.approx(numbers("km 60")[1] * 1.25, abs=1e-8)


def test_nobody_treated_is_exactly_0():
    low, high = net_benefit(TIME, EVENT, np.full(len(TIME), 0.7), 24, [0.2, 0.4])
    assert (high.value, high.se, high.events) == (0.0, None, 0)
    assert "nobody is treated at threshold 0.4" in high.note
    assert low.value == pytest.approx(net_benefit_all(TIME, EVENT, 24, [0.2])[0].value)


def test_units_and_row_order(monthly):
    time, event, risk = monthly
    survival = 1 / (1 + np.exp(risk))
    rows = np.random.default_rng(1).permutation(len(time))
    (ours,) = net_benefit(time, event, survival, 8, [0.4])
    (moved,) = net_benefit(time[rows] * 12, event[rows], survival[rows], 96, [0.4])
    assert (moved.value, moved.se) == pytest.approx((ours.value, ours.se))


def test_the_treated_must_be_followed_to_the_horizon():
    time, event, survival = [2, 3, 9, 9], [1, 0, 0, 1], [0.1, 0.2, 0.9, 0.9]
    all_of_them, few = net_benefit(time, event, survival, 5, [0.05, 0.5])
    assert all_of_them.value is not None
    assert few.value is None
    assert "among the 2 treated: follow-up ends at 3" in few.note
    values, influence = net_benefit_influence(
        time,
        event,
        survival,
        5,
        [0.05, 0.5, 0.95],
    )
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(influence[:, 1]).all()
    assert (influence[:, 2] == 0).all()


def test_edges():
    assert net_benefit([], [], [], 1, [0.2])[0].value is None
    with pytest.raises(NotComputableError, match="no patients"):
        net_benefit_influence([], [], [], 1, [0.2])
    (censored,) = net_benefit([5, 6], [0, 0], [0.1, 0.2], 5, [0.5])
    assert censored.value == pytest.approx(-1)
    assert censored.se is None
    (one,) = net_benefit([2], [1], [0.1], 2, [0.5])
    assert one.value == pytest.approx(1)


def test_malformed_input_is_refused():
    for bad in ([1.0], [-0.1], [np.nan]):
        with pytest.raises(InputError, match=r"risks in \[0, 1\)"):
            net_benefit([1, 2], [1, 0], [0.1, 0.2], 1, bad)
    with pytest.raises(InputError, match="thresholds must be numbers"):
        net_benefit([1, 2], [1, 0], [0.1, 0.2], 1, ["high"])
    with pytest.raises(InputError, match=r"expected \(2, 1\), got \(1,\)"):
        net_benefit([1, 2], [1, 0], [0.1], 1, [0.5])


def test_an_interval_says_where_it_holds_only_who_is_treated():
    survival = [0.2, 0.3, 0.9, 0.8]  # the two who are treated have the event by 4
    (found,) = net_benefit([1, 3, 5, 6], [1, 1, 0, 1], survival, 4, [0.5])
    assert found.value == pytest.approx(0.5)
    assert "holds only who is treated" in found.note
    (other,) = net_benefit([1, 3, 5, 6], [1, 0, 0, 1], survival, 2, [0.5])
    assert other.note == ""
