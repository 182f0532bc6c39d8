"""The viewer as a browser shows it: places, scores, keys, and what a screen reader is told."""

from __future__ import annotations

import io
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import viewed
from browsing import DESKTOP, PHONE, opened_browser, opened_page, overflow, violations
from survfuse.cohort.slide_images import AvailableImages
from survfuse.viewer import open_slides
from survfuse.viewer.export import export_patient
from survfuse.viewer.serving import served

LOADED = "#glass-score.loaded"
APART = 1.5
"""Px of the screen by which a map may be off; a pixel of the map has 30 and more."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        defaults = open_slides.MOST_OPEN, viewed.opened
        patch.setattr(open_slides.OpenSlides.__init__, "__defaults__", defaults)
        with served(viewed.study()) as address:
            yield address


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "001.html"
    export_patient(viewed.study(), "001", path)
    return path


def patient(address: str, patient: str = "001", **look: Any) -> str:
    hash_of = "&".join(f"{name}={value}" for name, value in look.items())
    return f"{address}patient?patient={patient}#{hash_of}"


def of_slide(name: str) -> str:
    return f"slides%2F{name}"


def evaluated(page: Any, text: str) -> Any:
    return page.evaluate(f"(() => {{ const view = survfuseViews.score; {text} }})()")


def still(browser: Any, address: str, **options: Any) -> Any:
    """A page of someone who wants nothing to move."""
    return opened_page(browser, address, reduced_motion="reduce", **options)


def settle(page: Any, *, moving: bool = False) -> None:
    """Wait until the slide is there, and for the end of a movement."""
    page.wait_for_selector(LOADED)
    page.wait_for_timeout(700 if moving else 120)


def seen(page: Any) -> np.ndarray:
    """What the window of the slide shows, (height, width, 3)."""
    png = page.locator("#glass-score .openseadragon-canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def box_of(mask: np.ndarray) -> list[int]:
    """Left, top, right and lower edge of what is there."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def red_box(page: Any) -> list[int]:
    image = seen(page)
    return box_of((image[..., 0] > 150) & (image[..., 1] < 60) & (image[..., 2] < 60))


def map_box(page: Any) -> list[int]:
    """Where the canvas of the map is painted."""
    return evaluated(
        page,
        """
        const { width, height } = view.canvas;
        const data = view.canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const box = [width, height, 0, 0];
        for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) {
          if (data[(y * width + x) * 4 + 3] < 128) continue;
          box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y);
          box[2] = Math.max(box[2], x + 1); box[3] = Math.max(box[3], y + 1);
        }
        return box;
        """,
    )


def test_the_table_loads_sorts_filters_and_links(browser: Any, address: str) -> None:
    with still(browser, address) as page:
        page.wait_for_selector("tbody tr")
        assert page.locator("tbody tr").count() == 20
        assert page.title() == "Patients of tiny – survfuse viewer"
        page.get_by_role("button", name="Log-risk").click()
        cells = page.locator("tbody tr td:nth-child(4)").all_inner_texts()
        risks = [float(text.replace("−", "-")) for text in cells]
        assert risks == sorted(risks, reverse=True)
        assert page.locator("th[aria-sort=descending]").inner_text() == "Log-risk"
        page.get_by_label("site").select_option("north")
        assert page.locator("#count").inner_text() == "10 of 20 patients"
        page.get_by_label("Risk at 1095 days, % at least").fill("101")
        assert page.locator("#count").inner_text() == "0 of 20 patients"
        page.get_by_role("button", name="Show all").click()
        page.get_by_label("Patient", exact=True).fill("00")
        assert page.locator("tbody tr").count() == 9
        page.wait_for_timeout(300)
        assert page.url.endswith("?search=00&sort=-log_risk")
        page.get_by_role("link", name="002").press("Enter")
        page.wait_for_selector("#why:not([hidden])")
        assert page.locator("#why").inner_text() == "This patient has no slides."
        assert page.locator("#terms tbody tr").count() == 3 + 2
        assert page.title() == "Patient 002 – survfuse viewer"


