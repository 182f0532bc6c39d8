from __future__ import annotations

import time as clock

import numpy as np
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import stratified_folds
from survfuse.survival.cox import fit_cox, partial_log_likelihood
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.right_censored import Outcome
from survfuse.survival.sparse_cox import fit_sparse_cox, sparse_cox_cv


def cohort(patients=120, features=300, seed=0, monthly=True):
    """Correlated features, five of which matter; times in whole months unless told otherwise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(patients, features)) + 0.5 * rng.normal(size=(patients, 1))
    risk = x[:, :5] @ np.array([0.7, -0.6, 0.5, 0.5, -0.4])[:features]
    time = rng.exponential(12 * np.exp(-risk))
    return (
        x * rng.uniform(0.1, 10, features),
        np.ceil(time) if monthly else time,
        rng.random(patients) < 0.6,
    )


def standard(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def slow_gradient(x, time, event, risk, ties):
    """Event after event, as the formula stands."""
    total = np.zeros(x.shape[1])
    w = np.exp(risk)
    for t in np.unique(time[event]):
        dying, at_risk = event & (time == t), time >= t
        for k, row in enumerate(np.flatnonzero(dying)):
            v = w * at_risk - (k / dying.sum() if ties == "efron" else 0.0) * w * dying
            total += x[row] - v @ x / v.sum()
    return total


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("mixing", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("penalty", [0.3, 0.15, 0.08])
def test_the_optimality_conditions_hold_at_every_feature(ties, mixing, penalty):
    x, time, event = cohort()
    fit = fit_sparse_cox(x, time, event, penalty=penalty, mixing=mixing, ties=ties)
    assert fit.converged
    z, b = standard(x), fit.coef * x.std(axis=0)
    pull = (
        slow_gradient(z, time, event, z @ b, ties) / event.sum()
        - penalty * (1 - mixing) * b
    )
    kept = np.zeros(len(b), bool)
    kept[fit.selected] = True
    assert ((b != 0) == kept).all()
    np.testing.assert_allclose(
        pull[kept],
        penalty * mixing * np.sign(b[kept]),
        atol=1e-6,
    )
    assert np.abs(pull[~kept]).max() <= penalty * mixing * (1 + 1e-6)
    assert 0 < kept.sum() < len(b)


@pytest.mark.slow
@pytest.mark.parametrize("mixing", [0.5, 1.0])
def test_a_path_is_that_of_coxnet(mixing):
    """scikit-survival penalises per patient, ours is per event; it stops a little early."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis
    from sksurv.util import Surv

    x, time, event = cohort()
    z = standard(x)
    alphas = np.geomspace(0.15, 0.03, 6)
    oracle = CoxnetSurvivalAnalysis(
        l1_ratio=mixing,
        alphas=alphas,
        tol=1e-12,
        max_iter=10**6,
    )
    oracle.fit(z, Surv.from_arrays(event, time))
    share = len(time) / event.sum()
    sizes = []

    def worth(coef, penalty):
        size = mixing * np.abs(coef).sum() + (1 - mixing) / 2 * coef @ coef
        return (
            partial_log_likelihood(time, event, z @ coef, "breslow")
            - event.sum() * penalty * size
        )

    for alpha, wanted in zip(alphas, oracle.coef_.T, strict=True):
        fit = fit_sparse_cox(
            z,
            time,
            event,
            penalty=alpha * share,
            mixing=mixing,
            ties="breslow",
        )
        np.testing.assert_allclose(fit.coef, wanted, atol=1e-4)
        assert worth(fit.coef, alpha * share) >= worth(wanted, alpha * share)
        sizes.append(len(fit.selected))
    assert sizes[0] < sizes[-1]
    assert sizes[-1] > 20


