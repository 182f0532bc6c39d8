"""Reading figures: both forms of a page's SVG, and what lies on axes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FIRST = re.compile(r"<svg.*?</svg>", re.DOTALL)


def forms(svg: str) -> list[ET.Element]:
    """The elements of a figure: that of wide windows and that of phones."""
    return [ET.fromstring(one) for one in FIRST.findall(svg)]


def wide(svg: str) -> ET.Element:
    return forms(svg)[0]


def texts(svg: str) -> list[str]:
    """Texts of the wide form."""
    return [text.text or "" for text in wide(svg).iter("text")]


def marks(svg: str) -> list[ET.Element]:
    """Marks with a white edge in the wide form: the values of figures."""
    uses = wide(svg).iter("use")
    return [use for use in uses if "stroke: var(--fig-paper" in use.get("style", "")]


def new_axes() -> Axes:
    return Figure().subplots()


def line(ax: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Points of the line with a label."""
    found: Any = next(one for one in ax.lines if one.get_label() == label)
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)
