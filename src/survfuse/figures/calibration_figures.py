"""Observed against predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.figures.formatting import count, duration, percent
from survfuse.figures.plotting import (
    BLUE,
    LOOKS,
    MUTED,
    NARROW,
    PAPER,
    WIDTH,
    curve,
    legend_below,
    percent_axes,
    records,
    small,
    worded,
)
from survfuse.figures.svg import draw_both

MOST_PANELS = 4
HISTOGRAM = 0.14  # height of the highest bar below 0, as a share of the axis above


def plot_grouped_calibration(
    ax: Axes,
    table: pd.DataFrame,
    horizon: float,
    unit: str,
) -> Axes:
    """Draw observed against predicted survival at a horizon, by group of prediction.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `patients`, `predicted`, `observed`, `low`, `high`; NaN where not computable.
    horizon : float
        In `unit`.
    unit : str
    """
    known = table.dropna(subset="observed")
    _diagonal(ax, (4, 3))
    ends = known.dropna(subset=["low", "high"])
    ax.vlines(ends["predicted"], ends["low"], ends["high"], color=BLUE, lw=1.6)
    ax.plot(
        known["predicted"],
        known["observed"],
        "o",
        color=BLUE,
        ms=6,
        mec=PAPER,
        mew=0.8,
    )
    for row in records(known.assign(top=known["high"].fillna(known["observed"]))):
        ax.annotate(
            count(row["patients"]),
            (row["predicted"], row["top"]),
            (0, 3),
            textcoords="offset points",
            size=small(),
            color=MUTED,
            ha="center",
        )
    ax.set(xlim=(0, 1.01), ylim=(0, 1.01), aspect="equal")
    percent_axes(ax.xaxis, ax.yaxis)
    ax.set_xlabel(f"Predicted without the event\nat {duration(horizon, unit)}")
    ax.set_ylabel("Observed (Kaplan–Meier, 95% interval)")
    ax.grid()
    ax.legend(loc="upper left")
    return ax


def grouped_calibration(
    table: pd.DataFrame,
    horizon: float | None,
    unit: str,
) -> str:
    """Draw the figure of :func:`plot_grouped_calibration` for a page.

    Returns
    -------
    str
        SVG elements; empty where nothing was observed, as of every figure here.
    """
    if table["observed"].isna().all() or horizon is None:
        return ""

    def paint(figure: Figure, narrow: bool) -> None:
        plot_grouped_calibration(figure.subplots(), table, horizon, unit)

    alt = f"Observed against predicted survival at {duration(horizon, unit)}. {_pairs(table, '; ')}"
    return draw_both("calibration", (4.6, 4.4), (NARROW, 3.7), paint, alt)


def plot_calibration(
    ax: Axes,
    curves: pd.DataFrame,
    bins: pd.DataFrame,
    roles: Mapping[str, str],
    *,
    names: Mapping[str, str] | None = None,
    top: float | None = None,
) -> Axes:
    """Draw smooth calibration curves at one horizon, and below them how many are predicted what.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    curves : DataFrame
        `model`, `predicted`, `observed`, `low`, `high`: probabilities of the event.
    bins : DataFrame
        `model`, `left`, `right`, `patients`: the histogram, of which the main model's is drawn.
    roles : mapping of model to str
        Models drawn and how; the band is that of the main model.
    names : mapping of model to str, optional
        Words for them.
    top : float, optional
        End of both axes.
    """
    _diagonal(ax, (1, 2))
    for model, role in roles.items():
        table = curves[curves["model"] == model]
        if len(table):
            name, own = worded(model, names, 40), role == "model"
            curve(ax, table, "predicted", "observed", LOOKS[role], name, band=own)
    top = _top(curves) if top is None else top
    deepest = HISTOGRAM * top
    _histogram(ax, bins[bins["model"].map(roles) == "model"], deepest)
    ax.set_xlim(0, top)
    ax.set_ylim(-1.6 * deepest, top)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top + 1e-9])
    percent_axes(ax.xaxis, ax.yaxis)
    ax.set_xlabel("Predicted probability of the event")
    ax.set_ylabel("Observed")
    ax.grid()
    return ax


def smooth_calibration(
    curves: pd.DataFrame,
    bins: pd.DataFrame,
    roles: Mapping[str, str],
    unit: str,
    names: Mapping[str, str] | None = None,
) -> str:
    """Draw the figure of :func:`plot_calibration` for a page, one panel for each horizon.

    Parameters
    ----------
    curves, bins : DataFrame
        Those of :func:`plot_calibration` with `horizon`.
    roles, names : mapping
    unit : str
        Unit of `horizon`.
    """
    drawn = curves[curves["model"].isin([*roles])].dropna(
        subset=["predicted", "observed"],
    )
    if drawn.empty:
        return ""
    horizons = sorted(set(drawn["horizon"]))[:MOST_PANELS]
    top = _top(drawn)

    def paint(figure: Figure, narrow: bool) -> None:
        shape = (len(horizons), 1) if narrow else (1, len(horizons))
        panels = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
        for axes, horizon in zip(panels, horizons, strict=True):
            part, own = (table[table["horizon"] == horizon] for table in (drawn, bins))
            plot_calibration(axes, part, own, roles, names=names, top=top)
            axes.set_title(duration(horizon, unit))
            last = axes is panels[-1] if narrow else axes is panels[0]
            if narrow:
                axes.set_xlabel(axes.get_xlabel() if last else "")
            else:
                axes.set_xlabel("Predicted")
                axes.set_ylabel("Observed, event by then" if last else "")
        legend_below(figure, panels[0], 1 if narrow or len(horizons) == 1 else None)

    descriptions = []
    for (horizon, model), part in drawn.groupby(["horizon", "model"]):
        if horizon in horizons:
            some = (
                part.sort_values("predicted")
                .iloc[[0, len(part) // 2, -1]]
                .drop_duplicates()
            )
            place = f"{worded(model, names)} at {duration(horizon, unit)}"
            descriptions.append(f"{place}: {_pairs(some, ', ')}")
    alt = f"Observed against predicted probability of the event. {'; '.join(descriptions)}"
    wide = (min(WIDTH, 1.9 + 2.7 * len(horizons)), 4.0)
    return draw_both(
        "calibration", wide, (NARROW, 1.0 + 2.6 * len(horizons)), paint, alt
    )


def _top(curves: pd.DataFrame) -> float:
    """End of both axes: the next tenth beyond every curve, four tenths at least."""
    ends = curves[["predicted", "observed"]].max().dropna()
    last = max([0.4, *ends])
    return float(min(1.0, math.ceil(last * 10 - 1e-9) / 10))


def _diagonal(ax: Axes, dashes: tuple[int, int]) -> None:
    ax.plot(
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


def _histogram(ax: Axes, bins: pd.DataFrame, deepest: float) -> None:
    """Bars that hang from 0, with the number of patients of the highest."""
    most = bins["patients"].max() if len(bins) else 0
    if not most > 0:
        return
    ax.axhline(0, color=MUTED, lw=0.8)
    ax.bar(
        bins["left"],
        -deepest * bins["patients"] / most,
        width=bins["right"] - bins["left"],
        align="edge",
        color=BLUE,
        edgecolor=PAPER,
        lw=0.4,
        alpha=0.75,
    )
    highest = records(bins.nlargest(1, "patients"))[0]
    ax.annotate(
        f"{count(most)} patients",
        ((highest["left"] + highest["right"]) / 2, -deepest),
        (4, -2),
        textcoords="offset points",
        size=small(),
        color=MUTED,
        va="top",
    )
