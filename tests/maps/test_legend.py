from __future__ import annotations

import numpy as np
import pytest

from maps.drawn_maps import drawn_map
from survfuse.maps import Score
from survfuse.maps.legend import as_text, ends, legend, with_scale_bar


def test_a_colour_bar_names_its_ends_with_their_signs() -> None:
    score = drawn_map(limit=2.4417).score("tile_risk")
    assert [as_text(value, True) for value in ends(score)] == ["−2.44", "0", "+2.44"]
    ranks = Score("p", "P", "percentile", "diverging", np.zeros(1), 50.0, 50.0)
    assert [as_text(value, False) for value in ends(ranks)] == ["0", "50", "100"]
    shares = Score("a", "A", "share of the bag", "sequential", np.zeros(1), 0.04)
    assert ends(shares) == (0.0, 0.04)


@pytest.mark.parametrize("name", ["tile_risk", "attention", "cluster"])
def test_a_legend_has_the_width_it_is_given(name: str) -> None:
    strip = legend(drawn_map(), name, 640)
    assert strip.shape[1:] == (640, 3)
    assert 60 < strip.shape[0] < 400
    assert (strip[-1] == 255).all()


def test_a_map_that_does_not_reproduce_has_a_bar_without_hues() -> None:
    plain = legend(drawn_map(), "tile_risk", 640).astype(int)
    grey = legend(drawn_map(grey=True), "tile_risk", 640).astype(int)
    hue = [np.ptp(strip, axis=-1).max() for strip in (plain, grey)]
    assert hue[0] > 100
    assert hue[1] < 40


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    picture = np.full((400, 1000, 3), 128, np.uint8)
    drawn = with_scale_bar(
        picture, 2.0
    )  # 2,000 µm wide: a bar of 200 µm, no longer than a fifth
    dark = (drawn[400 - 19] < 64).all(axis=-1).sum()
    assert dark == 100 + 2  # px, and the frame at both sides
    assert (with_scale_bar(picture, None) == 128).all()


def test_long_texts_are_wrapped_and_never_cut_the_picture() -> None:
    says = "a word of no end: " + "x" * 400 + " and more words" * 20
    strip = legend(drawn_map(says=says), "tile_risk", 640)
    assert strip.shape[0] < 700
