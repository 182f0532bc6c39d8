"""Figures as inline SVG: text stays text, nothing is fetched, equal input gives equal bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import quoteattr

import matplotlib.style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#1f2933"
MUTED = "#5f6c7b"
RULE = "#c9d1d9"
BLUE = "#1f5f99"
ORANGE = "#c2571a"
GREY = "#69757f"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # measured with it; the page's style sheet sets the font that is shown
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
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
    "figure.constrained_layout.wspace": 0.06,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def draw(
    name: str,
    size: tuple[float, float],
    paint: Callable[[Figure], None],
    alt: str,
) -> str:
    """Draw a figure and return it as an ``<svg>`` element for an HTML page.

    Parameters
    ----------
    name : str
        Distinguishes the figure's internal ids from those of other figures.
    size : tuple of float, inches
        Width and height.
    paint : callable
        Draws on the empty figure it is given.
    alt : str
        What the figure shows, for those who cannot see it.

    Returns
    -------
    str
        An element without namespace addresses, XML prologue or metadata.
    """
    with _house_style(name):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=NO_METADATA)
    return _inline(written.getvalue(), name, alt)


@contextmanager
def _house_style(name: str) -> Iterator[None]:
    """Set the same look whatever the user's matplotlibrc says."""
    style = {**STYLE, "svg.hashsalt": f"survfuse-{name}"}
    with matplotlib.style.context(["default", style]), warnings.catch_warnings():
        # The browser has glyphs that the font we measure with has not.
        warnings.filterwarnings(
            "ignore",
            message="Glyph .* missing from",
            category=UserWarning,
        )
        yield


def _inline(svg: str, name: str, alt: str) -> str:
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
