"""Conjugate gradients give the fits of Newton's method, faster where features are many."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import NotComputableError
from survfuse.survival import cox
from survfuse.survival._conjugate import climb_wide, conjugate_gradients
from survfuse.survival._newton import Axes, climb
from survfuse.survival._partial import RiskSets
from survfuse.survival.cox import ridge_cox_cv
from survfuse.survival.right_censored import Outcome


def tied_cohort(
    patients: int,
    features: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, times with ties, and events that depend on the features."""
    generator = np.random.default_rng(8)
    x = generator.normal(size=(patients, features))
    x[:, 1:] += x[:, :1]
    time = np.ceil(20 * generator.exponential(size=patients) * np.exp(-x[:, 0]))
    return x, time, generator.random(patients) < 0.4


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_curvature_is_that_of_the_derivatives(ties: str) -> None:
    x, time, event = tied_cohort(60, 5)
    sets = RiskSets.of(Outcome.of(time, event), ties)
    risk = x @ np.array([0.3, -0.2, 0.5, 0.0, 0.1])
    gradient, information = sets.derivatives(x, risk)
    curvature = sets.curvature(risk)
    assert curvature is not None
    residual, product = curvature
    np.testing.assert_allclose(residual @ x, gradient, atol=1e-12)
    for column, wanted in zip(x.T, information, strict=True):
        np.testing.assert_allclose(product(column) @ x, wanted, atol=1e-11)
    np.testing.assert_allclose(product(np.ones(60)), 0, atol=1e-12)


def test_curvature_that_a_double_loses_is_none() -> None:
    sets = RiskSets.of(Outcome.of([1.0, 2.0, 3.0], [1, 1, 1]), "efron")
    assert sets.curvature(np.array([0.0, 0.0, 800.0])) is not None
    assert sets.curvature(np.array([800.0, 0.0, 0.0])) is None
    with pytest.raises(NotComputableError, match="from 0 to 800 do not fit a double"):
        climb_wide(sets, np.eye(3), np.array([800.0, 0, 0]), 1.0, np.zeros(3))


def test_conjugate_gradients_solve_a_diagonal_in_one_product() -> None:
    diagonal, products = np.array([1.0, 10.0, 1e6]), []

    def times(x: np.ndarray) -> np.ndarray:
        products.append(x)
        return diagonal * x

    solution = conjugate_gradients(times, np.array([3.0, 2.0, 1.0]), diagonal)
    np.testing.assert_allclose(solution, [3.0, 0.2, 1e-6])
    assert len(products) == 1


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_it_ends_where_newton_does(ties: str, penalty: float) -> None:
    x, time, event = tied_cohort(80, 120)
    sets = RiskSets.of(Outcome.of(time, event), ties)
    z, base = Axes.of(x, scale=False).z, 0.5 * x[:, 3]
    ridge, zeros = penalty * event.sum(), np.zeros(z.shape[1])
    wanted = climb(sets, z, base, ridge, zeros)
    assert wanted.converged
    coef = climb_wide(sets, z, base, ridge, zeros)
    np.testing.assert_allclose(z @ coef, z @ wanted.coef, atol=1e-7)


def test_the_penalty_and_the_fit_are_those_of_newton(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, time, event = tied_cohort(150, 100)
    assert x.shape[1] > cox.WIDE
    wide = ridge_cox_cv(x, time, event, smallest=0.01)
    monkeypatch.setattr(cox, "WIDE", 1000)
    monkeypatch.setattr(cox, "ENOUGH", 1e-7)
    exact = ridge_cox_cv(x, time, event, smallest=0.01)
    assert wide.penalty == exact.penalty
    np.testing.assert_array_equal(wide.coef, exact.coef)
    np.testing.assert_allclose(wide.deviance, exact.deviance, rtol=1e-8)
