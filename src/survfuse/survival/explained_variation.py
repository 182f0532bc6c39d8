"""Explained variation of a log-risk, on the scale of log time: Royston, Kent and O'Quigley.

Under proportional hazards the log of the (transformed) event time is minus the
log-risk plus an error of variance π²/6, so a log-risk of variance V explains the
share V / (V + π²/6), whatever the censoring. Log-risks are first put on their
calibration slope. A share carries the sign of that slope: it is negative where
larger log-risks went with later events.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.calibration_slope import ASSUMES_SLOPE, slope_of
from survfuse.survival.estimate import SMALLEST_SE, Basis, Estimate, Z, joined
from survfuse.survival.right_censored import Outcome

ERROR_VARIANCE = np.pi**2 / 6  # of the log of an exponential time
KAPPA = np.sqrt(8 / np.pi)  # mean distance of the two halves of a standard normal
ASSUMES_D = f"{ASSUMES_SLOPE}; log-risks are normal after ranking"
ASSUMES_KO = f"{ASSUMES_SLOPE}; the spread of the log-risks is taken as known"
WRONG_WAY = "negative: larger log-risks went with later events"


def royston_r2(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
) -> Estimate:
    """Explained variation from the prognostic separation D (Royston and Sauerbrei 2004).

    Log-risks are replaced by normal scores (Blom's; averaged over ties) divided by
    κ = √(8/π); D is their Cox coefficient and R²_D = (D²/κ²) / (π²/6 + D²/κ²).

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Larger means an earlier event. Only its ranks count.

    Returns
    -------
    Estimate
        The interval is that of D, carried over; `note` gives D and its standard error.

    Raises
    ------
    InputError
        For a log-risk that is not finite, or lengths that differ.
    """
    outcome = Outcome.of(time, event)
    return royston(outcome, as_log_risk(log_risk, len(outcome)))


def royston(
    outcome: Outcome,
    log_risk: FloatArray,
) -> Estimate:
    """Compute :func:`royston_r2` of validated columns."""
    d = slope_of(outcome, _normal_scores(log_risk) / KAPPA)
    if d.value is None or d.se is None:
        return replace(d, assumptions=ASSUMES_D)
    note = f"D = {d.value:.4g}, SE {d.se:.4g}"
    return _share(d, d.value / KAPPA, d.se / KAPPA, note, ASSUMES_D)


def kent_oquigley_r2(
    time: ArrayLike,
    event: ArrayLike,
    log_risk: ArrayLike,
) -> Estimate:
    """Explained variation V / (V + π²/6), V the variance of the log-risk times its slope.

    Kent and O'Quigley (1988) approximate the explained randomness by
    ρ²_{W,A} = V / (V + 1), which `note` gives. With the variance π²/6 of the error in
    place of 1 it is explained variation (R²_PM of Choodari-Oskooei, Royston and Parmar
    2012, on the scale of R²_D), which is returned, as ``survival::royston`` of R does
    under Kent and O'Quigley's name.

    Parameters
    ----------
    time, event : array-like, (patients,)
    log_risk : array-like, (patients,)
        Larger means an earlier event.

    Returns
    -------
    Estimate
        The interval is that of the slope, carried over.

    Raises
    ------
    InputError
        For a log-risk that is not finite, or lengths that differ.
    """
    outcome = Outcome.of(time, event)
    return kent_oquigley(outcome, as_log_risk(log_risk, len(outcome)))


def kent_oquigley(
    outcome: Outcome,
    log_risk: FloatArray,
) -> Estimate:
    """Compute :func:`kent_oquigley_r2` of validated columns."""
    slope = slope_of(outcome, log_risk)
    if slope.value is None or slope.se is None:
        return replace(slope, assumptions=ASSUMES_KO)
    spread = float(log_risk.std(ddof=1))
    variance = (slope.value * spread) ** 2
    note = f"explained randomness V / (V + 1) = {variance / (variance + 1):.4g}"
    return _share(slope, slope.value * spread, slope.se * spread, note, ASSUMES_KO)


def _normal_scores(risk: FloatArray) -> FloatArray:
    """Blom's normal scores by rank, (patients,), averaged over equal log-risks."""
    n = len(risk)
    scores = stats.norm.ppf((np.arange(1, n + 1) - 3 / 8) / (n + 1 / 4))
    _, member, count = np.unique(
        risk,
        return_inverse=True,
        return_counts=True,
    )
    ordered = np.repeat(np.arange(len(count)), count)
    averaged: FloatArray = (
        np.bincount(
            ordered,
            weights=scores,
            minlength=len(count),
        )
        / count
    )[member]
    return averaged


def _share(
    fit: Estimate,
    sd: float,
    error: float,
    note: str,
    assumptions: str,
) -> Estimate:
    """Convert the signed spread of the log-risk and its error to explained variation."""
    at = np.array([sd, sd - Z * error, sd + Z * error])
    value, low, high = (np.sign(at) * at**2 / (at**2 + ERROR_VARIANCE)).tolist()
    se = float(2 * abs(sd) * ERROR_VARIANCE / (sd**2 + ERROR_VARIANCE) ** 2 * error)
    # A share is flat at 0: its standard error is 0 there, its interval is not empty.
    known_se = se if se >= SMALLEST_SE else None
    basis = Basis(fit.n, fit.events, assumptions)
    note = joined(note, WRONG_WAY if value < 0 else "")
    return basis.estimate(value, known_se, low, high, note)
