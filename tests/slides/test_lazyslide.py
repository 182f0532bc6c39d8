from __future__ import annotations

import sys

import numpy as np
import pytest

from slides import glass
from survfuse._errors import MissingExtraError
from survfuse.slides.lazyslide import stained_by_lazyslide

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
def test_what_lazyslide_finds_lies_where_it_was_painted() -> None:
    painted = glass.section((700, 1000))
    assert (
        glass.overlap(stained_by_lazyslide(painted.image, painted.mpp), painted.tissue)
        > 0.98
    )


@pytest.mark.slow
def test_holes_stay_holes() -> None:
    painted = glass.fat()
    found = stained_by_lazyslide(painted.image, painted.mpp)
    assert not found[390:410, 540:560].any()
    assert found[300, 700]


@pytest.mark.slow
def test_nothing_found_is_an_empty_mask() -> None:
    found = stained_by_lazyslide(np.full((200, 300, 3), 240, np.uint8), 8.0)
    assert found.shape == (200, 300)
    assert not found.any()


@pytest.mark.slow
def test_the_image_is_left_as_it_was() -> None:
    painted = glass.section((200, 300))
    before = painted.image.copy()
    stained_by_lazyslide(painted.image, 8.0)
    np.testing.assert_array_equal(painted.image, before)


@pytest.mark.slow
def test_why_it_is_not_the_default() -> None:
    """As it comes, it drops pieces below a thousandth of the image and finds tissue on tinted glass."""
    as_it_comes = {
        "to_hsv": False,
        "filter_artifacts": True,
        "threshold": 7,
        "min_tissue_area": 1e-3,
    }
    chips = glass.chips()
    assert (
        glass.overlap(
            stained_by_lazyslide(chips.image, 8.0, **as_it_comes),
            chips.tissue,
        )
        < 0.95
    )
    assert stained_by_lazyslide(glass.tinted().image, 8.0, **as_it_comes).mean() > 0.5


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lazyslide.pp", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'survfuse\[slides\]'"):
        stained_by_lazyslide(np.zeros((4, 4, 3), np.uint8), 8.0)
