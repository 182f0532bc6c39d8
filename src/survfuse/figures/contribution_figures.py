"""What raises and what lowers a risk: bars from 0, each with its number and sign."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from survfuse.figures.formatting import label
from survfuse.figures.plotting import BLUE, ORANGE, RULE, records

RAISES, LOWERS, UNSURE = ORANGE, BLUE, "#b4bcc4"
"""Colour-blind people tell orange and blue apart; every value has its sign beside it."""
SMALLEST_REACH = 0.05  # of the axis, in log-risk


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign and some decimals.

    >>> signed(0.314), signed(-1.2), signed(-0.001), signed(-0.0012, 4)
    ('+0.31', '−1.20', '0.00', '−0.0012')
    """
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if text[1:] == f"{0:.{digits}f}" else text


def plot_contributions(
    ax: Axes,
    table: pd.DataFrame,
    *,
    title: Sequence[str] = (),
    axis: str = "change of the log-risk",
    digits: int = 2,
) -> Axes:
    """Draw contributions as bars, in the order of the table.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : DataFrame
        `name`, `value`; `grey` where other patients' models would not give it; `total` of rows
        below a line, which are no bar.
    title : sequence of str
        Its lines.
    axis : str
        What the bars are.
    digits : int
        Decimals of the numbers.
    """
    rows = records(table)
    bars = [row for row in rows if not row["total"]]
    ink = matplotlib.rcParams["text.color"]
    for y, row in enumerate(rows):
        value = row["value"]
        if not row["total"]:
            ax.barh(y, value, color=_colour(value, row["grey"]), height=0.62)
        across = ax.get_yaxis_transform()
        ax.text(1.02, y, signed(value, digits), transform=across, va="center")
    ax.set_yticks(range(len(rows)), [label(row["name"]) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    most = max([SMALLEST_REACH, *(abs(row["value"]) for row in bars)])
    ax.set_xlim(-1.05 * most, 1.05 * most)
    ax.axvline(0, color=ink, lw=0.8)
    if len(bars) < len(rows):
        ax.axhline(len(bars) - 0.5, color=RULE, lw=0.8)
    ax.set_xlabel(axis)
    ax.set_title("\n".join(title), loc="left", fontsize="medium")
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return ax


def _colour(value: float, grey: bool) -> str:
    if grey:
        return UNSURE
    return RAISES if value > 0 else LOWERS
