from __future__ import annotations

import numpy as np
import pytest

from survfuse.survival._partial import RiskSets
from survfuse.survival.right_censored import Outcome
from survfuse.survival.stratified import StratifiedRiskSets


@pytest.fixture
def data() -> tuple[Outcome, np.ndarray, np.ndarray, np.ndarray]:
    """Outcome with ties, features, log-risks and strata; the last stratum has no event."""
    rng = np.random.default_rng(0)
    stratum = np.repeat([3, 7, 1], [20, 15, 5])
    event = rng.integers(0, 2, 40).astype(bool) & (stratum != 1)
    outcome = Outcome.of(rng.integers(1, 9, 40).astype(float), event)
    return outcome, rng.normal(size=(40, 3)), rng.normal(size=40), stratum


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_values_are_sums_over_the_strata(data, ties: str) -> None:
    outcome, x, risk, stratum = data
    sets = StratifiedRiskSets.of(outcome, stratum, ties)
    likelihood, gradient, information = 0.0, np.zeros(3), np.zeros((3, 3))
    for number in (1, 3, 7):
        rows = stratum == number
        own = RiskSets.of(outcome[rows], ties)
        likelihood += own.log_likelihood(risk[rows])
        parts = own.derivatives(x[rows], risk[rows])
        gradient, information = gradient + parts[0], information + parts[1]
    assert sets.log_likelihood(risk) == pytest.approx(likelihood, rel=1e-14)
    np.testing.assert_allclose(sets.derivatives(x, risk)[0], gradient, rtol=1e-12)
    np.testing.assert_allclose(sets.derivatives(x, risk)[1], information, rtol=1e-12)


def test_residuals_are_the_gradient_by_the_risks(data) -> None:
    outcome, x, risk, stratum = data
    sets = StratifiedRiskSets.of(outcome, stratum)
    gradient = sets.derivatives(x, risk)[0]
    np.testing.assert_allclose(x.T @ sets.residuals(risk), gradient, atol=1e-12)


def test_events_are_rows_of_the_patients_with_the_event(data) -> None:
    outcome, _, _, stratum = data
    sets = StratifiedRiskSets.of(outcome, stratum)
    assert sorted(sets.event) == np.flatnonzero(outcome.event).tolist()


def test_a_constant_of_each_stratum_changes_nothing(data) -> None:
    outcome, _, risk, stratum = data
    sets = StratifiedRiskSets.of(outcome, stratum)
    shifted = risk + 100.0 * stratum
    assert sets.log_likelihood(shifted) == pytest.approx(sets.log_likelihood(risk))
    together = StratifiedRiskSets.of(outcome)
    assert together.log_likelihood(shifted) != pytest.approx(
        together.log_likelihood(risk)
    )


def test_one_stratum_is_the_plain_likelihood(data) -> None:
    outcome, _, risk, _ = data
    plain = RiskSets.of(outcome, "efron")
    sets = StratifiedRiskSets.of(outcome)
    assert sets.log_likelihood(risk) == plain.log_likelihood(risk)
    np.testing.assert_array_equal(sets.residuals(risk), plain.residuals(risk))
