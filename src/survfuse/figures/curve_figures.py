"""Curves with bands: performance over time, and net benefit."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.figures.formatting import TimeAxis, duration, number, percent, plain
from survfuse.figures.plotting import (
    LOOKS,
    MUTED,
    NARROW,
    NOT_COMPUTABLE,
    WIDTH,
    Look,
    curve,
    legend_below,
    numbers,
    percent_axes,
    records,
    worded,
)
from survfuse.figures.svg import draw_both

NULL_MODEL = "km"
NAMES = {NULL_MODEL: "Kaplan–Meier, no variables"}
TITLES = {"auc": "AUC over time", "brier": "Brier score over time"}
BETTER = {"auc": "higher", "brier": "lower"}
DASHED = Look(MUTED, "", (0, (2, 1.5)))
REFERENCES = (NULL_MODEL, "treat all", "treat none")
DESCRIBED = 5  # points of a curve that its description names


def plot_time_curve(
    ax: Axes,
    table: pd.DataFrame,
    roles: Mapping[str, str],
    unit: str,
    metric: str = "auc",
    *,
    names: Mapping[str, str] | None = None,
) -> Axes:
    """Draw AUC or Brier score at each time, with bands.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `model`, `metric`, `time`, `value`, `low`, `high`.
    roles : mapping of model to str
        Models drawn and how; ``"km"``, the null model, is always drawn.
    unit : str
        Unit of `time`.
    metric : {"auc", "brier"}
    names : mapping of model to str, optional
        Words for them.
    """
    drawn = _of_models(table, "model", roles)
    part = drawn[drawn["metric"] == metric]
    axis = TimeAxis.of(float(part["time"].max()), unit)
    _curves(ax, part, "model", "time", roles, names)
    ends = numbers(part)
    if metric == "auc":
        ax.axhline(0.5, color=MUTED, lw=1)
        top = min(1.02, max(0.8, ends.max() + 0.02))
        ax.set_ylim(min(0.45, ends.min() - 0.02), top)
    else:
        ax.set_ylim(0, ends.max() * 1.1 or 0.1)
    ax.set_title(f"{TITLES[metric]} ({BETTER[metric]} is better)")
    ax.set_xlabel(f"Time ({axis.unit})")
    ax.set_xticks(axis.ticks, axis.labels)
    ax.set_xlim(0, float(part["time"].max()) * 1.02)
    ax.grid(axis="y")
    return ax


def time_curves(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    unit: str,
    names: Mapping[str, str] | None = None,
) -> str:
    """Draw the figure of :func:`plot_time_curve` for a page, one panel for each metric.

    Returns
    -------
    str
        SVG elements; empty where no model has a value, as of every figure here.
    """
    if table.loc[table["model"].isin([*roles]), "value"].isna().all():
        return ""
    drawn = _of_models(table, "model", roles)
    computed = set(drawn.dropna(subset="value")["metric"])
    metrics = [metric for metric in TITLES if metric in computed]

    def paint(figure: Figure, narrow: bool) -> None:
        shape = (len(metrics), 1) if narrow else (1, len(metrics))
        panels = figure.subplots(*shape, squeeze=False).ravel()
        for axes, metric in zip(panels, metrics, strict=True):
            plot_time_curve(axes, table, roles, unit, metric, names=names)
        legend_below(figure, panels[-1], 1 if narrow else None)

    alt = f"Performance over time in {unit}. " + "; ".join(
        f"{TITLES[metric].removesuffix(' over time')} of {worded(model, names)}: "
        f"{_points(part, 'time')}"
        for metric in metrics
        for model, part in drawn[drawn["metric"] == metric].groupby("model", sort=False)
    )
    wide = (WIDTH if len(metrics) > 1 else 0.6 * WIDTH, 3.4)
    return draw_both(
        "time-curves", wide, (NARROW, 0.8 + 2.5 * len(metrics)), paint, alt
    )


def plot_decision(
    ax: Axes,
    table: pd.DataFrame,
    roles: Mapping[str, str],
    horizon: float,
    unit: str,
    *,
    names: Mapping[str, str] | None = None,
) -> Axes:
    """Draw net benefit over the threshold probability, at one horizon.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `strategy`, `horizon`, `threshold`, `value`, `low`, `high`.
    roles : mapping of model to str
        Models drawn and how; "treat all" and "treat none" are always drawn.
    horizon : float
        In `unit`.
    unit : str
    names : mapping of model to str, optional
        Words for them.
    """
    drawn = _of_models(table[table["horizon"] == horizon], "strategy", roles)
    models = drawn[drawn["strategy"].isin([*roles])]
    top = float(max([0.01, *drawn["value"].dropna()]))
    ends = numbers(models[["low", "high"]])
    _curves(ax, drawn, "strategy", "threshold", roles, names)
    ax.set_ylim(
        max(-0.35 * top, min([-0.05 * top, *ends])),
        max([top, *ends]) * 1.08,
    )
    ax.set_xlim(0, float(drawn["threshold"].max()))
    percent_axes(ax.xaxis)
    ax.set_xlabel(
        f"Threshold: treat whoever is predicted\nthis risk or more by {duration(horizon, unit)}",
    )
    ax.set_ylabel("Net benefit")
    ax.grid()
    return ax


def decision(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    horizon: float | None,
    unit: str,
    names: Mapping[str, str] | None = None,
) -> str:
    """Draw the figure of :func:`plot_decision` for a page; empty where no model has a value."""
    at_horizon = table[table["horizon"] == horizon]
    drawn = _of_models(at_horizon, "strategy", roles)
    models = drawn[drawn["strategy"].isin([*roles])]
    if horizon is None or models["value"].isna().all():
        return ""

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        plot_decision(axes, table, roles, horizon, unit, names=names)
        if narrow:
            legend_below(figure, axes, 1)
        else:
            axes.legend(loc="upper right")

    alt = f"Net benefit at {duration(horizon, unit)}. " + "; ".join(
        f"{worded(strategy, names)}: {_points(part, 'threshold')}"
        for strategy, part in drawn.groupby("strategy", sort=False)
    )
    return draw_both("decision", (WIDTH * 0.8, 3.8), (NARROW, 4.0), paint, alt)


def _of_models(
    table: pd.DataFrame,
    key: str,
    roles: Mapping[str, str],
) -> pd.DataFrame:
    """Rows of the models that are drawn, and of what they are compared with."""
    return table[table[key].isin([*roles, *REFERENCES])]


def _curves(
    ax: Axes,
    table: pd.DataFrame,
    key: str,
    x: str,
    roles: Mapping[str, str],
    names: Mapping[str, str] | None,
) -> None:
    """Draw the curve of every model or strategy; models have bands."""
    for name, part in table.groupby(key, sort=False):
        if name in REFERENCES:
            look = DASHED
            if name == "treat none":
                look = Look(matplotlib.rcParams["text.color"], "", "solid")
        else:
            look = LOOKS[roles[str(name)]]
        text = worded(name, {**NAMES, **(names or {})})
        curve(ax, part, x, "value", look, text, band=name in roles)


def _points(part: pd.DataFrame, x: str) -> str:
    """Some points of a curve in words: its ends and some evenly between."""
    known = part.dropna(subset="value").sort_values(x, kind="stable")
    if known.empty:
        return NOT_COMPUTABLE
    places = np.unique(np.linspace(0, len(known) - 1, DESCRIBED).round().astype(int))
    write = percent if x == "threshold" else plain
    rows = records(known.iloc[places])
    return ", ".join(f"{number(row['value'])} at {write(row[x])}" for row in rows)
