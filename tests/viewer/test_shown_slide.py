from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import viewed
from survfuse.maps import TilePlaces
from survfuse.viewer.bundle_study import BundleStudy
from survfuse.viewer.open_slides import OpenSlides
from survfuse.viewer.shown_slide import shown_slide, version_of
from survfuse.viewer.study import PatientSlide


@pytest.fixture
def slide() -> PatientSlide:
    return viewed.study().slide("001", ("slides", viewed.FIRST))


def test_a_slide_is_shown_with_its_map(slide: PatientSlide) -> None:
    one, record = shown_slide(viewed.study(), "001", slide, OpenSlides(), scale=2)
    assert one is not None
    assert record["map"] == one.described()
    assert record["picture"]["scale"] == 2
    assert record["version"] == version_of(slide.image)  # type: ignore[arg-type]
    assert record["why_no_map"] == record["why_no_image"] == ""


def test_a_map_of_another_slide_is_not_shown(
    slide: PatientSlide, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = viewed.study().map_of("001", slide)
    assert one is not None
    beyond = TilePlaces(one.places.corners + 1500, one.places.side)
    moved = replace(one, places=beyond), ""
    monkeypatch.setattr(BundleStudy, "map_of", lambda *_: moved)
    shown, record = shown_slide(viewed.study(), "001", slide, OpenSlides())
    assert shown is record["map"] is None
    assert record["picture"]["width"] == 1600
    assert "these are the coordinates of another slide" in record["why_no_map"]


def test_a_slide_that_cannot_be_read_leaves_its_map(
    slide: PatientSlide, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide")
    damaged = replace(slide, image=broken)
    one, record = shown_slide(viewed.study(), "001", damaged, OpenSlides())
    assert one is not None
    assert "broken.svs" in record["why_no_image"]
    assert record["version"] == ""
    assert (record["picture"]["width"], record["picture"]["levels"]) == (1600, 1)
