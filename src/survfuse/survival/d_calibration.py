"""D-calibration (Haider 2020): are the predicted survivals at the event times uniform."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_survival_at, as_whole
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.right_censored import Outcome

ASSUMES = "censoring is independent of the event times; spread censored patients count as if seen"


def d_calibration(
    time: ArrayLike,
    event: ArrayLike,
    survival_at_time: ArrayLike,
    bins: int = 10,
) -> Estimate:
    """Test of distribution calibration (Haider et al., JMLR 2020, section 3.5).

    A footnote, not a proof of calibration: the χ² counts the parts of spread censored
    patients as observations, so its power falls fast with censoring, and the
    Kaplan–Meier curve without any covariate passes it.

    Parameters
    ----------
    time, event : array-like, (patients,)
    survival_at_time : array-like, (patients,)
        S(T) that was predicted for each patient, at their own follow-up time.
    bins : int
        Bins of equal width over [0, 1]; each holds its lower edge, the last also 1.

    Returns
    -------
    Estimate
        The value is the p-value of the χ² with ``bins − 1`` degrees of freedom, which
        `note` gives; small where survival is not calibrated. It has no interval.

    Raises
    ------
    InputError
        For a survival outside [0, 1], lengths that differ, or fewer than 2 bins.
    """
    outcome = Outcome.of(time, event)
    survival = as_survival_at(survival_at_time, len(outcome), "survival_at_time")
    bins = as_whole(bins, "bins", 2)
    n, events = len(outcome), outcome.events
    basis = Basis(n, events, ASSUMES)
    if events == 0:
        return basis.missing("no event, so nothing shows where events fall")
    expected = n / bins
    chi2 = float(((_counts(outcome, survival, bins) - expected) ** 2).sum() / expected)
    note = (
        f"χ² = {chi2:.4g} on {bins - 1} df; {1 - events / n:.0%} censored (or beyond the curves):"
        " the power is low where that is much, so a large p-value does not show calibration"
    )
    if expected < 5:
        note += (
            f"; fewer than 5 patients per bin ({expected:.2g}),"
            " where the χ² is only approximate"
        )
    return basis.without_se(float(stats.chi2.sf(chi2, bins - 1)), note)


def _counts(
    outcome: Outcome,
    survival: FloatArray,
    bins: int,
) -> FloatArray:
    """Patients per bin, (bins,); a censored one is spread evenly over [0, S(T)]."""
    edges = np.arange(bins + 1) / bins
    own = np.minimum(np.searchsorted(edges, survival, side="right") - 1, bins - 1)
    counts = np.bincount(own[outcome.event], minlength=bins).astype(np.float64)
    reach = survival[~outcome.event][:, None]
    covered = np.clip(reach - edges[:-1], 0.0, 1 / bins)  # (censored, bins)
    share = np.divide(
        covered,
        reach,
        out=np.zeros_like(covered),
        where=reach > 0,
    )
    share[reach[:, 0] == 0, 0] = 1.0
    total: FloatArray = counts + share.sum(axis=0)
    return total
