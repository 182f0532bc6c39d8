from __future__ import annotations

import numpy as np
import pytest

from survfuse.maps import Lattice, Score
from survfuse.maps.colours import CATEGORIES, colours
from survfuse.maps.scores import limit_of, percentiles, smoothed


def score(**given: object) -> Score:
    plain = {"name": "s", "title": "S", "unit": "log-risk", "kind": "diverging"}
    return Score(**{**plain, "values": np.zeros(1), "limit": 2.0, **given})  # type: ignore[arg-type]


def test_colours_are_symmetric_and_blank_where_no_tile_lies() -> None:
    image = np.array([[-9.0, -1.0, 0.0, 1.0, 9.0, np.nan]])
    rgba = colours(score(), image, alpha=0.5)
    assert rgba.shape == (1, 6, 4)
    assert rgba[0, :, 3].tolist() == [128] * 5 + [0]
    low, high = rgba[0, 0, :3].astype(int), rgba[0, 4, :3].astype(int)
    assert low[2] > low[0]  # blue
    assert high[0] > high[2]  # orange


def test_what_does_not_reproduce_has_no_direction() -> None:
    rgba = colours(score(grey=True), np.array([[-1.0, 1.0]]))
    assert (rgba[0, 0] == rgba[0, 1]).all()
    assert np.ptp(rgba[0, 0, :3].astype(int)) < 20


def test_categories_have_colours_of_their_own() -> None:
    rgba = colours(score(kind="categories"), np.array([[0.0, 5.0]]))
    assert tuple(rgba[0, 1, :3]) == CATEGORIES[5]


def test_smoothing_keeps_a_constant_and_does_not_reach_beyond_tissue() -> None:
    corners = 10.0 * np.array([[0, 0], [1, 0], [2, 0], [9, 9]])
    lattice = Lattice.of(corners, 10.0)
    np.testing.assert_allclose(smoothed(np.full(4, 3.0), lattice), 3.0)
    mixed = smoothed(np.array([0.0, 1.0, 0.0, 7.0]), lattice)
    assert mixed[3] == pytest.approx(7.0)
    assert 0 < mixed[0] < mixed[1] < 1


def test_ranks_and_limits() -> None:
    assert percentiles(np.array([3.0, 1.0, 2.0, 2.0])).tolist() == [87.5, 12.5, 50, 50]
    assert limit_of(np.zeros(3)) == 1.0
    assert limit_of(np.array([-4.0, 4.0, np.nan])) == 4.0


def test_a_rank_says_nothing_of_the_risk_and_grey_nothing_of_direction() -> None:
    assert score().directions == ("lowers the risk", "raises the risk")
    ranks = score(unit="percentile", centre=50.0, limit=50.0)
    assert ranks.directions == ("below the patient's median", "above it")
    for without in ({"grey": True}, {"kind": "sequential"}, {"kind": "categories"}):
        assert score(**without).directions == ("", "")
