"""Tiles of a slide as the pixels of a small image, one pixel a tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from survfuse._errors import InputError
from survfuse._types import FloatArray, IntArray

MOST_PIXELS = 50 * 10**6
LEAST_COMMON = 0.05
"""Share of the distances between neighbours that the step of the tiles has at least."""
SPARSE = 1.5
"""Sides of a tile from which on the distance of neighbours is a gap and no step."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where the pixels of a map lie on the slide.

    Pixel (row r, column c) covers level-0 px from ``origin + (c, r) * step`` to
    ``origin + (c + 1, r + 1) * step``. Its centre is that of its tile, up to half a step where the
    tiles lie on no regular grid.

    Attributes
    ----------
    origin : (float, float), level-0 px
        x, y of the upper left corner of the map.
    step : (float, float), level-0 px
        Width and height of a pixel of the map.
    rows, columns : int
        Size of the map.
    row, column : array of int, (tiles,)
        Pixel of each tile.
    """

    origin: tuple[float, float]
    step: tuple[float, float]
    rows: int
    columns: int
    row: IntArray
    column: IntArray

    @classmethod
    def of(cls, corners: FloatArray, side: float) -> Self:
        """Lay a lattice over tiles.

        Parameters
        ----------
        corners : array, (tiles, 2)
            Upper left corners x, y, level-0 px; of one tile or more.
        side : float, level-0 px
            Of a tile; NaN where it is not known: then it is the distance of neighbours.

        Raises
        ------
        InputError
            When the tiles lie so far apart that the map would pass 50 million pixels.
        """
        x, column, columns = _axis(corners[:, 0], corners[:, 1], side)
        y, row, rows = _axis(corners[:, 1], corners[:, 0], side)
        if rows * columns > MOST_PIXELS:
            raise InputError(
                f"a map of {columns:,} × {rows:,} tiles, expected at most {MOST_PIXELS:,} in all: "
                "the coordinates of the tiles are not of one slide",
            )
        return cls((x[0], y[0]), (x[1], y[1]), rows, columns, row, column)

    def image(self, values: FloatArray) -> FloatArray:
        """Values of tiles as an image; NaN where no tile lies, the mean where several do.

        Parameters
        ----------
        values : array, (tiles,)
            NaN counts as no tile.

        Returns
        -------
        array, (rows, columns)
        """
        flat, known = self.row * self.columns + self.column, np.isfinite(values)
        size = self.rows * self.columns
        counts = np.bincount(flat[known], minlength=size)
        sums = np.bincount(flat[known], weights=values[known], minlength=size)
        image = np.full(size, np.nan)
        np.divide(sums, counts, out=image, where=counts > 0)
        return image.reshape(self.rows, self.columns)

    def at_tiles(self, image: FloatArray) -> FloatArray:
        """Pixels of an image, (rows, columns), at each tile; (tiles,)."""
        return image[self.row, self.column]


def _axis(
    along: FloatArray,
    across: FloatArray,
    side: float,
) -> tuple[tuple[float, float], IntArray, int]:
    """Origin and step along one axis, the pixel of each tile, and their number."""
    first, step = float(along.min()), _step(along, across, side)
    place = np.rint((along - first) / step)
    if place.max() > 0:  # the step is an estimate: fit it to all tiles
        step, start = (float(one) for one in np.polyfit(place, along, 1))
        place = np.rint((along - start) / step)
        first = start + float(place.min()) * step
        place -= place.min()
    centred = first + (0 if np.isnan(side) else (side - step) / 2)
    return (centred, step), place.astype(np.int64), int(place.max()) + 1


def _step(
    along: FloatArray,
    across: FloatArray,
    side: float,
) -> float:
    """Mean of the smallest distances of neighbours in a line of tiles that are common."""
    order = np.lexsort((along, across))
    same_line = np.diff(across[order]) == 0
    distances = np.diff(along[order])[same_line]
    distances = np.sort(distances[distances > 0])
    if not len(distances):
        return 1.0 if np.isnan(side) else side
    nearly = np.searchsorted(distances, 1.05 * distances, side="right")
    common = nearly - np.arange(len(distances)) >= LEAST_COMMON * len(distances)
    first = common.argmax()
    step = float(
        distances[first : nearly[first]].mean()
    )  # of whole px: 443 and 444 of 443.9
    return side if step > SPARSE * side else step
