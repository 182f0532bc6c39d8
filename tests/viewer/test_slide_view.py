from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import viewed
from survfuse._errors import InputError
from survfuse.maps import Score, SlideMap, TilePlaces
from survfuse.viewer.deep_zoom import Picture
from survfuse.viewer.slide_view import (
    listed_tiles,
    palettes,
    picture_around,
    picture_of,
    slide_record,
    tile_numbers,
    tile_record,
)


@pytest.fixture
def one() -> SlideMap:
    return viewed.study().maps("001", "slides")[0][viewed.FIRST]


def test_a_coarser_picture_has_fewer_levels() -> None:
    whole = Picture(60_001, 40_000, 5, 6)
    fine, coarse = picture_of(whole), picture_of(whole, scale=8)
    assert (fine["levels"], coarse["levels"]) == (17, 14)
    assert coarse["width"] == 60_001 / 8
    assert (coarse["left"], coarse["top"]) == (5, 6)  # of level 0, whatever the scale


def test_without_an_image_the_picture_lies_around_the_tiles() -> None:
    places = TilePlaces(np.array([[1000.0, 500.0], [1100.0, 700.0]]), 100.0)
    picture = picture_around(SlideMap("p", "slides", "s", places, {}))
    assert (picture.left, picture.top) == (1000, 500)
    assert (picture.width, picture.height) == (200, 300)
    assert picture.grid(picture.levels - 1) == (1, 1)


def test_numbers_of_tiles_are_where_they_lie() -> None:
    places = TilePlaces(np.array([[100.0, 0.0], [0.0, 100.0], [0.0, 0.0]]), 100.0)
    one = SlideMap("p", "slides", "s", places, {})
    np.testing.assert_array_equal(tile_numbers(one), [[2, 0], [1, -1]])


def test_listed_tiles_are_the_highest_and_the_lowest(one: SlideMap) -> None:
    listed = listed_tiles(one, most=3)
    order = np.argsort(-one.scores["contribution"].values, kind="stable")
    assert [tile["tile"] for tile in listed] == [*order[:3], *order[-3:]]
    assert listed_tiles(replace(one, scores={})) == []
    assert len(listed_tiles(one, most=1000)) == one.tiles


def test_a_tile_has_its_scores_and_place(one: SlideMap) -> None:
    record = tile_record(one, 17)
    assert (record["row"], record["column"], record["x"], record["y"]) == (
        1,
        1,
        100,
        100,
    )
    assert record["contribution"] == one.scores["contribution"].values[17]
    assert record["share"] == one.scores["attention"].values[17]
    assert tile_record(replace(one, clusters=None), 0)["cluster"] is None
    with pytest.raises(InputError, match="expected a tile 0 to 191, got 192"):
        tile_record(one, 192)


def test_a_record_without_a_map() -> None:
    record = slide_record(None, None, why_no_map="there is none")
    assert record == {
        "map": None, "listed_by": "", "listed": [], "picture": None, "why_no_map": "there is none",
    }  # fmt: skip


def test_every_kind_of_score_has_two_palettes_of_rgb() -> None:
    offered = palettes()
    assert len(offered["diverging"]) == len(offered["sequential"]) == 2
    for kind in ("diverging", "sequential", "categories"):
        for stops in offered[kind].values():
            assert all(len(rgb) == 3 and max(rgb) <= 255 for rgb in stops)


def test_of_an_interaction_alone_its_contributions_are_listed(one: SlideMap) -> None:
    values = np.arange(float(one.tiles))
    pair = Score("slides*a", "Contribution to a", "log-risk", "diverging", values, 1.0)
    alone = replace(one, scores={"slides*a": pair})
    record = slide_record(alone, None)
    assert record["listed_by"] == "Contribution to a"
    assert record["listed"][0]["contribution"] == values.max()
    assert "risk" not in record["listed"][0]
    assert slide_record(one, None)["listed_by"] == "Contribution"
