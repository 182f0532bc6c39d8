"""A score as a pyramidal TIFF in the frame of its slide, for viewers of slides.

Every level is a directory of its own (``subfiletype=1``): OpenSlide sees them all, while of levels
in SubIFDs, as OME-TIFF has them, it sees the first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from survfuse._errors import InputError, MissingExtraError
from survfuse._storage import atomic_path
from survfuse._types import ByteArray, IntArray
from survfuse.maps.colours import colours
from survfuse.maps.overlay import check_within
from survfuse.maps.slide_map import FORMAT, VERSION, SlideMap

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

TILE_PX = 256
FINENESS = 4
"""px of the finest level on a tile of the slide, at least: its edges are true to an eighth."""
MOST_PX = 2**16
"""px of the longest side of the finest level."""


class TiffLevel(NamedTuple):
    """A level of the pyramid.

    Attributes
    ----------
    width, height : int, px
    scale : (float, float)
        Level-0 px of the slide per px, along x and y.
    """

    width: int
    height: int
    scale: tuple[float, float]


def write_tiff(
    path: Path | str,
    slide_map: SlideMap,
    name: str,
    reader: SlideReader | None = None,
) -> tuple[TiffLevel, ...]:
    """Write a score as a pyramidal TIFF: RGBA, transparent where no tile lies.

    The upper left corner is that of level 0 of the slide as OpenSlide counts it, bounds not taken
    off, and a px of the finest level is a whole power of two of level-0 px.

    Parameters
    ----------
    path : path
    slide_map : SlideMap
    name : str
        Of the score.
    reader : SlideReader, optional
        The open slide, whose size the TIFF has; without it, the TIFF ends where the last tile does.

    Returns
    -------
    tuple of TiffLevel
        Finest first.

    Raises
    ------
    InputError
        For a score that the map does not have, or tiles that lie beyond the slide.
    MissingExtraError
        Without the extra `slides`.
    """
    try:
        import tifffile
    except ImportError:
        raise MissingExtraError(
            "writing TIFF needs tifffile: pip install 'survfuse[slides]'",
        ) from None
    score = slide_map.score(name)
    if reader is not None:
        check_within(slide_map, reader)
    levels = pyramid(slide_map, reader)
    mpp = slide_map.mpp or (None if reader is None else reader.mpp)
    coloured = colours(score, slide_map.image_of(name))
    with atomic_path(path, durable=False) as place, tifffile.TiffWriter(place) as file:
        for number, level in enumerate(levels):
            file.write(
                _tiles(coloured, slide_map, level),
                shape=(level.height, level.width, 4),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                extrasamples=["unassalpha"],
                compression="adobe_deflate",
                subfiletype=1 if number else 0,
                description=_description(slide_map, name, levels)
                if number == 0
                else None,
                metadata=None,
                software="survfuse",
                **_resolution(level, mpp),
            )
    return levels


def pyramid(
    slide_map: SlideMap,
    reader: SlideReader | None = None,
) -> tuple[TiffLevel, ...]:
    """Sizes and scales of the levels, finest first.

    The coarsest has at least about a px for each tile, so that none falls between two.
    """
    lattice = slide_map.lattice
    if reader is not None:
        width, height = reader.levels[0].width, reader.levels[0].height
    else:
        shape = np.array([lattice.columns, lattice.rows])
        last = np.array(lattice.origin) + shape * lattice.step
        if last.min() < 1:
            raise InputError(
                f"slide {slide_map.slide_id!r}: all its tiles have places below 0"
            )
        width, height = np.ceil(last).astype(int).tolist()
    step = min(lattice.step)
    scale = (
        2 ** max(0, math.floor(math.log2(step / FINENESS))) if step >= FINENESS else 1
    )
    while max(width, height) / scale > MOST_PX:
        scale *= 2
    base = (math.ceil(width / scale), math.ceil(height / scale))
    levels = [TiffLevel(*base, (float(scale), float(scale)))]
    while max(levels[-1][:2]) > TILE_PX and 2 * levels[-1].scale[0] <= step:
        half = (max(1, side // 2) for side in levels[-1][:2])
        wide, tall = half
        unit = (scale * base[0] / wide, scale * base[1] / tall)
        levels.append(TiffLevel(wide, tall, unit))
    return tuple(levels)


def _tiles(
    coloured: ByteArray, slide_map: SlideMap, level: TiffLevel
) -> Iterator[ByteArray]:
    """Tiles of a level, row after row; transparent beyond it."""
    rows, columns = coloured.shape[:2]
    origin, step = slide_map.lattice.origin, slide_map.lattice.step
    across = _pixel_at(level.width, level.scale[0], origin[0], step[0], columns)
    down = _pixel_at(level.height, level.scale[1], origin[1], step[1], rows)
    framed = np.pad(
        coloured, ((0, 1), (0, 1), (0, 0))
    )  # its last row and column are no tile
    for top in range(0, level.height, TILE_PX):
        for left in range(0, level.width, TILE_PX):
            row, column = down[top : top + TILE_PX], across[left : left + TILE_PX]
            picked = framed[row[:, None], column[None]]
            yield picked.view(np.uint8).reshape(TILE_PX, TILE_PX, 4)


def _pixel_at(
    count: int,
    scale: float,
    origin: float,
    step: float,
    most: int,
) -> IntArray:
    """Pixel of the map under each px of a level, along one axis; `most` where there is none."""
    padded = math.ceil(count / TILE_PX) * TILE_PX
    centres = (np.arange(padded) + 0.5) * scale
    pixels: IntArray = np.floor((centres - origin) / step).astype(np.int64)
    pixels[(pixels < 0) | (pixels >= most) | (np.arange(padded) >= count)] = most
    return pixels


def _resolution(level: TiffLevel, mpp: float | None) -> dict[str, Any]:
    """The tags that tell the µm per px of a level."""
    if mpp is None:
        return {"resolution": (1, 1), "resolutionunit": "NONE"}
    per_cm = [1e4 / (mpp * scale) for scale in level.scale]
    return {"resolution": tuple(per_cm), "resolutionunit": "CENTIMETER"}


def _description(
    slide_map: SlideMap,
    name: str,
    levels: tuple[TiffLevel, ...],
) -> str:
    """What the file is, as JSON in ASCII."""
    score = slide_map.score(name)
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "patient_id": slide_map.patient_id,
            "modality": slide_map.modality,
            "slide_id": slide_map.slide_id,
            "score": score.described(),
            "frame": "level 0 of the slide, upper left corner at 0, 0; bounds not taken off",
            "level0_px_per_px": levels[0].scale[0],
            "use": "research only",
        },
    )