@pytest.mark.parametrize("slide", [viewed.FIRST, viewed.SECOND])
def test_the_far_corner_of_a_map_lies_on_that_of_the_slide(
    browser: Any, address: str, slide: str
) -> None:
    look = {"slide": of_slide(slide), "score": "none"}
    with still(browser, patient(address, **look)) as page:
        settle(page)
        whole = red_box(page)
        place = viewed.PLACES[slide]
        (left, top), (columns, rows) = place["start"], place["grid"]
        end = left + columns * place["side"], top + rows * place["side"]
        at = evaluated(
            page, f"const p = view.toWindow({end[0]}, {end[1]}); return [p.x, p.y];"
        )
        np.testing.assert_allclose(at, whole[2:], atol=APART)
        page.get_by_label("Map", exact=True).select_option("percentile")
        page.get_by_label("Opacity").fill("100")
        page.wait_for_selector("#legend-score canvas")
        page.wait_for_timeout(100)
        assert whole[2] - whole[0] > 20  # px of the screen of a pixel of the map
        np.testing.assert_allclose(map_box(page)[2:], whole[2:], atol=APART)
        start = evaluated(
            page, f"const p = view.toWindow({left}, {top}); return [p.x, p.y];"
        )
        np.testing.assert_allclose(map_box(page)[:2], start, atol=APART)


@pytest.mark.parametrize("slide", [viewed.FIRST, viewed.SECOND])
def test_a_map_stays_on_the_slide_when_near(
    browser: Any, address: str, slide: str
) -> None:
    columns, rows = viewed.PLACES[slide]["grid"]
    last = columns * rows - 1
    look = {"slide": of_slide(slide), "score": "none"}
    with still(browser, patient(address, **look)) as page:
        settle(page)
        x = (
            viewed.PLACES[slide]["start"][0]
            + (columns - 1) * viewed.PLACES[slide]["side"]
        )
        y = viewed.PLACES[slide]["start"][1] + (rows - 1) * viewed.PLACES[slide]["side"]
        evaluated(page, f"view.goTo({x}, {y}, {viewed.PLACES[slide]['side']});")
        settle(page)
        page.wait_for_timeout(120)
        near = red_box(page)
        assert near[2] - near[0] > 60
        page.get_by_label("Map", exact=True).select_option("percentile")
        page.get_by_label("Opacity").fill("100")
        page.wait_for_timeout(300)
        np.testing.assert_allclose(map_box(page)[2:], near[2:], atol=APART)
        stage = page.locator("#glass-score .openseadragon-canvas").bounding_box()
        middle = (near[0] + near[2]) / 2, (near[1] + near[3]) / 2
        page.mouse.click(stage["x"] + middle[0], stage["y"] + middle[1])
        page.wait_for_selector("#panel ul.tiles")
        assert page.locator("#panel dd").first.inner_text() == str(last)


def test_colours_are_those_of_the_score(browser: Any, address: str) -> None:
    """A pixel of the map has the colour that Python gives the same value."""
    from survfuse.maps.colours import colours

    one = viewed.study().maps("001", "slides")[0][viewed.FIRST]
    expected = {}
    for name in ("percentile", "attention", "cluster"):
        expected[name] = colours(one.scores[name], one.image_of(name))[..., :3]
    assert not np.array_equal(expected["percentile"], expected["cluster"])
    with still(browser, patient(address, score="percentile", opacity=100)) as page:
        settle(page)
        for name, wanted in expected.items():
            page.get_by_label("Map", exact=True).select_option(name)
            page.wait_for_timeout(150)
            data = evaluated(
                page,
                "const b = view.bitmap; return Array.from("
                "b.getContext('2d').getImageData(0, 0, b.width, b.height).data);",
            )
            painted = np.array(data).reshape(12, 16, 4)
            assert (painted[..., 3] == 255).all()
            assert np.abs(painted[..., :3] - wanted.astype(int)).max() <= 2


