"""Isotonic Cox model: hazard multipliers that never fall with the risk, and their baseline.

Patients are put in order of risk and cut into bins of at least ``LEAST_EVENTS`` events.
With the baseline hazard H held, the multipliers of greatest likelihood that never fall
are the pooled ratios of observed to expected events, ΣO / ΣE with E = H(T) (isotonic
regression); with the multipliers held, the baseline of greatest likelihood is Breslow's.
Taking turns climbs the likelihood of the isotonic Cox model (Chung et al. 2018,
*Biometrika* 105:133) until neither changes. Every block holds a whole bin, so that nobody
gets a hazard of 0 because the few patients of lowest risk had no event.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from survfuse._types import FloatArray, IntArray
from survfuse.survival.curves import breslow
from survfuse.survival.right_censored import Outcome

LEAST_EVENTS = 5  # of a bin
MOST_TURNS = 500
SETTLED = 1e-7  # largest change of a log-multiplier


def fit_multipliers(
    outcome: Outcome,
    risk: FloatArray,
) -> tuple[IntArray, FloatArray, bool]:
    """Fit hazard multipliers that rise with the risk.

    Parameters
    ----------
    outcome : Outcome
        With at least one event.
    risk : array, (patients,)

    Returns
    -------
    block : array of int, (patients,)
        In order of risk.
    log_multiplier : array, (blocks,), increasing
    settled : bool
        Whether taking turns came to an end.
    """
    bins = event_bins(outcome, risk)
    observed = np.bincount(bins, weights=outcome.event).astype(np.float64)
    log_multiplier = np.zeros(len(observed))  # (bins,)
    block: IntArray = np.zeros(len(observed), dtype=np.int64)
    change = np.inf
    for _ in range(MOST_TURNS):
        baseline = breslow(outcome.time, outcome.event, log_multiplier[bins])
        hazard = np.bincount(bins, weights=baseline(outcome.time))
        expected: FloatArray = np.maximum(hazard, np.finfo(float).tiny)
        block = pool_adjacent_violators(observed, expected)
        total = np.bincount(block, weights=expected)
        ratio = np.bincount(block, weights=observed) / total
        before, log_multiplier = log_multiplier, np.log(ratio)[block]
        change = float(np.abs(log_multiplier - before).max())
        if change < SETTLED:
            break
    first = np.flatnonzero(np.diff(block, prepend=-1))
    return block[bins], log_multiplier[first], change < SETTLED


def pool_adjacent_violators(
    observed: FloatArray,
    expected: FloatArray,
) -> IntArray:
    """Block of each bin, (bins,), such that ΣO / ΣE rises from block to block.

    Parameters
    ----------
    observed : array, (bins,)
    expected : array, (bins,), > 0

    Examples
    --------
    >>> pool_adjacent_violators(np.array([1.0, 3, 2, 9]), np.ones(4)).tolist()
    [0, 1, 1, 2]
    """
    fit = isotonic_regression(observed / expected, weights=expected)
    sizes = np.diff(fit.blocks)
    return np.repeat(np.arange(len(sizes)), sizes)


def event_bins(
    outcome: Outcome,
    risk: FloatArray,
) -> IntArray:
    """Bin of each patient, in order of risk, each with enough events; equal risks stay together."""
    _, rank = np.unique(risk, return_inverse=True)
    events = np.bincount(rank, weights=outcome.event)
    bin_of = np.zeros(len(events), dtype=np.int64)
    current, inside, left = 0, 0.0, float(events.sum())
    for step, count in enumerate(events.tolist()):
        bin_of[step] = current
        inside, left = inside + count, left - count
        if inside >= LEAST_EVENTS and left >= LEAST_EVENTS:
            current, inside = current + 1, 0.0
    return np.asarray(bin_of[rank])
