from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.cox import fit_cox, partial_log_likelihood
from survfuse.survival.stacking import fit_weights, gains


def study(
    patients: int = 200,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two risks, of which the first alone tells, and an outcome; (patients, 2), (patients,), (patients,)."""
    rng = np.random.default_rng(seed)
    risks = rng.normal(size=(patients, 2))
    time = rng.exponential(np.exp(-risks[:, 0]))
    censored = rng.exponential(1.5, size=patients)
    return risks, np.minimum(time, censored), time <= censored


def test_without_penalty_it_is_a_cox_regression_where_that_is_positive() -> None:
    risks, time, event = study()
    risks[:, 1] += 0.5 * risks[:, 0]
    positive = fit_cox(risks, time, event).coef
    assert positive[0] > 0
    if positive[1] < 0:
        positive = np.array([fit_cox(risks[:, :1], time, event).coef[0], 0.0])
    found = fit_weights(risks, time, event, start=1, penalty=0)
    np.testing.assert_allclose(found.weights, positive, atol=1e-4)
    assert found.log_likelihood == pytest.approx(
        partial_log_likelihood(time, event, risks @ found.weights),
    )


def test_a_risk_that_points_the_wrong_way_gets_none() -> None:
    risks, time, event = study()
    risks[:, 1] = -risks[:, 0] + 0.1 * risks[:, 1]
    assert fit_weights(risks, time, event, start=0, penalty=0).weights[1] == 0


@given(st.floats(0, 3), st.floats(0, 3), st.integers(0, 5))
def test_a_strong_penalty_keeps_the_start(
    first: float,
    second: float,
    seed: int,
) -> None:
    found = fit_weights(*study(60, seed), start=[first, second], penalty=1e9)
    np.testing.assert_allclose(found.weights, [first, second], atol=1e-5)


@given(st.floats(0.01, 50), st.integers(0, 5))
def test_it_is_the_best_of_its_neighbours(penalty: float, seed: int) -> None:
    risks, time, event = study(60, seed)

    def value(trust: np.ndarray) -> float:
        return (
            partial_log_likelihood(time, event, risks @ trust)
            - penalty / 2 * ((trust - 1) ** 2).sum()
        )

    best = fit_weights(risks, time, event, start=1, penalty=penalty).weights
    for step in 0.01 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]]):
        assert value(np.maximum(best + step, 0)) <= value(best) + 1e-6


def test_each_risk_has_its_own_prior_and_penalty() -> None:
    risks, time, event = study()
    held, free = fit_weights(risks, time, event, start=[0, 1], penalty=[1e9, 0]).weights
    assert held == pytest.approx(0, abs=1e-5)
    assert free == pytest.approx(
        max(fit_cox(risks[:, 1], time, event).coef[0], 0),
        abs=1e-4,
    )


def test_folds_share_no_origin() -> None:
    risks, time, event = study()
    fold = np.arange(len(time)) % 4
    moved = risks + 7.0 * fold[:, None]
    here = fit_weights(risks, time, event, start=1, penalty=5, fold=fold).weights
    np.testing.assert_allclose(
        fit_weights(moved, time, event, start=1, penalty=5, fold=fold).weights,
        here,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        gains(moved, time, event, fold=fold),
        gains(risks, time, event, fold=fold),
    )
    assert (
        abs(fit_weights(moved, time, event, start=1, penalty=5).weights - here).max()
        > 0.1
    )


def test_gains_add_up_over_folds() -> None:
    risks, time, event = study()
    fold = np.arange(len(time)) % 3
    by_hand = [
        sum(
            partial_log_likelihood(time[fold == k], event[fold == k], column[fold == k])
            - partial_log_likelihood(
                time[fold == k],
                event[fold == k],
                np.zeros((fold == k).sum()),
            )
            for k in range(3)
        )
        for column in risks.T
    ]
    np.testing.assert_allclose(gains(risks, time, event, fold=fold), by_hand)
    assert by_hand[0] > 0 > by_hand[1]


def test_refusals() -> None:
    risks, time, event = study(30)
    with pytest.raises(
        NotComputableError,
        match="weights cannot be fitted without an event",
    ):
        fit_weights(risks, time, np.zeros(30, bool), start=1, penalty=1)
    with pytest.raises(
        InputError,
        match=r"start and penalty must be finite numbers >= 0, got -1 and 1",
    ):
        fit_weights(risks, time, event, start=-1, penalty=1)
    with pytest.raises(
        InputError,
        match=r"start and penalty must be finite numbers >= 0, got 1 and inf",
    ):
        fit_weights(risks, time, event, start=1, penalty=np.inf)
