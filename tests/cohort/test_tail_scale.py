"""Long tails of published z-scores: a scale that is straight near 0 and a logarithm far from it."""

import numpy as np
import pytest

from survfuse.cohort.tail_scale import TailScale


def test_a_far_patient_hardly_moves_the_scale_and_comes_nearer() -> None:
    values = np.random.default_rng(0).normal(size=(200, 3))
    far = values.copy()
    far[0, 1] = 7000.0
    plain, moved = TailScale.fit(values), TailScale.fit(far)
    np.testing.assert_allclose(moved.spread, plain.spread, rtol=0.02)
    assert 9 < moved.apply(far)[0, 1] < 10
    np.testing.assert_array_equal(moved.apply(far)[:, 0], plain.apply(values)[:, 0])


def test_values_near_the_median_stay_as_they_are() -> None:
    scale = TailScale(np.array([1.0]), np.array([2.0]))
    near = scale.apply(np.array([[1.02], [0.98]]))
    np.testing.assert_allclose(near[:, 0], [0.01, -0.01], rtol=1e-4)


def test_order_is_kept_and_missing_values_stay_missing() -> None:
    scale = TailScale.fit(np.array([[0.0], [1.0], [4.0], [np.nan]]))
    applied = scale.apply(np.array([[-1.0], [0.0], [2.0], [np.nan]]))[:, 0]
    assert (np.diff(applied[:3]) > 0).all()
    assert np.isnan(applied[3])


def test_a_gene_that_most_do_not_express_has_a_finite_scale() -> None:
    values = np.array([[0.0]] * 8 + [[3.0], [5.0]])
    scale = TailScale.fit(values)
    assert scale.spread[0] == pytest.approx(values.std())
    assert np.isfinite(scale.apply(values)).all()