@pytest.mark.slow
def test_cross_validation_is_the_slow_one():
    x, time, event = cohort(80, 40)
    path = sparse_cox_cv(
        x,
        time,
        event,
        penalties=[0.1, 0.2],
        folds=3,
        seed=4,
        mixing=0.7,
    )
    assert path.penalties.tolist() == [0.2, 0.1]
    z = standard(x)  # of all patients: a unit knows no outcome
    everyone = RiskSets.of(Outcome.of(time, event), "efron")
    gain = np.zeros(2)
    for held in stratified_folds(event, 3, np.random.default_rng(4)):
        inner = RiskSets.of(Outcome.of(time[~held], event[~held]), "efron")
        for place, penalty in enumerate([0.2, 0.1]):
            b = descent(z[~held], time[~held], event[~held], penalty, 0.7)
            gain[place] += everyone.log_likelihood(z @ b) - inner.log_likelihood(
                z[~held] @ b,
            )
    np.testing.assert_allclose(path.deviance, -2 * gain / event.sum(), atol=1e-5)
    assert path.penalty == path.penalties[path.deviance.argmin()]
    alone = fit_sparse_cox(x, time, event, penalty=path.penalty, mixing=0.7)
    np.testing.assert_allclose(path.coef, alone.coef, atol=1e-8)
    assert path.effective == pytest.approx(alone.effective)


def descent(z, time, event, penalty, mixing, steps=3000):
    """Proximal gradient with a small step: slow, and sure of the maximum of a concave function."""
    events, b = event.sum(), np.zeros(z.shape[1])
    step = 4 / (np.linalg.norm(z, 2) ** 2)
    for _ in range(steps):
        b = b + step * (
            slow_gradient(z, time, event, z @ b, "efron")
            - events * penalty * (1 - mixing) * b
        )
        b = np.sign(b) * np.maximum(np.abs(b) - step * events * penalty * mixing, 0)
    return b


def test_a_small_absolute_penalty_is_a_ridge():
    x, time, event = cohort(80, 6)
    fit = fit_sparse_cox(x, time, event, penalty=0.2, mixing=1e-9)
    ridge = fit_cox(standard(x), time, event, penalty=0.2)
    np.testing.assert_allclose(fit.coef * x.std(axis=0), ridge.coef, atol=1e-6)


def test_the_largest_penalty_keeps_nothing_and_a_little_less_keeps_one():
    x, time, event = cohort()
    path = sparse_cox_cv(x, time, event)
    top = path.penalties[0]
    assert np.diff(path.penalties).max() < 0
    assert len(fit_sparse_cox(x, time, event, penalty=top * 1.0001).selected) == 0
    assert len(fit_sparse_cox(x, time, event, penalty=top * 0.9999).selected) == 1


def test_what_matters_is_found_and_noise_is_left():
    x, time, event = cohort(300, 1000, seed=3)
    path = sparse_cox_cv(x, time, event)
    assert {0, 1, 2, 3} <= set(path.selected.tolist())
    assert path.deviance.min() < path.null_deviance
    assert path.note == ""
    assert 0 < path.effective < len(path.selected)
    lasso = sparse_cox_cv(x, time, event, mixing=1.0)
    assert lasso.effective == len(lasso.selected)

    noise = sparse_cox_cv(
        x[:, 5:][np.random.default_rng(1).permutation(300)],
        time,
        event,
        seed=1,
    )
    assert noise.selected.tolist() == []
    assert noise.coef.tolist() == [0.0] * 995
    assert noise.effective == 0
    assert "no penalty beats" in noise.note


def test_units_and_order_change_nothing():
    x, time, event = cohort(90, 60)
    fit = fit_sparse_cox(x, time, event, penalty=0.1)
    order = np.random.default_rng(0).permutation(90)
    turned = fit_sparse_cox(x[order] * 1000 + 7, time[order], event[order], penalty=0.1)
    np.testing.assert_allclose(turned.coef * 1000, fit.coef, atol=1e-7)
    offset = 0.8 * standard(x)[:, 0]
    with_offset = fit_sparse_cox(x[:, 1:], time, event, penalty=0.1, offset=offset)
    assert not np.allclose(
        with_offset.coef,
        fit_sparse_cox(x[:, 1:], time, event, penalty=0.1).coef,
    )


def test_constant_features_and_copies_are_harmless():
    x, time, event = cohort(90, 20)
    fit = fit_sparse_cox(x, time, event, penalty=0.1)
    more = fit_sparse_cox(np.c_[x, np.full(90, 0.1)], time, event, penalty=0.1)
    np.testing.assert_allclose(more.coef, np.append(fit.coef, 0), atol=1e-9)
    double = fit_sparse_cox(np.c_[x, x[:, 0]], time, event, penalty=0.1, mixing=0.5)
    assert double.coef[0] == pytest.approx(
        double.coef[-1],
        abs=1e-8,
    )  # the ridge part shares
    assert double.converged
    nothing = sparse_cox_cv(np.ones((90, 3)), time, event)
    assert nothing.coef.tolist() == [0, 0, 0]
    assert "no penalty beats" in nothing.note


