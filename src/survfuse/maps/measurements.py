"""Scores as the measurements of tiles in QuPath, which shows two decimals of a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.maps.overlay import check_within
from survfuse.maps.slide_map import SlideMap

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

Origin = Literal["bounds", "full"]
ORIGINS: tuple[Origin, ...] = ("bounds", "full")
UNITS = {
    "log-risk": (100.0, "log-risk × 100"),
    "share of the bag": (100.0, "% of the bag"),
    "percentile": (1.0, ""),
}
"""By unit of a score: the factor, and what stands in brackets after the title."""
GREY = "does not reproduce"


class Measurement(NamedTuple):
    """A measurement of every tile.

    Attributes
    ----------
    name : str
        As QuPath shows it, with its unit.
    values : array, (tiles,)
        NaN where a tile has none.
    """

    name: str
    values: FloatArray


class Placed(NamedTuple):
    """Where tiles lie in the frame of QuPath.

    Attributes
    ----------
    corners : array, (tiles, 2)
        Upper left corners x, y, px of that frame.
    offset : (float, float), level-0 px
        What was taken off the coordinates.
    size : (int, int) or None, px
        Width and height of the image in that frame; None where no image was at hand.
    """

    corners: FloatArray
    offset: tuple[float, float]
    size: tuple[int, int] | None


def measurements(
    slide_map: SlideMap,
    names: Sequence[str] | None = None,
) -> list[Measurement]:
    """Scores as measurements, but for clusters, which are classes in QuPath.

    Parameters
    ----------
    slide_map : SlideMap
    names : sequence of str, optional
        Scores that are wanted; all where not given.

    Raises
    ------
    InputError
        For a score that the map does not have.
    """
    chosen = []
    for name in slide_map.scores if names is None else names:
        score = slide_map.score(name)
        if score.kind == "categories":
            continue
        factor, unit = UNITS.get(score.unit, (1.0, score.unit))
        said = ", ".join(filter(None, (unit, GREY if score.grey else "")))
        title = f"{score.title} ({said})" if said else score.title
        chosen.append(Measurement(title, score.values * factor))
    return chosen


def placed(
    slide_map: SlideMap,
    reader: SlideReader | None,
    origin: Origin,
) -> Placed:
    """Where the tiles lie for QuPath.

    Parameters
    ----------
    slide_map : SlideMap
    reader : SlideReader or None
        The open slide. Without it no bounds are known, and none are taken off.
    origin : {"bounds", "full"}
        Whether QuPath shows the scanned area only, as it does of slides that it reads by
        OpenSlide, or all of level 0, as by Bio-Formats.

    Raises
    ------
    InputError
        For another origin, or tiles that lie beyond the slide.
    """
    if origin not in ORIGINS:
        raise InputError(f"origin: expected bounds or full, got {origin!r}")
    if reader is None:
        return Placed(slide_map.places.corners, (0.0, 0.0), None)
    check_within(slide_map, reader)
    level = reader.levels[0]
    box = reader.bounds if origin == "bounds" else (0, 0, level.width, level.height)
    x, y, width, height = box
    corners = slide_map.places.corners - np.array([x, y], np.float64)
    return Placed(corners, (float(x), float(y)), (width, height))
