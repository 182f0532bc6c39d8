"""Where the tissue of a slide lies: found on its overview, or all of it; empty tissue is a result.

Masks that come with the data are read in :mod:`survfuse.slides.masks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError
from survfuse.slides.overviews import shrunk

if TYPE_CHECKING:
    from survfuse.slides.geometry import Grid
    from survfuse.slides.overviews import Overview
    from survfuse.slides.reading import SlideReader

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

METHODS = ("otsu", "lazyslide")
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

    def cover(self, corners: Floats, footprint: float) -> Floats:
        """Share of each tile that is tissue, (tiles,); a tile's part beyond the slide counts as none.

        Parameters
        ----------
        corners : ndarray, (tiles, 2), level-0 px
            Upper left, as (x, y).
        footprint : float, level-0 px
            Side of a tile.
        """
        return _cover(
            self.mask,
            np.asarray(corners) / self.scale,
            footprint / np.asarray(self.scale),
        )

    def choose(self, grid: Grid, min_cover: float) -> npt.NDArray[np.int64]:
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
        kept = (share >= min_cover) & (share > 0)
        rescued = self._rescued(grid, corners, corners[kept])
        return np.union1d(np.flatnonzero(kept), np.array(rescued, np.int64)).astype(
            np.int64,
        )

    def _rescued(self, grid: Grid, corners: Floats, kept: Floats) -> list[int]:
        """One tile for each piece that the kept ones hardly reach."""
        import cv2

        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            self.mask.astype(np.uint8),
            connectivity=8,
        )
        under = _painted(
            self.mask.shape,
            kept / self.scale,
            grid.footprint / np.asarray(self.scale),
        )
        reached = np.bincount(labels[under], minlength=count) / np.maximum(
            stats[:, cv2.CC_STAT_AREA],
            1,
        )
        large = (
            stats[:, cv2.CC_STAT_AREA] * math.prod(self.scale)
            >= LEAST_COVER * grid.footprint**2
        )
        rescued = []
        large[0] = False  # all that is no tissue
        for piece in np.flatnonzero(large & (reached < REACHED)):
            x, y, width, height, _ = (int(value) for value in stats[piece])
            near = _tiles_meeting(
                grid,
                np.array([x, y, x + width, y + height]) * np.tile(self.scale, 2),
            )
            if not len(near):
                continue
            alone = labels[y : y + height, x : x + width] == piece
            share = _cover(
                alone,
                corners[near] / self.scale - (x, y),
                grid.footprint / np.asarray(self.scale),
            )
            if share.max() >= LEAST_COVER:
                rescued.append(int(near[np.argmax(share)]))
        return rescued


def find_tissue(
    overview: Overview,
    slide_mpp: float,
    *,
    method: Literal["otsu", "lazyslide"] = "otsu",
    min_area_mm2: float = 0.02,
    max_hole_mm2: float = 0.1,
) -> Tissue:
    """Find stained tissue on the overview of a slide.

    Parameters
    ----------
    overview : Overview
    slide_mpp : float, µm/px
        Of level 0.
    method : {"otsu", "lazyslide"}
        How stained px are told from bare glass: by the density of their stain against the slide's
        own glass (Otsu's threshold, held within what tissue has), or by ``lazyslide.pp.find_tissues``
        (Otsu's threshold on saturation). Padding, pen marks, lines, specks and holes are treated alike.
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
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    try:
        from survfuse.slides.tissue_regions import find_stained
    except ImportError as error:
        raise MissingExtraError(
            f"finding tissue needs {error.name or 'more packages'}: pip install 'survfuse[slides]'",
        ) from None
    mask, pen_share, notes = find_stained(
        overview.image,
        slide_mpp * math.sqrt(overview.scale[0] * overview.scale[1]),
        lazyslide=method == "lazyslide",
        min_area_mm2=min_area_mm2,
        max_hole_mm2=max_hole_mm2,
    )
    return measured(
        mask,
        overview.scale,
        slide_mpp,
        source="found",
        pen_share=pen_share,
        notes=notes,
    )


def stained_on(overview: Overview, slide_mpp: float) -> Mask:
    """Look quickly at what is stained, on at most 1,024 px a side of the whole slide, (height, width) bool.

    Parameters
    ----------
    overview : Overview
    slide_mpp : float, µm/px
        Of level 0.
    """
    from survfuse.slides.tissue_regions import find_stained

    image = shrunk(overview.image)
    shrink = max(overview.image.shape[:2]) / max(image.shape[:2])
    mpp = slide_mpp * math.sqrt(overview.scale[0] * overview.scale[1]) * shrink
    return find_stained(
        image,
        mpp,
        lazyslide=False,
        min_area_mm2=LEAST_MM2,
        max_hole_mm2=LEAST_MM2,
    )[0]


def everything(reader: SlideReader, slide_mpp: float | None = None) -> Tissue:
    """Take the whole scanned area for tissue.

    Parameters
    ----------
    reader : SlideReader
    slide_mpp : float or None, µm/px
        Of level 0; the file's own where None. Without either the area is NaN.
    """
    whole = reader.levels[0]
    step = max(1.0, max(whole.width, whole.height) / MASK_SIDE)
    columns, rows = (
        max(1, round(whole.width / step)),
        max(1, round(whole.height / step)),
    )
    scale = (whole.width / columns, whole.height / rows)
    x, y, width, height = reader.bounds
    mask = np.zeros((rows, columns), bool)
    mask[
        math.floor(y / scale[1]) : math.ceil((y + height) / scale[1]),
        math.floor(x / scale[0]) : math.ceil((x + width) / scale[0]),
    ] = True
    mpp = slide_mpp or reader.mpp or math.nan
    return Tissue(mask, scale, "everything", width * height * mpp**2 / 1e6, 1)


def measured(
    mask: Mask,
    scale: tuple[float, float],
    slide_mpp: float,
    *,
    source: str,
    pen_share: float = 0.0,
    notes: tuple[str, ...] = (),
) -> Tissue:
    """Give a mask its area and number of pieces.

    Parameters
    ----------
    mask : ndarray, (height, width) bool
    scale : tuple of float
        Level-0 px per mask px, along x and y.
    slide_mpp : float, µm/px
        Of level 0.
    source, pen_share, notes
        As of :class:`Tissue`.
    """
    import cv2

    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    area = float(np.count_nonzero(mask)) * scale[0] * scale[1] * slide_mpp**2 / 1e6
    return Tissue(mask, scale, source, area, count - 1, pen_share, notes)


def _cover(mask: Mask, corners: Floats, side: Floats) -> Floats:
    """Share of each box that is True; `corners` (boxes, 2) and `side` (2,) in px of the mask."""
    import cv2

    integral = np.asarray(cv2.integral(mask.astype(np.uint8)), np.int32)
    left, top = corners.T
    right, bottom = (corners + side).T
    inside = (
        _at(integral, bottom, right)
        - _at(integral, top, right)
        - _at(integral, bottom, left)
        + _at(integral, top, left)
    )
    return np.asarray(np.clip(inside / (side[0] * side[1]), 0.0, 1.0))


def _at(integral: npt.NDArray[np.int32], rows: Floats, columns: Floats) -> Floats:
    """Read an integral image between its px: exact, as the area below is bilinear there."""
    row, column = (
        rows.clip(0, integral.shape[0] - 1),
        columns.clip(0, integral.shape[1] - 1),
    )
    above = np.minimum(row.astype(int), integral.shape[0] - 2)
    before = np.minimum(column.astype(int), integral.shape[1] - 2)
    down, across = row - above, column - before
    upper = (
        integral[above, before] * (1 - across) + integral[above, before + 1] * across
    )
    lower = (
        integral[above + 1, before] * (1 - across)
        + integral[above + 1, before + 1] * across
    )
    return np.asarray(upper * (1 - down) + lower * down)


def _painted(shape: tuple[int, ...], corners: Floats, side: Floats) -> Mask:
    """Px that lie under any of many boxes, by a two-dimensional sum of their corners."""
    limit = np.array([shape[1], shape[0]])
    start = np.rint(corners).astype(int).clip(0, limit)
    stop = np.rint(corners + side).astype(int).clip(0, limit)
    steps = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    np.add.at(steps, (start[:, 1], start[:, 0]), 1)
    np.add.at(steps, (stop[:, 1], stop[:, 0]), 1)
    np.add.at(steps, (start[:, 1], stop[:, 0]), -1)
    np.add.at(steps, (stop[:, 1], start[:, 0]), -1)
    return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0)


def _tiles_meeting(grid: Grid, box: Floats) -> npt.NDArray[np.int64]:
    """Flat indices of the tiles that meet a box (left, top, right, bottom) in level-0 px."""
    left, top, right, bottom = (box - np.tile(grid.origin, 2)) / grid.stride
    reach = grid.footprint / grid.stride
    columns = np.arange(
        max(0, math.floor(left - reach) + 1),
        min(grid.columns, math.ceil(right)),
    )
    rows = np.arange(
        max(0, math.floor(top - reach) + 1),
        min(grid.rows, math.ceil(bottom)),
    )
    return np.asarray((rows[:, None] * grid.columns + columns).ravel(), np.int64)