def test_residuals_are_the_derivative_by_each_risk():
    x, time, event = cohort(50, 3)
    sets = RiskSets.of(Outcome.of(time, event), "efron")
    risk, step = 0.3 * standard(x)[:, 0], 1e-6
    wanted = [
        (
            sets.log_likelihood(risk + step * row)
            - sets.log_likelihood(risk - step * row)
        )
        / (2 * step)
        for row in np.eye(50)
    ]
    np.testing.assert_allclose(sets.residuals(risk), wanted, atol=1e-7)
    np.testing.assert_allclose(
        sets.residuals(risk) @ x,
        sets.derivatives(x, risk)[0],
        atol=1e-10,
    )
    lost = RiskSets.of(Outcome.of([1, 2, 3], [1, 1, 1]), "efron")
    assert np.isnan(lost.residuals(np.array([0.0, 0.0, -2000.0]))).all()


def test_effective_parameters_of_the_kept_features_are_the_trace():
    x, time, event = cohort(90, 60)
    fit = fit_sparse_cox(x, time, event, penalty=0.1, mixing=0.5)
    z = standard(x)[:, fit.selected]
    information = RiskSets.of(Outcome.of(time, event), "efron").derivatives(
        z,
        z @ (fit.coef * x.std(axis=0))[fit.selected],
    )[1]
    assert fit.effective == pytest.approx(
        trace_of_fit(information, event.sum() * 0.1 * 0.5),
    )


@pytest.mark.slow
def test_twenty_thousand_genes_are_a_matter_of_seconds():
    x, time, event = cohort(400, 20_000, monthly=False)
    started = clock.perf_counter()
    assert len(sparse_cox_cv(x, time, event).selected) > 0
    assert clock.perf_counter() - started < 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": 0.0}, "penalty must be a finite number > 0, got 0.0"),
        ({"penalty": np.inf}, "penalty must be"),
        ({"penalty": 1.0, "mixing": 0.0}, r"mixing must lie in \(0, 1\], got 0.0"),
        ({"penalty": 1.0, "mixing": 1.1}, "mixing must lie"),
        ({"penalty": 1.0, "ties": "exact"}, "known: efron, breslow"),
        (
            {"penalty": 1.0, "offset": [0.0, np.nan, 1.0]},
            "offset must be finite; row 1",
        ),
    ],
)
def test_wrong_input_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        fit_sparse_cox([1.0, 2.0, 3.0], [1, 2, 3], [1, 1, 0], **options)


def test_too_few_events_and_wrong_paths_are_refused():
    with pytest.raises(NotComputableError, match="at least one event"):
        fit_sparse_cox([1.0, 2.0], [1, 2], [0, 0], penalty=1.0)
    with pytest.raises(NotComputableError, match="two events or more, got 1"):
        sparse_cox_cv([1.0, 2.0, 3.0], [1, 2, 3], [1, 0, 0])
    with pytest.raises(InputError, match="at least 2 folds, got 1"):
        sparse_cox_cv([1.0, 2.0, 3.0], [1, 2, 3], [1, 1, 1], folds=1)
    with pytest.raises(InputError, match="penalties must be finite numbers > 0"):
        sparse_cox_cv([1.0, 2.0, 3.0], [1, 2, 3], [1, 1, 1], penalties=[1.0, 0.0])
    few = sparse_cox_cv(
        np.arange(8.0),
        [1, 2, 3, 4, 5, 6, 7, 8],
        [0, 1, 0, 0, 1, 0, 1, 0],
    )
    assert few.folds == 3
    assert "3 folds, because there are 3 events" in few.note


def test_a_fit_that_stops_too_early_says_so(monkeypatch):
    from survfuse.survival import _newton

    rng = np.random.default_rng(5)
    x = rng.normal(size=(80, 6))
    time, event = rng.exponential(np.exp(-2 * x[:, 0])), np.ones(80, bool)
    assert sparse_cox_cv(x, time, event).note == ""
    monkeypatch.setattr(_newton, "MOST_STEPS", 1)
    assert (
        sparse_cox_cv(x, time, event).note == "did not converge; give larger penalties"
    )
