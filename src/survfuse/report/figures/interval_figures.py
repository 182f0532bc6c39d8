"""Estimates with their intervals, one row each: models, increments, subgroups, losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from survfuse.report.figures.plotting import (
    BLUE,
    LOOKS,
    MUTED,
    NOT_COMPUTABLE,
    ORANGE,
    WIDTH,
    draw,
    numbers,
    records,
)
from survfuse.report.formatting import (
    GROUPS_OF_LOSS,
    bounded,
    count,
    interval,
    known,
    label,
    loss,
    number,
    plain,
)
from survfuse.results.run_tables import INTACT

EVERYONE = "everyone"
MOST_LEVELS = 60
UNO_C, RATIO, ISBS = "uno_c", "observed_expected", "isbs"
CONCORDANCES = {UNO_C: "Uno C", "harrell_c": "Harrell C"}
OF_SUBGROUPS = {UNO_C: "Uno C", RATIO: "Observed / expected events"}
OF_LOSSES = {
    UNO_C: "Uno C",
    ISBS: "Integrated Brier score",
    RATIO: "Observed / expected",
}
REFERENCE = {UNO_C: 0.5, "harrell_c": 0.5, RATIO: 1.0}
# An interval that is longer than this ends in an arrowhead.
LONGEST = {UNO_C: (0.2, 1.0), RATIO: (0.15, 6.0), ISBS: (0.0, 1.0)}
TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
MORE_TICKS = (0.2, 0.5, 0.7, 1.0, 1.4, 2.0, 5.0)
LOOK_OF_INCREMENT = {"network": "model", "late fusion": "clinical only"}
LOOK_OF_LOSS = {INTACT: "model", "removed": "clinical only", "only": "comparator"}


@dataclass(frozen=True)
class Line:
    """A row of a figure from the top: its height, text, and whether the text is bold."""

    y: float
    text: str
    bold: bool = False
    key: Any = None


@dataclass(frozen=True)
class Panel:
    """Estimates beside each other on one axis.

    Attributes
    ----------
    rows : list of mapping
        `value`, `low`, `high`, and the `y` and `look` of each.
    reference : float or None
        Value of the grey line.
    limits : (float, float)
        Ends of the axis.
    longest : (float, float)
        Where intervals are cut.
    dashed : float or None
        Value of a dashed line of the colour `dashed_colour`.
    ticks : sequence of float
        Of a logarithmic axis; linear without.
    """

    title: str
    rows: list[dict[str, Any]]
    reference: float | None
    limits: tuple[float, float]
    longest: tuple[float, float] = (-math.inf, math.inf)
    dashed: float | None = None
    dashed_colour: str = BLUE
    ticks: Sequence[float] = ()
    axis_label: str = ""


def draw_panels(
    name: str,
    lines: Sequence[Line],
    panels: Sequence[Panel],
    spacing: tuple[float, float],
    alt: str,
) -> str:
    """Draw panels that share their rows; `spacing` is the height without rows and of a row."""

    def paint(figure: Figure) -> None:
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(every, panels, strict=True):
            _paint_panel(axes, panel)
        axes = every[0]
        axes.set_yticks([line.y for line in lines], [line.text for line in lines])
        axes.set_ylim(lines[-1].y + 0.55, -0.55)
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if line.bold else "normal")

    return draw(name, (WIDTH, spacing[0] + spacing[1] * (1 + lines[-1].y)), paint, alt)


def _paint_panel(axes: Axes, panel: Panel) -> None:
    if panel.ticks:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(panel.ticks)))
        axes.xaxis.set_major_formatter(lambda value, _: plain(value))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    if panel.reference is not None:
        axes.axvline(panel.reference, color=MUTED, lw=1)
    if panel.dashed is not None:
        axes.axvline(
            panel.dashed, color=panel.dashed_colour, lw=1, ls=(0, (2, 2)), zorder=0
        )
    for row in panel.rows:
        _paint_interval(axes, row, panel)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.axis_label)
    axes.set_xlim(*panel.limits)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", left=False)


def _paint_interval(axes: Axes, row: dict[str, Any], panel: Panel) -> None:
    y, look = row["y"], LOOKS[row["look"]]
    if not known(row["value"]):
        axes.annotate(
            NOT_COMPUTABLE,
            (panel.reference or 0.0, y),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            size=8,
        )
        return
    low, high = panel.longest
    if bounded(row):
        ends = [min(max(row[end], low), high) for end in ("low", "high")]
        for end, drawn, arrow in zip(
            (row["low"], row["high"]), ends, "<>", strict=True
        ):
            if end != drawn:
                axes.plot(
                    [drawn],
                    [y],
                    arrow,
                    color=look.colour,
                    ms=5,
                    mew=0,
                    clip_on=False,
                    zorder=5,
                )
        axes.plot(ends, [y, y], color=look.colour, lw=2, solid_capstyle="butt")
    value = min(max(row["value"], low), high)
    axes.plot(
        [value], [y], look.marker, color=look.colour, ms=6.5, mec="white", mew=0.8
    )


def spoken(row: dict[str, Any]) -> str:
    """An estimate in words, for those who cannot see it."""
    if not known(row["value"]):
        return NOT_COMPUTABLE
    ends = interval(row["low"], row["high"]) if bounded(row) else "no interval"
    return f"{number(row['value'])} ({ends})"


def _computed(table: pd.DataFrame, titles: dict[str, str]) -> list[str]:
    """The metrics among `titles` of which the table has a row."""
    return [metric for metric in titles if (table["metric"] == metric).any()]


def forest(models: pd.DataFrame) -> str:
    """Draw every model's concordance with its interval, one panel for each index.

    Parameters
    ----------
    models : DataFrame
        `model`, `role`, `metric`, `value`, `low`, `high`; the order of models is kept.

    Returns
    -------
    str
        Empty without a concordance, as of every figure here without a number.
    """
    rows = records(models[models["metric"].isin(CONCORDANCES)])
    if not rows:
        return ""
    names = list(dict.fromkeys(row["model"] for row in rows))
    roles = {row["model"]: row["role"] for row in rows}
    for row in rows:
        look = row["role"] if row["role"] in LOOKS else "comparator"
        row.update(y=names.index(row["model"]), look=look)
    panels = []
    for metric in _computed(models, CONCORDANCES):
        part = [row for row in rows if row["metric"] == metric]
        ends = numbers(part)
        clinical = [row["value"] for row in part if row["role"] == "clinical only"]
        panel = Panel(
            CONCORDANCES[metric],
            part,
            reference=0.5,
            limits=(min([0.45, *ends]) - 0.02, max([0.65, *ends]) + 0.02),
            dashed=next(iter(clinical), None),
            dashed_colour=ORANGE,
        )
        panels.append(panel)
    lines = [
        Line(y, label(name, 34), roles[name] == "model") for y, name in enumerate(names)
    ]
    alt = "Concordance of every model with its 95% interval. " + "; ".join(
        f"{label(row['model'])}, {CONCORDANCES[row['metric']]}: {spoken(row)}"
        for row in rows
    )
    return draw_panels("forest", lines, panels, (0.95, 0.31), alt)


def increments(table: pd.DataFrame) -> str:
    """Draw what each modality adds: the paired difference of the model with it and without it.

    Parameters
    ----------
    table : DataFrame
        `modality`, `kind`, `value`, `low`, `high` (Uno C) and `isbs`, `isbs_low`,
        `isbs_high`; with minus without, in the order drawn.
    """
    if table["value"].isna().all():
        return ""
    errors = table[["modality", "kind", "isbs", "isbs_low", "isbs_high"]].rename(
        columns={"isbs": "value", "isbs_low": "low", "isbs_high": "high"},
    )
    rows = records(table)
    names = [f"{label(row['modality'], 24)} ({row['kind']})" for row in rows]
    panels, spoken_rows = [], []
    for part, title, sides in (
        (rows, "Uno C", ("worse", "better")),
        (records(errors), "Integrated Brier score", ("better", "worse")),
    ):
        ends = numbers(part)
        if ends.empty:
            continue
        for y, row in enumerate(part):
            row.update(y=y, look=LOOK_OF_INCREMENT.get(row["kind"], "other"))
            spoken_rows.append(
                f"{names[y]}, {title.replace('Int', 'int')}: {spoken(row)}"
            )
        reach = 1.08 * max(1e-3, ends.abs().max())
        label_ = "← {} with it  |  {} with it →".format(*sides)
        limits = (-reach, reach)
        panels.append(
            Panel(f"{title}, difference", part, 0.0, limits, axis_label=label_)
        )
    lines = [Line(y, name) for y, name in enumerate(names)]
    alt = f"What each modality adds, with 95% intervals. {'; '.join(spoken_rows)}"
    return draw_panels("increments", lines, panels, (1.15, 0.33), alt)


def subgroups(table: pd.DataFrame) -> str:
    """Draw concordance and calibration in the large by site and subgroup.

    Parameters
    ----------
    table : DataFrame
        `group`, `level`, `patients`, `events`, `metric`, `value`, `low`, `high` of one
        model; the group "everyone" gives the dashed line.
    """
    if table["value"].isna().all():
        return ""
    levels = _drawn_levels(table)
    lines = _grouped_lines(
        records(levels),
        lambda row: "" if row["group"] == EVERYONE else label(row["group"], 34),
        lambda row: (
            f"{EVERYONE if row['group'] == EVERYONE else label(row['level'], 26)} "
            f"({count(row['patients'])}, {count(row['events'])})"
        ),
        ["group", "level"],
    )
    drawn = table.merge(levels[["group", "level"]], on=["group", "level"])
    drawn = drawn.assign(intact=drawn["group"] == EVERYONE, look="model")
    panels = [
        _loss_panel(drawn, metric, OF_SUBGROUPS, lines, ["group", "level"], TICKS)
        for metric in _computed(table, OF_SUBGROUPS)
    ]
    alt = "The model in sites and subgroups, with 95% intervals. " + "; ".join(
        f"{label(row['group'])} {label(row['level'])}, {OF_SUBGROUPS[row['metric']]}: {spoken(row)}"
        for row in records(drawn[drawn["metric"].isin(OF_SUBGROUPS)])
    )
    return draw_panels("subgroups", lines, panels, (0.75, 0.235), alt)


def _drawn_levels(table: pd.DataFrame) -> pd.DataFrame:
    """Levels in order; at most `MOST_LEVELS`: everyone and those with the most events."""
    levels = table.drop_duplicates(["group", "level"])[
        ["group", "level", "patients", "events"]
    ]
    most = levels.assign(first=levels["group"] == EVERYONE).sort_values(
        ["first", "events"],
        ascending=False,
        kind="stable",
    )
    return levels.loc[most.index[:MOST_LEVELS].sort_values()]


def robustness(table: pd.DataFrame) -> str:
    """Draw ranking, error and calibration of the model as it is and under each loss.

    Parameters
    ----------
    table : DataFrame
        `model`, `kind`, `what`, `metric`, `value`, `low`, `high`; the kind "intact" gives the
        dashed lines.
    """
    computed = table[table["value"].notna() & table["metric"].isin(OF_LOSSES)]
    if computed.empty:
        return ""
    lines = _grouped_lines(
        records(table.drop_duplicates("model")),
        lambda row: GROUPS_OF_LOSS.get(row["kind"], ""),
        lambda row: label(loss(row["kind"], row["what"]), 30),
        ["model"],
    )
    looks = table["kind"].map(LOOK_OF_LOSS).fillna("other")
    drawn = table.assign(intact=table["kind"] == INTACT, look=looks)
    metrics = _computed(computed, OF_LOSSES)
    panels = [
        _loss_panel(drawn, metric, OF_LOSSES, lines, ["model"], MORE_TICKS)
        for metric in metrics
    ]
    names = []
    for row in records(table[table["metric"].isin(metrics)]):
        heading = f"{GROUPS_OF_LOSS['missing']}: " if row["kind"] == "missing" else ""
        name = heading + label(loss(row["kind"], row["what"]))
        names.append(f"{name}, {OF_LOSSES[row['metric']]}: {spoken(row)}")
    alt = (
        f"The model where something is missing, with 95% intervals. {'; '.join(names)}"
    )
    return draw_panels("robustness", lines, panels, (0.75, 0.26), alt)


def _grouped_lines(
    rows: Sequence[dict[str, Any]],
    heading: Callable[[dict[str, Any]], str],
    text: Callable[[dict[str, Any]], str],
    key: Sequence[str],
) -> list[Line]:
    """Rows of a figure, with a bold heading before each group; those without heading are bold."""
    lines: list[Line] = []
    y, last = 0.0, ""
    for row in rows:
        title = heading(row)
        if title and title != last:
            lines.append(Line(y + 0.3, title, bold=True))
            y += 1.3
        last = title
        lines.append(Line(y, text(row), not title, tuple(row[name] for name in key)))
        y += 1
    return lines


def _loss_panel(
    table: pd.DataFrame,
    metric: str,
    titles: dict[str, str],
    lines: Sequence[Line],
    key: Sequence[str],
    ticks: Sequence[float],
) -> Panel:
    """Panel of one metric, with a dashed line at the rows that are `intact`."""
    heights = {line.key: line.y for line in lines}
    part = table[table["metric"] == metric]
    rows = []
    for row in records(part):
        row["y"] = heights[tuple(row[name] for name in key)]
        rows.append(row)
    whole, ratio = part.loc[part["intact"], "value"].dropna(), metric == RATIO
    ends = numbers(rows).clip(*LONGEST[metric])
    if metric == ISBS:
        limits = (0.0, 1.08 * max(ends.max(), 0.05))
    elif ratio:
        reach = 1.06 * max([1.4, *ends, *(1 / ends)])
        limits = (1 / reach, reach)
    else:
        limits = (min([0.45, *ends]) - 0.02, max([0.75, *ends]) + 0.02)
    return Panel(
        titles[metric],
        rows,
        REFERENCE.get(metric),
        limits,
        LONGEST[metric],
        dashed=None
        if ratio and titles is OF_SUBGROUPS
        else None
        if whole.empty
        else float(whole.iloc[0]),
        ticks=ticks if ratio else (),
    )
