"""How far to trust risks: Cox coefficients that are never negative and shrink towards a prior, not to 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival._partial import RiskSets
from survfuse.survival.cox import as_matrix
from survfuse.survival.degrees_of_freedom import trace_of_fit
from survfuse.survival.right_censored import Outcome


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
    """Find w >= 0 that maximises ``log L(risks · w) − sum of penalty/2 · (w − prior)²``.

    Stacked generalisation (Wolpert 1992) of survival risks, with the non-negativity of Breiman
    (1996, Machine Learning 24:49-64) and shrinkage towards a prior trust.

    Parameters
    ----------
    risks : array-like, (patients, risks)
        Log-risks that no fit saw its own patients for (out of fold).
    time, event : array-like, (patients,)
    prior : float or array-like, (risks,)
        Trust that each risk starts with: 1 takes it at its word, 0 has it earn every bit.
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
    given, pull = (
        np.broadcast_to(np.asarray(v, np.float64), x.shape[1:])
        for v in (prior, penalty)
    )
    if not (
        (given >= 0).all() and (pull >= 0).all() and np.isfinite([*given, *pull]).all()
    ):
        raise InputError(
            f"prior and penalty must be finite numbers >= 0, got {prior!r} and {penalty!r}",
        )
    if outcome.events == 0:
        raise NotComputableError("trust cannot be fitted without an event")
    strata = [
        (RiskSets.of(outcome[part], "efron"), x[part]) for part in _strata(len(x), fold)
    ]

    def value(trust: FloatArray) -> float:
        return sum(sets.log_likelihood(part @ trust) for sets, part in strata)

    def objective(trust: FloatArray) -> tuple[float, FloatArray]:
        gradient = sum(sets.derivatives(part, part @ trust)[0] for sets, part in strata)
        away = trust - given
        return float(pull @ away**2) / 2 - value(trust), pull * away - gradient

    bounds = [(0.0, None)] * len(given)
    found = minimize(
        objective,
        given.copy(),
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"ftol": 1e-12},
    )
    trust = np.maximum(np.asarray(found.x, np.float64), 0.0)
    free = np.flatnonzero(trust)
    information = np.sum(
        [sets.derivatives(part[:, free], part @ trust)[1] for sets, part in strata],
        axis=0,
    )
    return TrustFit(
        trust,
        value(trust),
        value(given),
        trace_of_fit(information, pull[free]),
    )


def gains(
    risks: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    fold: IntArray | None = None,
) -> FloatArray:
    """Log partial likelihood of each risk, taken at its word, above that of no risk; (risks,).

    Parameters
    ----------
    risks, time, event, fold
        As in :func:`fit_trust`.
    """
    outcome = Outcome.of(time, event)
    x = as_matrix(risks, len(outcome))
    total = np.zeros(x.shape[1])
    for part in _strata(len(x), fold):
        sets = RiskSets.of(outcome[part], "efron")
        nothing = sets.log_likelihood(np.zeros(int(part.sum())))
        total += [sets.log_likelihood(column) - nothing for column in x[part].T]
    return total


def _strata(patients: int, fold: IntArray | None) -> list[npt.NDArray[np.bool_]]:
    if fold is None:
        return [np.ones(patients, dtype=bool)]
    return [np.asarray(fold == number) for number in np.unique(fold)]
