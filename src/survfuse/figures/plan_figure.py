"""Figures of a plan: power, and the width of an interval, by the number of patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from survfuse.figures.formatting import count
from survfuse.figures.plotting import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    percent_axes,
    small,
    worded,
)

COLOURS = (BLUE, ORANGE, GREY, INK)
DASHES = ("solid", (0, (6, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))
TITLES = {
    "uno_c": "Uno C",
    "calibration_slope": "Calibration slope",
    "observed_expected": "Observed / expected events",
    "isbs": "Integrated Brier score",
}
MOST_TICKS = 7


def plot_plan_power(
    ax: Axes,
    table: pd.DataFrame,
    pilot: int,
    power: float,
    delta: float,
) -> Axes:
    """Draw the power to show an increment by the number of patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `what`, `patients`, `power`.
    pilot : int
        Patients of the pilot.
    power, delta : float
        Planned power, drawn as a line, and the increment.
    """
    for number, (what, part) in enumerate(table.groupby("what", sort=False)):
        ax.plot(
            part["patients"],
            part["power"],
            color=COLOURS[number % len(COLOURS)],
            ls=DASHES[number // len(COLOURS) % len(DASHES)],
            lw=2,
            label=worded(what, limit=50),
            zorder=3,
        )
    ax.axhline(power, color=MUTED, lw=1)
    ax.set_ylim(0, 1.02)
    percent_axes(ax.yaxis)
    ax.set_ylabel(f"Power to show an increment of {delta:g}")
    _patients(ax, table["patients"], pilot)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.17), ncols=2)
    return ax


def plot_plan_width(
    ax: Axes,
    table: pd.DataFrame,
    metric: str,
    pilot: int,
) -> Axes:
    """Draw the expected 95 % interval of a metric by the number of patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `patients`, `value`, `low`, `high`, `half_width`, and `half_width_high` where known.
    metric : str
    pilot : int
        Patients of the pilot.
    """
    patients = table["patients"]
    ax.plot(patients, table["value"], color=BLUE, lw=2, label="value", zorder=3)
    ax.fill_between(
        patients,
        table["low"],
        table["high"],
        color=BLUE,
        alpha=0.2,
        lw=0,
        label="expected 95% interval",
    )
    if table["half_width_high"].notna().all():
        wider = (table["half_width_high"] / table["half_width"]).astype(float)
        for end, label in (("low", "could be as wide as"), ("high", None)):
            away = (table[end] - table["value"]) * wider
            ax.plot(
                patients,
                table["value"] + away,
                color=MUTED,
                ls=(0, (1, 1)),
                lw=1.2,
                label=label,
            )
    ax.set_ylabel(TITLES.get(metric, metric))
    ax.grid(axis="y")
    _patients(ax, patients, pilot)
    ax.legend(loc="upper right")
    return ax


def _patients(ax: Axes, patients: pd.Series[float], pilot: int) -> None:
    """A logarithmic axis of patients, and a line at those of the pilot."""
    low, high = float(patients.min()), float(patients.max())
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = pilot * 2.0 ** np.arange(-1, 12)
    ticks = ticks[(ticks >= low * 0.999) & (ticks <= high * 1.001)][:MOST_TICKS]
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(ticks, [count(tick) for tick in ticks])
    ax.set_xlabel("Patients (logarithmic)")
    ax.axvline(pilot, color=MUTED, lw=1, ls=(0, (4, 3)))
    ax.annotate(
        "pilot",
        (pilot, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        color=MUTED,
        size=small(),
        va="top",
    )
