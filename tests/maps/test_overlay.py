from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maps.drawn_maps import drawn_map
from slide_files import tiny_slide
from survfuse._errors import InputError
from survfuse.maps.colours import colours
from survfuse.maps.overlay import PAPER, framed, overlay, png_bytes
from survfuse.slides.opening import open_slide


@pytest.mark.parametrize(("mpp", "step"), [(0.5, 100.0), (0.25, 113.7)])
def test_each_pixel_shows_the_tile_under_it_up_to_the_far_corner(
    tmp_path: Path, mpp: float, step: float
) -> None:
    columns, rows = int(1900 // step), int(1300 // step)
    drawn = drawn_map(columns, rows, step, mpp=mpp)
    slide = tiny_slide(tmp_path / "s.tiff", (2000, 1400), mpp, tissue=[])
    with open_slide(slide) as reader:
        picture, frame = framed(drawn, "tile_risk", reader, longest=600, alpha=1.0)
    assert picture.shape == (frame.height, frame.width, 3)
    assert max(picture.shape) == 600
    painted = colours(drawn.score("tile_risk"), drawn.image_of("tile_risk"))
    for row, column in ((0, 0), (rows - 1, columns - 1), (rows // 2, 1)):
        centre = (np.array([column, row]) + 0.5) * step
        x, y = ((centre - (frame.x, frame.y)) / frame.scale).astype(int)
        assert picture[y, x].tolist() == painted[row, column, :3].tolist()
    # The last tile ends where it should, to one px of the picture.
    edge = np.array([columns, rows]) * step
    x, y = ((edge - (frame.x, frame.y)) / frame.scale).round().astype(int)
    assert picture[y - 2, x - 2].tolist() == painted[-1, -1, :3].tolist()
    assert picture[y - 2, x + 1].min() > 230
    assert picture[y + 1, x - 2].min() > 230


def test_the_slide_is_seen_through_the_map(tmp_path: Path) -> None:
    drawn = drawn_map(4, 4)
    with open_slide(tiny_slide(tmp_path / "s.tiff")) as reader:
        bare = overlay(drawn, "tile_risk", reader, alpha=0.0).astype(int)
        half = overlay(drawn, "tile_risk", reader, alpha=0.5).astype(int)
        full = overlay(drawn, "tile_risk", reader, alpha=1.0).astype(int)
    assert np.ptp(bare) > 100
    assert np.abs(half - (bare + full) / 2).max() <= 1.5


def test_paper_lies_under_a_map_without_an_image() -> None:
    kept = np.ones(24, bool)
    kept[7] = False
    drawn = drawn_map(kept=kept, start=(1000.0, 2000.0))
    picture, frame = framed(drawn, "tile_risk")
    assert tuple(picture[0, 0]) == PAPER
    assert frame.x == pytest.approx(1000 - 2 * 256)
    hole = (
        (np.array([1000, 2000]) + 256 * 1.5 - (frame.x, frame.y)) / frame.scale
    ).astype(int)
    assert tuple(picture[hole[1], hole[0]]) == PAPER
    decoded = Image.open(io.BytesIO(png_bytes(picture)))
    np.testing.assert_array_equal(np.asarray(decoded), picture)


def test_a_map_of_another_slide_is_refused(tmp_path: Path) -> None:
    drawn = drawn_map(start=(4000.0, 0.0))
    with (
        open_slide(tiny_slide(tmp_path / "s.tiff")) as reader,
        pytest.raises(InputError, match="coordinates of another slide"),
    ):
        overlay(drawn, "tile_risk", reader)


def test_a_score_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no score 'risk'; there are: tile_risk"):
        overlay(drawn_map(), "risk")
