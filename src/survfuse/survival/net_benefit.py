"""Net benefit (decision curves): does treating by the predicted risk pay.

At threshold p a patient is treated when the predicted risk is p or more. With the
share π treated and F their Kaplan–Meier risk at the horizon, the net benefit is
π F − π (1 − F) p / (1 − p) (Vickers 2008): true positives, less false positives at
the exchange rate that the threshold implies.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival.argument_checks import as_horizon, as_numbers, as_survival_at
from survfuse.survival.curves import ROUNDING
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.kaplan_meier_at import KaplanMeierAt
from survfuse.survival.right_censored import Outcome

ALL_ILL = (
    "all the treated are taken to have the event by then:"
    " the interval holds only who is treated"
)
ASSUMES = "censoring is independent of the event times among the treated"


def net_benefit(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    horizon: float,
    thresholds: ArrayLike,
) -> list[Estimate]:
    """Net benefit of treating those whose predicted risk reaches each threshold.

    Parameters
    ----------
    time, event : array-like, (patients,)
    survival : array-like, (patients,)
        Predicted survival at `horizon`; the risk is 1 − survival.
    horizon : float
        In the unit of time.
    thresholds : array-like, (thresholds,)
        Risks in [0, 1).

    Returns
    -------
    list of Estimate, one per threshold
        In true positives per patient; `events` counts those up to the horizon among
        the treated.

    Raises
    ------
    InputError
        For a survival outside [0, 1], a threshold outside [0, 1), or lengths that differ.
    """
    outcome, horizon = Outcome.of(time, event).with_horizon(as_horizon(horizon))
    risk = 1 - as_survival_at(survival, len(outcome))
    return [
        _estimate(outcome, _treated(risk, p), horizon, p)
        for p in _thresholds(thresholds)
    ]


def net_benefit_all(
    time: ArrayLike,
    event: ArrayLike,
    horizon: float,
    thresholds: ArrayLike,
) -> list[Estimate]:
    """Net benefit of treating everyone; that of treating nobody is 0.

    Parameters
    ----------
    time, event : array-like, (patients,)
    horizon : float
        In the unit of time.
    thresholds : array-like, (thresholds,)
        Risks in [0, 1).

    Raises
    ------
    InputError
        For a threshold outside [0, 1), or malformed outcomes.
    """
    outcome, horizon = Outcome.of(time, event).with_horizon(as_horizon(horizon))
    everyone = np.ones(len(outcome), dtype=bool)
    return [_estimate(outcome, everyone, horizon, p) for p in _thresholds(thresholds)]


def net_benefit_influence(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    horizon: float,
    thresholds: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Net benefit and each patient's influence on it, to combine folds.

    Parameters
    ----------
    time, event, survival, horizon, thresholds
        As in :func:`net_benefit`.

    Returns
    -------
    values : array, (thresholds,)
        NaN where the follow-up of the treated ends before the horizon.
    influence : array, (patients, thresholds)
        Sums to 0 over patients; the standard error is ``sqrt(sum(influence ** 2))``.
        NaN where the value is.

    Raises
    ------
    NotComputableError
        Without patients.
    InputError
        As in :func:`net_benefit`.
    """
    outcome, horizon = Outcome.of(time, event).with_horizon(as_horizon(horizon))
    risk = 1 - as_survival_at(survival, len(outcome))
    if len(outcome) == 0:
        raise NotComputableError("net benefit: there are no patients")
    levels = _thresholds(thresholds)
    values = np.full(len(levels), np.nan)
    influence = np.full((len(outcome), len(levels)), np.nan)
    for k, p in enumerate(levels):
        # The treated may not have been followed long enough: then both stay NaN.
        with suppress(NotComputableError):
            values[k], influence[:, k] = _benefit(
                outcome,
                _treated(risk, p),
                horizon,
                p,
            )
    return values, influence


def _estimate(
    outcome: Outcome,
    treated: BoolArray,
    horizon: float,
    threshold: float,
) -> Estimate:
    basis = Basis(len(outcome), outcome[treated].events_by(horizon), ASSUMES)
    if len(outcome) == 0:
        return basis.missing("there are no patients")
    if not treated.any():
        return basis.without_se(
            0.0,
            f"nobody is treated at threshold {threshold:g}, so the net benefit is exactly 0",
        )
    try:
        value, influence = _benefit(outcome, treated, horizon, threshold)
    except NotComputableError as why:
        return basis.missing(f"among the {treated.sum()} treated: {why}")
    all_ill = value >= treated.mean() - ROUNDING  # Kaplan-Meier has fallen to 0
    return basis.wald(value, influence, (-np.inf, 1.0), note=ALL_ILL if all_ill else "")


def _benefit(
    outcome: Outcome,
    treated: BoolArray,
    horizon: float,
    threshold: float,
) -> tuple[float, FloatArray]:
    n = len(outcome)
    if not treated.any():
        return 0.0, np.zeros(n)
    at = KaplanMeierAt.of(outcome[treated], horizon)
    share, rate = float(treated.mean()), threshold / (1 - threshold)
    gain = (1 - at.survival) * (1 + rate) - rate  # of treating one of them
    influence = (treated - share) * gain / n
    influence[treated] -= share * (1 + rate) * at.influence
    return share * gain, influence


def _treated(risk: FloatArray, threshold: float) -> BoolArray:
    # A survival of 0.9 is a risk of 0.1.
    reached: BoolArray = risk >= threshold - ROUNDING
    return reached


def _thresholds(thresholds: ArrayLike) -> list[float]:
    levels = np.atleast_1d(as_numbers(thresholds, "thresholds", flags=False))
    bad = ~((levels >= 0) & (levels < 1))
    if levels.ndim != 1 or bad.any():
        raise InputError(
            f"thresholds must be a list of risks in [0, 1), got {thresholds!r}",
        )
    return [float(p) for p in levels]
