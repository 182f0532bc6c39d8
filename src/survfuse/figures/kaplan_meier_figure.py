"""Survival of risk groups as it was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.figures.formatting import count, duration, plural
from survfuse.figures.plotting import (
    BLUE,
    GREY,
    MUTED,
    NARROW,
    ORANGE,
    WIDTH,
    Look,
    records,
    small,
)
from survfuse.figures.survival_figure import survival_axes
from survfuse.figures.svg import draw_both

GROUP_LOOKS = (
    Look(BLUE, "", "solid"),
    Look(GREY, "", (0, (6, 2))),
    Look(ORANGE, "", (0, (2, 1.5))),
)
FEW_AT_RISK = 10
"""A curve is pale where fewer patients are at risk."""
PALE = {"lw": 1.1, "alpha": 0.5}
MOST_MARKS = 150  # of censored patients on one curve: marks that would touch are one
MARK = 0.014  # half of its height, as a share of the axis
MOST_COUNTS = 6  # columns of numbers at risk in a narrow figure
LINE = 1.45  # height of a line of text, in its size


def plot_kaplan_meier(
    ax: Axes,
    curves: pd.DataFrame,
    groups: pd.DataFrame,
    at_risk: pd.DataFrame,
    unit: str,
    *,
    narrow: bool = False,
) -> Axes:
    """Draw Kaplan–Meier curves of risk groups with bands, and the numbers at risk beneath.

    Curves are thin and pale where fewer than `FEW_AT_RISK` patients are at risk; ticks are
    censored patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    curves : DataFrame
        `group`, `time`, `survival`, `low`, `high`, `at_risk`, `censored`; each from time 0.
    groups : DataFrame
        `group`, `name`, `patients`, `events`.
    at_risk : DataFrame
        `group`, `time` (the ticks), `at_risk`.
    unit : str
        Unit of every time.
    narrow : bool
        Names of groups above their numbers, and the legend above the axes.
    """
    last = float(curves["time"].max())
    rows = records(groups)
    for row in rows:
        _observed_curve(ax, curves[curves["group"] == row["group"]], row, last)
    survival_axes(ax, last, unit)
    ax.set_ylabel("Without the event")
    # A curve runs where the legend would be.
    crowded = curves.loc[curves["time"] > 0.5 * last, "survival"].max() > 0.7
    if narrow:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.2, 1.0)}
        every = 2 if at_risk["time"].nunique() > MOST_COUNTS else 1
        ax.set_xticks(
            ax.get_xticks()[::every],
            [t.get_text() for t in ax.get_xticklabels()][::every],
        )
    else:
        place = {"loc": "lower left" if crowded else "upper right"}
    ax.legend(**place)
    at_ticks = at_risk[at_risk["time"].isin(ax.get_xticks())]
    _numbers_at_risk(ax, rows, at_ticks, stacked=narrow)
    return ax


def risk_groups(
    curves: pd.DataFrame,
    groups: pd.DataFrame,
    at_risk: pd.DataFrame,
    unit: str,
) -> str:
    """Draw the figure of :func:`plot_kaplan_meier` for a page.

    Returns
    -------
    str
        SVG elements; empty without a curve.
    """
    if curves.empty:
        return ""

    def paint(figure: Figure, narrow: bool) -> None:
        plot_kaplan_meier(
            figure.subplots(), curves, groups, at_risk, unit, narrow=narrow
        )

    rows = records(groups)
    alt = "Kaplan–Meier curves of risk groups. " + "; ".join(
        f"{row['name']}: {plural(row['patients'], 'patient')}, {plural(row['events'], 'event')}, "
        f"median {duration(row['median'], unit) if pd.notna(row['median']) else 'not reached'}"
        for row in rows
    )
    alt += (
        f". Curves are pale where fewer than {FEW_AT_RISK} patients are at risk; "
        "ticks are censored patients"
    )
    wide = (WIDTH, 4.4 + 0.2 * len(rows))
    return draw_both("risk-groups", wide, (NARROW, 3.9 + 0.4 * len(rows)), paint, alt)


def _look(group: Any) -> Look:
    return GROUP_LOOKS[int(group) % len(GROUP_LOOKS)]


def _observed_curve(
    ax: Axes,
    table: pd.DataFrame,
    row: dict[str, Any],
    last: float,
) -> None:
    look = _look(row["group"])
    name = f"{row['name']} ({plural(row['patients'], 'patient')}, {plural(row['events'], 'event')})"
    line = {"color": look.colour, "ls": look.dashes, "lw": 2, "clip_on": False}
    many = table["at_risk"] >= FEW_AT_RISK
    well, pale = table[many], table[many.sum() - 1 if many.any() else 0 :]
    ax.step(well["time"], well["survival"], where="post", label=name, **line)
    ax.step(pale["time"], pale["survival"], where="post", **{**line, **PALE})
    # Where survival falls to 0 there is no interval; the last one holds up to that moment.
    band = table.ffill()[: len(table.dropna(subset=["low", "high"])) + 1]
    ax.fill_between(
        band["time"],
        band["low"],
        band["high"],
        where=band["at_risk"] >= FEW_AT_RISK,
        step="post",
        color=look.colour,
        alpha=0.13,
        lw=0,
    )
    _censor_marks(ax, table, last, look.colour)


def _censor_marks(ax: Axes, table: pd.DataFrame, last: float, colour: str) -> None:
    """Upright ticks on a curve where patients are censored, all of them one line."""
    censored = table[table["censored"] > 0]
    places = (censored["time"] / last * MOST_MARKS).round()
    marks = censored[~places.duplicated()]
    middle = marks["survival"].to_numpy(float)
    x = np.repeat(marks["time"].to_numpy(float), 3)
    gap = np.full_like(middle, np.nan)
    y = np.stack([middle - MARK, middle + MARK, gap], axis=1).ravel()
    ax.plot(
        x, y, color=colour, lw=0.9, solid_capstyle="butt", clip_on=False, gid="censored"
    )


def _numbers_at_risk(
    ax: Axes,
    rows: Sequence[dict[str, Any]],
    at_risk: pd.DataFrame,
    *,
    stacked: bool,
) -> None:
    """Write a line of numbers for each group below the label of the time axis."""
    size = small()
    line = LINE * size
    style: dict[str, Any] = {
        "size": size,
        "va": "center",
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    left: dict[str, Any] = {
        "xycoords": "axes fraction",
        "ha": "left" if stacked else "right",
    }
    shift = -7 if stacked else -16
    below = ax.get_xaxis_transform()
    y = -10 - 3.1 * line
    heading = f"Number at risk (pale curve: fewer than {FEW_AT_RISK})"
    ax.annotate(
        heading,
        (0, 0),
        (0, y + 0.2 * line),
        color=MUTED,
        xycoords="axes fraction",
        **style,
    )
    for row in rows:
        colour = _look(row["group"]).colour
        y -= line
        ax.annotate(row["name"], (0, 0), (shift, y), color=colour, **left, **style)
        y -= line if stacked else 0
        for cell in records(at_risk[at_risk["group"] == row["group"]]):
            text = count(cell["at_risk"])
            place = (cell["time"], 0)
            ax.annotate(
                text, place, (0, y), xycoords=below, color=colour, ha="center", **style
            )
