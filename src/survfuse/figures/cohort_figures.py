"""Patients by the modalities they have, and by their predicted times."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from survfuse.figures.formatting import TimeAxis, count, label, plain
from survfuse.figures.plotting import (
    BLUE,
    GREY,
    NARROW,
    PAPER,
    RULE,
    SOFT,
    WIDTH,
    records,
    small,
)
from survfuse.figures.svg import draw_both

MOST_PATTERNS = 12


def patterns(
    table: pd.DataFrame,
    modalities: Sequence[str],
) -> str:
    """Draw which modalities patients have together: bars over a matrix of dots.

    Parameters
    ----------
    table : DataFrame
        `modalities` (tuple of names), `patients`; most frequent first.
    modalities : sequence of str
        Rows of the matrix, from the top; those of the table alone follow.

    Returns
    -------
    str
        SVG elements; empty without patterns.
    """
    if table.empty:
        return ""
    drawn = table.head(MOST_PATTERNS)
    names = dict.fromkeys([*modalities, *table["modalities"].explode().dropna()])
    rows = {name: len(names) - 1 - i for i, name in enumerate(names)}

    def paint(figure: Figure, narrow: bool) -> None:
        ratios = [1.5, 0.28 * len(rows) + 0.25]
        bars, dots = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
        container = bars.bar(
            range(len(drawn)),
            drawn["patients"],
            width=0.55,
            color=BLUE,
        )
        numbers = map(count, drawn["patients"])
        bars.bar_label(container, numbers, padding=2, size=small())
        bars.set_ylabel("Patients")
        bars.margins(y=0.15)
        bars.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        bars.tick_params(bottom=False)
        _dot_matrix(dots, drawn["modalities"], rows, 14 if narrow else 24)

    listing = "; ".join(
        f"{', '.join(row['modalities']) or 'none'}: {count(row['patients'])}"
        for row in records(drawn)
    )
    height = 2.2 + 0.28 * len(rows)
    return draw_both(
        "patterns",
        (min(WIDTH, 3.0 + 0.62 * len(drawn)), height),
        (NARROW, height),
        paint,
        f"Patients by the modalities they have. {listing}.",
    )


def _dot_matrix(
    axes: Axes,
    columns: pd.Series[Any],
    rows: dict[str, int],
    letters: int,
) -> None:
    for y in rows.values():
        if y % 2 == 0:
            axes.axhspan(y - 0.5, y + 0.5, color=SOFT, lw=0)
        axes.scatter(
            range(len(columns)),
            [y] * len(columns),
            s=44,
            color=PAPER,
            edgecolors=RULE,
            lw=1,
            zorder=4,
        )
    for x, names in enumerate(columns):
        filled = [rows[name] for name in names]
        axes.scatter([x] * len(filled), filled, s=46, color=BLUE, zorder=5)
        if filled:
            ends = [min(filled), max(filled)]
            axes.plot([x, x], ends, color=BLUE, lw=2, zorder=3)
    axes.set_yticks(
        list(rows.values()), [fill(label(name, 2 * letters), letters) for name in rows]
    )
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def plot_times(
    ax: Axes,
    bins: pd.DataFrame,
    not_reached: int,
    unit: str,
) -> Axes:
    """Draw the distribution of predicted times.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    bins : DataFrame
        `low`, `high`, `patients`.
    not_reached : int
        Patients without a predicted time, in a bar of their own.
    unit : str
    """
    last = float(bins["high"].max())
    axis, width = TimeAxis.of(last, unit), _bin_width(bins)
    ax.bar(
        bins["low"],
        bins["patients"],
        width=width,
        align="edge",
        color=BLUE,
        edgecolor=PAPER,
        lw=0.8,
    )
    ticks, labels = list(axis.ticks), list(axis.labels)
    if not_reached:
        middle = last + 2.5 * width
        ax.bar([middle], [not_reached], width=2 * width, color=GREY)
        ticks.append(middle)
        labels.append("not\nreached")
    ax.set_xticks(ticks, labels)
    ax.set_xlabel(f"Predicted time ({axis.unit})")
    ax.set_ylabel("Patients")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return ax


def times(
    bins: pd.DataFrame,
    not_reached: int,
    unit: str,
) -> str:
    """Draw the figure of :func:`plot_times` for a page; empty without bins."""
    if bins.empty:
        return ""
    axis = TimeAxis.of(float(bins["high"].max()), unit)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = plot_times(figure.subplots(), bins, not_reached, unit)
        if narrow:
            ticks = list(zip(axes.get_xticks(), axes.get_xticklabels(), strict=True))
            labelled = [*ticks[: len(axis.ticks) : 2], *ticks[len(axis.ticks) :]]
            axes.set_xticks(
                [x for x, _ in labelled], [text.get_text() for _, text in labelled]
            )

    parts = []
    for row in records(bins):
        low, high = (
            plain(row["low"] / axis.per_unit),
            plain(row["high"] / axis.per_unit),
        )
        parts.append(f"{low} to {high}: {count(row['patients'])}")
    parts.append(f"not reached: {count(not_reached)}")
    alt = f"Distribution of predicted times. {'; '.join(parts)}"
    return draw_both("times", (WIDTH, 2.6), (NARROW, 2.6), paint, alt)


def _bin_width(bins: pd.DataFrame) -> float:
    return float(bins["high"].iloc[0] - bins["low"].iloc[0])
