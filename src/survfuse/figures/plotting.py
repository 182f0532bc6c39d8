"""What figures share: colours, the style of pages, looks of models, curves with bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import PercentFormatter

from survfuse._errors import InputError
from survfuse.figures.formatting import label

INK = "#1f2933"
MUTED = "#5f6c7b"
RULE = "#c9d1d9"
BLUE = "#1f5f99"
ORANGE = "#b34d12"
GREY = "#69757f"
SOFT = "#eef1f4"
PAPER = "#ffffff"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    # Text is measured with this font; the page's style sheet sets the one that is displayed.
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "figure.constrained_layout.wspace": 0.06,
    "figure.constrained_layout.hspace": 0.06,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
WIDTH = 9.0  # inches; pages show figures at most this wide
NARROW = 3.55  # inches: what a phone of 390 px shows without scrolling
NOT_COMPUTABLE = "not computable"


class Look(NamedTuple):
    """Colour, marker and line style of one model, so that shape differs as well as colour."""

    colour: str
    marker: str
    dashes: Any


LOOKS = {
    "model": Look(BLUE, "D", "solid"),
    "clinical only": Look(ORANGE, "s", (0, (6, 2))),
    "other": Look(GREY, "^", (0, (1, 1))),
    "comparator": Look(MUTED, "o", (0, (2, 1.5))),
}


def axes_of(ax: Any, size: tuple[float, float]) -> Axes:
    """The axes to draw on: those given, or those of a new figure of pyplot.

    Raises
    ------
    InputError
        For something else than matplotlib axes.
    """
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=size, layout="constrained")
    if not isinstance(ax, Axes):
        raise InputError(
            f"ax: expected matplotlib axes, got {type(ax).__name__}; give one of those that "
            "pyplot.subplots returns",
        )
    return ax


def small() -> float:
    """Size of the smallest text of a figure in points: that of the tick labels."""
    size = matplotlib.rcParams["xtick.labelsize"]
    return float(FontProperties(size=size).get_size_in_points())


def worded(
    name: Any,
    names: Mapping[str, str] | None = None,
    limit: int = 40,
) -> str:
    """Words for the key of a model, safe to draw; the key itself where there are none.

    >>> worded("late:all", {"late:all": "late fusion"}), worded("mine")
    ('late fusion', 'mine')
    """
    return label((names or {}).get(str(name), name), limit)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as mappings."""
    rows: Any = frame.to_dict("records")
    return list(rows)


def numbers(rows: Any) -> pd.Series[float]:
    """All numbers in the columns `value`, `low` and `high` of some rows."""
    table = pd.DataFrame(rows).reindex(columns=["value", "low", "high"])
    return pd.Series(table.to_numpy(float).ravel()).dropna()


def percent_axes(*axes: Any) -> None:
    """Write the numbers of x or y axes as percentages."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def curve(
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    y: str,
    look: Look,
    name: str,
    *,
    band: bool = True,
) -> None:
    """Draw a curve, and the band between `low` and `high` where the table has them."""
    table = table.sort_values(x, kind="stable")
    axes.plot(
        table[x],
        table[y],
        color=look.colour,
        ls=look.dashes,
        lw=2,
        label=name,
        zorder=3,
    )
    ends = table.dropna(subset=["low", "high"])
    if band and len(ends):
        axes.fill_between(
            ends[x],
            ends["low"],
            ends["high"],
            color=look.colour,
            alpha=0.13,
            lw=0,
        )


def legend_below(
    figure: Figure,
    axes: Axes,
    columns: int | None = None,
) -> None:
    """Put the legend of some axes below the figure, in one row by default."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=columns or len(names),
    )
