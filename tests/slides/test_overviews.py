"""A whole slide at low magnification, damaged or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slide_files import cut_in_the_middle, tiny_slide
from survfuse._errors import SlideError
from survfuse.slides import overviews
from survfuse.slides.opening import open_slide
from survfuse.slides.overviews import at_least, overview


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_slide(tmp_path_factory.mktemp("slides") / "a.tif", size=(1100, 900))


def test_an_overview_is_the_slide_made_small(
    slide: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_slide(slide) as reader:
        whole = overview(reader, 0.5, target_mpp=8.0)
        assert whole.image.shape == (56, 69, 3)
        assert whole.mpp == pytest.approx(8.0, rel=0.01)
        assert whole.scale == (1100 / 69, 900 / 56)
        exact = reader.region(2, 0, 0, 275, 225).astype(float)
        assert whole.image.mean() == pytest.approx(exact.mean(), abs=1)
        monkeypatch.setattr(overviews, "_STRIP_PIXELS", 3000)
        in_strips = overview(reader, 0.5, target_mpp=8.0).image
        assert np.abs(in_strips.astype(int) - whole.image).mean() < 2
        monkeypatch.setattr(overviews, "MOST_PIXELS", 1000)
        small = overview(reader, 0.5, target_mpp=8.0)
        assert small.image.shape[0] * small.image.shape[1] <= 1050
        assert small.mpp > 15


def test_a_little_damage_is_white_and_counted(tmp_path: Path) -> None:
    how = {"size": 4096, "levels": 1, "tissue": [(0, 0, 4096, 4096)]}
    broken = cut_in_the_middle(tiny_slide(tmp_path / "broken.tif", **how), share=0.01)
    with (
        open_slide(tiny_slide(tmp_path / "whole.tif", **how)) as one,
        open_slide(broken) as other,
    ):
        whole, some = overview(one, 0.5), overview(other, 0.5)
        assert whole.lost == 0
        assert 0 < some.lost <= 0.03
        differs = (whole.image != some.image).any(axis=2)
        assert (some.image[differs] == 255).all(
            axis=1,
        ).mean() > 0.8  # the rest: resampling beside it
        assert differs.mean() == pytest.approx(some.lost, abs=0.01)


def test_a_slide_that_is_damaged_all_over_is_refused(tmp_path: Path) -> None:
    path = tiny_slide(
        tmp_path / "a.tif",
        size=2048,
        levels=1,
        tissue=[(0, 0, 2048, 2048)],
    )
    with (
        open_slide(cut_in_the_middle(path)) as reader,
        pytest.raises(
            SlideError,
            match=r"a\.tif: more than 5% of the slide cannot be read",
        ),
    ):
        overview(reader, 0.5)


def test_a_small_slide_is_seen_larger_for_its_picture(slide: Path) -> None:
    with open_slide(slide) as reader:
        view = overview(reader, 0.5)
        finer = at_least(reader, view, 0.5)
        assert max(view.image.shape) == 69
        assert 400 <= max(finer.image.shape) <= 1100
        assert finer.mpp < view.mpp
        assert at_least(reader, finer, 0.5) is finer
        assert np.abs(finer.image.mean() - view.image.mean()) < 1
