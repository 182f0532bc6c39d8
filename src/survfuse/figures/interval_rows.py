"""Estimates with their intervals, one a row, in panels that share their rows."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from survfuse.figures.formatting import bounded, interval, known, number, plain
from survfuse.figures.plotting import (
    LOOKS,
    MUTED,
    NARROW,
    NOT_COMPUTABLE,
    PAPER,
    WIDTH,
    numbers,
    records,
    small,
)
from survfuse.figures.svg import draw_both

NARROW_TEXT = 24  # letters of a line of text beside or above a narrow panel
NARROW_LINE = 0.17  # inches, of a line of such a text


@dataclass(frozen=True)
class Scale:
    """The axis of one metric.

    Attributes
    ----------
    reference : float or None
        Value of the grey line.
    least : (float, float)
        What the axis contains at least.
    longest : (float, float)
        Where intervals are cut and end in an arrowhead.
    ticks : sequence of float
        Of a logarithmic axis around 1; linear without.
    """

    title: str
    reference: float | None
    least: tuple[float, float]
    longest: tuple[float, float] = (-math.inf, math.inf)
    ticks: Sequence[float] = ()
    label: str = ""

    def limits(self, ends: Sequence[float]) -> tuple[float, float]:
        """Ends of an axis that contains some numbers."""
        low, high = self.least
        inside = [min(max(end, self.longest[0]), self.longest[1]) for end in ends]
        if self.ticks or self.reference == 0:  # symmetric around 1 or 0
            sides = (
                [1 / end for end in inside] if self.ticks else [-end for end in inside]
            )
            reach = max([high, *inside, *sides]) * 1.08
            return (1 / reach if self.ticks else -reach), reach
        low, high = min([low, *inside]), max([high, *inside])
        return max(low - 0.02, 0), high + 0.02


class Line(NamedTuple):
    """A row of a figure from the top: its height, text, and whether the text is bold."""

    y: float
    text: str
    bold: bool = False


@dataclass(frozen=True)
class Rows:
    """What the panels of a figure show.

    Attributes
    ----------
    table : DataFrame
        `metric`, `value`, `low`, `high`; the height `y`, the `look`, the `name` for those who
        cannot see it, and in `dashed` the colour of a dashed line at the value, or "".
    lines : sequence of Line
        Texts beside the rows.
    scales : mapping of metric to Scale
        One for each panel, in their order.
    """

    table: pd.DataFrame
    lines: Sequence[Line]
    scales: Mapping[str, Scale]

    @property
    def metrics(self) -> list[str]:
        """Metrics of which the table has a row."""
        return [name for name in self.scales if (self.table["metric"] == name).any()]


def plot_rows(
    ax: Axes,
    rows: Rows,
    metric: str,
    *,
    letters: int | None = None,
) -> Axes:
    """Draw one metric of some rows: the value as a mark, its interval as a line.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    rows : Rows
    metric : str
    letters : int, optional
        Length of a line of text, where they are broken.
    """
    scale, lines = rows.scales[metric], rows.lines
    own = records(rows.table[rows.table["metric"] == metric])
    if scale.ticks:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(list(scale.ticks)))
        ax.xaxis.set_major_formatter(lambda value, _: plain(value))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_formatter(NullFormatter())
    if scale.reference is not None:
        ax.axvline(scale.reference, color=MUTED, lw=1)
    for row in own:
        _plot_row(ax, row, scale)
    ax.set_title(_broken(scale.title, letters))
    ax.set_xlabel(scale.label.replace(" with it", "") if letters else scale.label)
    ax.set_xlim(*scale.limits(list(numbers(own))))
    ax.set_yticks(
        [line.y for line in lines], [_broken(line.text, letters) for line in lines]
    )
    ax.set_ylim(lines[-1].y + 0.55, -0.55)
    for tick, line in zip(ax.yaxis.get_major_ticks(), lines, strict=True):
        tick.label1.set_fontweight("bold" if line.bold else "normal")
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", left=False)
    return ax


def draw_rows(
    name: str,
    intro: str,
    rows: Rows,
    spacing: tuple[float, float],
) -> str:
    """Draw all metrics of some rows for a page: beside each other, or below on a phone.

    Parameters
    ----------
    spacing : (float, float), inches
        Height without rows, and of a row.
    """
    metrics = rows.metrics

    def paint(figure: Figure, narrow: bool) -> None:
        shape = (len(metrics), 1) if narrow else (1, len(metrics))
        panels = figure.subplots(*shape, sharey=not narrow, squeeze=False).ravel()
        for axes, metric in zip(panels, metrics, strict=True):
            plot_rows(axes, rows, metric, letters=NARROW_TEXT if narrow else None)

    parts = []
    for row in records(rows.table):
        if row["metric"] in rows.scales:
            title = rows.scales[row["metric"]].title.removesuffix(", difference")
            parts.append(f"{row['name']}, {title}: {spoken(row)}")
    alt = f"{intro}. {'; '.join(parts)}"
    above, height = spacing
    count = 1 + rows.lines[-1].y
    most = max(_broken(line.text, NARROW_TEXT).count("\n") for line in rows.lines)
    row_height = max(height, NARROW_LINE * (1 + most))
    narrow = (NARROW, len(metrics) * (above + 0.2 + row_height * count))
    return draw_both(name, (WIDTH, above + height * count), narrow, paint, alt)


def grouped_lines(
    rows: Sequence[tuple[Any, str, str]],
) -> tuple[list[Line], dict[Any, float]]:
    """Lines with a bold heading before each group, and the height of each key.

    Parameters
    ----------
    rows : sequence of (key, heading, text)
        Those without heading are bold themselves.
    """
    lines: list[Line] = []
    heights: dict[Any, float] = {}
    y, last = 0.0, ""
    for key, heading, text in rows:
        if heading and heading != last:
            lines.append(Line(y + 0.3, heading, bold=True))
            y += 1.3
        last, heights[key] = heading, y
        lines.append(Line(y, text, not heading))
        y += 1
    return lines, heights


def spoken(row: dict[str, Any]) -> str:
    """An estimate in words, for those who cannot see it."""
    if not known(row["value"]):
        return NOT_COMPUTABLE
    ends = interval(row["low"], row["high"]) if bounded(row) else "no interval"
    return f"{number(row['value'])} ({ends})"


def with_values(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the metrics of which any row has a value."""
    return table[table.groupby("metric")["value"].transform("count") > 0]


