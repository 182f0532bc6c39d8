from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import NotComputableError
from survfuse.survival.cox import fit_cox
from survfuse.survival.pooled_cox import PooledCox, leave_out
from survfuse.survival.right_censored import Outcome
from survfuse.survival.stratified import StratifiedRiskSets


def data(patients: int, features: int) -> tuple[np.ndarray, Outcome, np.ndarray]:
    """Features, an outcome with ties, and an offset."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(patients, features))
    time = np.ceil(rng.exponential(10, patients) * np.exp(-x[:, 0]))
    outcome = Outcome.of(time, rng.random(patients) < 0.7)
    return x - x.mean(axis=0), outcome, rng.normal(size=patients) / 3


@pytest.mark.parametrize(("patients", "features"), [(90, 6), (30, 50)])
@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_one_stratum_is_an_ordinary_ridge_cox(
    patients: int, features: int, penalty: float
) -> None:
    x, outcome, offset = data(patients, features)
    plain = fit_cox(x, outcome.time, outcome.event, penalty=penalty, offset=offset)
    cox = PooledCox.of(x, outcome, np.zeros(patients, int), offset)
    coef = cox.fit(penalty)
    np.testing.assert_allclose(cox.weights(coef), plain.coef, atol=2e-5)
    np.testing.assert_allclose(cox.errors(coef, penalty), plain.se, rtol=1e-4)


def test_at_the_maximum_scores_of_all_strata_balance_the_penalty() -> None:
    x, outcome, offset = data(90, 6)
    stratum = np.arange(90) % 3
    cox = PooledCox.of(x, outcome, stratum, offset)
    weights = cox.weights(cox.fit(0.1))
    sets = StratifiedRiskSets.of(outcome, stratum)
    gradient = sets.derivatives(x, x @ weights + offset)[0]
    np.testing.assert_allclose(gradient, 0.1 * outcome.events * weights, atol=5e-3)


def test_parts_are_judged_by_fits_on_the_others() -> None:
    x, outcome, offset = data(90, 6)
    part = np.arange(90) % 3
    penalties = np.array([1.0, 0.1])
    left_out = leave_out(x, outcome, part, offset, part, penalties)
    own = part == 1
    alone = PooledCox.of(x[~own], outcome[~own], part[~own], offset[~own])
    weights = alone.weights(alone.fit(0.1))
    risk = left_out.risks[1, own]
    np.testing.assert_allclose(
        risk - risk.mean(), (x[own] - x[own].mean(axis=0)) @ weights, atol=1e-4
    )
    sets = StratifiedRiskSets.of(outcome[own])
    gain = sets.log_likelihood(risk + offset[own]) - sets.log_likelihood(offset[own])
    assert left_out.gains[1, 1] == pytest.approx(gain)
    assert left_out.best == int(left_out.gains.sum(axis=1).argmax())


def test_a_heavier_penalty_gives_smaller_weights() -> None:
    x, outcome, offset = data(60, 80)
    cox = PooledCox.of(x, outcome, np.zeros(60, int), offset)
    sizes = [float(np.abs(cox.fit(penalty)).sum()) for penalty in cox.grid()]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 10


def test_without_events_there_is_no_fit() -> None:
    x, outcome, offset = data(30, 3)
    silent = Outcome.of(outcome.time, np.zeros(30))
    with pytest.raises(NotComputableError, match="at least one event"):
        PooledCox.of(x, silent, np.zeros(30, int), offset)


def test_leading_components_alone_are_read() -> None:
    x, outcome, offset = data(60, 8)
    stratum = np.zeros(60, int)
    axes = np.linalg.svd(x, full_matrices=False)[2][:3]
    cox = PooledCox.of(x, outcome, stratum, offset, components=3)
    other = PooledCox.of(x @ axes.T, outcome, stratum, offset)
    weights = cox.weights(cox.fit(0.1))
    np.testing.assert_allclose(weights, other.weights(other.fit(0.1)) @ axes, atol=1e-6)
