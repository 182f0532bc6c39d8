from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from survfuse._errors import InputError
from survfuse.survival.d_calibration import d_calibration


def chi2_of(estimate):
    return float(estimate.note.split("χ² = ")[1].split(" ")[0])


@pytest.mark.slow
@pytest.mark.parametrize("bins", [5, 10, 20])
def test_it_is_that_of_survivaleval(monthly, bins):
    evaluations = pytest.importorskip(
        "SurvivalEVAL.evaluations.calibration.distributional.distribution_calibration",
    )
    time, event, _ = monthly
    survival = np.random.default_rng(2).beta(2, 1.5, size=len(time))
    statistic, p, _ = evaluations.d_calibration(survival, event, bins)
    ours = d_calibration(time, event, survival, bins)
    assert ours.value == pytest.approx(float(p), rel=1e-9)
    assert chi2_of(ours) == pytest.approx(float(statistic), rel=1e-3)


def test_two_bins_by_hand():
    # bins [0, 0.5) and [0.5, 1]; events at 0.2, 0.5, 1; a censored patient at 0.8 lies 5/8 and 3/8
    ours = d_calibration([1, 2, 3, 4], [1, 1, 1, 0], [0.2, 0.5, 1.0, 0.8], bins=2)
    chi2 = ((1.625 - 2) ** 2 + (2.375 - 2) ** 2) / 2
    assert chi2_of(ours) == pytest.approx(chi2, rel=1e-3)
    assert ours.value == pytest.approx(stats.chi2.sf(chi2, 1))
    assert "25% censored" in ours.note
    assert "fewer than 5 patients per bin" in ours.note


def test_an_edge_belongs_to_the_bin_above():
    for k in range(10):
        alone = d_calibration([1], [1], [k / 10])
        inside = d_calibration([1], [1], [k / 10 + 0.05])
        assert alone.value == inside.value
    a = d_calibration(np.ones(4), np.ones(4), [0.3, 0.6, 0.7, 0.9])
    b = d_calibration(np.ones(4), np.ones(4), [0.35, 0.65, 0.75, 0.95])
    assert a.value == b.value


def test_censored_patients_fill_the_bins_below():
    rng = np.random.default_rng(4)
    event = rng.random(3000) < 0.7
    survival = rng.random(3000)
    survival[~event] = 1.0  # censored at once: nothing is known of them
    assert chi2_of(d_calibration(np.ones(3000), event, survival)) < 20
    assert d_calibration(np.ones(3000), event, survival**2).value < 1e-6


def test_right_curves_pass_and_wrong_ones_do_not():
    rng = np.random.default_rng(8)
    survived, censored = rng.exponential(size=2000), rng.uniform(0.5, 3, size=2000)
    time, event = np.minimum(survived, censored), survived <= censored
    right = d_calibration(time, event, np.exp(-time))
    assert right.value > 0.05
    assert d_calibration(time, event, np.exp(-1.5 * time)).value < 1e-4
    rows = rng.permutation(2000)
    moved = d_calibration(time[rows] * 30, event[rows], np.exp(-time[rows]))
    assert moved.value == pytest.approx(right.value)
    assert right.se is None


def test_edge_cases():
    nobody = d_calibration([1, 2], [0, 0], [0.5, 0.6])
    assert nobody.value is None
    assert "no event" in nobody.note
    assert d_calibration([], [], []).value is None
    zero = d_calibration(
        [1, 2],
        [1, 0],
        [0.0, 0.0],
        bins=2,
    )  # both can lie in the lowest bin only
    assert chi2_of(zero) == pytest.approx(2)


def test_malformed_input_is_refused():
    with pytest.raises(InputError, match="bins must be a whole number >= 2, got 1"):
        d_calibration([1], [1], [0.5], bins=1)
    with pytest.raises(
        InputError,
        match=r"survival_at_time must lie within \[0, 1\]; row 0",
    ):
        d_calibration([1], [1], [np.nan])
    with pytest.raises(InputError, match=r"expected \(1, 1\), got \(2,\)"):
        d_calibration([1], [1], [0.5, 0.5])
