"""Numbers with their intervals, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.report.figures._shared import (
    LOOKS,
    NOT_COMPUTABLE,
    WIDTH,
    Look,
    banded,
    records,
)
from survfuse.report.formatting import interval, known, label, number
from survfuse.report.svg import MUTED, ORANGE, RULE, draw

METRIC_TITLES = {"uno_c": "Uno C", "harrell_c": "Harrell C"}
KINDS = {
    "network": "model",
    "late fusion": "clinical only",
}  # looks of the kinds of increments


def forest(models: pd.DataFrame) -> str:
    """Draw every model's concordance with its interval, one panel for each index.

    Parameters
    ----------
    models : DataFrame
        `model`, `role`, `metric`, `value`, `low`, `high`; order of models is kept.
    """
    names = list(dict.fromkeys(models["model"]))
    roles = dict(zip(models["model"], models["role"], strict=True))
    metrics = [metric for metric in METRIC_TITLES if (models["metric"] == metric).any()]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            _concordances(axes, models[models["metric"] == metric], names)
            axes.set_title(METRIC_TITLES[metric])
        panels[0].set_yticks(range(len(names)), [label(name, 34) for name in names])
        panels[0].set_ylim(len(names) - 0.45, -0.55)
        for tick, name in zip(panels[0].get_yticklabels(), names, strict=True):
            tick.set_fontweight("bold" if roles[name] == "model" else "normal")

    told = records(models[models["metric"].isin(metrics)])
    alt = "Concordance of every model with its 95% interval. " + "; ".join(
        f"{label(row['model'])}, {METRIC_TITLES[row['metric']]}: {spoken(row)}"
        for row in told
    )
    return draw("forest", (WIDTH, 0.95 + 0.31 * len(names)), paint, alt)


def _concordances(axes: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    axes.axvline(0.5, color=MUTED, lw=1)
    for row in records(rows):
        point(
            axes,
            row,
            names.index(row["model"]),
            LOOKS.get(row["role"], LOOKS["comparator"]),
            empty=0.5,
        )
        if row["role"] == "clinical only" and known(row["value"]):
            axes.axvline(row["value"], color=ORANGE, lw=1, ls=(0, (2, 2)), zorder=0)
    ends = pd.concat([rows["low"], rows["high"], rows["value"]]).dropna()
    low, high = min([0.45, *ends]), max([0.65, *ends])
    axes.set_xlim(low - 0.02, high + 0.02)
    bare(axes)


def increments(table: pd.DataFrame) -> str:
    """Draw what each modality adds: the paired difference of the model with it and without it.

    Parameters
    ----------
    table : DataFrame
        `modality`, `kind`, `value`, `low`, `high` (Uno C) and `isbs`, `isbs_low`,
        `isbs_high`; with minus without, in the order drawn.
    """
    columns = {"isbs": "value", "isbs_low": "low", "isbs_high": "high"}
    errors = table[["modality", "kind", *columns]].rename(columns=columns)
    both = bool(errors["value"].notna().any())
    names = [f"{label(row['modality'], 24)} ({row['kind']})" for row in records(table)]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, 1 + both, sharey=True, squeeze=False)[0]
        _differences(panels[0], table, better="right")
        panels[0].set_title("Uno C, difference")
        if both:
            _differences(panels[1], errors, better="left")
            panels[1].set_title("Integrated Brier score, difference")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.45, -0.55)

    alt = "What each modality adds, with 95% intervals. " + "; ".join(
        f"{name}, Uno C: {spoken(row)}"
        for name, row in zip(names, records(table), strict=True)
    )
    if both:
        told = zip(names, records(errors), strict=True)
        alt += "; " + "; ".join(
            f"{name}, integrated Brier score: {spoken(row)}" for name, row in told
        )
    return draw("increments", (WIDTH, 1.15 + 0.33 * len(names)), paint, alt)


def _differences(axes: Axes, rows: pd.DataFrame, better: str) -> None:
    axes.axvline(0, color=MUTED, lw=1)
    for y, row in enumerate(records(rows)):
        point(axes, row, y, LOOKS[KINDS.get(row["kind"], "other")], empty=0.0)
    ends = pd.concat([rows["low"], rows["high"], rows["value"]]).dropna().abs()
    reach = 1.08 * float(max([1e-3, *ends]))
    axes.set_xlim(-reach, reach)
    sides = ("worse", "better") if better == "right" else ("better", "worse")
    axes.set_xlabel("← {} with it  |  {} with it →".format(*sides))
    bare(axes)


def point(axes: Axes, row: dict[str, Any], y: float, look: Look, empty: float) -> None:
    """Draw one estimate and its interval in row `y`; at `empty` that there is none."""
    if not known(row["value"]):
        axes.annotate(
            NOT_COMPUTABLE,
            (empty, y),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            size=8,
        )
        return
    if banded(row):
        axes.plot(
            [row["low"], row["high"]],
            [y, y],
            color=look.colour,
            lw=2,
            solid_capstyle="butt",
        )
    axes.plot(
        [row["value"]],
        [y],
        look.marker,
        color=look.colour,
        ms=6.5,
        mec="white",
        mew=0.8,
    )


def bare(axes: Axes) -> None:
    """Leave a panel of rows its grid and the axis beneath."""
    axes.grid(axis="x", color=RULE, lw=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", left=False)


def spoken(row: dict[str, Any]) -> str:
    """An estimate in words, for those who cannot see it."""
    if not known(row["value"]):
        return NOT_COMPUTABLE
    ends = interval(row["low"], row["high"]) if banded(row) else "no interval"
    return f"{number(row['value'])} ({ends})"
