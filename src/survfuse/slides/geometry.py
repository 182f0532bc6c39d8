"""Where tiles lie: one grid per slide, in µm, in px of level 0 and of the level that is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from survfuse._errors import SlideError
from survfuse._types import FloatArray
from survfuse.slides.reading import (
    MOST_PIXELS,
    SAME_SCALE,
    Indices,
    SlideReader,
    level_for,
)

MOST_TILES = 5 * 10**6
"""Of one slide, glass included; a large one has 0.2 million without overlap."""


@dataclass(frozen=True)
class Grid:
    """Square tiles over the scanned area.

    For a slide of 0.25 µm/px (levels 1, 4, 16) and tiles of 224 px at 0.5 µm/px: `level` 0,
    `tile_um`
    112, `footprint` 448 level-0 px. Of a slide of 0.499 µm/px the pixels are taken as they are:
    `mpp` 0.499, `footprint` 224, `tile_um` 111.8.

    Attributes
    ----------
    level : int
        That is read.
    downsample : float
        Of that level.
    tile_px : int
        Side of a tile as the encoder sees it.
    mpp : float, µm/px
        Of those pixels.
    footprint, stride : float, level-0 px
        Side of a tile, and from one tile to the next.
    origin : tuple of float, level-0 px
        Upper left corner of the first tile.
    columns, rows : int
        The last ones may reach beyond the slide, where it is white.
    slide_mpp : float, µm/px
        Of level 0.
    """

    level: int
    downsample: float
    tile_px: int
    mpp: float
    footprint: float
    stride: float
    origin: tuple[float, float]
    columns: int
    rows: int
    slide_mpp: float

    def __len__(self) -> int:
        return self.columns * self.rows

    @property
    def tile_um(self) -> float:
        """Side of a tile on the glass, µm."""
        return self.footprint * self.slide_mpp

    @property
    def read_px(self) -> int:
        """Side of a tile in px of the level that is read."""
        return max(1, round(self.footprint / self.downsample))

    def corners(
        self,
        chosen: Indices | None = None,
    ) -> FloatArray:
        """Upper left corners of `chosen` or of all, level-0 px, (tiles, 2) as (x, y)."""
        flat = np.arange(len(self)) if chosen is None else np.asarray(chosen)
        row, column = np.divmod(flat, self.columns)
        places: FloatArray = self.stride * np.stack(
            [column, row],
            axis=1,
        ) + np.array(self.origin)
        return places

    def read_corners(self, chosen: Indices) -> Indices:
        """Upper left corners in px of the level that is read, (tiles, 2) as (x, y)."""
        corners = np.rint(self.corners(chosen) / self.downsample)
        return np.asarray(corners, dtype=np.int64)


def plan_grid(
    reader: SlideReader,
    slide_mpp: float,
    *,
    tile_px: int,
    mpp: float,
    overlap: float = 0.0,
) -> Grid:
    """Lay a grid of tiles over a slide.

    Parameters
    ----------
    reader : SlideReader
    slide_mpp : float, µm/px
        Of level 0.
    tile_px : int
        Side of a tile for the encoder.
    mpp : float, µm/px
        Wanted scale; a level within 2 % of it is taken as it is, others are resampled
        from the next finer level.
    overlap : float
        Share of a tile that it has in common with the next, in [0, 1).

    Raises
    ------
    SlideError
        When the slide is coarser than `mpp`: detail is not invented. When a tile covers, or the
        tiles are, more than can be held at once.
    """
    if tile_px < 1 or not 0 <= overlap < 1:
        raise ValueError(
            f"tile_px must be >= 1 and overlap in [0, 1), got {tile_px} and {overlap}",
        )
    if slide_mpp > mpp * (1 + SAME_SCALE):
        raise SlideError(
            f"{reader.path}: scanned at {slide_mpp:g} µm/px, tiles are wanted at {mpp:g}; "
            "enlarging would "
            "invent detail. Is its scale right? Else correct it (column `mpp` of the slide "
            "table). If it is, "
            "ask for a coarser scale for the whole cohort (--mpp), or leave this slide out",
        )
    level = level_for(reader, slide_mpp, mpp)
    down = reader.levels[level].downsample
    as_it_is = abs(slide_mpp * down / mpp - 1) <= SAME_SCALE
    seen = slide_mpp * down if as_it_is else mpp
    footprint = tile_px * seen / slide_mpp
    stride = footprint * (1 - overlap)
    x, y, width, height = reader.bounds
    grid = Grid(
        level=level,
        downsample=down,
        tile_px=tile_px,
        mpp=seen,
        footprint=footprint,
        stride=stride,
        origin=(float(x), float(y)),
        columns=_count(width, footprint, stride),
        rows=_count(height, footprint, stride),
        slide_mpp=slide_mpp,
    )
    _refuse_too_much(grid, reader)
    return grid


def _refuse_too_much(grid: Grid, reader: SlideReader) -> None:
    if grid.read_px**2 > MOST_PIXELS:
        most = f"{math.isqrt(MOST_PIXELS):,}"
        raise SlideError(
            f"{reader.path}: a tile of {grid.tile_px} px at {grid.mpp:g} µm/px covers "
            f"{grid.read_px:,} px a "
            f"side of level {grid.level}, the coarsest that is fine enough; at most {most} "
            "are read at once. Ask for smaller tiles (--tile-px) or a finer scale (--mpp)",
        )
    if len(grid) > MOST_TILES:
        whole = reader.levels[0]
        raise SlideError(
            f"{reader.path}: {whole.width:,} x {whole.height:,} px make {len(grid):,} tiles of "
            f"{grid.footprint:g} px, {grid.stride:g} px apart; at most {MOST_TILES:,} are laid. "
            "Is its size "
            "right? Else ask for larger tiles (--tile-px, --mpp) or less overlap",
        )


def _count(
    length: float,
    footprint: float,
    stride: float,
) -> int:
    """Tiles along one axis, the last of which may stick out."""
    beyond = length - footprint
    return 1 if beyond <= 0 else 1 + math.ceil(beyond / stride - 1e-9)
