from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import viewed
from patients import ordered, painted, plain
from survfuse.cohort import load_cohort
from survfuse.explanations import Explanation, explain
from survfuse.report import patient_slides
from survfuse.report.patient_page import patient_page
from survfuse.report.patient_slides import MOST_TILES, slides_of


@pytest.fixture(scope="module")
def explanation(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    return painted(tmp_path_factory.mktemp("painted"))


def image(data: str) -> Image.Image:
    return Image.open(io.BytesIO(b64decode(data)))


def test_maps_clusters_and_tiles_have_pictures(explanation: Explanation) -> None:
    patient = explanation.patients[0]
    (bag,) = slides_of(explanation, patient, pictures=True)
    frame = explanation.tiles(patient)
    assert bag["tiles"] == len(frame)
    assert bag["why_no_pictures"] == ""
    (shown,) = bag["maps"]
    assert image(shown["picture"]).size == (shown["width"], shown["height"])
    assert shown["title"] == "Tile risk"
    assert image(bag["highest"][0]["picture"]).size == (96, 96)
    assert bag["highest"][0]["tile_risk"] == frame["tile_risk"].max()
    assert bag["lowest"][0]["tile_risk"] == frame["tile_risk"].min()
    assert len(bag["highest"]) == min(MOST_TILES, len(frame) // 2)
    own = explanation.clusters
    own = own[own["patient_id"] == patient]
    assert {row["cluster"] for row in bag["clusters"]} <= set(own["cluster"])
    sizes = [abs(row["contribution"]) for row in bag["clusters"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(own["contribution"].abs().max())
    assert all(row["picture"] for row in bag["clusters"])


def test_a_cluster_shows_a_tile_of_the_patient_in_it(explanation: Explanation) -> None:
    patient = explanation.patients[1]
    nearest = patient_slides.nearest_tiles(explanation.explained, "slides", patient)
    frame = explanation.tiles(patient).set_index("tile")
    for _, row in nearest.iterrows():
        assert frame.loc[row["tile"], "cluster"] == row["cluster"]


def test_a_page_with_pictures_is_bounded(explanation: Explanation) -> None:
    page = patient_page(explanation, explanation.patients[0])
    assert 30_000 < len(page) < 1_500_000
    assert page.count("<img ") >= 4


def test_pictures_can_be_left_out(explanation: Explanation) -> None:
    page = patient_page(explanation, explanation.patients[0], pictures=False)
    assert "<img" not in page
    assert "No map: pictures were not asked for." in plain(page)


def test_without_images_the_map_is_on_paper_and_says_so(
    explanation: Explanation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Explanation.slide_maps

    def without(self: Explanation, *names: str, **how: Any) -> dict[str, object]:
        maps = whole(self, *names, **how)
        return {name: replace(one, image=None) for name, one in maps.items()}

    monkeypatch.setattr(Explanation, "slide_maps", without)
    (bag,) = slides_of(explanation, explanation.patients[0], pictures=True)
    assert "drawn on blank paper" in bag["maps"][0]["note"]


def test_a_slide_without_places_costs_its_own_map_alone(
    explanation: Explanation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, told = Explanation.slide_maps, Explanation.tiles
    patient = explanation.patients[0]
    slide = explanation.tiles(patient)["slide"].iloc[0]

    def two_slides(self: Explanation, *names: str, **how: Any) -> pd.DataFrame:
        frame = told(self, *names, **how)
        frame.loc[frame.index[-1], "slide"] = "other"
        return frame

    def with_other(self: Explanation, *names: str, **how: Any) -> dict[str, object]:
        how["failed"][slide] = "nobody knows where its tiles lie"
        return {"other": whole(self, *names)[slide]}

    monkeypatch.setattr(Explanation, "tiles", two_slides)
    monkeypatch.setattr(Explanation, "slide_maps", with_other)
    (bag,) = slides_of(explanation, patient, pictures=True)
    assert len(bag["maps"]) == 1
    assert bag["why_no_map"] == "nobody knows where its tiles lie"
    text = plain(patient_page(explanation, patient))
    assert "No map: nobody knows where its tiles lie." in text


def test_a_slide_that_cannot_be_read_costs_its_picture_alone(
    explanation: Explanation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> Iterator[None]:
        raise OSError("gone")

    monkeypatch.setattr(patient_slides, "_opened", broken)
    (bag,) = slides_of(explanation, explanation.patients[0], pictures=True)
    assert "the slide cannot be shown (gone)" in bag["maps"][0]["note"]
    assert bag["clusters"]


def test_tiles_of_unknown_places_say_so() -> None:
    (bag,) = slides_of(ordered(), "004", pictures=True)
    assert bag["maps"] == []
    assert "it is not known where its tiles lie" in bag["why_no_map"]
    assert "it is not known where its tiles lie" in bag["why_no_pictures"]
    assert not any(row["picture"] for row in bag["clusters"])


def test_a_map_that_does_not_reproduce_says_so_and_names_no_direction(
    explanation: Explanation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = explanation.patients[0]
    assert "lower higher" in plain(patient_page(explanation, patient))
    whole = Explanation.slide_maps

    def grey(self: Explanation, *names: str, **how: Any) -> dict[str, object]:
        maps = {}
        for slide, one in whole(self, *names, **how).items():
            scores = {
                key: replace(score, grey=True) for key, score in one.scores.items()
            }
            maps[slide] = replace(one, scores=scores)
        return maps

    monkeypatch.setattr(Explanation, "slide_maps", grey)
    text = plain(patient_page(explanation, patient))
    assert "Tile risk does not reproduce , slide" in text
    assert "lower higher" not in text


@pytest.mark.parametrize("how", viewed.SPOILT)
def test_a_bad_image_costs_the_pictures_of_its_slide_alone(
    tmp_path: Path, how: str
) -> None:
    cohort = load_cohort(viewed.spoilt(tmp_path, how))
    (bag,) = slides_of(explain(viewed.model(), cohort, ["001"]), "001", pictures=True)
    notes = {shown["slide"]: shown["note"] for shown in bag["maps"]}
    assert notes[viewed.FIRST] == ""
    assert "drawn on blank paper" in notes[viewed.SECOND]
    assert re.search(viewed.SPOILT[how], notes[viewed.SECOND])
    for row in bag["highest"] + bag["lowest"]:
        assert bool(row["picture"]) == (row["slide"] == viewed.FIRST)


def test_a_slide_whose_tiles_lie_nowhere_costs_its_map_alone(tmp_path: Path) -> None:
    cohort = load_cohort(viewed.nowhere(tmp_path))
    explanation = explain(viewed.model(), cohort, ["001"])
    (bag,) = slides_of(explanation, "001", pictures=True)
    assert [shown["slide"] for shown in bag["maps"]] == [viewed.FIRST]
    assert "slide '001_20': it is not known where its tiles lie" in bag["why_no_map"]
    page = plain(patient_page(explanation, "001"))
    assert "No map of another slide: slide '001_20'" in page