def _broken(text: str, letters: int | None) -> str:
    """A text in lines of so many letters, broken at spaces and underscores where there are any."""
    if letters is None:
        return text
    return textwrap.fill(text.replace("_", "_ "), letters).replace("_ ", "_")


def _plot_row(ax: Axes, row: dict[str, Any], scale: Scale) -> None:
    if not known(row["value"]):
        ax.annotate(
            NOT_COMPUTABLE,
            (scale.reference or 0.0, row["y"]),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            size=small(),
        )
        return
    if row["dashed"]:
        line = {"color": row["dashed"], "lw": 1, "ls": (0, (2, 2)), "zorder": 0}
        ax.axvline(row["value"], **line)
    y, look, (low, high) = row["y"], LOOKS[row["look"]], scale.longest
    if bounded(row):
        _plot_interval(ax, row, scale)
    ax.plot(
        [min(max(row["value"], low), high)],
        [y],
        look.marker,
        color=look.colour,
        ms=6.5,
        mec=PAPER,
        mew=0.8,
    )


def _plot_interval(ax: Axes, row: dict[str, Any], scale: Scale) -> None:
    """A line between the ends, with an arrowhead where it leaves the panel."""
    y, colour, (low, high) = row["y"], LOOKS[row["look"]].colour, scale.longest
    ends = [min(max(row[end], low), high) for end in ("low", "high")]
    arrow: dict[str, Any] = {
        "color": colour,
        "ms": 5,
        "mew": 0,
        "clip_on": False,
        "zorder": 5,
    }
    for end, drawn, mark in zip((row["low"], row["high"]), ends, "<>", strict=True):
        if end != drawn:
            ax.plot([drawn], [y], mark, **arrow)
    ax.plot(ends, [y, y], color=colour, lw=2, solid_capstyle="butt")
