"""The vocabulary of the figures: style, looks, curves with bands, and the SVG element."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

INK = "#1f2933"
MUTED = "#5f6c7b"
RULE = "#c9d1d9"
BLUE = "#1f5f99"
ORANGE = "#c2571a"
GREY = "#69757f"
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
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
WIDTH = 9.0  # inches; the page shows figures at most this wide
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


def draw(
    name: str,
    size: tuple[float, float],
    paint: Callable[[Figure], None],
    alt: str,
) -> str:
    """Draw a figure and return it as an ``<svg>`` element for an HTML page.

    Text stays text, nothing is fetched, and equal input gives equal bytes, whatever the
    user's matplotlibrc is.

    Parameters
    ----------
    name : str
        Distinguishes the figure's internal ids from those of other figures.
    size : tuple of float, inches
        Width and height.
    paint : callable
        Draws on the empty figure that it is given.
    alt : str
        Description of the figure for those who cannot see it.

    Returns
    -------
    str
        An element without namespace addresses, XML prologue or metadata.
    """
    style = {**STYLE, "svg.hashsalt": f"survfuse-{name}"}
    with matplotlib.style.context(["default", style]), warnings.catch_warnings():
        # The browser has glyphs that the font used for measuring does not have.
        warnings.filterwarnings(
            "ignore",
            message="Glyph .* missing from",
            category=UserWarning,
        )
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        written = io.StringIO()
        figure.savefig(
            written,
            format="svg",
            metadata=NO_METADATA,
        )
    return _inline(written.getvalue(), name, alt)


def _inline(
    svg: str,
    name: str,
    alt: str,
) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def keep(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', keep, svg)
    svg = re.sub(r'(url\(#|href="#)([^)"]+)', rf"\1{name}-\2", svg)
    return svg.replace(
        "<svg",
        f"<svg role='img' aria-label={quoteattr(alt)}",
        1,
    ).strip()
