"""Effective parameters of a fit: what shrinkage leaves of them, and what its optimism shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._types import FloatArray, IntArray
from survfuse.survival._partial import RiskSets
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.right_censored import Outcome

RULE = (
    "rule of thumb: 10 or more; Riley et al. 2019, Stat Med 38:1276, give the size that a "
    "study needs"
)


@dataclass(frozen=True)
class Effective:
    """Effective parameters, or why there is no such number.

    Attributes
    ----------
    value : float or None
    note : str
        How it was estimated; of a missing number, ``not computable:`` and why.
    too_many : bool
        Whether there is no number because more came out than there are events.
    ratio : float or None
        Likelihood ratio of the fit on its own patients; None where it is not wanted.
    """

    value: float | None
    note: str
    too_many: bool = False
    ratio: float | None = None


def events_per_effective(
    events: Sequence[float],
    effective: Sequence[float],
) -> float | None:
    """Events per effective parameter: all events of some fits over all their parameters.

    A mean of the fits' own ratios would be ruled by the fit that shrinkage left least of.

    Parameters
    ----------
    events, effective : sequence of float, (fits,)
        Training events and effective parameters of each.

    Returns
    -------
    float or None
        None where no fit has any effective parameter.
    """
    total = float(np.sum(effective))
    return float(np.sum(events)) / total if total > 0 else None


def likelihood_ratio(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    log_risk: npt.ArrayLike,
    ties: str = "efron",
) -> float:
    """Twice the gain of a log-risk in the log partial likelihood of these patients over no risk."""
    outcome = Outcome.of(time, event)
    sets = RiskSets.of(outcome, ties)
    risk = as_log_risk(log_risk, len(outcome))
    return 2 * (sets.log_likelihood(risk) - sets.log_likelihood(np.zeros(len(outcome))))


def expected_shrinkage(
    effective: float,
    ratio: float,
) -> float | None:
    """Share of a fit's gain in likelihood on its own patients that is more than its optimism.

    ``1 - p / LR`` (van Houwelingen and le Cessie 1990, Stat Med 9:1303): by how much the risks
    of an unpenalised fit with p parameters must be shrunk for new patients. Riley et al. 2019
    (Stat Med 38:1276) ask for 0.9 when a study is planned. Of a penalised fit, p is what the
    penalty leaves, and at one half the fit gains nothing on new patients.

    Returns
    -------
    float or None
        None where the fit gains nothing on its own patients.
    """
    return 1 - effective / ratio if ratio > 0 else None


def trace_of_fit(
    information: FloatArray,
    ridge: float | FloatArray,
) -> float:
    """Effective parameters of a ridge fit, ``trace H (H + ridge)^-1``.

    Without a ridge every parameter that the data determine counts 1; a ridge takes from each
    direction as much as the data say little about it (Gray 1992, JASA 87:942-951).

    Parameters
    ----------
    information : array, (features, features)
        Negative Hessian H of the log-likelihood at the solution, without the penalty.
    ridge : float or array, (features,)
        Penalty per feature, on the scale of the log-likelihood, of ``ridge/2 · b²``.
    """
    if len(information) == 0:
        return 0.0
    if not np.any(ridge):
        return float(np.linalg.matrix_rank(information, hermitian=True))
    pull = np.broadcast_to(np.asarray(ridge, np.float64), len(information))
    return float(np.trace(np.linalg.solve(information + np.diag(pull), information)))


def by_optimism(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    in_sample: npt.ArrayLike,
    out_of_fold: npt.ArrayLike,
    fold: IntArray,
    ties: str = "efron",
) -> Effective:
    """Effective parameters of any model, from how much better it does on patients it was fitted to.

    Of a fit with p parameters the log partial likelihood l lies above that of the true risks by
    p/2 on its own patients, and below it by p/2 on as many others: the difference is p (Akaike
    1974), or, of a shrunken or wrong model, the trace of TIC (Takeuchi 1976). Risks made out of
    fold come from (K − 1)/K of the patients and lie p/2 · K/(K − 1) below, so that

        p = (l(in sample) − l(out of fold)) · 2 (K − 1) / (2 K − 1).

    Risks of different inner fits share no origin: both likelihoods compare patients within
    their inner fold. Smaller risk sets hold less information; p is divided by the share that
    they keep, measured along the in-sample risk.

    The derivation is of second order: it takes the fit to lie near what it would be with
    endless patients, and more parameters than events are no estimate. Of one cohort it is
    noisy, with a deviation of several parameters. The last factor is that of a fit without
    shrinkage; of a shrunken one p comes out too small, for ridge Cox fits of simulated cohorts
    10 to 20 % below the trace. Epochs that the same inner folds chose make l(out of fold) a
    little too good, and p too small.

    Parameters
    ----------
    time, event : array-like, (patients,)
    in_sample, out_of_fold : array-like, (patients,)
        Log-risk by the fit on everyone; by fits that did not see the patient's fold.
    fold : array of int, (patients,)
        Inner fold of each.
    ties : {"efron", "breslow"}
    """
    outcome = Outcome.of(time, event)
    fitted = as_log_risk(in_sample, len(outcome))
    unseen = as_log_risk(out_of_fold, len(outcome))
    gap = within = 0.0
    folds = np.unique(fold)
    if len(folds) < 2:
        return _not_computable("there is one inner fold, so nothing is out of fold")
    for number in folds:
        rows = np.asarray(fold == number)
        sets = RiskSets.of(outcome[rows], ties)
        gap += sets.log_likelihood(fitted[rows]) - sets.log_likelihood(unseen[rows])
        within += _information(sets, fitted[rows])
    total = _information(RiskSets.of(outcome, ties), fitted)
    if not (within > 0 and np.isfinite([within, total, gap]).all()):
        return _not_computable("the in-sample risks tell nobody apart")
    count = gap * (total / within) * 2 * (len(folds) - 1) / (2 * len(folds) - 1)
    if count <= 0:
        return _not_computable(
            f"the log partial likelihood is {-gap:.2f} larger out of fold than in sample, so "
            "there is no optimism to count; the network is not shown to have learned anything",
        )
    if count > outcome.events:
        return _not_computable(
            f"an optimism of {count:.0f} parameters from {outcome.events} events; so close a "
            "fit to its own patients is beyond what the derivation holds for",
            too_many=True,
        )
    note = "from the optimism of the log partial likelihood on inner folds"
    return Effective(count, note)


def _not_computable(
    reason: str,
    *,
    too_many: bool = False,
) -> Effective:
    return Effective(None, f"not computable: {reason}", too_many)


def _information(
    sets: RiskSets,
    log_risk: FloatArray,
) -> float:
    """Information on the scale of a log-risk; 0 without an event."""
    if len(sets.event) == 0:
        return 0.0
    return float(sets.derivatives(log_risk[:, None], log_risk)[1][0, 0])
