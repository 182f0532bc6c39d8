"""Weights of risks: Cox coefficients that are never negative and shrink towards a start, not 0."""

from __future__ import annotations

from collections.abc import Sequence
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
class WeightFit:
    """Weights of some risks.

    Attributes
    ----------
    weights : array, (risks,), >= 0
    errors : array, (risks,)
        Standard error of each weight, of the inverse penalised information of all weights, whether
        or not they are held at 0: its posterior deviation, where the penalty is a normal prior.
    log_likelihood : float
        Log partial likelihood at `weights`, without the penalty.
    effective : float
        Effective parameters: the trace over weights that are not held at 0.
    """

    weights: FloatArray
    errors: FloatArray
    log_likelihood: float
    effective: float


def fit_weights(
    risks: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    start: npt.ArrayLike,
    penalty: npt.ArrayLike,
    fold: IntArray | None = None,
    repeats: int = 1,
) -> WeightFit:
    """Estimate w >= 0 that maximises ``log L(risks · w) − sum of penalty/2 · (w − start)²``.

    Stacked generalisation (Wolpert 1992) of survival risks, with the non-negativity of Breiman
    (1996, Machine Learning 24:49-64) and shrinkage towards the weights that they start with.

    Parameters
    ----------
    risks : array-like, (patients, risks)
        Log-risks that no fit saw its own patients for (out of fold).
    time, event : array-like, (patients,)
    start : float or array-like, (risks,)
        Weight that each risk starts with: 1 takes it as it is, 0 includes it only for evidence.
    penalty : float or array-like, (risks,)
        On the scale of the log-likelihood: a weight one unit from its start costs half of it.
    fold : array of int, (patients,), optional
        Inner fold of each patient. Risks of different fits share no origin, so patients are
        then compared within their fold only.
    repeats : int
        How often every patient is among the rows, each time with risks of other fits and in
        another fold: the likelihood is the mean over these.

    Raises
    ------
    NotComputableError
        Without an event.
    InputError
        For a negative start or penalty.
    """
    outcome = Outcome.of(time, event)
    x = as_matrix(risks, len(outcome))
    first = np.broadcast_to(np.asarray(start, np.float64), x.shape[1:])
    pull = np.broadcast_to(np.asarray(penalty, np.float64), x.shape[1:])
    numbers = np.concatenate([first, pull])
    if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
        raise InputError(
            f"start and penalty must be finite numbers >= 0, got {start!r} and {penalty!r}",
        )
    if outcome.events == 0:
        raise NotComputableError("weights cannot be fitted without an event")
    sets = StratifiedRiskSets.of(outcome, fold)

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        gradient = sets.derivatives(x, x @ weights)[0]
        away = weights - first
        value = float(pull @ away**2) / 2 - sets.log_likelihood(x @ weights) / repeats
        return value, pull * away - gradient / repeats

    end = minimize(
        objective,
        first.copy(),
        jac=True,
        bounds=[(0.0, None)] * len(first),
        method="L-BFGS-B",
        options={"ftol": 1e-12},
    )
    weights = np.maximum(np.asarray(end.x, np.float64), 0.0)
    information = sets.derivatives(x, x @ weights)[1] / repeats
    if not np.isfinite(information).all():
        raise NotComputableError(
            f"weights cannot be fitted: log-risks from {x.min():g} to {x.max():g} do not fit a "
            "double; look for patients with values far outside the others'",
        )
    free = np.flatnonzero(weights)
    effective = trace_of_fit(information[np.ix_(free, free)], pull[free])
    variance = np.linalg.pinv(information + np.diag(pull)).diagonal()
    return WeightFit(
        weights,
        np.sqrt(np.maximum(variance, 0.0)),
        sets.log_likelihood(x @ weights) / repeats,
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
        As in :func:`fit_weights`.
    """
    outcome = Outcome.of(time, event)
    x = as_matrix(risks, len(outcome))
    sets = StratifiedRiskSets.of(outcome, fold)
    nothing = sets.log_likelihood(np.zeros(len(x)))
    return np.array([sets.log_likelihood(column) - nothing for column in x.T])


def adds_too_little(added: Sequence[float], needed: float) -> str:
    """Say that what a risk adds to the log-likelihood of the others is not enough.

    Parameters
    ----------
    added : sequence of float
        In one fit or several.
    needed : float

    Examples
    --------
    >>> adds_too_little([-0.3, 0.98], 1.92)
    'out of fold it adds −0.30 to 0.98 to the log-likelihood of the other terms; 1.92 is needed'
    """
    least, most = (f"{one:.2f}".replace("-", "−") for one in (min(added), max(added)))
    between = least if least == most else f"{least} to {most}"
    return (
        f"out of fold it adds {between} to the log-likelihood of the other terms; "
        f"{needed:.2f} is needed"
    )
