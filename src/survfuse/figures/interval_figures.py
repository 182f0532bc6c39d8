"""Estimates with their intervals, one row each: models, increments, subgroups, losses."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from survfuse.figures.formatting import GROUPS_OF_LOSS, INTACT, count, label, loss
from survfuse.figures.interval_rows import (
    Line,
    Rows,
    Scale,
    draw_rows,
    grouped_lines,
    plot_rows,
    with_values,
)
from survfuse.figures.plotting import BLUE, ORANGE, records, worded

EVERYONE = "everyone"
MOST_LEVELS = 60
LETTERS = 44
"""Letters of a line of a model's name, which may have two lines."""
FEWEST_EVENTS = 10
"""Of a level of a subgroup that is drawn; those with fewer are listed."""
LOOK_OF_INCREMENT = {"late fusion": "clinical only", "permuted at prediction": "other"}
LOOK_OF_LOSS = {INTACT: "model", "removed": "clinical only", "only": "comparator"}
CONCORDANCES = {
    "uno_c": Scale("Uno C", 0.5, (0.45, 0.65)),
    "harrell_c": Scale("Harrell C", 0.5, (0.45, 0.65)),
}
DIFFERENCES = {
    "uno_c": Scale(
        "Uno C, difference",
        0,
        (0, 1e-3),
        label="← worse with it | better with it →",
    ),
    "isbs": Scale(
        "Integrated Brier score, difference",
        0,
        (0, 1e-3),
        label="← better with it | worse with it →",
    ),
}
UNO_C = Scale("Uno C", 0.5, (0.45, 0.75), longest=(0.2, 1.0))
RATIO_ENDS, RATIO_LONGEST = (1 / 1.4, 1.4), (0.15, 6.0)
OF_SUBGROUPS = {
    "uno_c": UNO_C,
    "observed_expected": Scale(
        "Observed / expected events",
        1,
        RATIO_ENDS,
        RATIO_LONGEST,
        ticks=(0.1, 0.2, 0.5, 1, 2, 5, 10),
    ),
}
OF_LOSSES = {
    "uno_c": UNO_C,
    "isbs": Scale("Integrated Brier score", None, (0, 0.05), longest=(0, 1)),
    "observed_expected": Scale(
        "Observed / expected",
        1,
        RATIO_ENDS,
        RATIO_LONGEST,
        ticks=(0.2, 0.5, 0.7, 1, 1.4, 2, 5),
    ),
}


def plot_forest(
    ax: Axes,
    models: pd.DataFrame,
    metric: str = "uno_c",
    *,
    names: Mapping[str, str] | None = None,
) -> Axes:
    """Draw every model's concordance with its interval.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    models : DataFrame
        `model`, `role`, `metric`, `value`, `low`, `high`; the order of models is kept.
    metric : {"uno_c", "harrell_c"}
    names : mapping of model to str, optional
        Words for them.
    """
    return plot_rows(ax, _forest_rows(models, names), metric)


def forest(models: pd.DataFrame, names: Mapping[str, str] | None = None) -> str:
    """Draw the figure of :func:`plot_forest` for a page, one panel for each index.

    Returns
    -------
    str
        SVG elements; empty without a concordance, as of every figure here without a number.
    """
    if not models["metric"].isin([*CONCORDANCES]).any():
        return ""
    intro = "Concordance of every model with its 95% interval"
    return draw_rows("forest", intro, _forest_rows(models, names), (0.95, 0.31))


def _forest_rows(models: pd.DataFrame, names: Mapping[str, str] | None) -> Rows:
    table = models[models["metric"].isin([*CONCORDANCES])]
    roles = dict(zip(table["model"], table["role"], strict=True))
    places = {name: y for y, name in enumerate(roles)}
    titles = {name: worded(name, names, 2 * LETTERS) for name in roles}
    rows = table.assign(
        y=table["model"].map(places),
        look=table["role"],
        name=table["model"].map(titles),
        dashed=table["role"].map({"clinical only": ORANGE}).fillna(""),
    )
    lines = [
        Line(y, fill(titles[name], LETTERS), roles[name] == "model")
        for name, y in places.items()
    ]
    return Rows(rows, lines, CONCORDANCES)


def plot_increments(ax: Axes, table: pd.DataFrame, metric: str = "uno_c") -> Axes:
    """Draw what each modality adds: the paired difference of the model with it and without it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `modality`, `kind`, `value`, `low`, `high` (Uno C) and `isbs`, `isbs_low`,
        `isbs_high`; with minus without, in the order drawn.
    metric : {"uno_c", "isbs"}
    """
    return plot_rows(ax, _increment_rows(table), metric)


def increments(table: pd.DataFrame) -> str:
    """Draw the figure of :func:`plot_increments` for a page; empty without a difference."""
    if table["value"].isna().all():
        return ""
    intro = "What each modality adds, with 95% intervals"
    return draw_rows("increments", intro, _increment_rows(table), (1.15, 0.33))


