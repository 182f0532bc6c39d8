from __future__ import annotations

import numpy as np
import pytest

from survfuse.survival.cox import fit_cox, partial_log_likelihood, ridge_cox_cv
from survfuse.survival.degrees_of_freedom import by_optimism, trace_of_fit
from survfuse.survival.stacking import fit_weights


def cohort(rng, patients=300, features=6):
    x = rng.normal(size=(patients, features))
    time = rng.exponential(12 * np.exp(-x @ np.linspace(0.5, -0.3, features)))
    return x, np.ceil(time * 3), rng.random(patients) < 0.7


def information_by_differences(x, time, event, coef, ties, step=1e-4):
    """Minus the Hessian of the log partial likelihood, from its values alone."""
    p = len(coef)
    eye = np.eye(p) * step

    def value(b):
        return partial_log_likelihood(time, event, x @ b, ties)

    found = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            found[i, j] = -(
                value(coef + eye[i] + eye[j])
                - value(coef + eye[i] - eye[j])
                - value(coef - eye[i] + eye[j])
                + value(coef - eye[i] - eye[j])
            ) / (4 * step**2)
    return found


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_trace_of_a_ridge_is_that_of_its_numerical_hessian(ties):
    x, time, event = cohort(np.random.default_rng(0), 120, 4)
    path = ridge_cox_cv(x, time, event, penalties=[0.2], ties=ties)
    information = information_by_differences(x, time, event, path.coef, ties)
    ridge = 0.2 * event.sum() * np.eye(4)
    assert path.effective == pytest.approx(
        np.trace(information @ np.linalg.inv(information + ridge)),
        abs=1e-5,
    )


def test_the_trace_falls_from_all_parameters_to_none():
    x, time, event = cohort(np.random.default_rng(1))
    found = [
        ridge_cox_cv(x, time, event, penalties=[penalty]).effective
        for penalty in (1e-9, 0.01, 0.3, 10, 1e6)
    ]
    assert found[0] == pytest.approx(6, abs=1e-5)
    assert found[-1] == pytest.approx(0, abs=1e-4)
    assert (np.diff(found) < 0).all()
    wide = np.random.default_rng(0).normal(size=(40, 500))
    some = ridge_cox_cv(wide, time[:40], event[:40], penalties=[50.0])
    assert 0 < some.effective < 39


def test_without_a_penalty_every_determined_parameter_counts():
    x, time, event = cohort(np.random.default_rng(2))
    information = information_by_differences(x, time, event, np.zeros(6), "efron")
    assert trace_of_fit(information, 0.0) == 6
    assert trace_of_fit(np.diag([2.0, 1.0, 0.0]), 0.0) == 2
    assert trace_of_fit(np.diag([2.0, 6.0]), np.array([2.0, 3.0])) == pytest.approx(
        0.5 + 2 / 3,
    )
    assert trace_of_fit(np.zeros((0, 0)), 1.0) == 0


def test_trusts_held_at_zero_have_no_parameter():
    x, time, event = cohort(np.random.default_rng(3), features=3)
    right, wrong = (
        x[:, 0],
        -x[:, 0],
    )  # its coefficient is 0.5, so that a trust in the other is pushed to 0
    fit = fit_weights(np.c_[right, wrong], time, event, start=[0.1, 0.0], penalty=5.0)
    assert fit.weights[0] > 0.1
    assert fit.weights[1] == 0
    curve = information_by_differences(
        right[:, None],
        time,
        event,
        fit.weights[:1],
        "efron",
    )[0, 0]
    assert fit.effective == pytest.approx(curve / (curve + 5.0), rel=1e-4)


def optimism(x, time, event, folds, **penalty):
    """Effective parameters of a Cox fit, refitted without each fold."""
    fold = np.random.default_rng(0).permutation(len(time)) % folds
    in_sample = x @ fit_cox(x, time, event, **penalty).coef
    out = np.empty(len(time))
    for number in range(folds):
        held = fold == number
        out[held] = (
            x[held] @ fit_cox(x[~held], time[~held], event[~held], **penalty).coef
        )
    return by_optimism(time, event, in_sample, out + 7.0 * fold, fold)


@pytest.mark.slow
@pytest.mark.parametrize("folds", [3, 6])
def test_optimism_counts_the_parameters_of_a_fit_without_a_penalty(folds):
    """On average; of one cohort it is noisy."""
    found = [
        optimism(*cohort(np.random.default_rng(seed), 400, 6), folds).value or np.nan
        for seed in range(60)
    ]
    assert not np.isnan(found).any()
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(6, abs=3 * error)


@pytest.mark.slow
def test_optimism_of_a_ridge_is_a_little_less_than_its_trace():
    """By 10 to 20 %, as the docstring says: the step from K − 1 folds to all is that of no shrinkage."""
    found, traces = [], []
    for seed in range(60):
        x, time, event = cohort(np.random.default_rng(seed), 300, 30)
        found.append(optimism(x, time, event, 5, penalty=0.3).value or np.nan)
        traces.append(ridge_cox_cv(x, time, event, penalties=[0.3]).effective)
    error = np.std(found) / np.sqrt(len(found))
    assert 15 < np.mean(traces) < 29
    assert (
        0.8 * np.mean(traces) - 3 * error
        < np.mean(found)
        < 0.9 * np.mean(traces) + 3 * error
    )


def test_each_fold_has_an_origin_of_its_own():
    rng = np.random.default_rng(4)
    _, time, event = cohort(rng)
    fold, a, b = np.arange(300) % 5, rng.normal(size=300), 0.1 * rng.normal(size=300)
    first = by_optimism(time, event, b - 0.1 * np.log(time), 0.1 * a, fold)
    moved = by_optimism(
        time,
        event,
        b - 0.1 * np.log(time),
        0.1 * a + np.arange(5.0)[fold],
        fold,
    )
    assert first.value is not None
    assert first.value == pytest.approx(moved.value)
    assert (
        first.note == "from the optimism of the log partial likelihood on inner folds"
    )


def test_what_cannot_be_counted_says_why():
    _, time, event = cohort(np.random.default_rng(5))
    good, fold = -np.log(time), np.arange(300) % 5
    worse = by_optimism(time, event, 0.01 * good, good, fold)
    assert worse.value is None
    assert "not computable: the log partial likelihood is" in worse.note
    assert "larger out of fold than in sample" in worse.note
    flat = by_optimism(time, event, 0 * good, good, fold)
    assert (flat.value, flat.note) == (
        None,
        "not computable: the in-sample risks tell nobody apart",
    )
    close = by_optimism(time, event, 40 * good, -good, fold)
    assert close.value is None
    assert f"parameters from {event.sum()} events; so close a fit" in close.note
    single = by_optimism(time, event, good, 0 * good, 0 * fold)
    assert (single.value, single.note) == (
        None,
        "not computable: there is one inner fold, so nothing is out of fold",
    )
