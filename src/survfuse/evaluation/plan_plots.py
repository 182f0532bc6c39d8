"""The figures of a plan, on matplotlib axes; each function is a method of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from survfuse._errors import NotComputableError
from survfuse.figures import plot_plan_power, plot_plan_width
from survfuse.figures.plotting import axes_of

if TYPE_CHECKING:
    from survfuse.evaluation.study_plan import Plan

POINTS = 60
FARTHEST = 40  # times the pilot
SIZE = (7.0, 4.2)  # inches


def plot_power(plan: Plan, ax: Axes | None = None) -> Axes:
    """Draw the power to show the increment by the number of patients, for each modality.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        A new figure where not given.

    Raises
    ------
    NotComputableError
        Where no increment has a plan.
    """
    known = [one for one in plan.increments if one.precision is not None]
    if not known:
        raise NotComputableError("no increment of this plan has a number")
    needed = [1.5 * (one.patients or 0.0) for one in known]
    farthest = min(max(plan.sizes[-1], *needed), FARTHEST * plan.patients)
    sizes = np.geomspace(plan.patients / 2, farthest, POINTS)
    rows = []
    for one in known:
        assert one.precision is not None
        for size in sizes.tolist():
            power = one.precision.power(plan.delta, size)
            what = f"{one.what}, {one.kind}"
            rows.append({"what": what, "patients": size, "power": power})
    table = pd.DataFrame(rows)
    ax = axes_of(ax, SIZE)
    return plot_plan_power(ax, table, plan.patients, plan.power, plan.delta)


def plot_width(
    plan: Plan,
    ax: Axes | None = None,
    *,
    metric: str = "uno_c",
) -> Axes:
    """Draw the expected 95 % interval of a metric of the model by the number of patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        A new figure where not given.
    metric : {"uno_c", "calibration_slope", "observed_expected", "isbs"}

    Raises
    ------
    NotComputableError
        Where the pilot does not have this metric.
    """
    widths = {width.metric: width for width in plan.widths}
    if metric not in widths:
        raise NotComputableError(
            f"metric {metric!r}: the plan has {', '.join(widths) or 'none'}",
        )
    sizes = np.geomspace(plan.patients / 2, plan.sizes[-1], POINTS)
    rows = [{"patients": size, **widths[metric].at(size)} for size in sizes.tolist()]
    table = pd.DataFrame(rows)
    return plot_plan_width(axes_of(ax, SIZE), table, metric, plan.patients)
