"""Weights of the terms of a stack, over the fits of a run."""

from __future__ import annotations

from textwrap import fill

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.figures.formatting import bounded, interval, label, number
from survfuse.figures.plotting import BLUE, MUTED, NARROW, PAPER, records
from survfuse.figures.svg import draw_both

WIDTH, ROW, REST = 5.0, 0.34, 1.05  # inches


def plot_weights(ax: Axes, terms: pd.DataFrame) -> Axes:
    """Draw the mean weight of each term, its median interval, its range, and where it started.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    terms : DataFrame
        `term`, `start`, `mean`, `smallest`, `largest`, `low`, `high`, in the order drawn.
    """
    rows = records(terms)
    for y, row in enumerate(rows):
        _plot_term(ax, row, y)
    names = [fill(label(row["term"].replace("*", " × "), 60), 26) for row in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.margins(x=0.08)
    ax.set_xlabel("Weight")
    ax.tick_params(axis="y", left=False)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    return ax


def weights(terms: pd.DataFrame) -> str:
    """Draw the figure of :func:`plot_weights` for a page; empty without a term."""
    rows = records(terms)
    if not rows:
        return ""

    def paint(figure: Figure, narrow: bool) -> None:
        plot_weights(figure.subplots(), terms)

    spoken = []
    for row in rows:
        ends = (
            f", interval {interval(row['low'], row['high'], 2)}" if bounded(row) else ""
        )
        start = f", start {row['start']:g}" if pd.notna(row["start"]) else ""
        spoken.append(f"{row['term']}: {number(row['mean'], 2)}{ends}{start}")
    alt = f"Weight of every term. {'; '.join(spoken)}"
    height = REST + ROW * len(rows)
    return draw_both("weights", (WIDTH, height), (NARROW, height), paint, alt)


def _plot_term(
    ax: Axes,
    row: dict[str, float],
    y: int,
) -> None:
    if bounded(row):
        ends = [row["low"], row["high"]]
        ax.plot(ends, [y, y], color=BLUE, lw=7, alpha=0.25, solid_capstyle="butt")
    whole = [row["smallest"], row["largest"]]
    ax.plot(whole, [y, y], color=MUTED, lw=1.2)
    ink = matplotlib.rcParams["text.color"]
    ax.plot([row["start"]], [y], "|", color=ink, ms=13, mew=1.4, zorder=4)
    ax.plot(
        [row["mean"]],
        [y],
        "D",
        color=BLUE,
        ms=6.5,
        mec=PAPER,
        mew=0.8,
        zorder=5,
        clip_on=False,
    )
