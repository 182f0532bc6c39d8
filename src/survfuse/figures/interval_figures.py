"""Estimates with their intervals, one row each: models, increments, subgroups, losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from survfuse.figures.formatting import (
    GROUPS_OF_LOSS,
    INTACT,
    bounded,
    count,
    interval,
    known,
    label,
    loss,
    number,
    plain,
)
from survfuse.figures.plotting import (
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

EVERYONE = "everyone"
MOST_LEVELS = 60
LOOK_OF_INCREMENT = {"late fusion": "clinical only", "permuted at prediction": "other"}
LOOK_OF_LOSS = {INTACT: "model", "removed": "clinical only", "only": "comparator"}


@dataclass(frozen=True)
class Scale:
    """The axis of one metric.

    Attributes
    ----------
    reference : float or None
        Value of the grey line.
    least : (float, float)
        What the axis contains at least.
    longest : (float, float)
        Where intervals are cut and end in an arrowhead.
    ticks : sequence of float
        Of a logarithmic axis around 1; linear without.
    """

    title: str
    reference: float | None
    least: tuple[float, float]
    longest: tuple[float, float] = (-math.inf, math.inf)
    ticks: Sequence[float] = ()
    label: str = ""

    def limits(self, ends: Sequence[float]) -> tuple[float, float]:
        """Ends of an axis that contains some numbers."""
        low, high = self.least
        inside = [min(max(end, self.longest[0]), self.longest[1]) for end in ends]
        if self.ticks or self.reference == 0:  # symmetric around 1 or 0
            sides = (
                [1 / end for end in inside] if self.ticks else [-end for end in inside]
            )
            reach = max([high, *inside, *sides]) * 1.08
            return (1 / reach if self.ticks else -reach), reach
        low, high = min([low, *inside]), max([high, *inside])
        return max(low - 0.02, 0), high + 0.02


class Line(NamedTuple):
    """A row of a figure from the top: its height, text, and whether the text is bold."""

    y: float
    text: str
    bold: bool = False


CONCORDANCES = {
    "uno_c": Scale("Uno C", 0.5, (0.45, 0.65)),
    "harrell_c": Scale("Harrell C", 0.5, (0.45, 0.65)),
}
DIFFERENCES = {
    "uno_c": Scale(
        "Uno C, difference",
        0,
        (0, 1e-3),
        label="← worse with it  |  better with it →",
    ),
    "isbs": Scale(
        "Integrated Brier score, difference",
        0,
        (0, 1e-3),
        label="← better with it  |  worse with it →",
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


def _draw_rows(
    name: str,
    intro: str,
    table: pd.DataFrame,
    scales: Mapping[str, Scale],
    lines: Sequence[Line],
    spacing: tuple[float, float],
) -> str:
    """Draw one panel for each metric; all share their rows.

    Parameters
    ----------
    table : DataFrame
        `metric`, `value`, `low`, `high`; the height `y`, the `look`, the `name` for those who
        cannot see it, and in `dashed` the colour of a dashed line at the value, or "".
    spacing : (float, float), inches
        Height without rows, and of a row.
    """
    rows = [row for row in records(table) if row["metric"] in scales]
    metrics = [metric for metric in scales if (table["metric"] == metric).any()]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(
            1,
            len(metrics),
            sharey=True,
            squeeze=False,
        )[0]
        for axes, metric in zip(panels, metrics, strict=True):
            _paint_panel(
                axes,
                [row for row in rows if row["metric"] == metric],
                scales[metric],
            )
        axes = panels[0]
        axes.set_yticks([line.y for line in lines], [line.text for line in lines])
        axes.set_ylim(lines[-1].y + 0.55, -0.55)
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if line.bold else "normal")

    parts = []
    for row in rows:
        title = scales[row["metric"]].title.removesuffix(", difference")
        parts.append(f"{row['name']}, {title}: {spoken(row)}")
    alt = f"{intro}. {'; '.join(parts)}"
    return draw(name, (WIDTH, spacing[0] + spacing[1] * (1 + lines[-1].y)), paint, alt)


def _paint_panel(
    axes: Axes,
    rows: Sequence[dict[str, Any]],
    scale: Scale,
) -> None:
    if scale.ticks:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(scale.ticks)))
        axes.xaxis.set_major_formatter(lambda value, _: plain(value))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    if scale.reference is not None:
        axes.axvline(
            scale.reference,
            color=MUTED,
            lw=1,
        )
    for row in rows:
        if not known(row["value"]):
            place = (scale.reference or 0.0, row["y"])
            axes.annotate(
                NOT_COMPUTABLE,
                place,
                (6, 0),
                textcoords="offset points",
                va="center",
                color=MUTED,
                size=8,
            )
            continue
        if row["dashed"]:
            axes.axvline(
                row["value"],
                color=row["dashed"],
                lw=1,
                ls=(0, (2, 2)),
                zorder=0,
            )
        _paint_interval(axes, row, scale)
    axes.set_title(scale.title)
    axes.set_xlabel(scale.label)
    axes.set_xlim(*scale.limits(list(numbers(rows))))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", left=False)


def _paint_interval(
    axes: Axes,
    row: dict[str, Any],
    scale: Scale,
) -> None:
    y, look, (low, high) = row["y"], LOOKS[row["look"]], scale.longest
    if bounded(row):
        ends = [min(max(row[end], low), high) for end in ("low", "high")]
        for end, drawn, arrow in zip(
            (row["low"], row["high"]),
            ends,
            "<>",
            strict=True,
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
        axes.plot(
            ends,
            [y, y],
            color=look.colour,
            lw=2,
            solid_capstyle="butt",
        )
    value = min(max(row["value"], low), high)
    axes.plot(
        [value],
        [y],
        look.marker,
        color=look.colour,
        ms=6.5,
        mec="white",
        mew=0.8,
    )


def spoken(row: dict[str, Any]) -> str:
    """An estimate in words, for those who cannot see it."""
    if not known(row["value"]):
        return NOT_COMPUTABLE
    ends = interval(row["low"], row["high"]) if bounded(row) else "no interval"
    return f"{number(row['value'])} ({ends})"


def _with_values(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the metrics of which any row has a value."""
    return table[table.groupby("metric")["value"].transform("count") > 0]


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
    table = models[models["metric"].isin([*CONCORDANCES])]
    if table.empty:
        return ""
    roles = dict(zip(table["model"], table["role"], strict=True))
    places = {name: y for y, name in enumerate(roles)}
    rows = table.assign(
        y=table["model"].map(places),
        look=table["role"],
        name=table["model"].map(label),
        dashed=table["role"].map({"clinical only": ORANGE}).fillna(""),
    )
    lines = [
        Line(y, label(name, 34), roles[name] == "model") for name, y in places.items()
    ]
    intro = "Concordance of every model with its 95% interval"
    return _draw_rows("forest", intro, rows, CONCORDANCES, lines, (0.95, 0.31))


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
    rows = _with_values(pd.concat(both, ignore_index=True))
    lines = [Line(y, name) for y, name in enumerate(names)]
    intro = "What each modality adds, with 95% intervals"
    return _draw_rows("increments", intro, rows, DIFFERENCES, lines, (1.15, 0.33))


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
    lines, heights = _grouped_lines(headed)
    rows = table[table["key"].isin(heights)]
    everyone = (rows["group"] == EVERYONE) & (rows["metric"] == "uno_c")
    rows = rows.assign(
        y=rows["key"].map(heights),
        look="model",
        name=rows["group"].map(label) + " " + rows["level"].map(label),
        dashed=everyone.map({True: BLUE, False: ""}),
    )
    intro = "The model in sites and subgroups, with 95% intervals"
    return _draw_rows("subgroups", intro, rows, OF_SUBGROUPS, lines, (0.75, 0.235))


