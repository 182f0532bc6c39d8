"""Observed against predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from survfuse.report.figures._shared import LOOKS, WIDTH, records
from survfuse.report.formatting import count, duration, label, percent
from survfuse.report.svg import BLUE, MUTED, RULE, draw

MOST_PANELS = 4


def grouped_calibration(table: pd.DataFrame, horizon: float, unit: str) -> str:
    """Draw observed against predicted survival at a horizon, by group of prediction.

    Parameters
    ----------
    table : DataFrame
        `patients`, `predicted`, `observed`, `low`, `high`; NaN where not computable.
    horizon : float
        In `unit`.
    """
    seen = table.dropna(subset=["observed"])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(
            [0, 1],
            [0, 1],
            color=MUTED,
            lw=1,
            ls=(0, (4, 3)),
            label="perfect agreement",
        )
        barred = seen.dropna(subset=["low", "high"])
        axes.vlines(
            barred["predicted"],
            barred["low"],
            barred["high"],
            color=BLUE,
            lw=1.6,
        )
        axes.plot(
            seen["predicted"],
            seen["observed"],
            "o",
            color=BLUE,
            ms=6,
            mec="white",
            mew=0.8,
        )
        for row in records(seen):
            top = row["observed"] if pd.isna(row["high"]) else row["high"]
            where = (row["predicted"], top)
            axes.annotate(
                count(row["patients"]),
                where,
                (0, 3),
                textcoords="offset points",
                size=8.5,
                color=MUTED,
                ha="center",
            )
        for side in ("x", "y"):
            getattr(axes, f"set_{side}lim")(0, 1.01)
            getattr(axes, f"{side}axis").set_major_formatter(
                PercentFormatter(1.0, decimals=0),
            )
        axes.set_aspect("equal")
        axes.set_xlabel(f"Predicted without the event at {duration(horizon, unit)}")
        axes.set_ylabel("Observed (Kaplan–Meier, 95% interval)")
        axes.grid(color=RULE, lw=0.5)
        axes.legend(loc="upper left")

    alt = (
        f"Observed against predicted survival at {duration(horizon, unit)}. "
        + "; ".join(
            f"predicted {percent(row['predicted'])}, observed {percent(row['observed'])}"
            for row in records(table)
        )
    )
    return draw("calibration", (4.6, 4.4), paint, alt)


def smooth_calibration(
    curves: pd.DataFrame,
    bins: pd.DataFrame,
    roles: Mapping[str, str],
    unit: str,
) -> str:
    """Draw smooth calibration curves with bands, one panel for each horizon, over how predictions spread.

    Parameters
    ----------
    curves : DataFrame
        `model`, `horizon`, `predicted`, `observed`, `low`, `high`: probabilities of the event.
    bins : DataFrame
        `model`, `horizon`, `left`, `right`, `patients`: the histogram of the main model.
    roles : mapping of model to str
        Models drawn and how; the band is that of the main model.
    unit : str
        Unit of `horizon`.
    """
    shown = curves[curves["model"].isin(list(roles))].dropna(
        subset=["predicted", "observed"],
    )
    horizons = sorted(set(shown["horizon"]))[:MOST_PANELS]
    top = _reach(shown)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(
            2,
            len(horizons),
            sharex=True,
            squeeze=False,
            height_ratios=[4.2, 1],
        )
        for column, horizon in enumerate(horizons):
            upper, lower = panels[0][column], panels[1][column]
            _smooth_panel(upper, shown[shown["horizon"] == horizon], roles, top)
            upper.set_title(duration(horizon, unit))
            _histogram(lower, bins[bins["horizon"] == horizon], roles)
            lower.set_xlim(0, top)
            lower.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        panels[0][0].set_ylabel("Observed, event by then")
        panels[1][0].set_ylabel("Patients")
        for lower in panels[1]:
            lower.set_xlabel("Predicted probability")
        handles, names = panels[0][0].get_legend_handles_labels()
        columns = len(names) if len(horizons) > 1 else 1
        figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=columns,
            handlelength=2.6,
        )

    alt = "Observed against predicted probability of the event. " + "; ".join(
        f"{label(model)} at {duration(horizon, unit)}: {_told(part)}"
        for (horizon, model), part in shown.groupby(["horizon", "model"], sort=True)
        if horizon in horizons
    )
    return draw("calibration", (min(WIDTH, 1.9 + 2.7 * len(horizons)), 4.5), paint, alt)


def _reach(shown: pd.DataFrame) -> float:
    """Right and upper end of every panel: the next tenth beyond every curve, four tenths at least."""
    last = float(max([0.4, *shown["predicted"], *shown["observed"]]))
    return min(1.0, math.ceil(last * 10 - 1e-9) / 10)


def _smooth_panel(
    axes: Axes,
    part: pd.DataFrame,
    roles: Mapping[str, str],
    top: float,
) -> None:
    axes.plot(
        [0, 1],
        [0, 1],
        color=MUTED,
        lw=1,
        ls=(0, (1, 2)),
        label="perfect agreement",
    )
    for model in (name for name in roles if (part["model"] == name).any()):
        look, curve = (
            LOOKS[roles[model]],
            part[part["model"] == model].sort_values("predicted"),
        )
        if roles[model] == "model":
            ends = curve.dropna(subset=["low", "high"])
            axes.fill_between(
                ends["predicted"],
                ends["low"],
                ends["high"],
                color=look.colour,
                alpha=0.15,
                lw=0,
            )
        axes.plot(
            curve["predicted"],
            curve["observed"],
            color=look.colour,
            ls=look.dashes,
            lw=2,
            label=label(model, 26),
        )
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(color=RULE, lw=0.5)
    axes.set_axisbelow(True)


def _histogram(axes: Axes, bins: pd.DataFrame, roles: Mapping[str, str]) -> None:
    main = bins[bins["model"].map(lambda name: roles.get(name) == "model")]
    width = main["right"] - main["left"]
    axes.bar(
        main["left"],
        main["patients"],
        width=width,
        align="edge",
        color=BLUE,
        edgecolor="white",
        lw=0.4,
    )
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))


def _told(curve: pd.DataFrame) -> str:
    told = (
        curve.sort_values("predicted").iloc[[0, len(curve) // 2, -1]].drop_duplicates()
    )
    return ", ".join(
        f"predicted {percent(row['predicted'])}, observed {percent(row['observed'])}"
        for row in records(told)
    )
