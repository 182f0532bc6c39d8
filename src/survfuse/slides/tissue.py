"""Where the tissue of a slide lies: found on its overview, or all of it; empty tissue is a result.

Masks that come with the data are read in :mod:`survfuse.slides.masks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from survfuse._types import FloatArray
from survfuse.slides import _opencv as cv2
from survfuse.slides.overviews import shrunk
from survfuse.slides.reading import Indices, Mask

if TYPE_CHECKING:
    from survfuse.slides.geometry import Grid
    from survfuse.slides.overviews import Overview
    from survfuse.slides.reading import SlideReader


REACHED = 0.25  # share of a piece that its tiles must hold
LEAST_COVER = 0.05  # of a tile; a piece that fills less is no chip but a speck
MASK_SIDE = 2048
LEAST_MM2 = 0.02


@dataclass(frozen=True)
class Tissue:
    """Tissue of one slide as a mask over the whole slide.

    Attributes
    ----------
    mask : ndarray, (height, width) bool
    scale : tuple of float
        Level-0 px per mask px, along x and y.
    source : str
        "found", "given" or "everything".
    area_mm2 : float
    components : int
        Separate pieces.
    pen_share : float
        Share of the scanned area that lies under marker pen.
    notes : tuple of str
        What a person should know.
    """

    mask: Mask
    scale: tuple[float, float]
    source: str
    area_mm2: float
    components: int
    pen_share: float = 0.0
    notes: tuple[str, ...] = ()

    def cover(
        self,
        corners: FloatArray,
        footprint: float,
    ) -> FloatArray:
        """Share of each tile that is tissue, (tiles,); beyond the slide there is none.

        Parameters
        ----------
        corners : ndarray, (tiles, 2), level-0 px
            Upper left, as (x, y).
        footprint : float, level-0 px
            Side of a tile.
        """
        return _cover(
            self.mask,
            corners / np.array(self.scale),
            footprint / np.array(self.scale),
        )

    def choose(self, grid: Grid, min_cover: float) -> Indices:
        """Choose the tiles of `grid` that are tissue by at least `min_cover`; sorted flat indices.

        A piece (a chip of a TURBT) of which these tiles hold less than a quarter is given the one
        tile that holds most of it, so that a small piece is not lost to where the grid happens to
        lie. Pieces that fill less than 5 % of that tile are specks and get none.

        Parameters
        ----------
        grid : Grid
        min_cover : float
            In [0, 1]; at 0 every tile that has any tissue.
        """
        if not self.mask.any():
            return np.empty(0, np.int64)
        corners = grid.corners()
        share = self.cover(corners, grid.footprint)
        chosen = (share >= min_cover) & (share > 0)
        for tile in self._rescued(grid, corners, corners[chosen]):
            chosen[tile] = True
        return np.flatnonzero(chosen)

    def _rescued(
        self,
        grid: Grid,
        corners: FloatArray,
        chosen: FloatArray,
    ) -> list[int]:
        """One tile for each piece that the chosen ones hardly reach."""
        scale = np.array(self.scale)
        side = grid.footprint / scale
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            self.mask.astype(np.uint8),
            connectivity=8,
        )
        area = stats[:, cv2.CC_STAT_AREA]
        covered = labels[_painted(self.mask.shape, chosen / scale, side)]
        reached = np.bincount(covered, minlength=count) / np.maximum(area, 1)
        is_large = area * math.prod(self.scale) >= LEAST_COVER * grid.footprint**2
        is_large[0] = False  # all that is no tissue
        rescued = []
        for piece in np.flatnonzero(is_large & (reached < REACHED)):
            x, y, width, height = stats[piece, :4].tolist()
            near = _tiles_meeting(
                grid,
                np.array([[x, y], [x + width, y + height]]) * scale,
            )
            if not len(near):
                continue
            alone = labels[y : y + height, x : x + width] == piece
            share = _cover(alone, corners[near] / scale - (x, y), side)
            if share.max() >= LEAST_COVER:
                rescued.append(int(near[np.argmax(share)]))
        return rescued


def find_tissue(
    overview: Overview,
    slide_mpp: float,
    *,
    min_area_mm2: float = 0.02,
    max_hole_mm2: float = 0.1,
) -> Tissue:
    """Find stained tissue on the overview of a slide.

    Stained px are told from glass by the density of their stain against the slide's own glass
    (Otsu's threshold, held within what tissue has); padding, pen marks, lines and specks are left
    out.

    Parameters
    ----------
    overview : Overview
    slide_mpp : float, µm/px
        Of level 0.
    min_area_mm2 : float
        Smaller pieces are dust.
    max_hole_mm2 : float
        Smaller holes belong to the tissue around them.

    Returns
    -------
    Tissue
        Empty for a slide without tissue.

    Raises
    ------
    MissingExtraError
        Without the extra `slides`.
    """
    from survfuse.slides.tissue_regions import find_stained

    mask, pen_share, notes = find_stained(
        overview.image,
        slide_mpp * math.sqrt(math.prod(overview.scale)),
        min_area_mm2=min_area_mm2,
        max_hole_mm2=max_hole_mm2,
    )
    return measured(mask, overview.scale, slide_mpp, "found", notes, pen_share)


def stained_on(overview: Overview, slide_mpp: float) -> Mask:
    """Find quickly what is stained, on at most 1,024 px a side, (height, width) bool.

    Parameters
    ----------
    overview : Overview
    slide_mpp : float, µm/px
        Of level 0.
    """
    from survfuse.slides.tissue_regions import find_stained

    image = shrunk(overview.image)
    shrink = max(overview.image.shape[:2]) / max(image.shape[:2])
    mpp = slide_mpp * math.sqrt(math.prod(overview.scale)) * shrink
    return find_stained(
        image,
        mpp,
        min_area_mm2=LEAST_MM2,
        max_hole_mm2=LEAST_MM2,
    )[0]


def everything(
    reader: SlideReader,
    slide_mpp: float | None = None,
) -> Tissue:
    """Take the whole scanned area for tissue.

    Parameters
    ----------
    reader : SlideReader
    slide_mpp : float or None, µm/px
        Of level 0; the file's own where None. Without either the area is NaN.
    """
    whole = reader.levels[0]
    step = max(1.0, max(whole.width, whole.height) / MASK_SIDE)
    columns, rows = (max(1, round(side / step)) for side in (whole.width, whole.height))
    across, down = whole.width / columns, whole.height / rows
    x, y, width, height = reader.bounds
    mask = np.zeros((rows, columns), bool)
    top, left = math.floor(y / down), math.floor(x / across)
    mask[
        top : math.ceil((y + height) / down),
        left : math.ceil((x + width) / across),
    ] = True
    mpp = slide_mpp or reader.mpp or math.nan
    return Tissue(mask, (across, down), "everything", width * height * mpp**2 / 1e6, 1)


def measured(
    mask: Mask,
    scale: tuple[float, float],
    slide_mpp: float,
    source: str,
    notes: tuple[str, ...] = (),
    pen_share: float = 0.0,
) -> Tissue:
    """Give a mask its area and number of pieces.

    Parameters
    ----------
    mask : ndarray, (height, width) bool
    scale : tuple of float
        Level-0 px per mask px, along x and y.
    slide_mpp : float, µm/px
        Of level 0.
    source, notes, pen_share
        As of :class:`Tissue`.
    """
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    area = float(np.count_nonzero(mask)) * scale[0] * scale[1] * slide_mpp**2 / 1e6
    return Tissue(mask, scale, source, area, count - 1, pen_share, notes)


def _cover(
    mask: Mask,
    corners: FloatArray,
    side: FloatArray,
) -> FloatArray:
    """Share of each box that is True; `corners` (boxes, 2) and `side` (2,) in px of the mask."""
    integral = cv2.integral(mask.astype(np.uint8))

    def area_to(x: FloatArray, y: FloatArray) -> FloatArray:
        """Area up to a point, bilinear between the px of the integral image."""
        row, column = y.clip(0, mask.shape[0]), x.clip(0, mask.shape[1])
        above = np.minimum(row.astype(int), mask.shape[0] - 1)
        before = np.minimum(column.astype(int), mask.shape[1] - 1)
        down, across = row - above, column - before
        upper, lower = (
            integral[line, before] * (1 - across) + integral[line, before + 1] * across
            for line in (above, above + 1)
        )
        area: FloatArray = upper * (1 - down) + lower * down
        return area

    left, top = corners.T
    right, bottom = (corners + side).T
    inside = area_to(right, bottom) - area_to(right, top)
    inside = inside - area_to(left, bottom) + area_to(left, top)
    return np.clip(inside / math.prod(side), 0.0, 1.0)


def _painted(
    shape: tuple[int, ...],
    corners: FloatArray,
    side: FloatArray,
) -> Mask:
    """Px that lie within any of many boxes, by a two-dimensional sum of their corners."""
    limit = np.array(shape[::-1])
    left, top = np.rint(corners).astype(int).clip(0, limit).T
    right, bottom = np.rint(corners + side).astype(int).clip(0, limit).T
    steps = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    for sign, rows, columns in (
        (1, top, left),
        (1, bottom, right),
        (-1, top, right),
        (-1, bottom, left),
    ):
        np.add.at(steps, (rows, columns), sign)
    return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0)


def _tiles_meeting(grid: Grid, box: FloatArray) -> Indices:
    """Flat indices of the tiles that meet a box ((left, top), (right, bottom)) in level-0 px."""
    start, stop = (box - grid.origin) / grid.stride
    first = np.maximum(0, np.floor(start - grid.footprint / grid.stride) + 1)
    last = np.minimum((grid.columns, grid.rows), np.ceil(stop))
    columns, rows = (
        np.arange(*ends, dtype=np.int64) for ends in zip(first, last, strict=True)
    )
    return (rows[:, None] * grid.columns + columns).ravel()
