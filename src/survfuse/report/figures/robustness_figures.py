"""The model where something is missing."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from survfuse.report.figures._shared import LOOKS, WIDTH, name_rows, records
from survfuse.report.figures.forests import bare, spoken
from survfuse.report.figures.subgroups import (
    REFERENCE,
    SHOWN_C,
    SHOWN_RATIO,
    cut_point,
    ratio_scale,
    span,
)
from survfuse.report.formatting import GROUPS_OF_LOSS, label, loss
from survfuse.report.performance import INTACT
from survfuse.report.svg import BLUE, MUTED, draw

TITLES = {
    "uno_c": "Uno C",
    "isbs": "Integrated Brier score",
    "observed_expected": "Observed / expected",
}
LOOK = {
    INTACT: "model",
    "removed": "clinical only",
    "only": "comparator",
    "missing": "other",
}
TICKS = (0.2, 0.5, 0.7, 1.0, 1.4, 2.0, 5.0)
SHOWN = {"uno_c": SHOWN_C, "isbs": (0.0, 1.0), "observed_expected": SHOWN_RATIO}


def robustness(table: pd.DataFrame) -> str:
    """Draw ranking, error and calibration of the model as it is and under each loss.

    Parameters
    ----------
    table : DataFrame
        `model`, `kind`, `what`, `metric`, `value`, `low`, `high`; the kind "intact" gives the
        dashed lines.
    """
    lines = _lines(table)
    metrics = [
        metric
        for metric in TITLES
        if table.loc[table["metric"] == metric, "value"].notna().any()
    ]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            _panel(axes, table[table["metric"] == metric], metric, lines)
            axes.set_title(TITLES[metric])
        name_rows(panels[0], lines)

    alt = "The model where something is missing, with 95% intervals. " + "; ".join(
        f"{_spoken_loss(row)}, {TITLES[row['metric']]}: {spoken(row)}"
        for row in records(table)
        if row["metric"] in metrics
    )
    return draw("robustness", (WIDTH, 0.95 + 0.26 * lines[-1]["y"]), paint, alt)


def _spoken_loss(row: dict[str, Any]) -> str:
    heading = f"{GROUPS_OF_LOSS[row['kind']]}: " if row["kind"] == "missing" else ""
    return heading + label(loss(row["kind"], row["what"]))


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the figure from the top: the model as it is, and a heading before each kind of loss."""
    lines: list[dict[str, Any]] = []
    y, kind = 0.0, None
    for row in records(table.drop_duplicates("model")):
        if row["kind"] != kind and row["kind"] != INTACT:
            y += 0.3
            lines.append(
                {
                    "y": y,
                    "text": GROUPS_OF_LOSS[row["kind"]],
                    "heading": True,
                    "key": None,
                },
            )
            y += 1
        kind = row["kind"]
        text = label(loss(kind, row["what"]), 30)
        lines.append(
            {"y": y, "text": text, "heading": kind == INTACT, "key": row["model"]},
        )
        y += 1
    return lines


def _panel(
    axes: Axes,
    rows: pd.DataFrame,
    metric: str,
    lines: list[dict[str, Any]],
) -> None:
    empty = REFERENCE.get(metric, 0.0)
    if metric in REFERENCE:
        axes.axvline(empty, color=MUTED, lw=1)
    if metric == "observed_expected":
        ratio_scale(axes, TICKS)
    found = {row["model"]: row for row in records(rows)}
    for line in lines:
        if line["key"] in found:
            row = found[line["key"]]
            cut_point(
                axes,
                row,
                line["y"],
                SHOWN[metric],
                empty,
                LOOKS[LOOK[row["kind"]]],
            )
    whole = rows.loc[rows["kind"] == INTACT, "value"].dropna()
    if len(whole):
        axes.axvline(float(whole.iloc[0]), color=BLUE, lw=1, ls=(0, (2, 2)), zorder=0)
    if metric == "isbs":
        highest = pd.concat([rows["high"], rows["value"]]).dropna().max()
        axes.set_xlim(0, 1.08 * max(highest, 0.05))
    else:
        axes.set_xlim(*span(rows, SHOWN[metric], metric == "observed_expected"))
    bare(axes)
