"""The model in sites and subgroups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from survfuse.report.figures._shared import LOOKS, WIDTH, Look, name_rows, records
from survfuse.report.figures.forests import bare, point, spoken
from survfuse.report.formatting import count, known, label, plain
from survfuse.report.svg import BLUE, MUTED, draw

EVERYONE = "everyone"
TITLES = {"uno_c": "Uno C", "observed_expected": "Observed / expected events"}
REFERENCE = {"uno_c": 0.5, "observed_expected": 1.0}
RATIO_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SHOWN_C = (0.2, 1.0)
SHOWN_RATIO = (0.15, 6.0)
MOST_LEVELS = 60


def shown_levels(table: pd.DataFrame) -> pd.DataFrame:
    """Levels that are drawn, in order, with a heading row before each group's levels.

    Parameters
    ----------
    table : DataFrame
        `group`, `level`, `patients`, `events`; as in the tables, one model alone.

    Returns
    -------
    DataFrame
        The same columns; at most `MOST_LEVELS` rows, those with the most events.
    """
    levels = table.drop_duplicates(["group", "level"])[
        ["group", "level", "patients", "events"]
    ]
    everyone = levels["group"] == EVERYONE
    most = levels.assign(first=everyone).sort_values(
        ["first", "events"],
        ascending=False,
        kind="stable",
    )
    return levels.loc[most.index[:MOST_LEVELS].sort_values()]


def subgroups(table: pd.DataFrame) -> str:
    """Draw concordance and calibration in the large by site and subgroup.

    Parameters
    ----------
    table : DataFrame
        `group`, `level`, `patients`, `events`, `metric`, `value`, `low`, `high` of one
        model; the group "everyone" gives the dashed line.
    """
    levels = shown_levels(table)
    lines = _lines(levels)
    metrics = [metric for metric in TITLES if (table["metric"] == metric).any()]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            _panel(axes, table[table["metric"] == metric], metric, lines)
            axes.set_title(TITLES[metric])
        name_rows(panels[0], lines)

    alt = "The model in sites and subgroups, with 95% intervals. " + "; ".join(
        f"{label(row['group'])} {label(row['level'])}, {TITLES[row['metric']]}: {spoken(row)}"
        for row in records(
            table.merge(levels[["group", "level"]], on=["group", "level"]),
        )
        if row["metric"] in TITLES
    )
    return draw("subgroups", (WIDTH, 0.95 + 0.235 * lines[-1]["y"]), paint, alt)


def _lines(levels: pd.DataFrame) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    y, group = 0.0, None
    for row in records(levels):
        if row["group"] != group and row["group"] != EVERYONE:
            y += 0.3
            lines.append(
                {"y": y, "text": label(row["group"], 34), "heading": True, "key": None},
            )
            y += 1
        group = row["group"]
        name = EVERYONE if group == EVERYONE else label(row["level"], 26)
        text = f"{name} ({count(row['patients'])}, {count(row['events'])})"
        key = (row["group"], row["level"])
        lines.append({"y": y, "text": text, "heading": group == EVERYONE, "key": key})
        y += 1
    return lines


def _panel(
    axes: Axes,
    rows: pd.DataFrame,
    metric: str,
    lines: list[dict[str, Any]],
) -> None:
    ratio = metric == "observed_expected"
    shown = SHOWN_RATIO if ratio else SHOWN_C
    axes.axvline(REFERENCE[metric], color=MUTED, lw=1)
    if ratio:
        ratio_scale(axes)
    found = {(row["group"], row["level"]): row for row in records(rows)}
    for line in lines:
        if line["key"] in found:
            cut_point(
                axes,
                found[line["key"]],
                line["y"],
                shown,
                REFERENCE[metric],
                LOOKS["model"],
            )
    whole = rows.loc[rows["group"] == EVERYONE, "value"].dropna()
    if len(whole) and not ratio:
        axes.axvline(float(whole.iloc[0]), color=BLUE, lw=1, ls=(0, (2, 2)), zorder=0)
    axes.set_xlim(*span(rows, shown, ratio))
    bare(axes)


def ratio_scale(axes: Axes, ticks: Sequence[float] = RATIO_TICKS) -> None:
    """Make the axis of a ratio: logarithmic, with plain numbers at it."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def cut_point(
    axes: Axes,
    row: dict[str, Any],
    y: float,
    shown: tuple[float, float],
    empty: float,
    look: Look,
) -> None:
    """Draw an estimate; an interval that leaves the panel ends in an arrowhead."""
    low, high = shown
    kept = dict(row)
    for end, marker in (("low", "<"), ("high", ">")):
        if known(row[end]) and not low <= row[end] <= high:
            kept[end] = min(max(row[end], low), high)
            axes.plot(
                [kept[end]],
                [y],
                marker,
                color=look.colour,
                ms=5,
                mew=0,
                clip_on=False,
                zorder=5,
            )
    if known(row["value"]):
        kept["value"] = min(max(row["value"], low), high)
    point(axes, kept, y, look, empty=empty)


def span(
    rows: pd.DataFrame,
    shown: tuple[float, float],
    ratio: bool,
) -> tuple[float, float]:
    """Ends of a panel's axis, so that its intervals fit as far as they are shown."""
    ends = pd.concat([rows["low"], rows["high"], rows["value"]]).dropna().clip(*shown)
    if ratio:
        reach = max([1.4, *(math.exp(abs(math.log(end))) for end in ends)]) * 1.06
        return 1 / reach, reach
    return min([0.45, *ends]) - 0.02, max([0.75, *ends]) + 0.02
