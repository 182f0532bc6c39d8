"""What a browser needs of one slide: where image and map lie, scores, and the tiles to list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from survfuse._errors import InputError
from survfuse._types import IntArray
from survfuse.maps import Score, SlideMap
from survfuse.maps import colours as map_colours
from survfuse.viewer.deep_zoom import Picture

MOST_LISTED = 10
"""Tiles in the table with the highest contributions, and with the lowest."""
THUMBNAIL_PX = 112
CONTRIBUTION = "contribution"
VALUES = {"tile_risk": "risk", "attention": "share"}
"""Further scores in the table of tiles, and what they are called there."""
GREEN_PURPLE = (
    (0, 68, 27),
    (90, 174, 97),
    (247, 247, 247),
    (153, 112, 171),
    (64, 0, 75),
)
"""Green lowers the risk: nobody reads it as a warning."""
VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def palettes() -> dict[str, Any]:
    """Colours of every kind of score, evenly spaced from the lowest to the highest, as JSON."""
    return {
        "diverging": {
            "blue to orange": map_colours.BLUE_ORANGE,
            "green to purple": GREEN_PURPLE,
        },
        "sequential": {
            "white to purple": map_colours.WHITE_PURPLE,
            "viridis": VIRIDIS,
        },
        "categories": {"by number": map_colours.CATEGORIES},
        "grey": {
            "diverging": map_colours.GREYS,
            "sequential": map_colours.LIGHT_GREYS,
        },
    }


def picture_of(picture: Picture, scale: int = 1) -> dict[str, Any]:
    """An image as JSON.

    Parameters
    ----------
    picture : Picture
    scale : int
        Level-0 px per px of the image, a power of two: finer levels are left out.
    """
    return {
        "width": picture.width / scale,
        "height": picture.height / scale,
        "left": picture.left,
        "top": picture.top,
        "scale": scale,
        "tile": picture.tile,
        "levels": picture.levels - (scale.bit_length() - 1),
    }


def picture_around(one: SlideMap) -> Picture:
    """Where the image of a slide would lie that is not at hand: around its tiles."""
    lattice = one.lattice
    start = np.round(lattice.origin, 6)  # fitted to the tiles: rounding leaves 1e-13
    size = np.round(np.multiply(lattice.step, (lattice.columns, lattice.rows)), 6)
    left, top = np.floor(start).astype(int).tolist()
    width, height = np.ceil(size).astype(int).tolist()
    side = max(width, height, 1)
    return Picture(max(width, 1), max(height, 1), left, top, tile=side)


def tile_numbers(one: SlideMap) -> IntArray:
    """Number of the tile of each pixel of the map, (rows, columns); −1 where none lies."""
    lattice = one.lattice
    numbers = np.full((lattice.rows, lattice.columns), -1, np.int32)
    numbers[lattice.row, lattice.column] = np.arange(one.tiles)
    return numbers


def number_bytes(one: SlideMap) -> bytes:
    """Numbers of tiles as an image: little-endian Int32, row by row."""
    return tile_numbers(one).astype("<i4").tobytes()


def listed_tiles(one: SlideMap, most: int = MOST_LISTED) -> list[dict[str, Any]]:
    """Tiles with the highest and the lowest contributions, the highest first.

    Returns
    -------
    list of dict
        `tile` (number within the slide), `row, column` (of the map), `x, y` (level-0 px),
        `cluster` (None where not known), and those of `contribution, risk, share` that are known.
    """
    score = listed_by(one)
    if score is None:
        return []
    order = np.argsort(-score.values, kind="stable")
    if len(order) > 2 * most:
        order = np.concatenate([order[:most], order[-most:]])
    return [tile_record(one, int(tile)) for tile in order]


def listed_by(one: SlideMap) -> Score | None:
    """The score by which tiles are listed: the contribution, or that to an interaction."""
    return one.scores.get(CONTRIBUTION) or next(iter(one.scores.values()), None)


def check_tile(one: SlideMap, tile: int) -> None:
    """Refuse a number that no tile of the slide has.

    Raises
    ------
    InputError
    """
    if not 0 <= tile < one.tiles:
        raise InputError(
            f"slide {one.slide_id!r}: expected a tile 0 to {one.tiles - 1}, got {tile}",
        )


def tile_record(one: SlideMap, tile: int) -> dict[str, Any]:
    """One tile, as :func:`listed_tiles` gives it.

    Raises
    ------
    InputError
        For a number that no tile of the slide has.
    """
    check_tile(one, tile)
    x, y = one.places.corners[tile].tolist()
    record: dict[str, Any] = {
        "tile": tile,
        "row": int(one.lattice.row[tile]),
        "column": int(one.lattice.column[tile]),
        "x": x,
        "y": y,
        "cluster": None if one.clusters is None else int(one.clusters[tile]),
    }
    score = listed_by(one)
    if score is not None:
        record[CONTRIBUTION] = float(score.values[tile])
    for name, key in VALUES.items():
        if name in one.scores:
            record[key] = float(one.scores[name].values[tile])
    return record


def slide_record(
    one: SlideMap | None,
    picture: Mapping[str, Any] | None,
    **more: Any,
) -> dict[str, Any]:
    """Everything of a slide but pixels and scores, as JSON.

    Parameters
    ----------
    one : SlideMap or None
        None where there is no map at all.
    picture : mapping or None
        As :func:`picture_of` gives it; None where nothing can be shown.
    **more
        Further entries: `why_no_map`, `why_no_image`, `version`, `vendor`.
    """
    score = None if one is None else listed_by(one)
    return {
        "map": None if one is None else one.described(),
        "listed_by": "" if score is None else score.title,
        "listed": [] if one is None else listed_tiles(one),
        "picture": picture,
        **more,
    }
