"""Tiles in micrometres: the same glass whatever the scanner's magnification."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse._errors import SlideError
from survfuse.slides.geometry import plan_grid
from survfuse.slides.reading import Level


def reader(
    width: int = 4096,
    height: int = 2048,
    downsamples: tuple[float, ...] = (1, 4, 16),
    bounds: tuple[int, int, int, int] | None = None,
) -> Any:
    levels = tuple(Level(round(width / d), round(height / d), d) for d in downsamples)
    return SimpleNamespace(
        path="s.svs",
        levels=levels,
        bounds=bounds or (0, 0, width, height),
    )


def test_two_magnifications_give_the_same_tiles_on_the_glass() -> None:
    forty = plan_grid(reader(8192, 4096), 0.25, tile_px=224, mpp=0.5)
    twenty = plan_grid(reader(4096, 2048), 0.5, tile_px=224, mpp=0.5)
    assert (forty.columns, forty.rows) == (twenty.columns, twenty.rows)
    assert forty.tile_um == twenty.tile_um == 112
    assert (forty.footprint, twenty.footprint) == (448, 224)
    np.testing.assert_allclose(forty.corners() * 0.25, twenty.corners() * 0.5)


def test_a_level_within_two_percent_is_read_as_it_is() -> None:
    grid = plan_grid(reader(), 0.499, tile_px=224, mpp=0.5)
    assert (grid.read_px, grid.footprint, grid.mpp) == (224, 224, 0.499)
    assert grid.tile_um == pytest.approx(111.776)
    resampled = plan_grid(reader(), 0.4, tile_px=224, mpp=0.5)
    assert (resampled.read_px, resampled.footprint, resampled.mpp) == (280, 280, 0.5)


def test_the_level_follows_the_spacing() -> None:
    assert plan_grid(reader(), 0.25, tile_px=224, mpp=1.0).level == 1
    assert plan_grid(reader(), 0.25, tile_px=224, mpp=0.9).level == 0
    assert plan_grid(reader(), 0.25, tile_px=224, mpp=4.0).level == 2


def test_detail_is_not_invented() -> None:
    with pytest.raises(
        SlideError,
        match=r"scanned at 1 µm/px, tiles are wanted at 0\.5; enlarging",
    ):
        plan_grid(reader(), 1.0, tile_px=224, mpp=0.5)
    assert plan_grid(reader(), 0.505, tile_px=224, mpp=0.5).read_px == 224


def test_tiles_start_at_the_scanned_area_and_cover_all_of_it() -> None:
    grid = plan_grid(reader(bounds=(1000, 500, 900, 450)), 0.5, tile_px=224, mpp=0.5)
    assert (grid.columns, grid.rows) == (5, 3)
    assert grid.corners()[0].tolist() == [1000, 500]
    assert (grid.corners()[-1] + grid.footprint >= [1900, 950]).all()


def test_overlap_shortens_the_step() -> None:
    grid = plan_grid(reader(), 0.5, tile_px=200, mpp=0.5, overlap=0.25)
    assert grid.stride == 150
    with pytest.raises(ValueError, match="overlap in"):
        plan_grid(reader(), 0.5, tile_px=200, mpp=0.5, overlap=1.0)


@given(
    mpp=st.floats(0.1, 1.0),
    wanted=st.floats(1.0, 4.0),
    width=st.integers(1, 6000),
    px=st.integers(16, 512),
)
def test_every_pixel_of_the_slide_lies_in_a_tile(
    mpp: float,
    wanted: float,
    width: int,
    px: int,
) -> None:
    grid = plan_grid(reader(width=width), mpp, tile_px=px, mpp=wanted)
    right = grid.corners()[:, 0].max() + grid.footprint
    assert right >= width - 1e-6
    assert right - width < grid.footprint + 1e-6
    assert grid.tile_um == pytest.approx(px * grid.mpp)
    assert abs(grid.mpp / wanted - 1) <= 0.02 + 1e-9


LAZYSLIDE = {
    (0.2525, 0.55): (1, 487),
    (0.2525, 0.75): (1, 665),
    (0.2525, 1.3): (2, 1153),
    (0.2525, 1.7): (2, 1508),
    (0.2525, 2.35): (2, 2084),
    (0.2525, 3.0): (2, 2661),
    (0.2, 0.55): (1, 616),
    (0.2, 0.75): (1, 840),
    (0.2, 1.0): (2, 1120),
    (0.2, 1.7): (2, 1904),
    (0.2, 3.0): (2, 3360),
    (0.17, 0.55): (1, 724),
    (0.17, 0.75): (2, 988),
    (0.17, 1.3): (2, 1712),
    (0.17, 2.35): (2, 3096),
    (0.17, 3.0): (3, 3952),
    (0.5, 0.55): (0, 246),
    (0.5, 0.75): (0, 336),
    (0.5, 1.3): (1, 582),
    (0.5, 2.35): (2, 1052),
    (0.5, 3.0): (2, 1344),
}
"""Level and footprint of `wsidata.TileSpec.from_wsidata` (0.12.0) by µm/px of slide and tiles.

For levels 1, 2, 4 and 16 and tiles of 224 px; it knows no tolerance and rounds down.
"""


@pytest.mark.parametrize(("mpp", "wanted"), LAZYSLIDE)
def test_lazyslides_tile_specification_agrees(mpp: float, wanted: float) -> None:
    level, footprint = LAZYSLIDE[mpp, wanted]
    slide = reader(downsamples=(1, 2, 4, 16))
    grid = plan_grid(slide, mpp, tile_px=224, mpp=wanted)
    assert grid.mpp == wanted
    assert grid.level == level
    assert grid.footprint - 1 <= footprint <= grid.footprint + 1e-6


def test_a_tile_of_gigabytes_is_refused() -> None:
    with pytest.raises(
        SlideError,
        match=r"s\.svs: a tile of 4096 px at 8 µm/px covers 65,536 px a side of level 0",
    ):
        plan_grid(reader(downsamples=(1,)), 0.5, tile_px=4096, mpp=8)
    assert plan_grid(reader(), 0.5, tile_px=4096, mpp=8).read_px == 4096


def test_a_size_that_no_slide_has_is_refused() -> None:
    with pytest.raises(
        SlideError,
        match=r"make 19,9.* tiles of 224 px, 224 px apart; at most 5,000,000",
    ):
        plan_grid(reader(10**6, 10**6, (1,)), 0.5, tile_px=224, mpp=0.5)
