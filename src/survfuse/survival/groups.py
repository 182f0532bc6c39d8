"""Do groups of patients differ: the log-rank test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_labels
from survfuse.survival.right_censored import Outcome


@dataclass(frozen=True, eq=False)
class LogRank:
    """A log-rank test.

    Attributes
    ----------
    chi2, p : float or None
        None when these data cannot give them; `note` says why.
    df : int
        Degrees of freedom, groups - 1.
    groups : tuple of str
        The groups, sorted.
    observed, expected : array, (groups,)
        Events seen, and expected if all groups had one hazard.
    note : str
    """

    chi2: float | None
    p: float | None
    df: int
    groups: tuple[str, ...]
    observed: FloatArray
    expected: FloatArray
    note: str = ""


def log_rank(
    time: ArrayLike,
    event: ArrayLike,
    group: ArrayLike,
) -> LogRank:
    """Log-rank test of two or more groups (Mantel 1966, hypergeometric variance).

    Parameters
    ----------
    time, event : array-like, (patients,)
    group : array-like, (patients,)
        Label of each patient's group.

    Raises
    ------
    InputError
        When `group` has another length.
    """
    outcome = Outcome.of(time, event)
    labels, member = as_labels(group, len(outcome), "group")
    distinct, place = np.unique(outcome.time, return_inverse=True)
    times, size = len(distinct), len(labels)
    cell = place * size + member
    leaving = np.bincount(cell, minlength=times * size).reshape(times, size)
    deaths = np.bincount(
        cell,
        weights=outcome.event,
        minlength=times * size,
    )
    deaths = deaths.reshape(times, size)
    at_risk = leaving[::-1].cumsum(axis=0)[::-1]  # (times, groups)

    n, d = at_risk.sum(axis=1), deaths.sum(axis=1)
    share = at_risk / n[:, None]
    observed, expected = deaths.sum(axis=0), d @ share
    scale = d * np.divide(
        n - d,
        n - 1,
        out=np.zeros(len(n)),
        where=n > 1,
    )
    covariance = np.diag(scale @ share) - (share * scale[:, None]).T @ share
    df, chi2, p, why = max(size - 1, 0), None, None, ""
    if size < 2:
        why = f"a log-rank test compares at least two groups, got {size}"
    elif not np.trace(covariance) > 0:
        why = "no event while patients of different groups were at risk"
    else:
        excess = (observed - expected)[:-1]
        chi2 = float(excess @ np.linalg.pinv(covariance[:-1, :-1]) @ excess)
        p = float(stats.chi2.sf(chi2, df))
    groups = tuple(str(label) for label in labels)
    return LogRank(chi2, p, df, groups, observed, expected, why)
