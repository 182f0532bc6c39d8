"""Weights of risks: Cox coefficients that are never negative and shrink towards a prior, not 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival.cox import as_matrix
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.right_censored import Outcome
from survfuse.survival.stratified import StratifiedRiskSets


@dataclass(frozen=True, eq=False)
class TrustFit:
    """Trusts of some risks.

    Attributes
    ----------
    trust : array, (risks,), >= 0
    log_likelihood, prior_log_likelihood : float
        Log partial likelihood, without the penalty, at `trust` and at the prior.
    effective : float
        Effective parameters: the trace over trusts that are not held at 0.
    """

    trust: FloatArray
    log_likelihood: float
    prior_log_likelihood: float
    effective: float


def fit_trust(
    risks: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    prior: npt.ArrayLike,
    penalty: npt.ArrayLike,
    fold: IntArray | None = None,
) -> TrustFit:
    """Estimate w >= 0 that maximises ``log L(risks · w) − sum of penalty/2 · (w − prior)²``.

    Stacked generalisation (Wolpert 1992) of survival risks, with the non-negativity of Breiman
    (1996, Machine Learning 24:49-64) and shrinkage towards a prior trust.

    Parameters
    ----------
    risks : array-like, (patients, risks)
        Log-risks that no fit saw its own patients for (out of fold).
    time, event : array-like, (patients,)
    prior : float or array-like, (risks,)
        Weight that each risk starts with: 1 takes it as it is, 0 includes it only for evidence.
    penalty : float or array-like, (risks,)
        On the scale of the log-likelihood: a trust of one unit from the prior costs half of it.
    fold : array of int, (patients,), optional
        Inner fold of each patient. Risks of different fits share no origin, so patients are
        then compared within their fold only.

    Raises
    ------
    NotComputableError
        Without an event.
    InputError
        For a negative prior or penalty.
    """
    outcome = Outcome.of(time, event)
    x = as_matrix(risks, len(outcome))
    start = np.broadcast_to(np.asarray(prior, np.float64), x.shape[1:])
    pull = np.broadcast_to(np.asarray(penalty, np.float64), x.shape[1:])
    numbers = np.concatenate([start, pull])
    if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
        raise InputError(
            f"prior and penalty must be finite numbers >= 0, got {prior!r} and {penalty!r}",
        )
    if outcome.events == 0:
        raise NotComputableError("trust cannot be fitted without an event")
    sets = StratifiedRiskSets.of(outcome, fold)

    def objective(trust: FloatArray) -> tuple[float, FloatArray]:
        gradient = sets.derivatives(x, x @ trust)[0]
        away = trust - start
        value = float(pull @ away**2) / 2 - sets.log_likelihood(x @ trust)
        return value, pull * away - gradient

    end = minimize(
        objective,
        start.copy(),
        jac=True,
        bounds=[(0.0, None)] * len(start),
        method="L-BFGS-B",
        options={"ftol": 1e-12},
    )
    trust = np.maximum(np.asarray(end.x, np.float64), 0.0)
    free = np.flatnonzero(trust)
    information = sets.derivatives(x[:, free], x @ trust)[1]
    effective = trace_of_fit(information, pull[free])
    return TrustFit(
        trust,
        sets.log_likelihood(x @ trust),
        sets.log_likelihood(x @ start),
        effective,
    )


def gains(
    risks: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    fold: IntArray | None = None,
) -> FloatArray:
    """Log partial likelihood of each risk, taken as it is, above that of no risk; (risks,).

    Parameters
    ----------
    risks, time, event, fold
        As in :func:`fit_trust`.
    """
    outcome = Outcome.of(time, event)
    x = as_matrix(risks, len(outcome))
    sets = StratifiedRiskSets.of(outcome, fold)
    nothing = sets.log_likelihood(np.zeros(len(x)))
    return np.array([sets.log_likelihood(column) - nothing for column in x.T])
