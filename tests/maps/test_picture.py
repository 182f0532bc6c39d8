from __future__ import annotations

from pathlib import Path

import numpy as np

from maps.drawn_maps import drawn_map
from slide_files import tiny_slide
from survfuse.maps.overlay import framed
from survfuse.maps.picture import MARGIN, map_picture
from survfuse.slides.opening import open_slide


def test_a_picture_is_the_map_with_a_legend_below(tmp_path: Path) -> None:
    drawn = drawn_map(4, 4)
    with open_slide(tiny_slide(tmp_path / "s.tiff")) as reader:
        bare, _ = framed(drawn, "attention", reader)
        sheet = map_picture(drawn, "attention", reader)
    height, width = bare.shape[:2]
    assert sheet.shape[0] > height + 100
    seen = sheet[MARGIN : MARGIN + height - 60, MARGIN : MARGIN + width]
    np.testing.assert_array_equal(seen, bare[:-60])  # above the scale bar


def test_the_extreme_tiles_have_signs_beside_their_colour() -> None:
    drawn = drawn_map(6, 4)
    bare, frame = framed(drawn, "tile_risk")
    sheet = map_picture(drawn, "tile_risk")
    for column, row, crossed in ((0, 0, False), (5, 3, True)):
        place = (np.array([column, row]) + 0.5) * 256 - (frame.x, frame.y)
        x, y = np.rint(place / frame.scale).astype(int) + MARGIN
        assert (sheet[y, x + 3] < 80).all()  # the bar of − and of +
        assert (sheet[y + 3, x] < 80).all() == crossed
    assert bare.shape[0] < sheet.shape[0]


def test_a_map_that_does_not_reproduce_marks_no_tile() -> None:
    drawn = drawn_map(6, 4, grey=True)
    bare, _ = framed(drawn, "tile_risk")
    sheet = map_picture(drawn, "tile_risk")
    height, width = bare.shape[:2]
    seen = sheet[MARGIN : MARGIN + height - 60, MARGIN : MARGIN + width]
    np.testing.assert_array_equal(seen, bare[:-60])
