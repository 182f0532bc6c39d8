"""Cumulative/dynamic AUC at horizons, with standard errors.

AUC(t) is the probability that a patient with the event at or before t had a
higher log-risk than one followed beyond t (Heagerty 2000), equal log-risks
counting one half. Events carry the censoring weights of
:mod:`survfuse.survival.censoring_weights`; patients followed beyond t all weigh the same.

Values and standard errors are those of ``Score`` of R's riskRegression (Blanche 2013).
Intervals are Wald's on the logit scale. In 1,200 simulated cohorts of 100 patients each
(45 % censored or more; 19 to 48 events up to t; true AUC 0.65, 0.8 and 0.9) they held the
truth in 94.8 to 95.8 of 100, the plain ones of ``Score`` in 90.6 to 94.5; with 200 patients
in 93.7 to 95.5 and 92.3 to 94.2. Their widths are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from survfuse._errors import InputError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.survival.argument_checks import as_horizons, as_log_risk, as_numbers
from survfuse.survival.censoring_weights import AtHorizons, CensoringWeights
from survfuse.survival.estimate import Estimate
from survfuse.survival.follow_up import Train, as_train
from survfuse.survival.right_censored import Outcome

NO_CASE = "no event at or before t = {t:g}, so no two patients can be compared"
NO_CONTROL = (
    "no patient was followed beyond t = {t:g}, so no two patients can be compared"
)


def auc(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> list[Estimate]:
    """Cumulative/dynamic AUC at each horizon.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,) or (patients, times)
        Larger means an earlier event.
    times : array-like, (times,)
        Horizons, in the unit of `time`.
    train : (time, event), optional
        Patients whose censoring curve gives the weights, then taken as fixed;
        these patients' own otherwise.

    Returns
    -------
    list of Estimate, (times,)
        With a 95 % interval on the logit scale.
        Without a value, and with the reason, at a horizon beyond the follow-up
        or the censoring curve, before the first event, or with nobody left.

    Raises
    ------
    InputError
        For a log-risk of a wrong shape, or one that is not finite.
    """
    return _auc(time, event, log_risk, times, train).estimates()


def auc_influence(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> tuple[FloatArray, FloatArray]:
    """AUC (times,) and each patient's influence on it (patients, times), to combine folds.

    Parameters
    ----------
    time, event, log_risk, times, train
        As in :func:`auc`.

    Raises
    ------
    NotComputableError
        When some horizon has no AUC.
    """
    return _auc(time, event, log_risk, times, train).at_all()


def _auc(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    times: ArrayLike,
    train: Train | None,
) -> AtHorizons:
    outcome, horizons = Outcome.of(time, event), as_horizons(times)
    weights = CensoringWeights.of(outcome, horizons, as_train(train))
    risk = as_numbers(log_risk, "log_risk", expected="a column of numbers")
    if risk.ndim != 2:
        risk = as_log_risk(risk, len(outcome))[:, None]
    elif risk.shape[1] != len(horizons):
        raise InputError(
            f"log_risk must be (patients,) or (patients, times): expected {len(horizons)} columns,"
            f" got {risk.shape[1]}",
        )
    else:
        for column in risk.T:
            as_log_risk(column, len(outcome))
    return auc_at(weights, risk)


def auc_at(
    weights: CensoringWeights,
    risk: FloatArray,
) -> AtHorizons:
    """AUC at the horizons of `weights`.

    Parameters
    ----------
    weights : CensoringWeights
    risk : array, (patients, times) or (patients, 1)
    """
    weights = weights.unless(np.all(~weights.beyond, axis=0), NO_CONTROL)
    weights = weights.unless(weights.events == 0, NO_CASE)
    usable = weights.usable()
    ranks = np.stack([np.unique(c, return_inverse=True)[1] for c in risk.T], axis=1)
    ranks = np.broadcast_to(ranks, (len(risk), len(weights.times)))[:, weights.known]
    values, share = np.empty(len(usable.times)), np.empty(ranks.shape)
    for k, rank in enumerate(ranks.T):
        values[k], share[:, k] = _pairs(rank, usable.of_event, usable.beyond[:, k])
    influence = usable.mean(share)[1]
    return AtHorizons(weights, values, influence, (0.0, 1.0), logit=True)


def _pairs(
    rank: IntArray,
    of_event: FloatArray,
    beyond: BoolArray,
) -> tuple[float, FloatArray]:
    """AUC of events against patients beyond, and each patient's share of its derivative."""
    case, control = np.where(beyond, 0.0, of_event), beyond.astype(np.float64)
    cases, controls = case.sum(), control.sum()
    beaten = _below(rank, control) / controls  # by each patient's rank, were it a case
    beating = 1 - _below(rank, case) / cases  # each patient's rank, were it a control
    value = float(case @ beaten / cases)
    share = case / cases * (beaten - value) + control / controls * (beating - value)
    return value, share * len(rank)


def _below(rank: IntArray, weight: FloatArray) -> FloatArray:
    """Weight of the patients with a smaller rank, and half of those with the same, (patients,)."""
    total = np.bincount(rank, weights=weight)
    below: FloatArray = (np.cumsum(total) - total / 2)[rank]
    return below
