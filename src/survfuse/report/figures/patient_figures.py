"""What was foretold to patients, and what became of them: risk groups and predicted times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from survfuse.report.figures._shared import WIDTH, records
from survfuse.report.formatting import TimeAxis, count, duration, plain, plural
from survfuse.report.svg import BLUE, GREY, MUTED, ORANGE, RULE, draw

GROUP_COLOURS = (BLUE, GREY, ORANGE)
GROUP_DASHES: tuple[Any, ...] = ("solid", (0, (6, 2)), (0, (2, 1.5)))


def risk_groups(
    curves: pd.DataFrame,
    groups: pd.DataFrame,
    at_risk: pd.DataFrame,
    unit: str,
) -> str:
    """Draw Kaplan-Meier curves of risk groups with bands, and the numbers at risk beneath.

    Parameters
    ----------
    curves : DataFrame
        `group`, `time`, `survival`, `low`, `high`; each from time 0.
    groups : DataFrame
        `group`, `name`, `patients`, `events`.
    at_risk : DataFrame
        `group`, `time` (the ticks), `at_risk`.
    unit : str
        Unit of every time.
    """
    axis = TimeAxis.of(float(curves["time"].max()), unit)
    rows = records(groups)

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(
            2,
            1,
            sharex=True,
            height_ratios=[3.1, 0.24 * len(rows) + 0.2],
        )
        for row in rows:
            _curve(upper, curves[curves["group"] == row["group"]], row)
        upper.set_ylabel("Without the event")
        upper.yaxis.set_major_formatter(PercentFormatter(1.0))
        upper.set_ylim(0, 1.02)
        late = curves.loc[
            curves["time"] > 0.5 * float(curves["time"].max()),
            "survival",
        ]
        crowded = (
            len(late) > 0 and float(late.max()) > 0.7
        )  # a curve runs where the legend would stand
        upper.legend(loc="lower left" if crowded else "upper right", handlelength=2.6)
        upper.grid(axis="y", color=RULE, lw=0.5)
        upper.tick_params(labelbottom=True)
        upper.set_xlabel(f"Time ({axis.unit})")
        upper.set_xticks(axis.ticks, axis.labels)
        upper.set_xlim(0, float(curves["time"].max()) * 1.01)
        _numbers_at_risk(lower, rows, at_risk)

    alt = "Kaplan–Meier curves of risk groups. " + "; ".join(
        f"{row['name']}: {plural(row['patients'], 'patient')}, {plural(row['events'], 'event')}, "
        f"median {duration(row['median'], unit) if pd.notna(row['median']) else 'not reached'}"
        for row in rows
    )
    return draw("risk-groups", (WIDTH, 4.5 + 0.24 * len(rows)), paint, alt)


def _look(group: int) -> tuple[str, Any]:
    return GROUP_COLOURS[group % len(GROUP_COLOURS)], GROUP_DASHES[
        group % len(GROUP_DASHES)
    ]


def _curve(axes: Axes, curve: pd.DataFrame, row: dict[str, Any]) -> None:
    colour, dashes = _look(int(row["group"]))
    name = f"{row['name']} ({plural(row['patients'], 'patient')}, {plural(row['events'], 'event')})"
    axes.step(
        curve["time"],
        curve["survival"],
        where="post",
        color=colour,
        ls=dashes,
        lw=2,
        label=name,
        clip_on=False,
    )
    # Where survival falls to 0 there is no interval; the last one holds up to that moment.
    band = curve.ffill()[
        : int((curve["low"].notna() & curve["high"].notna()).sum()) + 1
    ]
    axes.fill_between(
        band["time"],
        band["low"],
        band["high"],
        step="post",
        color=colour,
        alpha=0.13,
        lw=0,
    )


def _numbers_at_risk(
    axes: Axes,
    rows: Sequence[dict[str, Any]],
    at_risk: pd.DataFrame,
) -> None:
    for y, row in enumerate(rows):
        colour, _ = _look(int(row["group"]))
        for cell in records(at_risk[at_risk["group"] == row["group"]]):
            axes.text(
                cell["time"],
                y,
                count(cell["at_risk"]),
                ha="center",
                va="center",
                color=colour,
                size=8.5,
            )
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(_look(int(row["group"]))[0])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.set_title("Number at risk", size=8.5, color=MUTED, weight="normal")
    axes.tick_params(left=False, bottom=False, labelbottom=False, pad=14)
    axes.spines[["left", "bottom"]].set_visible(False)


def times(bins: pd.DataFrame, summary: dict[str, Any], unit: str) -> str:
    """Draw the distribution of predicted times.

    Parameters
    ----------
    bins : DataFrame
        `low`, `high`, `patients`.
    summary : mapping
        `patients`, `not_reached`: those without a predicted time stand in a bar of their own.
    """
    axis = TimeAxis.of(float(bins["high"].max()), unit)
    width = float(bins["high"].iloc[0] - bins["low"].iloc[0])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.bar(
            bins["low"],
            bins["patients"],
            width=width,
            align="edge",
            color=BLUE,
            edgecolor="white",
            lw=0.8,
        )
        ticks, labels = list(axis.ticks), list(axis.labels)
        if summary["not_reached"]:
            middle = float(bins["high"].max()) + 2.5 * width
            axes.bar([middle], [summary["not_reached"]], width=2 * width, color=GREY)
            ticks, labels = [*ticks, middle], [*labels, "not\nreached"]
        axes.set_xticks(ticks, labels)
        axes.set_xlabel(f"Predicted time ({axis.unit})")
        axes.set_ylabel("Patients")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))

    alt = "Distribution of predicted times. " + "; ".join(
        f"{plain(row['low'] / axis.per_unit)} to {plain(row['high'] / axis.per_unit)}: "
        f"{count(row['patients'])}"
        for row in records(bins)
    )
    alt += f"; not reached: {count(summary['not_reached'])}"
    return draw("times", (WIDTH, 2.6), paint, alt)
