"""Figures as elements of a page: for wide windows, for phones, for light and dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from xml.sax.saxutils import quoteattr

import matplotlib.style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from survfuse.figures.plotting import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RULE,
    SOFT,
    STYLE,
)

NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
DARK_PAPER = "#14181d"
COLOURS = {
    "ink": (INK, "#e6e9ed"),
    "muted": (MUTED, "#a5b0bb"),
    "rule": (RULE, "#3d4650"),
    "blue": (BLUE, "#7db8ea"),
    "orange": (ORANGE, "#f2a065"),
    "grey": (GREY, "#aab4bd"),
    "soft": (SOFT, "#20262d"),
    "paper": (PAPER, DARK_PAPER),
}
"""Each colour on a light page, which is also written into the figure, and on a dark one."""
_NAMES = {light: name for name, (light, _) in COLOURS.items()}
_DARK = " ".join(f"--fig-{name}: {dark};" for name, (_, dark) in COLOURS.items())
STYLE_SHEET = f"""\
svg.drawing {{ display: block; max-width: 100%; height: auto; }}
svg.drawing text {{ font-family: var(--font) !important; }}
svg.drawing.narrow {{ display: none; }}
@media screen and (max-width: 46rem) {{
  svg.drawing.wide {{ display: none; }}
  svg.drawing.narrow {{ display: block; min-width: 0; }}
}}
@media screen and (prefers-color-scheme: dark) {{
  svg.drawing {{ {_DARK} }}
}}
"""
"""Rules of a page with such figures: one of two widths is shown, and dark pages recolour."""


def draw(
    name: str,
    size: tuple[float, float],
    paint: Callable[[Figure], object],
    alt: str,
    form: str = "",
) -> str:
    """Draw a figure and return it as an ``<svg>`` element for an HTML page.

    Text stays text, nothing is fetched, and equal input gives equal bytes, whatever the
    user's matplotlibrc is. Colours of `COLOURS` are CSS variables with the light one as the
    value where a page sets none.

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
    form : {"", "wide", "narrow"}
        Class of a figure that pages show in wide windows or on phones alone.

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
    return _inline(written.getvalue(), name, alt, form)


def draw_both(
    name: str,
    wide: tuple[float, float],
    narrow: tuple[float, float],
    paint: Callable[[Figure, bool], object],
    alt: str,
) -> str:
    """Draw a figure for wide windows and one for phones; a page shows one of them.

    Parameters
    ----------
    name, alt : str
        As of :func:`draw`.
    wide, narrow : tuple of float, inches
        Width and height of each.
    paint : callable
        Draws on the empty figure; its second argument says whether that is the narrow one.

    Returns
    -------
    str
        Two ``<svg>`` elements of the classes "wide" and "narrow", for `STYLE_SHEET`.
    """
    both = [
        draw(name, wide, lambda figure: paint(figure, False), alt, "wide"),
        draw(f"{name}-n", narrow, lambda figure: paint(figure, True), alt, "narrow"),
    ]
    return "\n".join(both)


def _inline(
    svg: str,
    name: str,
    alt: str,
    form: str,
) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'style="[^"]*"', _with_variables, svg)
    svg = re.sub(r' d="[^"]*"', _shortened, svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r"\n +", "\n", svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def keep(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', keep, svg)
    svg = re.sub(r'(url\(#|href="#)([^)"]+)', rf"\1{name}-\2", svg)
    classes = f"drawing {form}".strip()
    return svg.replace(
        "<svg",
        f"<svg role='img' class='{classes}' aria-label={quoteattr(alt)}",
        1,
    ).strip()


def _with_variables(style: re.Match[str]) -> str:
    """A style attribute whose colours a page can replace."""

    def variable(match: re.Match[str]) -> str:
        name = _NAMES.get(match[0])
        return f"var(--fig-{name}, {match[0]})" if name else match[0]

    return re.sub(r"#[0-9a-f]{6}\b", variable, style[0])


def _shortened(path: re.Match[str]) -> str:
    """The data of a path in hundredths of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])
