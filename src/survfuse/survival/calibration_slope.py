"""Calibration in the large and calibration slope: predicted against observed events.

Folds of a cross-validation are combined by laying their predictions below each
other; the slope then takes the fold as `stratum`, so that log-risks of different
networks are never compared with each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from survfuse._errors import InputError, NotComputableError, listed
from survfuse._types import FloatArray, IntArray
from survfuse.survival._newton import climb
from survfuse.survival.argument_checks import (
    as_floats,
    as_horizon,
    as_labels,
    as_log_risk,
    as_survival_at,
)
from survfuse.survival.estimate import FLAT, LEVEL, SMALLEST_SE, Basis, Estimate, Z
from survfuse.survival.kaplan_meier_at import KaplanMeierAt
from survfuse.survival.right_censored import Outcome
from survfuse.survival.stratified import StratifiedRiskSets

ASSUMES_OE = "censoring is independent of the event times, given the predicted hazards"
ASSUMES_OE_AT = "censoring is independent of the risks and of the event times"
ALL_ILL = (
    "Kaplan-Meier has fallen to 0, where its error is not defined,"
    " so no interval can be given"
)
ASSUMES_SLOPE = (
    "proportional hazards in the log-risk;"
    " censoring is independent of the event times, given it"
)


def observed_expected(
    time: ArrayLike,
    event: ArrayLike,
    cumulative_hazard: ArrayLike,
) -> Estimate:
    """Observed over expected events, ΣD / ΣH(T): 1 when predicted hazards are right on average.

    The interval is exp(log(O/E) ± 1.96/√O). With continuous times it covered 94.3 to
    95.1 % at 15 to 60 events, with and without censoring (where the exact Poisson
    interval covered 96 %).

    Parameters
    ----------
    time, event : array-like, (patients,)
    cumulative_hazard : array-like, (patients,)
        H(T) = −log S(T) that was predicted for each patient, at their own follow-up time.
        Where times are rounded up, to whole months say, it must come from a model of
        times rounded alike: otherwise more is expected than was lived through.

    Returns
    -------
    Estimate
        Above 1 where more events happened than predicted. Without any event 0, with
        an exact Poisson upper limit.

    Raises
    ------
    InputError
        For a hazard that is negative or not finite, or lengths that differ.
    """
    outcome = Outcome.of(time, event)
    return observed_over_expected(outcome, _hazards(cumulative_hazard, len(outcome)))


def observed_over_expected(
    outcome: Outcome,
    hazard: FloatArray,
) -> Estimate:
    """Compute :func:`observed_expected` of validated columns."""
    observed, expected = outcome.events, float(hazard.sum())
    basis = Basis(len(outcome), observed, ASSUMES_OE)
    if not expected > 0:
        return basis.missing("no event was expected: every cumulative hazard is 0")
    if observed == 0:
        high = float(stats.gamma.ppf((1 + LEVEL) / 2, 1)) / expected
        note = f"no event, {expected:.3g} expected: the upper limit is the exact Poisson one"
        return basis.without_se(0.0, note, 0.0, high)
    return _ratio(basis, observed / expected, observed**-0.5)


def observed_expected_at(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    horizon: float,
) -> Estimate:
    """Observed over expected risk at a horizon, (1 − KM(t)) / mean(1 − S(t)).

    Parameters
    ----------
    time, event : array-like, (patients,)
    survival : array-like, (patients,)
        Predicted survival at `horizon`.
    horizon : float
        In the unit of time.

    Returns
    -------
    Estimate
        Interval on the log scale from each patient's influence on both parts.
        Without an event up to the horizon 0, with an exact upper limit from the
        patients who were followed to it; without an interval where Kaplan–Meier has
        fallen to 0.

    Raises
    ------
    InputError
        For a survival outside [0, 1], or lengths that differ.
    """
    outcome, horizon = Outcome.of(time, event).with_horizon(as_horizon(horizon))
    risk = 1 - as_survival_at(survival, len(outcome))
    events = outcome.events_by(horizon)
    basis = Basis(len(outcome), events, ASSUMES_OE_AT)
    try:
        observed = KaplanMeierAt.of(outcome, horizon)
    except NotComputableError as why:
        return basis.missing(str(why))
    expected = float(risk.mean())
    if not expected > 0:
        return basis.missing("no event was expected: every predicted survival is 1")
    if events == 0:
        followed = int((outcome.time >= horizon).sum())
        high = float(1 - ((1 - LEVEL) / 2) ** (1 / followed)) / expected
        note = (
            f"no event up to {horizon:g}; the upper limit is exact for the {followed} patients"
            " followed to it"
        )
        return basis.without_se(0.0, note, 0.0, high)
    if observed.survival == 0:
        return basis.without_se(1 / expected, ALL_ILL)
    happened = 1 - observed.survival
    share = (risk - expected) / (len(outcome) * expected)
    influence = -observed.influence / happened - share
    return _ratio(basis, happened / expected, float(np.sqrt((influence**2).sum())))


def calibration_slope(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
    stratum: ArrayLike | None = None,
) -> Estimate:
    """Coefficient of the log-risk in a Cox model of its own (van Houwelingen 2000), Efron ties.

    1 when the log-risks are spread as they should be; below 1 when they are too
    extreme, as those of an overfitted network are; 0 when they tell nothing.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Larger means an earlier event.
    stratum : array-like, (patients,), optional
        Label of each patient's fold or hospital: only patients of one stratum are
        compared, each stratum has its own baseline, and the slope is common.

    Returns
    -------
    Estimate
        With the Wald interval of the information.

    Raises
    ------
    InputError
        For a log-risk that is not finite, or lengths that differ.
    """
    outcome = Outcome.of(time, event)
    risk = as_log_risk(log_risk, len(outcome))
    if stratum is None:
        return slope_of(outcome, risk)
    return slope_of(outcome, risk, as_labels(stratum, len(outcome), "stratum")[1])


def slope_of(
    outcome: Outcome,
    risk: FloatArray,
    stratum: IntArray | None = None,
) -> Estimate:
    """Compute :func:`calibration_slope` of validated columns, strata numbered from 0."""
    basis = Basis(len(outcome), outcome.events, ASSUMES_SLOPE)
    member = np.zeros(len(outcome), dtype=np.int64) if stratum is None else stratum

    def wald() -> Estimate:
        slope, se = _slope(outcome, risk, member)
        return basis.estimate(slope, se, slope - Z * se, slope + Z * se)

    return basis.computed(wald)


def _slope(
    outcome: Outcome,
    risk: FloatArray,
    member: IntArray,
) -> tuple[float, float]:
    """Slope and its standard error; raises NotComputableError where there is none."""
    if outcome.events == 0:
        raise NotComputableError("no event, so no slope can be fitted")
    centred = risk - (np.bincount(member, weights=risk) / np.bincount(member))[member]
    unit = float(centred.std())
    if not unit > 1e-13 * float(np.abs(risk).max()):
        raise NotComputableError(
            "the log-risks do not differ, so no slope can be fitted",
        )
    z = (centred / unit)[:, None]
    strata = StratifiedRiskSets.of(outcome, member)
    fit = climb(strata, z, np.zeros(len(z)), 0.0, np.zeros(1))
    if fit.flat:
        raise NotComputableError(
            "at every event all patients at risk had one log-risk, so no slope can be fitted",
        )
    if not fit.converged:
        direction = "rightly" if fit.coef[0] > 0 else "the wrong way round"
        raise NotComputableError(
            f"the log-risks order every event {direction}, so the likelihood rises for ever"
            " and no finite slope fits best",
        )
    return float(fit.coef[0]) / unit, float(fit.information[0, 0]) ** -0.5 / unit


def _hazards(
    cumulative_hazard: ArrayLike,
    patients: int,
) -> FloatArray:
    hazard = as_floats(cumulative_hazard, "cumulative_hazard")
    if len(hazard) != patients:
        raise InputError(
            f"cumulative_hazard must have one row per patient: expected {patients},"
            f" got {len(hazard)}",
        )
    bad = np.flatnonzero(~(np.isfinite(hazard) & (hazard >= 0)))
    if len(bad):
        raise InputError(
            f"cumulative_hazard must be finite and >= 0; row {bad[0]} holds {hazard[bad[0]]}"
            f" (rows {listed(bad)}); a predicted survival of 0 has no finite hazard",
        )
    return hazard


def _ratio(
    basis: Basis,
    value: float,
    log_se: float,
) -> Estimate:
    """Ratio with an interval on the log scale."""
    if not log_se >= SMALLEST_SE:
        return basis.without_se(value, FLAT)
    low, high = value * np.exp(-Z * log_se), value * np.exp(Z * log_se)
    return basis.estimate(value, value * log_se, float(low), float(high))
