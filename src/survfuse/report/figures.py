"""Show: the figures of the report, drawn from its tables and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from survfuse.report.svg import BLUE, GREY, MUTED, ORANGE, RULE, draw
from survfuse.report.words import TimeAxis, count, duration, interval, label, number, percent, plain, plural

WIDTH = 9.0  # inches; the page shows figures at most this wide
GROUP_COLOURS = (BLUE, GREY, ORANGE)
GROUP_DASHES: tuple[Any, ...] = ("solid", (0, (6, 2)), (0, (2, 1.5)))
MOST_PATTERNS = 12
METRIC_TITLES = {"uno_c": "Uno C", "harrell_c": "Harrell C"}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def patterns(table: pd.DataFrame, modalities: Sequence[str]) -> str:
    """Draw which modalities patients have together: bars over a matrix of dots.

    Parameters
    ----------
    table : DataFrame
        `modalities` (tuple of names), `patients`; most frequent first.
    modalities : sequence of str
        Rows of the matrix, from the top.
    """
    shown = table.head(MOST_PATTERNS)
    rows = {name: len(modalities) - 1 - i for i, name in enumerate(modalities)}

    def paint(figure: Figure) -> None:
        ratios = [1.5, 0.28 * len(rows) + 0.25]
        bars, dots = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
        bars.bar(range(len(shown)), shown["patients"], width=0.55, color=BLUE)
        for x, patients in enumerate(shown["patients"]):
            bars.annotate(
                count(patients), (x, patients), (0, 2), textcoords="offset points", ha="center", size=8.5
            )
        bars.set_ylabel("Patients")
        bars.margins(y=0.15)
        bars.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        bars.tick_params(bottom=False)
        _dot_matrix(dots, shown, rows)

    listing = "; ".join(
        f"{', '.join(names) or 'none'}: {count(n)}"
        for names, n in zip(shown["modalities"], shown["patients"], strict=True)
    )
    width = min(WIDTH, 3.0 + 0.62 * len(shown))
    alt = f"Patients by the modalities they have. {listing}."
    return draw("patterns", (width, 2.2 + 0.28 * len(rows)), paint, alt)


def _dot_matrix(axes: Axes, shown: pd.DataFrame, rows: dict[str, int]) -> None:
    for y in rows.values():
        if y % 2 == 0:
            axes.axhspan(y - 0.5, y + 0.5, color="#eef1f4", lw=0)
        axes.scatter(
            range(len(shown)), [y] * len(shown), s=44, color="#ffffff", edgecolors=RULE, lw=1, zorder=4
        )
    for x, names in enumerate(shown["modalities"]):
        there = [rows[name] for name in names if name in rows]
        axes.scatter([x] * len(there), there, s=46, color=BLUE, zorder=5)
        if there:
            axes.plot([x, x], [min(there), max(there)], color=BLUE, lw=2, zorder=3)
    axes.set_yticks(list(rows.values()), [label(name, 24) for name in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def forest(models: pd.DataFrame) -> str:
    """Draw every model's concordance with its interval, one panel for each index.

    Parameters
    ----------
    models : DataFrame
        `model`, `role`, `metric`, `value`, `low`, `high`; order of models is kept.
    """
    names = list(dict.fromkeys(models["model"]))
    metrics = [metric for metric in METRIC_TITLES if (models["metric"] == metric).any()]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            _forest_panel(axes, models[models["metric"] == metric], names)
            axes.set_title(METRIC_TITLES[metric])
        panels[0].set_yticks(range(len(names)), [label(name, 34) for name in names])
        panels[0].set_ylim(len(names) - 0.45, -0.55)
        for tick, name in zip(panels[0].get_yticklabels(), names, strict=True):
            tick.set_fontweight("bold" if _role(models, name) == "model" else "normal")

    told = models[models["metric"].isin(metrics)]
    alt = "Concordance of every model with its 95% interval. " + "; ".join(
        f"{label(row['model'])}, {METRIC_TITLES[row['metric']]}: {number(row['value'])} "
        f"({interval(row['low'], row['high'])})"
        for row in _rows(told)
    )
    return draw("forest", (WIDTH, 0.95 + 0.31 * len(names)), paint, alt)


def _role(models: pd.DataFrame, name: str) -> str:
    return str(models.loc[models["model"] == name, "role"].iloc[0])


def _forest_panel(axes: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    axes.axvline(0.5, color=MUTED, lw=1)
    for row in _rows(rows):
        y = names.index(row["model"])
        colour = {"model": BLUE, "clinical only": ORANGE}.get(row["role"], MUTED)
        marker = {"model": "D", "clinical only": "s"}.get(row["role"], "o")
        if pd.isna(row["value"]):
            axes.annotate(
                "not computable",
                (0.5, y),
                (6, 0),
                textcoords="offset points",
                va="center",
                color=MUTED,
                size=8,
            )
            continue
        if not pd.isna(row["low"]) and not pd.isna(row["high"]):
            axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=2, solid_capstyle="butt")
        axes.plot([row["value"]], [y], marker, color=colour, ms=6.5, mec="white", mew=0.8)
        if row["role"] == "clinical only":
            axes.axvline(row["value"], color=ORANGE, lw=1, ls=(0, (2, 2)), zorder=0)
    ends = pd.concat([rows["low"], rows["high"], rows["value"]]).dropna()
    low, high = min([0.45, *ends]), max([0.65, *ends])
    axes.set_xlim(low - 0.02, high + 0.02)
    axes.grid(axis="x", color=RULE, lw=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)


def risk_groups(curves: pd.DataFrame, groups: pd.DataFrame, at_risk: pd.DataFrame, unit: str) -> str:
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
    axis = TimeAxis.of(float(curves["time"].max()), unit)
    rows = _rows(groups)

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.1, 0.24 * len(rows) + 0.2])
        for row in rows:
            _curve(upper, curves[curves["group"] == row["group"]], row)
        upper.set_ylabel("Without the event")
        upper.yaxis.set_major_formatter(PercentFormatter(1.0))
        upper.set_ylim(0, 1.02)
        late = curves.loc[curves["time"] > 0.5 * float(curves["time"].max()), "survival"]
        crowded = len(late) > 0 and float(late.max()) > 0.7  # a curve runs where the legend would stand
        upper.legend(loc="lower left" if crowded else "upper right", handlelength=2.6)
        upper.grid(axis="y", color=RULE, lw=0.5)
        upper.tick_params(labelbottom=True)
        upper.set_xlabel(f"Time ({axis.unit})")
        upper.set_xticks(axis.ticks, axis.labels)
        upper.set_xlim(0, float(curves["time"].max()) * 1.01)
        _numbers_at_risk(lower, rows, at_risk)

    alt = "Kaplan–Meier curves of risk groups. " + "; ".join(
        f"{row['name']}: {plural(row['patients'], 'patient')}, {plural(row['events'], 'event')}, "
        f"median {duration(row['median'], unit) if pd.notna(row['median']) else 'not reached'}"
        for row in rows
    )
    return draw("risk-groups", (WIDTH, 4.5 + 0.24 * len(rows)), paint, alt)


def _look(group: int) -> tuple[str, Any]:
    return GROUP_COLOURS[group % len(GROUP_COLOURS)], GROUP_DASHES[group % len(GROUP_DASHES)]


def _curve(axes: Axes, curve: pd.DataFrame, row: dict[str, Any]) -> None:
    colour, dashes = _look(int(row["group"]))
    name = f"{row['name']} ({plural(row['patients'], 'patient')}, {plural(row['events'], 'event')})"
    axes.step(
        curve["time"],
        curve["survival"],
        where="post",
        color=colour,
        ls=dashes,
        lw=2,
        label=name,
        clip_on=False,
    )
    # Where survival falls to 0 there is no interval; the last one holds up to that moment.
    band = curve.ffill()[: int((curve["low"].notna() & curve["high"].notna()).sum()) + 1]
    axes.fill_between(band["time"], band["low"], band["high"], step="post", color=colour, alpha=0.13, lw=0)


def _numbers_at_risk(axes: Axes, rows: Sequence[dict[str, Any]], at_risk: pd.DataFrame) -> None:
    for y, row in enumerate(rows):
        colour, _ = _look(int(row["group"]))
        for cell in _rows(at_risk[at_risk["group"] == row["group"]]):
            axes.text(
                cell["time"], y, count(cell["at_risk"]), ha="center", va="center", color=colour, size=8.5
            )
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(_look(int(row["group"]))[0])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.set_title("Number at risk", size=8.5, color=MUTED, weight="normal")
    axes.tick_params(left=False, bottom=False, labelbottom=False, pad=14)
    axes.spines[["left", "bottom"]].set_visible(False)


def calibration(table: pd.DataFrame, horizon: float, unit: str) -> str:
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
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (4, 3)), label="perfect agreement")
        barred = seen.dropna(subset=["low", "high"])
        axes.vlines(barred["predicted"], barred["low"], barred["high"], color=BLUE, lw=1.6)
        axes.plot(seen["predicted"], seen["observed"], "o", color=BLUE, ms=6, mec="white", mew=0.8)
        for row in _rows(seen):
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
            getattr(axes, f"{side}axis").set_major_formatter(PercentFormatter(1.0))
        axes.set_aspect("equal")
        axes.set_xlabel(f"Predicted without the event at {duration(horizon, unit)}")
        axes.set_ylabel("Observed (Kaplan–Meier, 95% interval)")
        axes.grid(color=RULE, lw=0.5)
        axes.legend(loc="upper left")

    alt = f"Observed against predicted survival at {duration(horizon, unit)}. " + "; ".join(
        f"predicted {percent(row['predicted'])}, observed {percent(row['observed'])}" for row in _rows(table)
    )
    return draw("calibration", (4.6, 4.4), paint, alt)


def times(bins: pd.DataFrame, summary: dict[str, Any], unit: str) -> str:
    """Draw the distribution of predicted times.

    Parameters
    ----------
    bins : DataFrame
        `low`, `high`, `patients`.
    summary : mapping
        `patients`, `not_reached`: those without a predicted time stand in a bar of their own.
    """
    axis = TimeAxis.of(float(bins["high"].max()), unit)
    width = float(bins["high"].iloc[0] - bins["low"].iloc[0])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.bar(
            bins["low"], bins["patients"], width=width, align="edge", color=BLUE, edgecolor="white", lw=0.8
        )
        ticks, labels = list(axis.ticks), list(axis.labels)
        if summary["not_reached"]:
            middle = float(bins["high"].max()) + 2.5 * width
            axes.bar([middle], [summary["not_reached"]], width=2 * width, color=GREY)
            ticks, labels = [*ticks, middle], [*labels, "not\nreached"]
        axes.set_xticks(ticks, labels)
        axes.set_xlabel(f"Predicted time ({axis.unit})")
        axes.set_ylabel("Patients")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))

    alt = "Distribution of predicted times. " + "; ".join(
        f"{plain(row['low'] / axis.per_unit)} to {plain(row['high'] / axis.per_unit)}: "
        f"{count(row['patients'])}"
        for row in _rows(bins)
    )
    alt += f"; not reached: {count(summary['not_reached'])}"
    return draw("times", (WIDTH, 2.6), paint, alt)