def test_a_slow_score_does_not_replace_the_one_chosen_after_it(
    browser: Any, address: str
) -> None:
    with still(browser, patient(address, score="none")) as page:
        settle(page)
        page.evaluate(
            """(() => {
                const known = window.fetch;
                window.fetch = async (path) => {
                  const answer = await known(path);
                  if (path.includes("name=tile_risk&") || path.endsWith("name=tile_risk"))
                    await new Promise((done) => setTimeout(done, 400));
                  return answer;
                };
            })()"""
        )
        for name in ("tile_risk", "attention"):
            page.get_by_label("Map", exact=True).select_option(name)
        page.wait_for_timeout(600)
        assert page.locator("#caption-score").inner_text().startswith("Attention on")
        assert page.locator("#legend-score canvas").count() == 1
        texts = page.locator("#legend-score span").all_inner_texts()
        assert texts[0] == "0.00 %"
        page.get_by_label("Map", exact=True).select_option("percentile")
        page.wait_for_timeout(150)
        texts = page.locator("#legend-score span").all_inner_texts()
        assert texts == ["0 below the patient's median", "100 above it"]


def test_opacity_threshold_and_cluster_change_what_is_seen(
    browser: Any, address: str
) -> None:
    start = patient(address, score="cluster", opacity=0)
    with still(browser, start) as page:
        settle(page)
        bare = seen(page)
        page.get_by_label("Opacity").fill("80")
        page.wait_for_timeout(150)
        covered = seen(page)
        assert np.abs(covered - bare).mean() > 5
        page.get_by_label("Clusters shown").select_option("0")
        page.wait_for_timeout(150)
        some = seen(page)
        assert 0 < np.abs(some - bare).mean() < np.abs(covered - bare).mean()
        page.get_by_label("Map", exact=True).select_option("percentile")
        page.get_by_label("Hide weak tiles").fill("90")
        page.wait_for_timeout(300)
        hidden = evaluated(
            page,
            "const b = view.bitmap; return Array.from(b.getContext('2d')"
            ".getImageData(0, 0, b.width, b.height).data).filter((v, i) => i % 4 === 3 && v > 0).length;",
        )
        one = viewed.study().maps("001", "slides")[0][viewed.FIRST]
        values = one.scores["percentile"].values
        assert hidden == (np.abs(values.astype(np.float32) - 50) / 50 >= 0.9).sum()
        assert "opacity=80" in page.url
        assert "threshold=90" in page.url


def test_two_maps_move_together(browser: Any, address: str) -> None:
    start = patient(address, score="percentile", beside="cluster")
    places = (
        "return ['score', 'beside'].map((side) => {"
        "const v = survfuseViews[side].osd.viewport; const c = v.getCenter(true);"
        "return [v.getZoom(true), c.x, c.y]; });"
    )
    with opened_page(browser, start) as page:
        settle(page, moving=True)
        home = evaluated(page, places)
        np.testing.assert_allclose(home[0], home[1], rtol=1e-6)
        page.get_by_role("button", name="Zoom in").click()
        settle(page, moving=True)
        nearer = evaluated(page, places)
        np.testing.assert_allclose(nearer[0], nearer[1], rtol=1e-6)
        assert nearer[0][0] == pytest.approx(1.6 * home[0][0])
        other = page.locator("#glass-beside .openseadragon-canvas")
        other.hover()
        page.mouse.down()
        page.mouse.move(900, 500, steps=4)
        page.mouse.up()
        settle(page, moving=True)
        moved = evaluated(page, places)
        np.testing.assert_allclose(moved[0], moved[1], rtol=1e-6)
        assert moved[0][1:] != nearer[0][1:]
        page.get_by_role("button", name="Whole slide").click()
        settle(page, moving=True)
        np.testing.assert_allclose(evaluated(page, places), home, rtol=1e-6)
        assert "Clusters of tiles" in page.locator("#caption-beside").inner_text()
        page.get_by_label("Beside it").select_option("")
        assert page.locator(".view").count() == 1


