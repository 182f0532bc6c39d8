"""Restricted mean survival time: the area under the Kaplan–Meier curve up to a horizon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.argument_checks import as_horizon, as_labels
from survfuse.survival.estimate import Estimate, around, not_computable
from survfuse.survival.right_censored import Outcome, Tally

ASSUMES = "censoring is independent of the event times"


def rmst(time: npt.ArrayLike, event: npt.ArrayLike, horizon: float) -> Estimate:
    """Mean time lived without the event until `horizon`.

    The standard error is Greenwood's: the sum over event times t of the squared area
    from t to the horizon times d / (Y (Y − d)), as ``survival::survfit`` of R has it.

    Parameters
    ----------
    time, event : array-like, (patients,)
    horizon : float
        In the unit of time.

    Returns
    -------
    Estimate
        In the unit of time, its interval within [0, horizon]. Not computable when
        follow-up ends before the horizon and the curve has not reached 0.

    Raises
    ------
    InputError
        For malformed outcomes, or a horizon that is not a finite number > 0.
    """
    outcome, horizon = Outcome.of(time, event).with_horizon(as_horizon(horizon))
    seen = int((outcome.event & (outcome.time <= horizon)).sum())
    try:
        value, se = _area(outcome, horizon)
    except NotComputableError as why:
        return not_computable(str(why), len(outcome), seen, ASSUMES)
    return around(
        value,
        se,
        len(outcome),
        seen,
        limits=(0.0, horizon),
        assumptions=ASSUMES,
    )


def rmst_difference(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    group: npt.ArrayLike,
    horizon: float,
) -> Estimate:
    """Difference in restricted mean survival time between two groups, second − first in sorted order.

    Parameters
    ----------
    time, event : array-like, (patients,)
    group : array-like, (patients,)
        Label of each patient's group; there must be two.
    horizon : float
        In the unit of time.

    Returns
    -------
    Estimate
        In the unit of time; `note` names which group is taken from which.

    Raises
    ------
    InputError
        For malformed outcomes, labels of another length, or other than two groups.
    """
    outcome, horizon = Outcome.of(time, event).with_horizon(as_horizon(horizon))
    labels, member = as_labels(group, len(outcome), "group")
    if len(labels) != 2:
        raise InputError(f"a difference needs two groups, got {len(labels)}")
    seen = int((outcome.event & (outcome.time <= horizon)).sum())
    parts = []
    for k, label in enumerate(labels):
        try:
            parts.append(_area(outcome[member == k], horizon))
        except NotComputableError as why:
            return not_computable(f"group {label}: {why}", len(outcome), seen, ASSUMES)
    (first, first_se), (second, second_se) = parts
    note = f"{labels[1]} minus {labels[0]}"
    se = float(np.hypot(first_se, second_se))
    return around(
        second - first,
        se,
        len(outcome),
        seen,
        limits=(-horizon, horizon),
        note=note,
        assumptions=ASSUMES,
    )


def _area(outcome: Outcome, horizon: float) -> tuple[float, float]:
    """Area under the curve and its standard error."""
    if len(outcome) == 0:
        raise NotComputableError("there are no patients")
    tally = Tally.of(outcome)
    survival = np.cumprod(1 - tally.events / tally.at_risk)
    last = float(tally.time[-1])
    if horizon > last and survival[-1] > 0:
        raise NotComputableError(
            f"follow-up ends at {last:g}, before the horizon {horizon:g}; ask for that or less",
        )
    edges = np.clip(np.concatenate([[0.0], tally.time, [np.inf]]), 0.0, horizon)
    areas = np.concatenate([[1.0], survival]) * np.diff(edges)
    after = np.cumsum(areas[::-1])[::-1][1:]  # from each time on
    staying = tally.at_risk - tally.events
    greenwood = np.divide(
        tally.events,
        tally.at_risk * staying,
        out=np.zeros(len(after)),
        where=staying > 0,
    )
    return float(areas.sum()), float(np.sqrt((after**2 * greenwood).sum()))
