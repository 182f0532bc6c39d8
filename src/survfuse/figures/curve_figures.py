"""Curves with bands: performance over time, net benefit, Kaplan-Meier curves of risk groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.figures.formatting import (
    TimeAxis,
    count,
    duration,
    label,
    number,
    percent,
    plain,
    plural,
)
from survfuse.figures.plotting import (
    BLUE,
    GREY,
    INK,
    LOOKS,
    MUTED,
    NOT_COMPUTABLE,
    ORANGE,
    WIDTH,
    Look,
    curve,
    draw,
    legend_below,
    numbers,
    percent_axes,
    records,
)

NULL_MODEL = "km"
NAMES = {NULL_MODEL: "Kaplan–Meier, no variables"}
TITLES = {"auc": "AUC at each time", "brier": "Brier score at each time"}
BETTER = {"auc": "higher", "brier": "lower"}
REFERENCE_LOOKS = {
    NULL_MODEL: Look(MUTED, "", (0, (2, 1.5))),
    "treat all": Look(MUTED, "", (0, (2, 1.5))),
    "treat none": Look(INK, "", "solid"),
}
GROUP_LOOKS = (
    Look(BLUE, "", "solid"),
    Look(GREY, "", (0, (6, 2))),
    Look(ORANGE, "", (0, (2, 1.5))),
)
DESCRIBED = 5  # points of a curve that its description names


def _curves(
    axes: Axes,
    table: pd.DataFrame,
    key: str,
    x: str,
    roles: Mapping[str, str],
) -> None:
    """Draw the curve of every model or strategy; models have bands."""
    for name, part in table.groupby(key, sort=False):
        look = (
            REFERENCE_LOOKS.get(str(name)) or LOOKS[roles.get(str(name), "comparator")]
        )
        text = NAMES.get(str(name), label(name, 30 if x == "time" else 40))
        curve(axes, part, x, "value", look, text, band=name in roles)


def time_curves(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    unit: str,
) -> str:
    """Draw AUC and Brier score at each time, with bands.

    Parameters
    ----------
    table : DataFrame
        `model`, `metric` ("auc" or "brier"), `time`, `value`, `low`, `high`.
    roles : mapping of model to str
        Models drawn and how; ``"km"``, the null model, is always drawn.
    unit : str
        Unit of `time`.

    Returns
    -------
    str
        Empty where no model has a value, as of every figure here.
    """
    if table.loc[table["model"].isin([*roles]), "value"].isna().all():
        return ""
    drawn = table[table["model"].isin([*roles, NULL_MODEL])]
    computed = set(drawn.dropna(subset="value")["metric"])
    metrics = [metric for metric in TITLES if metric in computed]
    axis = TimeAxis.of(float(drawn["time"].max()), unit)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            part = drawn[drawn["metric"] == metric]
            _curves(axes, part, "model", "time", roles)
            _time_panel(axes, part, metric, axis)
        legend_below(figure, panels[-1])

    alt = f"Performance over time in {unit}. " + "; ".join(
        f"{TITLES[metric].removesuffix(' at each time')} of {label(model)}: {_points(part, 'time')}"
        for metric in metrics
        for model, part in drawn[drawn["metric"] == metric].groupby("model", sort=False)
    )
    width = WIDTH if len(metrics) > 1 else 0.6 * WIDTH
    return draw("time-curves", (width, 3.4), paint, alt)


def _time_panel(
    axes: Axes,
    part: pd.DataFrame,
    metric: str,
    axis: TimeAxis,
) -> None:
    ends = numbers(part)
    if metric == "auc":
        axes.axhline(
            0.5,
            color=MUTED,
            lw=1,
        )
        top = min(1.02, max(0.8, ends.max() + 0.02))
        axes.set_ylim(min(0.45, ends.min() - 0.02), top)
    else:
        axes.set_ylim(0, ends.max() * 1.1 or 0.1)
    axes.set_title(f"{TITLES[metric]} ({BETTER[metric]} is better)")
    axes.set_xlabel(f"Time ({axis.unit})")
    axes.set_xticks(axis.ticks, axis.labels)
    axes.set_xlim(0, float(part["time"].max()) * 1.02)
    axes.grid(axis="y")


def decision(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    horizon: float | None,
    unit: str,
) -> str:
    """Draw net benefit over the threshold probability, at one horizon.

    Parameters
    ----------
    table : DataFrame
        `strategy`, `horizon`, `threshold`, `value`, `low`, `high`.
    roles : mapping of model to str
        Models drawn and how; "treat all" and "treat none" are always drawn.
    horizon : float or None
        In `unit`.
    """
    table = table[table["horizon"] == horizon]
    models = table[table["strategy"].isin([*roles])]
    if models["value"].isna().all():
        return ""
    drawn = table[table["strategy"].isin([*roles, "treat all", "treat none"])]
    top = float(max([0.01, *drawn["value"].dropna()]))
    ends = numbers(models[["low", "high"]])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _curves(axes, drawn, "strategy", "threshold", roles)
        axes.set_ylim(
            max(-0.35 * top, min([-0.05 * top, *ends])),
            max([top, *ends]) * 1.08,
        )
        axes.set_xlim(0, float(drawn["threshold"].max()))
        percent_axes(axes.xaxis)
        axes.set_xlabel(
            "Threshold: treat whoever is predicted this risk or more by "
            f"{duration(horizon, unit)}",
        )
        axes.set_ylabel("Net benefit")
        axes.grid()
        axes.legend(loc="upper right")

    alt = f"Net benefit at {duration(horizon, unit)}. " + "; ".join(
        f"{label(strategy)}: {_points(part, 'threshold')}"
        for strategy, part in drawn.groupby("strategy", sort=False)
    )
    return draw("decision", (WIDTH * 0.8, 3.7), paint, alt)


def _points(part: pd.DataFrame, x: str) -> str:
    """Some points of a curve in words: its ends and some evenly between."""
    known = part.dropna(subset="value").sort_values(x, kind="stable")
    if known.empty:
        return NOT_COMPUTABLE
    places = np.unique(np.linspace(0, len(known) - 1, DESCRIBED).round().astype(int))
    write = percent if x == "threshold" else plain
    rows = records(known.iloc[places])
    return ", ".join(f"{number(row['value'])} at {write(row[x])}" for row in rows)


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
    if curves.empty:
        return ""
    last = float(curves["time"].max())
    axis, rows = TimeAxis.of(last, unit), records(groups)
    # A curve runs where the legend would be.
    crowded = curves.loc[curves["time"] > 0.5 * last, "survival"].max() > 0.7

    def paint(figure: Figure) -> None:
        ratios = [3.1, 0.24 * len(rows) + 0.2]
        upper, lower = figure.subplots(
            2,
            1,
            sharex=True,
            height_ratios=ratios,
        )
        for row in rows:
            _survival_curve(upper, curves[curves["group"] == row["group"]], row)
        upper.set_ylabel("Without the event")
        percent_axes(upper.yaxis)
        upper.set_ylim(0, 1.02)
        upper.legend(loc="lower left" if crowded else "upper right")
        upper.grid(axis="y")
        upper.tick_params(labelbottom=True)
        upper.set_xlabel(f"Time ({axis.unit})")
        upper.set_xticks(axis.ticks, axis.labels)
        upper.set_xlim(0, last * 1.01)
        _numbers_at_risk(lower, rows, at_risk)

    alt = "Kaplan–Meier curves of risk groups. " + "; ".join(
        f"{row['name']}: {plural(row['patients'], 'patient')}, {plural(row['events'], 'event')}, "
        f"median {duration(row['median'], unit) if pd.notna(row['median']) else 'not reached'}"
        for row in rows
    )
    return draw("risk-groups", (WIDTH, 4.5 + 0.24 * len(rows)), paint, alt)


def _look(group: Any) -> Look:
    return GROUP_LOOKS[int(group) % len(GROUP_LOOKS)]


def _survival_curve(
    axes: Axes,
    table: pd.DataFrame,
    row: dict[str, Any],
) -> None:
    look = _look(row["group"])
    name = f"{row['name']} ({plural(row['patients'], 'patient')}, {plural(row['events'], 'event')})"
    line = {"color": look.colour, "ls": look.dashes, "lw": 2, "clip_on": False}
    axes.step(table["time"], table["survival"], where="post", label=name, **line)
    # Where survival falls to 0 there is no interval; the last one holds up to that moment.
    band = table.ffill()[: len(table.dropna(subset=["low", "high"])) + 1]
    axes.fill_between(
        band["time"],
        band["low"],
        band["high"],
        step="post",
        color=look.colour,
        alpha=0.13,
        lw=0,
    )


def _numbers_at_risk(
    axes: Axes,
    rows: Sequence[dict[str, Any]],
    at_risk: pd.DataFrame,
) -> None:
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    for y, (row, tick) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        colour = _look(row["group"]).colour
        tick.set_color(colour)
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": colour,
            "size": 8.5,
        }
        for cell in records(at_risk[at_risk["group"] == row["group"]]):
            axes.text(cell["time"], y, count(cell["at_risk"]), **style)
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.set_title(
        "Number at risk",
        size=8.5,
        color=MUTED,
        weight="normal",
    )
    axes.tick_params(
        left=False,
        bottom=False,
        labelbottom=False,
        pad=14,
    )
    axes.spines[["left", "bottom"]].set_visible(False)
