"""Weights of the terms of a stack, over the fits of a run."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.figures.formatting import bounded, interval, label, number
from survfuse.figures.plotting import BLUE, INK, MUTED, draw, records

WIDTH, ROW, REST = 5.0, 0.34, 1.05  # inches
SIZE = 10.5  # of the text, which phones show smaller


def weights(terms: pd.DataFrame) -> str:
    """Draw the mean weight of each term, its median interval, its range, and where it started.

    Parameters
    ----------
    terms : DataFrame
        Of :class:`survfuse.results.schema.TermRow`, in the order drawn.
    """
    rows = records(terms)
    if not rows:
        return ""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for y, row in enumerate(rows):
            _paint_term(axes, row, y)
        names = [label(row["term"].replace("*", " × "), 26) for row in rows]
        axes.set_yticks(range(len(rows)), names, size=SIZE)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.margins(x=0.08)
        axes.set_xlabel("Weight", size=SIZE)
        axes.tick_params(axis="x", labelsize=SIZE)
        axes.tick_params(axis="y", left=False)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)

    spoken = []
    for row in rows:
        ends = (
            f", interval {interval(row['low'], row['high'], 2)}" if bounded(row) else ""
        )
        start = f", start {row['start']:g}" if pd.notna(row["start"]) else ""
        spoken.append(f"{row['term']}: {number(row['mean'], 2)}{ends}{start}")
    alt = f"Weight of every term. {'; '.join(spoken)}"
    return draw("weights", (WIDTH, REST + ROW * len(rows)), paint, alt)


def _paint_term(
    axes: Axes,
    row: dict[str, float],
    y: int,
) -> None:
    if bounded(row):
        ends = [row["low"], row["high"]]
        axes.plot(ends, [y, y], color=BLUE, lw=7, alpha=0.25, solid_capstyle="butt")
    whole = [row["smallest"], row["largest"]]
    axes.plot(whole, [y, y], color=MUTED, lw=1.2)
    axes.plot([row["start"]], [y], "|", color=INK, ms=13, mew=1.4, zorder=4)
    axes.plot(
        [row["mean"]],
        [y],
        "D",
        color=BLUE,
        ms=6.5,
        mec="white",
        mew=0.8,
        zorder=5,
        clip_on=False,
    )
