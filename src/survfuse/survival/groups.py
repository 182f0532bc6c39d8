"""Do groups of patients differ: the log-rank test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    group: npt.ArrayLike,
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
    times, where = np.unique(outcome.time, return_inverse=True)
    shape = (len(times), len(labels))
    cell = where * shape[1] + member
    leaving = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    deaths = np.bincount(
        cell,
        weights=outcome.event,
        minlength=shape[0] * shape[1],
    ).reshape(shape)
    at_risk = leaving[::-1].cumsum(axis=0)[::-1]  # (times, groups)

    n, d = at_risk.sum(axis=1), deaths.sum(axis=1)
    share = at_risk / n[:, None]
    observed, expected = deaths.sum(axis=0), d @ share
    scale = d * np.divide(n - d, n - 1, out=np.zeros(len(n)), where=n > 1)
    covariance = np.diag(scale @ share) - (share * scale[:, None]).T @ share
    names = tuple(str(label) for label in labels)
    why = _not_computable(len(labels), covariance)
    if why:
        return LogRank(
            None,
            None,
            max(len(labels) - 1, 0),
            names,
            observed,
            expected,
            why,
        )
    excess = (observed - expected)[:-1]
    chi2 = float(excess @ np.linalg.pinv(covariance[:-1, :-1]) @ excess)
    df = len(labels) - 1
    return LogRank(chi2, float(stats.chi2.sf(chi2, df)), df, names, observed, expected)


def _not_computable(groups: int, covariance: FloatArray) -> str:
    if groups < 2:
        return f"a log-rank test compares at least two groups, got {groups}"
    if not np.trace(covariance) > 0:
        return "no event while patients of different groups were at risk"
    return ""
