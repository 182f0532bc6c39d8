"""The learning curve: concordance of the models by the number of training patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from survfuse.figures.formatting import count
from survfuse.figures.interval_rows import spoken
from survfuse.figures.plotting import (
    LOOKS,
    MUTED,
    NARROW,
    PAPER,
    Look,
    curve,
    legend_below,
    numbers,
    records,
    worded,
)
from survfuse.figures.svg import draw_both

SIZE = (6.4, 3.8)  # inches
SMALLEST_GAP = 0.07  # between labels of curves, share of the axis
CLOSEST_TICKS = 0.07


def plot_learning_curve(
    ax: Axes,
    table: pd.DataFrame,
    roles: Mapping[str, str],
    *,
    names: Mapping[str, str] | None = None,
    label_ends: bool = True,
) -> Axes:
    """Draw Uno's C of every model by the number of training patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `model`, `patients`, `metric`, `value`, `low`, `high`.
    roles : mapping of model to str
        The model and the clinical baseline, which have bands; others are comparators.
    names : mapping of model to str, optional
        Words for them.
    label_ends : bool
        Whether each curve has its name at its end.
    """
    known = _known(table)
    ax.set_xscale("log")
    looks = _looks(known, roles)
    for name, look in looks.items():
        part = known[known["model"] == name]
        title = worded(name, names, 40)
        curve(ax, part, "patients", "value", look, title, band=name in roles)
        ax.plot(
            part["patients"],
            part["value"],
            look.marker,
            color=look.colour,
            ms=6,
            mec=PAPER,
            mew=0.8,
            zorder=4,
        )
    _frame(ax, sorted(known["patients"].unique()), known)
    if label_ends:
        _label_ends(ax, known, looks, names)
    return ax


def learning_curve(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    names: Mapping[str, str] | None = None,
) -> str:
    """Draw the figure of :func:`plot_learning_curve` for a page.

    Returns
    -------
    str
        SVG elements; empty with fewer than two sizes.
    """
    known = _known(table)
    if known["patients"].nunique() < 2:
        return ""

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        plot_learning_curve(axes, table, roles, names=names, label_ends=not narrow)
        if narrow:
            legend_below(figure, axes, 1)

    alt = "Learning curve, Uno C with 95% intervals. " + "; ".join(
        f"{worded(name, names)}: "
        + ", ".join(
            f"{spoken(row)} with {count(row['patients'])} training patients"
            for row in records(known[known["model"] == name])
        )
        for name in dict.fromkeys(known["model"])
    )
    narrow = (NARROW, 3.0 + 0.2 * known["model"].nunique())
    return draw_both("learning-curve", SIZE, narrow, paint, alt)


def _known(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["metric"] == "uno_c"].dropna(subset="value")


def _looks(known: pd.DataFrame, roles: Mapping[str, str]) -> dict[str, Look]:
    """Look of each model; comparators differ from each other by marker and dashes."""
    models = list(dict.fromkeys(known["model"]))
    others = [name for name in models if name not in roles]
    looks = {name: LOOKS[roles[name]] for name in models if name in roles}
    for number, name in enumerate(others):
        looks[name] = LOOKS[("other", "comparator")[number % 2]]
    return looks


def _frame(
    axes: Axes,
    sizes: Sequence[float],
    known: pd.DataFrame,
) -> None:
    ends = numbers(known)
    low, high = ends.min(), ends.max()
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    if low - margin < 0.5:
        axes.axhline(0.5, color=MUTED, lw=1)
    axes.set_xlim(sizes[0] * 0.97, sizes[-1] * 1.02)
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = _apart(sizes)
    axes.set_xticks(ticks, [count(size) for size in ticks])
    axes.set_xlabel("Training patients (logarithmic)")
    axes.set_ylabel("Uno C (higher is better)")
    axes.grid(axis="y")


def _apart(sizes: Sequence[float]) -> list[float]:
    """Sizes, from the largest, whose labels do not touch."""
    width = np.log(sizes[-1] / sizes[0])
    ticks = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        if np.log(ticks[0] / size) >= CLOSEST_TICKS * width:
            ticks.insert(0, size)
    return ticks


def _label_ends(
    axes: Axes,
    known: pd.DataFrame,
    looks: Mapping[str, Look],
    names: Mapping[str, str] | None,
) -> None:
    """Write the name of each curve at its end, labels apart from each other."""
    last = known.sort_values("patients", kind="stable").groupby("model").tail(1)
    rows = sorted(records(last), key=lambda row: row["value"])
    low, high = axes.get_ylim()
    gap = SMALLEST_GAP * (high - low)
    heights = np.array([row["value"] for row in rows])
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    # Moved up from the lowest; what that adds is shared by both ends.
    heights -= np.mean(heights - [row["value"] for row in rows])
    right = axes.get_xlim()[1]
    for row, height in zip(rows, heights, strict=True):
        axes.text(
            right * 1.02,
            height,
            worded(row["model"], names, 30),
            color=looks[row["model"]].colour,
            va="center",
        )
