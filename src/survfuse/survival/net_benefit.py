"""Net benefit (decision curves): is it worth treating by the predicted risk.

At threshold p a patient is treated when the predicted risk is p or more. With the
share π treated and F their Kaplan–Meier risk at the horizon, the net benefit is
π F − π (1 − F) p / (1 − p) (Vickers 2008): true positives, less false positives at
the exchange rate that the threshold implies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival.argument_checks import as_horizon, as_numbers, as_survival_at
from survfuse.survival.curves import ROUNDING
from survfuse.survival.estimate import Estimate, not_computable, wald
from survfuse.survival.kaplan_meier_at import KaplanMeierAt
from survfuse.survival.right_censored import Outcome

SURE = "all the treated are taken to have the event by then: the interval holds only who is treated"
ASSUMES = "censoring is independent of the event times among the treated"


def net_benefit(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    horizon: float,
    thresholds: npt.ArrayLike,
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
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    horizon: float,
    thresholds: npt.ArrayLike,
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
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    horizon: float,
    thresholds: npt.ArrayLike,
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
    values, influence = (
        np.full(len(levels), np.nan),
        np.full((len(outcome), len(levels)), np.nan),
    )
    for k, p in enumerate(levels):
        try:
            values[k], influence[:, k] = _benefit(
                outcome,
                _treated(risk, p),
                horizon,
                p,
            )
        except (
            NotComputableError
        ):  # the treated were not followed long enough: stays NaN
            continue
    return values, influence


def _estimate(
    outcome: Outcome,
    treated: BoolArray,
    horizon: float,
    threshold: float,
) -> Estimate:
    n = len(outcome)
    seen = int((outcome.event & treated & (outcome.time <= horizon)).sum())
    if n == 0:
        return not_computable("there are no patients", 0, 0, ASSUMES)
    if not treated.any():
        return Estimate(
            0.0,
            None,
            None,
            None,
            n,
            0,
            f"nobody is treated at threshold {threshold:g}, so the net benefit is exactly 0",
            ASSUMES,
        )
    try:
        value, influence = _benefit(outcome, treated, horizon, threshold)
    except NotComputableError as why:
        return not_computable(
            f"among the {treated.sum()} treated: {why}",
            n,
            seen,
            ASSUMES,
        )
    sure = bool(value >= treated.mean() - ROUNDING)  # Kaplan-Meier has fallen to 0
    return wald(
        value,
        influence,
        n,
        seen,
        limits=(-np.inf, 1.0),
        note=SURE if sure else "",
        assumptions=ASSUMES,
    )


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
    reached: BoolArray = (
        risk >= threshold - ROUNDING
    )  # a survival of 0.9 is a risk of 0.1
    return reached


def _thresholds(thresholds: npt.ArrayLike) -> list[float]:
    levels = np.atleast_1d(as_numbers(thresholds, "thresholds", flags=False))
    bad = ~((levels >= 0) & (levels < 1))
    if levels.ndim != 1 or bad.any():
        raise InputError(
            f"thresholds must be a list of risks in [0, 1), got {thresholds!r}",
        )
    return [float(p) for p in levels]
