"""Performance over time, and net benefit over thresholds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from survfuse.report.figures._shared import LOOKS, NOT_COMPUTABLE, WIDTH, Look, records
from survfuse.report.formatting import TimeAxis, duration, label, number, percent, plain
from survfuse.report.svg import INK, MUTED, RULE, draw

NULL_MODEL = "km"
TITLES = {"auc": "AUC at each time", "brier": "Brier score at each time"}
REFERENCE_LOOKS = {
    NULL_MODEL: Look(MUTED, "", (0, (2, 1.5))),
    "treat all": Look(MUTED, "", (0, (2, 1.5))),
    "treat none": Look(INK, "", "solid"),
}
TOLD = 5  # points of a curve that its description names


def time_curves(table: pd.DataFrame, roles: Mapping[str, str], unit: str) -> str:
    """Draw AUC and Brier score at each time, with bands.

    Parameters
    ----------
    table : DataFrame
        `model`, `metric` ("auc" or "brier"), `time`, `value`, `low`, `high`.
    roles : mapping of model to str
        Models drawn and how; ``"km"``, the null model, is always drawn.
    unit : str
        Unit of `time`.
    """
    shown = table[table["model"].isin([*roles, NULL_MODEL])]
    metrics = [
        metric
        for metric in TITLES
        if shown.loc[shown["metric"] == metric, "value"].notna().any()
    ]
    axis = TimeAxis.of(float(shown["time"].max()), unit)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            part = shown[shown["metric"] == metric]
            for model in dict.fromkeys(part["model"]):
                name = (
                    "Kaplan–Meier, no variables"
                    if model == NULL_MODEL
                    else label(model, 30)
                )
                curve, look = part[part["model"] == model], _look(model, roles)
                _banded(axes, curve, "time", look, name, band=model in roles)
            _time_panel(axes, part, metric, axis)
        handles, names = panels[-1].get_legend_handles_labels()
        figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=len(names),
            handlelength=2.6,
        )

    alt = f"Performance over time in {unit}. " + "; ".join(
        f"{TITLES[metric].removesuffix(' at each time')} of {label(model)}: {_told(part, 'time')}"
        for metric in metrics
        for model, part in shown[shown["metric"] == metric].groupby("model", sort=False)
    )
    return draw(
        "time-curves",
        (WIDTH if len(metrics) > 1 else 0.6 * WIDTH, 3.4),
        paint,
        alt,
    )


def _look(name: str, roles: Mapping[str, str]) -> Look:
    return REFERENCE_LOOKS.get(name) or LOOKS[roles.get(name, "comparator")]


def _time_panel(axes: Axes, part: pd.DataFrame, metric: str, axis: TimeAxis) -> None:
    ends = pd.concat([part["value"], part["low"], part["high"]]).dropna()
    if metric == "auc":
        axes.axhline(0.5, color=MUTED, lw=1)
        axes.set_ylim(
            min(0.45, float(ends.min()) - 0.02),
            min(1.02, max(0.8, float(ends.max()) + 0.02)),
        )
    else:
        axes.set_ylim(0, float(ends.max()) * 1.1 or 0.1)
    axes.set_title(
        TITLES[metric]
        + (" (higher is better)" if metric == "auc" else " (lower is better)"),
    )
    axes.set_xlabel(f"Time ({axis.unit})")
    axes.set_xticks(axis.ticks, axis.labels)
    axes.set_xlim(0, float(part["time"].max()) * 1.02)
    axes.grid(axis="y", color=RULE, lw=0.5)
    axes.set_axisbelow(True)


def _banded(
    axes: Axes,
    curve: pd.DataFrame,
    x: str,
    look: Look,
    name: str,
    band: bool = True,
) -> None:
    curve = curve.sort_values(x, kind="stable")
    axes.plot(
        curve[x],
        curve["value"],
        color=look.colour,
        ls=look.dashes,
        lw=2,
        label=name,
        zorder=3,
    )
    ends = curve.dropna(subset=["low", "high"])
    if band and len(ends):
        axes.fill_between(
            ends[x],
            ends["low"],
            ends["high"],
            color=look.colour,
            alpha=0.13,
            lw=0,
        )


def decision(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    horizon: float,
    unit: str,
) -> str:
    """Draw net benefit over the threshold probability, at one horizon.

    Parameters
    ----------
    table : DataFrame
        `strategy`, `threshold`, `value`, `low`, `high` at this horizon.
    roles : mapping of model to str
        Models drawn and how; "treat all" and "treat none" are always drawn.
    horizon : float
        In `unit`.
    """
    shown = table[table["strategy"].isin([*roles, "treat all", "treat none"])]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for strategy in dict.fromkeys(shown["strategy"]):
            part, look = shown[shown["strategy"] == strategy], _look(strategy, roles)
            _banded(
                axes,
                part,
                "threshold",
                look,
                label(strategy, 40),
                band=strategy in roles,
            )
        top = float(max([0.01, *shown["value"].dropna()]))
        ends = shown.loc[shown["strategy"].isin(list(roles)), ["low", "high"]].to_numpy(
            float,
        )
        ends = ends[np.isfinite(ends)]
        axes.set_ylim(
            max(-0.35 * top, min([-0.05 * top, *ends])),
            max([top, *ends]) * 1.08,
        )
        axes.set_xlim(0, float(shown["threshold"].max()))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel(
            f"Threshold: treat whoever is predicted this risk or more by {duration(horizon, unit)}",
        )
        axes.set_ylabel("Net benefit")
        axes.grid(color=RULE, lw=0.5)
        axes.set_axisbelow(True)
        axes.legend(loc="upper right", handlelength=2.6)

    alt = f"Net benefit at {duration(horizon, unit)}. " + "; ".join(
        f"{label(strategy)}: {_told(part, 'threshold')}"
        for strategy, part in shown.groupby("strategy", sort=False)
    )
    return draw("decision", (WIDTH * 0.8, 3.7), paint, alt)


def _told(part: pd.DataFrame, x: str) -> str:
    """Some points of a curve in words: its ends and what lies evenly between."""
    seen = records(part.dropna(subset=["value"]).sort_values(x, kind="stable"))
    if not seen:
        return NOT_COMPUTABLE
    last = len(seen) - 1
    kept = [
        seen[i] for i in sorted({round(i * last / (TOLD - 1)) for i in range(TOLD)})
    ]
    return ", ".join(
        f"{number(row['value'])} at {percent(row[x]) if x == 'threshold' else plain(row[x])}"
        for row in kept
    )