def robustness(table: pd.DataFrame) -> str:
    """Draw ranking, error and calibration of the model as it is and under each loss.

    Parameters
    ----------
    table : DataFrame
        `model`, `kind`, `what`, `metric`, `value`, `low`, `high`; the kind "intact" gives the
        dashed lines.
    """
    table = table[table["metric"].isin([*OF_LOSSES])]
    if table["value"].isna().all():
        return ""
    headed, names = [], {}
    for row in records(table.drop_duplicates("model")):
        group = GROUPS_OF_LOSS.get(row["kind"], "")
        text = label(loss(row["kind"], row["what"]), 30)
        headed.append((row["model"], group, text))
        names[row["model"]] = f"{group}: {text}" if row["kind"] == "missing" else text
    lines, heights = _grouped_lines(headed)
    rows = table.assign(
        y=table["model"].map(heights),
        look=table["kind"].map(LOOK_OF_LOSS).fillna("other"),
        name=table["model"].map(names),
        dashed=table["kind"].map({INTACT: BLUE}).fillna(""),
    )
    intro = "The model where something is missing, with 95% intervals"
    return _draw_rows(
        "robustness",
        intro,
        _with_values(rows),
        OF_LOSSES,
        lines,
        (0.75, 0.26),
    )


def _grouped_lines(
    rows: Sequence[tuple[Any, str, str]],
) -> tuple[list[Line], dict[Any, float]]:
    """Lines with a bold heading before each group, and the height of each key.

    Parameters
    ----------
    rows : sequence of (key, heading, text)
        Those without heading are bold themselves.
    """
    lines: list[Line] = []
    heights: dict[Any, float] = {}
    y, last = 0.0, ""
    for key, heading, text in rows:
        if heading and heading != last:
            lines.append(Line(y + 0.3, heading, bold=True))
            y += 1.3
        last, heights[key] = heading, y
        lines.append(Line(y, text, not heading))
        y += 1
    return lines, heights
