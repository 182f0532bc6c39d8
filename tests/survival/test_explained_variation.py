from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.survival.calibration_slope import calibration_slope
from survfuse.survival.explained_variation import kent_oquigley_r2, royston_r2
from survival.agreement_numbers import DATA, numbers

METRICS = [royston_r2, kent_oquigley_r2]


def test_both_are_those_of_r():
    d, se, r2_d, r2_ko = numbers("royston")
    outcome = (DATA["time"], DATA["event"], DATA["risk"])
    ours = royston_r2(*outcome)
    assert ours.value == pytest.approx(r2_d, abs=1e-8)
    assert f"D = {d:.4g}, SE {se:.4g}" in ours.note
    kappa = np.sqrt(8 / np.pi)
    low, high = (
        ((d + z * se) / kappa) ** 2 for z in (-1.959963984540054, 1.959963984540054)
    )
    assert [ours.low, ours.high] == pytest.approx(
        [v / (v + np.pi**2 / 6) for v in (low, high)],
        abs=1e-8,
    )
    assert kent_oquigley_r2(*outcome).value == pytest.approx(r2_ko, abs=1e-8)


def test_kent_oquigley_by_hand(monthly):
    time, event, risk = monthly
    slope = calibration_slope(time, event, risk)
    variance = slope.value**2 * np.var(risk, ddof=1)
    ours = kent_oquigley_r2(time, event, risk)
    assert ours.value == pytest.approx(variance / (variance + np.pi**2 / 6))
    assert f"V / (V + 1) = {variance / (variance + 1):.4g}" in ours.note
    low = slope.low**2 * np.var(risk, ddof=1)
    assert ours.low == pytest.approx(low / (low + np.pi**2 / 6))
    assert ours.low < ours.value < ours.high


@pytest.mark.parametrize("metric", METRICS)
def test_the_error_is_the_derivative_times_that_of_the_slope(monthly, metric):
    time, event, risk = monthly
    ours = metric(time, event, risk)
    length = np.sqrt(
        ours.value / (1 - ours.value) * np.pi**2 / 6,
    )  # from the share back
    step = 1e-5 * length
    share = [b**2 / (b**2 + np.pi**2 / 6) for b in (length - step, length + step)]
    relative = calibration_slope(time, event, risk)
    if metric is kent_oquigley_r2:
        derivative = (share[1] - share[0]) / (2 * step)
        assert ours.se == pytest.approx(
            derivative * length * relative.se / relative.value,
            rel=1e-5,
        )
    assert (ours.high - ours.low) / 2 / 1.96 == pytest.approx(ours.se, rel=0.05)


@pytest.mark.parametrize("metric", METRICS)
def test_a_normal_log_risk_explains_its_share(metric):
    rng = np.random.default_rng(6)
    risk = rng.normal(size=20_000)
    time = rng.exponential(size=20_000) / np.exp(1.2 * risk)
    censored = rng.uniform(0.1, 3, size=20_000)
    ours = metric(np.minimum(time, censored), time <= censored, risk)
    assert ours.value == pytest.approx(1.44 / (1.44 + np.pi**2 / 6), abs=0.015)
    assert ours.low < ours.value < ours.high


@pytest.mark.parametrize("metric", METRICS)
def test_units_signs_and_row_order(monthly, metric):
    time, event, risk = monthly
    ours = metric(time, event, risk)
    rows = np.random.default_rng(1).permutation(len(time))
    assert metric(
        time[rows] * 12,
        event[rows],
        7 * risk[rows] + 3,
    ).value == pytest.approx(ours.value)
    turned = metric(time, event, -risk)
    assert turned.value == pytest.approx(-ours.value)
    assert [turned.low, turned.high] == pytest.approx([-ours.high, -ours.low])
    assert "negative: larger log-risks went with later events" in turned.note


def test_only_ranks_count_for_royston(monthly):
    time, event, risk = monthly
    assert royston_r2(time, event, np.exp(risk)).value == pytest.approx(
        royston_r2(time, event, risk).value,
    )
    assert kent_oquigley_r2(time, event, np.exp(risk)).value != pytest.approx(
        kent_oquigley_r2(time, event, risk).value,
        abs=1e-3,
    )


@pytest.mark.parametrize("metric", METRICS)
def test_what_cannot_be_computed_says_why(metric):
    cases = [
        (metric([1, 2], [0, 0], [1, 2]), "no event"),
        (metric([1, 2], [1, 0], [1, 1]), "do not differ"),
        (metric([1], [1], [1]), "do not differ"),
        (metric([1, 2, 3], [1, 1, 1], [3, 2, 1]), "order every event"),
    ]
    for estimate, why in cases:
        assert estimate.value is None
        assert why in estimate.note
    with pytest.raises(InputError, match="log_risk must be finite"):
        metric([1, 2], [1, 0], [1, np.inf])
