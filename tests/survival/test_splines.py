from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.survival.splines import knots_of, spline_basis
from survival.agreement_numbers import DATA, numbers

PLACE = {t: np.log(-np.log(DATA[f"s{t}"].to_numpy())) for t in (24, 60)}


@pytest.mark.parametrize("horizon", [24, 60])
@pytest.mark.parametrize("knots", [3, 4, 5])
def test_knots_are_those_of_r(horizon, knots):
    assert knots_of(PLACE[horizon], knots) == pytest.approx(
        numbers(f"smooth {horizon} k{knots} knots"),
        abs=1e-8,
    )


def test_few_values_have_their_fifth_as_outer_knots():
    assert knots_of(PLACE[24][:80]) == pytest.approx(
        numbers("smooth_few 24 k3 knots"),
        abs=1e-8,
    )


def test_three_knots_by_hand():
    # knots 0, 1, 3: before the first 0; between, (x - 0)^3 / 9; beyond the last a straight line
    basis = spline_basis(
        np.array([-1.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        np.array([0.0, 1.0, 3.0]),
    )
    assert basis[:, 0].tolist() == [-1, 1, 2, 3, 4, 5]
    assert basis[:4, 1] == pytest.approx([0, 1 / 9, (8 - 1.5) / 9, (27 - 8 * 1.5) / 9])
    assert np.diff(basis[3:, 1]) == pytest.approx(np.full(2, basis[4, 1] - basis[3, 1]))


@pytest.mark.parametrize("knots", [3, 4, 5])
def test_a_spline_is_smooth_and_straight_outside(knots):
    places = knots_of(np.random.default_rng(1).normal(size=500), knots)
    step = 1e-3
    x = np.arange(places[0] - 2, places[-1] + 2, step)
    second = np.diff(spline_basis(x, places), n=2, axis=0) / step**2
    outside = (x[1:-1] < places[0] - step) | (x[1:-1] > places[-1] + step)
    assert np.abs(second[outside]).max() < 1e-6
    assert np.abs(second).max() > 0.1
    assert (
        np.abs(np.diff(second, axis=0)).max() < 0.1
    )  # the second derivative does not jump
    assert spline_basis(x, places).shape == (len(x), knots - 1)


def test_too_few_distinct_values_have_no_knots():
    assert len(knots_of(np.zeros(0))) == 0
    assert len(knots_of(np.repeat([1.0, 2.0], 100))) == 0
    assert (
        len(knots_of(np.array([1.0, 2.0, 3.0]))) == 0
    )  # the fifth smallest is no outer knot of three
    assert (
        len(knots_of(np.r_[np.zeros(190), np.arange(10)])) == 0
    )  # the first knots coincide
    assert spline_basis(np.array([1.0, 2.0]), np.zeros(0)).tolist() == [[1.0], [2.0]]


def test_another_number_of_knots_is_refused():
    with pytest.raises(InputError, match="3, 4 or 5 knots here, got 6"):
        knots_of(np.arange(10.0), 6)
