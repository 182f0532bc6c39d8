from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from figures.drawn import new_axes
from maps.drawn_maps import drawn_map
from small_explanations import small_explanation
from survfuse._errors import InputError, NotComputableError
from survfuse.explanations import Explanation
from survfuse.maps import SlideMap
from survfuse.maps.colours import colours


@pytest.fixture
def explanation(monkeypatch: pytest.MonkeyPatch) -> Explanation:
    """An explanation whose patients have one map, of 4 × 6 tiles of 128 µm."""
    give(monkeypatch, {"S1": drawn_map(start=(512.0, 256.0))})
    return small_explanation()


def give(patch: pytest.MonkeyPatch, maps: Mapping[str, SlideMap]) -> None:
    patch.setattr(Explanation, "slide_maps", lambda *_: dict(maps))


def test_a_map_lies_where_its_tiles_do(explanation: Explanation) -> None:
    ax = new_axes()
    assert explanation.plot_map("003", ax=ax) is ax
    paper, image = ax.images
    one = drawn_map(start=(512.0, 256.0))
    score = one.score("tile_risk")
    expected = colours(score, one.lattice.image(score.values))
    np.testing.assert_array_equal(image.get_array(), expected)
    # 6 tiles of 256 px at 0.5 µm/px from x = 512: 0.256 mm to 1.024 mm.
    np.testing.assert_allclose(image.get_extent(), [0.256, 1.024, 0.64, 0.128])
    assert ax.get_xlabel() == "mm"
    left, right, bottom, top = paper.get_extent()
    assert left < 0.256 < 1.024 < right
    assert top < 0.128 < 0.64 < bottom
    assert "no image of the slide is at hand" in ax.get_title(loc="left")


def test_the_colours_have_their_scale(explanation: Explanation) -> None:
    ax = explanation.plot_map("003", ax=new_axes())
    _, bar = ax.figure.axes
    assert bar.get_ylabel() == "log-risk"
    assert bar.get_ylim() == (-1, 1)
    ax = explanation.plot_map("003", score="cluster", ax=new_axes())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [f"cluster {number}" for number in range(5)]


def test_px_where_the_scale_is_not_known_and_grey_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give(monkeypatch, {"S1": drawn_map(mpp=None, grey=True)})
    ax = small_explanation().plot_map("003", ax=new_axes())
    assert ax.get_xlabel() == "px"
    np.testing.assert_allclose(ax.images[1].get_extent(), [0, 1536, 1024, 0], atol=1e-9)
    assert "grey: does not reproduce" in ax.get_title(loc="left")


def test_a_map_that_is_not_there_is_refused(
    explanation: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"no score 'risk'; there are: tile_risk"):
        explanation.plot_map("003", score="risk")
    with pytest.raises(InputError, match=r"slide: expected one of S1 .*; got 'S2'"):
        explanation.plot_map("003", "S2")
    one = drawn_map()
    give(monkeypatch, {"S1": one, "S2": replace(one, slide_id="S2")})
    with pytest.raises(InputError, match=r"one of S1, S2 of patient '003'; none was"):
        explanation.plot_map("003")
    give(monkeypatch, {})
    with pytest.raises(NotComputableError, match=r"patient '003' has no tiles"):
        explanation.plot_map("003")
