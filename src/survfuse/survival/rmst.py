"""Restricted mean survival time: the area under the Kaplan–Meier curve up to a horizon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.argument_checks import as_horizon, as_labels
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.right_censored import Outcome, Tally

ASSUMES = "censoring is independent of the event times"


def rmst(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    horizon: float,
) -> Estimate:
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
    basis = Basis(len(outcome), outcome.events_by(horizon), ASSUMES)
    return basis.computed(
        lambda: basis.around(*_area(outcome, horizon), (0.0, horizon)),
    )


def rmst_difference(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    group: npt.ArrayLike,
    horizon: float,
) -> Estimate:
    """Difference in restricted mean survival time of two groups, second − first as sorted.

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
    basis = Basis(len(outcome), outcome.events_by(horizon), ASSUMES)
    areas = []
    for k, label in enumerate(labels):
        try:
            areas.append(_area(outcome[member == k], horizon))
        except NotComputableError as why:
            return basis.missing(f"group {label}: {why}")
    (first, first_se), (second, second_se) = areas
    return basis.around(
        second - first,
        float(np.hypot(first_se, second_se)),
        (-horizon, horizon),
        note=f"{labels[1]} minus {labels[0]}",
    )


def _area(
    outcome: Outcome,
    horizon: float,
) -> tuple[float, float]:
    """Area under the curve and its standard error."""
    if len(outcome) == 0:
        raise NotComputableError("there are no patients")
    tally = Tally.of(outcome)
    tally.require_reach(horizon)
    edges = np.clip(np.concatenate([[0.0], tally.time, [np.inf]]), 0.0, horizon)
    areas = np.concatenate([[1.0], tally.survival]) * np.diff(edges)
    after = np.cumsum(areas[::-1])[::-1][1:]  # from each time on
    greenwood = np.divide(
        tally.events,
        tally.at_risk * tally.staying,
        out=np.zeros(len(after)),
        where=tally.staying > 0,
    )
    return float(areas.sum()), float(np.sqrt((after**2 * greenwood).sum()))
