from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import viewed
from small_explanations import bundle_folder, cohort_file
from survfuse._storage import to_json
from survfuse.viewer.application import make_application
from survfuse.viewer.open_slides import OpenSlides
from survfuse.viewer.open_study import open_study

SLIDE = {"patient": "001", "modality": "slides", "slide": viewed.FIRST}
OTHER = {**SLIDE, "slide": viewed.SECOND}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    slides = OpenSlides(opener=viewed.opened)
    application = make_application(viewed.study(), slides)
    with TestClient(application, base_url="http://127.0.0.1:8000") as client:
        yield client
    slides.close()


def asked(client: TestClient, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer


def test_the_table_has_every_patient(client: TestClient) -> None:
    table = asked(client, "/api/study").json()
    assert table["patients"] == len(table["values"][0]) == 20
    keys = [column["key"] for column in table["columns"]]
    assert keys[:3] == ["patient_id", "risk", "risk_group"]
    site = table["columns"][keys.index("group.site")]
    assert site["choices"] == ["north", "south"]
    assert table["values"][keys.index("bag.slides")][:2] == [2, 0]


def test_a_patient_with_slides_and_one_without(client: TestClient) -> None:
    one = asked(client, "/api/patient", patient="001").json()
    assert [slide["slide"] for slide in one["slides"]] == [viewed.FIRST, viewed.SECOND]
    assert {row["name"] for row in one["terms"]["rows"]} >= {"clinical", "slides"}
    assert asked(client, "/api/patient", patient="002").json()["slides"] == []


def test_a_slide_says_where_picture_and_map_lie(client: TestClient) -> None:
    record = asked(client, "/api/slide", **OTHER).json()
    assert record["picture"] == {
        "width": 2400, "height": 1600, "left": 400, "top": 200, "scale": 1, "tile": 512,
        "levels": 13,
    }  # fmt: skip
    assert record["map"]["mpp"] == 0.25
    np.testing.assert_allclose(record["map"]["origin"], [400, 200])
    assert len(record["listed"]) == 20
    values = [tile["contribution"] for tile in record["listed"]]
    assert values == sorted(values, reverse=True)


def test_scores_and_numbers_are_those_of_the_map(client: TestClient) -> None:
    one = viewed.study().maps("001", "slides")[0][viewed.FIRST]
    content = asked(client, "/api/score", **SLIDE, name="contribution").content
    values = np.frombuffer(content, "<f4").reshape(12, 16)
    np.testing.assert_allclose(values, one.image_of("contribution"), rtol=1e-6)
    content = asked(client, "/api/numbers", **SLIDE).content
    numbers = np.frombuffer(content, "<i4").reshape(12, 16)
    assert numbers[11, 15] == 191
    assert sorted(numbers.ravel()) == list(range(192))


def test_tiles_are_pictures_that_a_browser_keeps(client: TestClient) -> None:
    place = {"level": 12, "column": 4, "row": 3}
    answer = asked(client, "/tile", **OTHER, **place)
    image = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert image.shape == (64, 352, 3)
    assert np.abs(image[-20, -20].astype(int) - viewed.RED).max() < 12
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(
        "/tile",
        params={**OTHER, **place},
        headers={"If-None-Match": answer.headers["etag"]},
    )
    assert (again.status_code, again.content) == (304, b"")


def test_a_thumbnail_and_neighbours_of_a_tile(client: TestClient) -> None:
    picture = asked(client, "/thumbnail", **SLIDE, tile=191)
    image = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert image.shape == (112, 112, 3)
    assert np.abs(image.astype(int) - viewed.RED).max() < 12
    found = asked(client, "/api/neighbours", **SLIDE, tile=3).json()
    distances = [tile["distance"] for tile in found["tiles"]]
    assert distances == sorted(distances)
    assert 0 < len(distances) <= 6


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("/api/patient", {"patient": "../etc"}, "no such patient: '../etc'"),
        (
            "/api/slide",
            {**SLIDE, "slide": "x"},
            "patient 001: no slide 'x' of 'slides'",
        ),
        ("/api/slide", {**SLIDE, "patient": "002"}, "there are: none"),
        ("/api/score", {**SLIDE, "name": "x"}, "no score 'x'; there are: tile_risk"),
        (
            "/api/neighbours",
            {**SLIDE, "tile": 192},
            "expected a tile 0 to 191, got 192",
        ),
        (
            "/tile",
            {**SLIDE, "level": 99, "column": 0, "row": 0},
            "level: expected 0 to",
        ),
        ("/thumbnail", {**SLIDE, "tile": -1}, "expected a tile 0 to 191, got -1"),
    ],
)
def test_what_is_not_there(
    client: TestClient, path: str, parameters: dict[str, Any], said: str
) -> None:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 404
    assert said in answer.text


def test_pages_and_files_of_ours(client: TestClient) -> None:
    for path in ("/", "/patient", "/static/table.js", "/static/openseadragon.min.js"):
        assert asked(client, path).content
    assert client.get("/static/../application.py").status_code == 404
    page = asked(client, "/page", patient="001")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "001" in page.text


def test_slides_without_places_of_tiles_or_pictures_say_so() -> None:
    study, _ = open_study(bundle_folder(), cohort_file())
    with TestClient(make_application(study), base_url="http://localhost") as client:
        place = {"patient": "001", "modality": "slides", "slide": "001_0"}
        record = asked(client, "/api/slide", **place).json()
        assert record["map"] is record["picture"] is None
        assert "not known where its tiles lie" in record["why_no_map"]
        assert "nothing says where the images lie" in record["why_no_image"]
        for path in ("/api/score?name=x", "/tile?level=0&column=0&row=0"):
            more = "&".join(f"{key}={value}" for key, value in place.items())
            assert client.get(f"{path}&{more}").status_code == 404


@pytest.mark.parametrize("how", viewed.SPOILT)
def test_a_bad_image_costs_the_image_of_its_slide_alone(
    tmp_path: Path, how: str
) -> None:
    study, _ = open_study(viewed.bundle(), viewed.spoilt(tmp_path, how))
    with TestClient(make_application(study), base_url="http://localhost") as client:
        good = asked(client, "/api/slide", **SLIDE).json()
        assert good["version"]
        assert good["why_no_image"] == ""
        assert asked(client, "/thumbnail", **SLIDE, tile=0).content
        bad = asked(client, "/api/slide", **OTHER).json()
        if how == "replaced":  # the map does not belong to the image
            assert bad["map"] is None
            assert re.search(viewed.SPOILT[how], bad["why_no_map"])
        else:
            assert bad["version"] == ""  # the map is on blank paper
            assert bad["map"] == asked_map(OTHER)
            assert re.search(viewed.SPOILT[how], bad["why_no_image"])
        answer = client.get("/thumbnail", params={**OTHER, "tile": 0})
        assert answer.status_code in (404, 500)
        assert re.search(viewed.SPOILT[how], answer.text)


def asked_map(slide: dict[str, str]) -> Any:
    """The map of a slide as it is with every image in order."""
    study = viewed.study()
    one = study.maps(slide["patient"], slide["modality"])[0][slide["slide"]]
    return json.loads(to_json(one.described()))