def _increment_rows(table: pd.DataFrame) -> Rows:
    names = (
        table["modality"].map(lambda name: label(name, 24)) + " (" + table["kind"] + ")"
    )
    table = table.assign(
        y=range(len(table)),
        name=names,
        look=table["kind"].map(LOOK_OF_INCREMENT).fillna("model"),
        dashed="",
    )
    errors = table.drop(columns=["value", "low", "high"]).rename(
        columns={"isbs": "value", "isbs_low": "low", "isbs_high": "high"},
    )
    both = [table.assign(metric="uno_c"), errors.assign(metric="isbs")]
    rows = with_values(pd.concat(both, ignore_index=True))
    return Rows(rows, [Line(y, name) for y, name in enumerate(names)], DIFFERENCES)


def plot_subgroups(ax: Axes, table: pd.DataFrame, metric: str = "uno_c") -> Axes:
    """Draw concordance or calibration in the large by site and subgroup.

    Levels with fewer than `FEWEST_EVENTS` events are not drawn: see :func:`listed_subgroups`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `group`, `level`, `patients`, `events`, `metric`, `value`, `low`, `high` of one
        model; the group "everyone" gives the dashed line.
    metric : {"uno_c", "observed_expected"}
    """
    return plot_rows(ax, _subgroup_rows(table), metric)


def subgroups(table: pd.DataFrame) -> str:
    """Draw the figure of :func:`plot_subgroups` for a page; empty without a value."""
    if _drawn_subgroups(table)["value"].isna().all():
        return ""
    intro = (
        "The model in sites and subgroups with at least "
        f"{FEWEST_EVENTS} events, with 95% intervals"
    )
    return draw_rows("subgroups", intro, _subgroup_rows(table), (0.75, 0.235))


def listed_subgroups(table: pd.DataFrame) -> pd.DataFrame:
    """Levels of subgroups with too few events to be drawn.

    Parameters
    ----------
    table : DataFrame
        As of :func:`plot_subgroups`.

    Returns
    -------
    DataFrame
        `group`, `level`, `patients`, `events`: one row for each.
    """
    few = table.drop(_drawn_subgroups(table).index).drop_duplicates(["group", "level"])
    return few[["group", "level", "patients", "events"]].reset_index(drop=True)


def _drawn_subgroups(table: pd.DataFrame) -> pd.DataFrame:
    enough = table["events"].fillna(0) >= FEWEST_EVENTS
    return table[enough | (table["group"] == EVERYONE)]


def _subgroup_rows(table: pd.DataFrame) -> Rows:
    table = _drawn_subgroups(table)
    pairs: Any = zip(table["group"], table["level"], strict=True)
    table = table.assign(key=[*pairs])
    levels = table.drop_duplicates("key")
    most = levels.assign(first=levels["group"] == EVERYONE).sort_values(
        ["first", "events"],
        ascending=False,
        kind="stable",
    )
    levels = levels.loc[most.index[:MOST_LEVELS].sort_values()]
    headed = []
    for row in records(levels):
        everyone = row["group"] == EVERYONE
        name = EVERYONE if everyone else label(row["level"], 26)
        text = f"{name} ({count(row['patients'])}, {count(row['events'])})"
        headed.append((row["key"], "" if everyone else label(row["group"], 34), text))
    lines, heights = grouped_lines(headed)
    rows = table[table["key"].isin(heights)]
    everyone = (rows["group"] == EVERYONE) & (rows["metric"] == "uno_c")
    rows = rows.assign(
        y=rows["key"].map(heights),
        look="model",
        name=rows["group"].map(label) + " " + rows["level"].map(label),
        dashed=everyone.map({True: BLUE, False: ""}),
    )
    return Rows(rows, lines, OF_SUBGROUPS)


def plot_robustness(ax: Axes, table: pd.DataFrame, metric: str = "uno_c") -> Axes:
    """Draw ranking, error or calibration of the model as it is and under each loss.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `model`, `kind`, `what`, `metric`, `value`, `low`, `high`; the kind "intact" gives the
        dashed lines.
    metric : {"uno_c", "isbs", "observed_expected"}
    """
    return plot_rows(ax, _robustness_rows(table), metric)


def robustness(table: pd.DataFrame) -> str:
    """Draw the figure of :func:`plot_robustness` for a page; empty without a value."""
    if table.loc[table["metric"].isin([*OF_LOSSES]), "value"].isna().all():
        return ""
    intro = "The model where something is missing, with 95% intervals"
    return draw_rows("robustness", intro, _robustness_rows(table), (0.75, 0.26))


def _robustness_rows(table: pd.DataFrame) -> Rows:
    table = table[table["metric"].isin([*OF_LOSSES])]
    headed, names = [], {}
    for row in records(table.drop_duplicates("model")):
        group = GROUPS_OF_LOSS.get(row["kind"], "")
        text = label(loss(row["kind"], row["what"]), 30)
        headed.append((row["model"], group, text))
        names[row["model"]] = f"{group}: {text}" if row["kind"] == "missing" else text
    lines, heights = grouped_lines(headed)
    rows = table.assign(
        y=table["model"].map(heights),
        look=table["kind"].map(LOOK_OF_LOSS).fillna("other"),
        name=table["model"].map(names),
        dashed=table["kind"].map({INTACT: BLUE}).fillna(""),
    )
    return Rows(with_values(rows), lines, OF_LOSSES)