def test_everything_works_by_keyboard(browser: Any, address: str) -> None:
    with still(browser, patient(address, score="percentile")) as page:
        settle(page)
        stage = page.locator("#glass-score .openseadragon-canvas")
        assert stage.get_attribute("role") == "application"
        assert "Arrow keys move" in stage.get_attribute("aria-label")
        stage.focus()
        read = "const v = view.osd.viewport; return [v.getZoom(), v.getCenter().x];"
        zoom, x = evaluated(page, read)
        page.keyboard.press("+")
        page.wait_for_timeout(150)
        nearer, _ = evaluated(page, read)
        assert nearer > zoom
        page.keyboard.press("ArrowRight", delay=150)
        page.wait_for_timeout(150)
        assert evaluated(page, read)[1] > x
        page.keyboard.press("r")
        page.keyboard.press("f")
        assert evaluated(
            page,
            "return [view.osd.viewport.getRotation(), view.osd.viewport.getFlip()];",
        ) == [0, False]
        page.keyboard.press("Enter")
        page.wait_for_selector("#panel ul.tiles")
        assert page.locator("#status").inner_text().startswith("Tile ")
        page.get_by_role("button", name="Show tile").first.press("Enter")
        page.wait_for_timeout(300)
        chosen = page.locator("tr.chosen button").inner_text()
        assert chosen.split()[-1] == page.locator("#panel dd").first.inner_text()
        page.locator("#panel .tiles button").first.press("Enter")
        page.wait_for_timeout(300)


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(DESKTOP, "light"), (PHONE, "dark")],
    ids=["desktop", "phone"],
)
def test_pages_are_accessible(
    browser: Any, address: str, viewport: dict[str, int], scheme: str
) -> None:
    look = {"viewport": viewport, "color_scheme": scheme}
    with still(browser, address, **look) as page:
        page.wait_for_selector("tbody tr")
        assert violations(page) == []
        assert overflow(page) == 0
    start = patient(address, score="cluster", beside="percentile", tile=3)
    with still(browser, start, **look) as page:
        settle(page)
        assert violations(page) == []
        assert overflow(page) == 0


def test_a_map_without_a_picture_of_its_slide(browser: Any) -> None:
    study = copy(viewed.study())
    vars(study)["_images"] = {"slides": AvailableImages({}, {}, "there are none")}
    with (
        served(study) as address,
        still(browser, patient(address, score="percentile", opacity=100)) as page,
    ):
        settle(page)
        assert (
            page.locator("#why").inner_text()
            == "No picture of the slide: there are none."
        )
        end = evaluated(page, "const p = view.toWindow(1600, 1200); return [p.x, p.y];")
        np.testing.assert_allclose(map_box(page)[2:], end, atol=APART)
        page.get_by_role("button", name="Show tile").first.click()
        page.wait_for_selector("#panel ul.tiles button")
        assert page.locator("#viewer img").count() == 0
        assert violations(page) == []


def test_an_export_opens_from_a_disk(browser: Any, exported: Path) -> None:
    look = f"#slide={of_slide(viewed.SECOND)}&score=none&opacity=100"
    with still(browser, f"file://{exported}{look}") as page:
        settle(page)
        assert violations(page) == []
        whole = red_box(page)
        page.get_by_label("Map", exact=True).select_option("percentile")
        page.wait_for_timeout(300)
        np.testing.assert_allclose(map_box(page)[2:], whole[2:], atol=APART)
        page.get_by_role("button", name="Show tile").first.click()
        page.wait_for_selector("#panel ul.tiles img")
    with still(browser, f"file://{exported}", viewport=PHONE) as page:
        settle(page)
        assert overflow(page) == 0
        assert page.locator("#listed tbody tr").count() == 20
