"""Survival curves of patients as they are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from survfuse.figures.formatting import TimeAxis, label
from survfuse.figures.plotting import BLUE, MUTED, percent_axes, records, small


def plot_survival(
    ax: Axes,
    curves: pd.DataFrame,
    unit: str,
    *,
    reference: pd.DataFrame | None = None,
    reference_name: str = "",
    intervals: pd.DataFrame | None = None,
) -> Axes:
    """Draw the predicted survival curves of some patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    curves : DataFrame
        `patient_id`, `time`, `survival`; each from time 0 to where it is known.
    unit : str
        Unit of every time.
    reference : DataFrame, optional
        `time`, `survival` of a curve to compare with.
    reference_name : str
        What that curve is.
    intervals : DataFrame, optional
        `patient_id`, `low`, `high`, `level`: times between which so many of such patients have
        the event; drawn below the curves where both are known.
    """
    last = float(curves["time"].max())
    if reference is not None:
        ax.step(
            reference["time"],
            reference["survival"],
            where="post",
            color=MUTED,
            ls=(0, (2, 1.5)),
            lw=1.6,
            label=reference_name,
        )
    patients = list(dict.fromkeys(curves["patient_id"]))
    colours = _colours_of(len(patients))
    for patient, colour in zip(patients, colours, strict=True):
        own = curves[curves["patient_id"] == patient]
        ax.step(
            own["time"],
            own["survival"],
            where="post",
            color=colour,
            lw=2,
            label=label(patient, 24),
        )
    survival_axes(ax, last, unit)
    ax.set_ylabel("Predicted to be without the event")
    ax.set_xlabel(f"{ax.get_xlabel()}, up to the longest follow-up in training")
    if intervals is not None:
        _time_intervals(
            ax, intervals.dropna(), dict(zip(patients, colours, strict=True))
        )
    ax.legend(loc="best")
    return ax


def _colours_of(patients: int) -> Sequence[Any]:
    """Blue for one patient; the colours of the user's style for several."""
    if patients == 1:
        return [BLUE]
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", [BLUE])
    return [cycle[place % len(cycle)] for place in range(patients)]


def _time_intervals(
    ax: Axes,
    intervals: pd.DataFrame,
    colours: dict[str, Any],
) -> None:
    """Bars below 0, one a patient, with the share of patients written at their end."""
    if intervals.empty:
        return
    step = 0.05
    for place, row in enumerate(records(intervals)):
        y = -step * (place + 1)
        ends = [row["low"], row["high"]]
        ax.plot(
            ends, [y, y], color=colours[row["patient_id"]], lw=3, solid_capstyle="butt"
        )
    ax.set_yticks([tick for tick in ax.get_yticks() if tick >= 0])
    ax.set_ylim(-step * (len(intervals) + 1), 1.02)
    level = records(intervals)[0]["level"]
    ax.annotate(
        f"{level:.0%} of such patients have the event within",
        (float(intervals["low"].iloc[0]), -step),
        (0, 3),
        textcoords="offset points",
        size=small(),
        color=MUTED,
    )


def survival_axes(ax: Axes, last: float, unit: str) -> None:
    """Set up axes of survival over time."""
    axis = TimeAxis.of(last, unit)
    percent_axes(ax.yaxis)
    ax.set_ylim(0, 1.02)
    ax.set_xlim(0, last * 1.01)
    ax.set_xticks(axis.ticks, axis.labels)
    ax.set_xlabel(f"Time ({axis.unit})")
    ax.grid(axis="y")
