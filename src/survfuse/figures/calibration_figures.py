"""Observed against predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from survfuse.figures.formatting import count, duration, label, percent
from survfuse.figures.plotting import (
    BLUE,
    LOOKS,
    MUTED,
    WIDTH,
    curve,
    draw,
    legend_below,
    percent_axes,
    records,
)

MOST_PANELS = 4


def _diagonal(axes: Axes, dashes: tuple[int, int]) -> None:
    axes.plot(
        [0, 1],
        [0, 1],
        color=MUTED,
        lw=1,
        ls=(0, dashes),
        label="perfect agreement",
    )


def _pairs(table: pd.DataFrame, separator: str) -> str:
    """Predicted and observed of each row, in words."""
    return separator.join(
        f"predicted {percent(row['predicted'])}, observed {percent(row['observed'])}"
        for row in records(table)
    )


def grouped_calibration(
    table: pd.DataFrame,
    horizon: float | None,
    unit: str,
) -> str:
    """Draw observed against predicted survival at a horizon, by group of prediction.

    Parameters
    ----------
    table : DataFrame
        `patients`, `predicted`, `observed`, `low`, `high`; NaN where not computable.
    horizon : float or None
        In `unit`.

    Returns
    -------
    str
        Empty where nothing was observed, as of every figure here.
    """
    known = table.dropna(subset="observed")
    if known.empty or horizon is None:
        return ""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _diagonal(axes, (4, 3))
        ends = known.dropna(subset=["low", "high"])
        axes.vlines(
            ends["predicted"],
            ends["low"],
            ends["high"],
            color=BLUE,
            lw=1.6,
        )
        axes.plot(
            known["predicted"],
            known["observed"],
            "o",
            color=BLUE,
            ms=6,
            mec="white",
            mew=0.8,
        )
        for row in records(known.assign(top=known["high"].fillna(known["observed"]))):
            axes.annotate(
                count(row["patients"]),
                (row["predicted"], row["top"]),
                (0, 3),
                textcoords="offset points",
                size=8.5,
                color=MUTED,
                ha="center",
            )
        axes.set(
            xlim=(0, 1.01),
            ylim=(0, 1.01),
            aspect="equal",
        )
        percent_axes(axes.xaxis, axes.yaxis)
        axes.set_xlabel(f"Predicted without the event at {duration(horizon, unit)}")
        axes.set_ylabel("Observed (Kaplan–Meier, 95% interval)")
        axes.grid()
        axes.legend(loc="upper left")

    alt = f"Observed against predicted survival at {duration(horizon, unit)}. {_pairs(table, '; ')}"
    return draw("calibration", (4.6, 4.4), paint, alt)


def smooth_calibration(
    curves: pd.DataFrame,
    bins: pd.DataFrame,
    roles: Mapping[str, str],
    unit: str,
) -> str:
    """Draw smooth calibration curves with bands, one panel for each horizon, over a histogram.

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
    drawn = curves[curves["model"].isin([*roles])].dropna(
        subset=["predicted", "observed"],
    )
    if drawn.empty:
        return ""
    horizons = sorted(set(drawn["horizon"]))[:MOST_PANELS]
    # Right and upper end of every panel: the next tenth beyond every curve, four tenths at least.
    last = max([0.4, *drawn["predicted"], *drawn["observed"]])
    top = min(1.0, math.ceil(last * 10 - 1e-9) / 10)

    def paint(figure: Figure) -> None:
        ratios = [4.2, 1]
        panels = figure.subplots(
            2,
            len(horizons),
            sharex=True,
            squeeze=False,
            height_ratios=ratios,
        )
        for (upper, lower), horizon in zip(panels.T, horizons, strict=True):
            _smooth_panel(upper, drawn[drawn["horizon"] == horizon], roles)
            upper.set_ylim(0, top)
            upper.set_title(duration(horizon, unit))
            _histogram(lower, bins[bins["horizon"] == horizon], roles)
            lower.set_xlim(0, top)
        panels[0][0].set_ylabel("Observed, event by then")
        panels[1][0].set_ylabel("Patients")
        legend_below(figure, panels[0][0], None if len(horizons) > 1 else 1)

    descriptions = []
    for (horizon, model), part in drawn.groupby(["horizon", "model"]):
        if horizon in horizons:
            some = (
                part.sort_values("predicted")
                .iloc[[0, len(part) // 2, -1]]
                .drop_duplicates()
            )
            place = f"{label(model)} at {duration(horizon, unit)}"
            descriptions.append(f"{place}: {_pairs(some, ', ')}")
    alt = f"Observed against predicted probability of the event. {'; '.join(descriptions)}"
    return draw("calibration", (min(WIDTH, 1.9 + 2.7 * len(horizons)), 4.5), paint, alt)


def _smooth_panel(
    axes: Axes,
    part: pd.DataFrame,
    roles: Mapping[str, str],
) -> None:
    _diagonal(axes, (1, 2))
    for model, role in roles.items():
        table = part[part["model"] == model]
        if len(table):
            look, name = LOOKS[role], label(model, 26)
            curve(
                axes,
                table,
                "predicted",
                "observed",
                look,
                name,
                band=role == "model",
            )
    percent_axes(axes.yaxis)
    axes.grid()


def _histogram(
    axes: Axes,
    bins: pd.DataFrame,
    roles: Mapping[str, str],
) -> None:
    main = bins[bins["model"].map(roles) == "model"]
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
    percent_axes(axes.xaxis)
    axes.set_xlabel("Predicted probability")
