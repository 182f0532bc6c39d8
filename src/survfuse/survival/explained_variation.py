"""Explained variation of a log-risk on the scale of the log of time: Royston's R²_D, Kent and O'Quigley's.

Under proportional hazards the log of the (transformed) event time is minus the
log-risk plus an error of variance π²/6, so a log-risk of variance V explains the
share V / (V + π²/6), whatever the censoring. Log-risks are first put on their
calibration slope. A share carries the sign of that slope: it is negative where
larger log-risks went with later events.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.calibration_slope import ASSUMES_SLOPE, calibration_slope
from survfuse.survival.estimate import SMALLEST_SE, Estimate, Z, joined, not_computable
from survfuse.survival.right_censored import Outcome

ERROR_VARIANCE = np.pi**2 / 6  # of the log of an exponential time
KAPPA = np.sqrt(8 / np.pi)  # mean distance of the two halves of a standard normal
ASSUMES_D = f"{ASSUMES_SLOPE}; log-risks are normal after ranking"
ASSUMES_KO = f"{ASSUMES_SLOPE}; the spread of the log-risks is taken as known"
WRONG_WAY = "negative: larger log-risks went with later events"


def royston_r2(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    log_risk: npt.ArrayLike,
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
    scores = _normal_scores(as_log_risk(log_risk, len(outcome)))
    d = calibration_slope(time, event, scores / KAPPA)
    if d.value is None or d.se is None:
        return not_computable(d.note, d.n, d.events, ASSUMES_D)
    return _share(
        d,
        (d.value / KAPPA, d.se / KAPPA),
        f"D = {d.value:.4g}, SE {d.se:.4g}",
        ASSUMES_D,
    )


def kent_oquigley_r2(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    log_risk: npt.ArrayLike,
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
    risk = as_log_risk(log_risk, len(outcome))
    slope = calibration_slope(time, event, risk)
    if slope.value is None or slope.se is None:
        return not_computable(slope.note, slope.n, slope.events, ASSUMES_KO)
    spread = float(risk.std(ddof=1))
    variance = (slope.value * spread) ** 2
    randomness = f"explained randomness V / (V + 1) = {variance / (variance + 1):.4g}"
    return _share(
        slope,
        (slope.value * spread, slope.se * spread),
        randomness,
        ASSUMES_KO,
    )


def _normal_scores(risk: FloatArray) -> FloatArray:
    """Blom's normal scores by rank, (patients,), averaged over equal log-risks."""
    n = len(risk)
    scores = stats.norm.ppf((np.arange(1, n + 1) - 3 / 8) / (n + 1 / 4))
    _, member, count = np.unique(risk, return_inverse=True, return_counts=True)
    ordered = np.repeat(np.arange(len(count)), count)
    averaged: FloatArray = (
        np.bincount(ordered, weights=scores, minlength=len(count)) / count
    )[member]
    return averaged


def _share(
    fit: Estimate,
    length: tuple[float, float],
    note: str,
    assumptions: str,
) -> Estimate:
    """Carry the standard deviation of the log-risk, signed, and its error over to explained variation."""
    sd, error = length
    value, low, high = (
        float(np.sign(b) * b**2 / (b**2 + ERROR_VARIANCE))
        for b in (sd, sd - Z * error, sd + Z * error)
    )
    se = float(2 * abs(sd) * ERROR_VARIANCE / (sd**2 + ERROR_VARIANCE) ** 2 * error)
    known = (
        se if se >= SMALLEST_SE else None
    )  # a share is flat at 0: its interval is not, its error is
    wrong = WRONG_WAY if value < 0 else ""
    return Estimate(
        value,
        known,
        low,
        high,
        fit.n,
        fit.events,
        joined(note, wrong),
        assumptions,
    )
