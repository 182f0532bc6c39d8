from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from slides import glass
from survfuse._errors import MissingExtraError
from survfuse.slides import contact_sheet
from survfuse.slides.contact_sheet import write_contact_sheet
from survfuse.slides.geometry import Grid
from survfuse.slides.overviews import Overview
from survfuse.slides.thumbnails import KEPT, LEFT_OUT, smaller, thumbnail
from survfuse.slides.tissue import Tissue, find_tissue


class Cards(HTMLParser):
    """Cards of a page: their classes and their text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.classes: list[list[str]] = []
        self.texts: list[str] = []
        self.images = 0
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "article":
            self.classes.append((dict(attrs)["class"] or "").split())
            self.texts.append("")
        self.images += tag == "img"

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def record(slide_id: str, status: str = "done", **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "slide_id": slide_id,
        "patient_id": f"P-{slide_id}",
        "status": status,
        "reason": "",
    }
    if status in ("done", "empty"):
        known |= {
            "tiles": 1234 if status == "done" else 0,
            "chosen": 1300 if status == "done" else 0,
            "unreadable": 0,
            "dropped": {"background": 60, "pen": 6} if status == "done" else {},
            "quality": {"background": 0.08, "pen": 0.01, "blur": 412.0}
            if status == "done"
            else {},
            "slide": {"mpp": 0.25, "spacing_source": "column"},
            "tissue": {
                "source": "found",
                "area_mm2": 24.18,
                "components": 2,
                "pen_share": 0.0,
                "notes": [],
            },
        }
    return {**known, **more}


def view(painted: glass.Painted) -> tuple[Overview, Tissue, Grid]:
    seen = Overview(painted.image, painted.scale, painted.mpp)
    height, width = painted.image.shape[:2]
    grid = Grid(
        0,
        1.0,
        224,
        0.5,
        448.0,
        448.0,
        (0.0, 0.0),
        width * 16 // 448,
        height * 16 // 448,
        0.5,
    )
    return seen, find_tissue(seen, 0.5), grid


def decode(jpeg: bytes) -> npt.NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image[..., ::-1], np.uint8)


# -- the picture


@pytest.mark.parametrize("scene", ["he", "chips", "full", "blank", "blue"])
def test_a_thumbnail_is_small(scene: str) -> None:
    seen, tissue, grid = view(glass.SCENES[scene]())
    chosen = tissue.choose(grid, 0.25)
    jpeg = thumbnail(seen, tissue, grid, chosen, np.ones(len(chosen), bool))
    assert len(jpeg) <= 30_000
    assert 300 < max(decode(jpeg).shape) <= 800


def test_kept_tiles_and_tiles_left_out_look_different() -> None:
    painted = glass.section((300, 400))
    seen = Overview(np.full((300, 400, 3), 200, np.uint8), painted.scale, 8.0)
    empty = Tissue(np.zeros((300, 400), bool), painted.scale, "given", 0.0, 0)
    grid = Grid(0, 1.0, 224, 0.5, 1600.0, 1600.0, (0.0, 0.0), 4, 3, 0.5)
    picture = decode(
        thumbnail(seen, empty, grid, np.array([0, 5]), np.array([True, False])),
    ).astype(float)
    kept, left = (
        picture[20:80, 20:80].mean((0, 1)),
        picture[120:180, 120:180].mean((0, 1)),
    )
    np.testing.assert_allclose(kept, 200 * 0.86 + np.array(KEPT) * 0.14, atol=4)
    np.testing.assert_allclose(left, 200 * 0.65 + np.array(LEFT_OUT) * 0.35, atol=4)
    np.testing.assert_allclose(picture[220:280, 220:280].mean((0, 1)), 200, atol=2)


def test_the_tissue_is_outlined() -> None:
    seen, tissue, grid = view(glass.section((600, 800)))
    picture = decode(
        thumbnail(seen, tissue, grid, np.empty(0, np.int64), np.empty(0, bool)),
    ).astype(int)
    green = picture[..., 1] - np.maximum(picture[..., 0], picture[..., 2]) > 30
    assert 0.002 < green.mean() < 0.05


def test_a_tiny_slide_is_drawn_without_enlarging() -> None:
    seen = Overview(np.full((3, 5, 3), 240, np.uint8), (16, 16), 8.0)
    tissue = Tissue(np.ones((3, 5), bool), (16, 16), "everything", 0.1, 1)
    grid = Grid(0, 1.0, 224, 0.5, 448.0, 448.0, (0.0, 0.0), 1, 1, 0.5)
    assert decode(
        thumbnail(seen, tissue, grid, np.array([0]), np.array([True])),
    ).shape == (3, 5, 3)


def test_a_mask_of_another_size_than_the_overview_is_drawn() -> None:
    seen, _, grid = view(glass.section((300, 400)))
    mask = np.zeros((30, 40), bool)
    mask[5:20, 5:20] = True
    tissue = Tissue(mask, (160.0, 160.0), "given", 1.0, 1)
    chosen = tissue.choose(grid, 0.25)
    assert thumbnail(seen, tissue, grid, chosen, np.zeros(len(chosen), bool))


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    seen, tissue, grid = view(glass.section((100, 150)))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'survfuse\[slides\]'"):
        thumbnail(seen, tissue, grid, np.empty(0, np.int64), np.empty(0, bool))


# -- the page


def test_what_needs_a_look_comes_first(tmp_path: Path) -> None:
    records = [
        record("fine"),
        record("b-pen", tissue={**record("x")["tissue"], "pen_share": 0.12}),
        record("waiting", "pending"),
        record("nothing", "empty"),
        record("killer", "quarantined", reason="worker died twice (signal SIGSEGV)"),
        record("broken", "failed", reason="cannot be read"),
    ]
    page = write_contact_sheet(tmp_path, records, {})
    cards = Cards(page)
    assert page == tmp_path / "contact.html"
    names = [
        text.split()[3] for text in cards.texts
    ]  # after "no picture" and the status
    assert names == ["broken", "killer", "nothing", "waiting", "b-pen", "fine"]
    assert cards.classes[0] == ["card", "failed", "look"]
    assert cards.classes[-1] == ["card", "done"]
    assert "cannot be read" in cards.texts[0]
    assert "marker pen on 12% of the slide" in cards.texts[4]
    text = page.read_text()
    assert (
        "6 slides of 6 patients: 2 done, 1 pending, 1 empty, 1 quarantined, 1 failed; 2,468 tiles"
        in text
    )
    assert re.search(r"Needs a look\s*<span class=\"n\">4</span>", text)


def test_a_card_tells_what_is_known(tmp_path: Path) -> None:
    text = " ".join(
        Cards(write_contact_sheet(tmp_path, [record("A1")], {})).texts[0].split(),
    )
    for said in (
        "Patient P-A1",
        "Scale 0.25 µm/px (column)",
        "Tissue 24.18 mm² in 2 pieces (by colour)",
        "Tiles 1,234 (left out: 60 background, 6 pen)",
        "Background 8%",
        "Pen 1%",
        "Sharpness 412",
        "no picture",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("more", "remark"),
    [
        ({"tiles": 3, "chosen": 3}, "only 3 tiles"),
        ({"tiles": 60, "chosen": 100}, "40% of the tiles on tissue were left out"),
        ({"quality": {"background": 0.1, "pen": 0.0, "blur": 12.0}}, "looks blurred"),
        ({"tissue": {"notes": ["is it inverted?"]}}, "is it inverted?"),
        ({"slide": {"notes": ["0.5 µm/px, but 20x"]}}, "0.5 µm/px, but 20x"),
    ],
)
def test_remarks(tmp_path: Path, more: dict[str, Any], remark: str) -> None:
    cards = Cards(write_contact_sheet(tmp_path, [record("A1", **more)], {}))
    assert remark in cards.texts[0]
    assert "look" in cards.classes[0]


HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    hostile = record(
        HOSTILE,
        "failed",
        patient_id=HOSTILE,
        reason=HOSTILE,
        slide={"mpp": 0.5, "spacing_source": HOSTILE},
        tissue={
            "source": HOSTILE,
            "area_mm2": 1.0,
            "components": 1,
            "notes": [HOSTILE],
        },
    )
    page = write_contact_sheet(
        tmp_path,
        [hostile, {**hostile, "status": HOSTILE}],
        {HOSTILE: b"\xff\xd8"},
    )
    cards = Cards(page)
    assert "script" not in cards.tags
    assert cards.images == 2
    assert cards.texts[0].count(HOSTILE) == 6
    assert cards.classes[1] == ["card", "pending", "look"]


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    seen, tissue, grid = view(glass.section((200, 300)))
    jpeg = thumbnail(seen, tissue, grid, np.empty(0, np.int64), np.empty(0, bool))
    page = write_contact_sheet(
        tmp_path / "deep" / "sheet.html",
        [record("A1")],
        {"A1": jpeg},
    )
    text = page.read_text()
    assert page.name == "sheet.html"
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)[^\"'\s)]+", text)
    assert "http" not in text.replace("http-equiv", "")


def test_the_same_slides_give_the_same_bytes(tmp_path: Path) -> None:
    records = [record("A2"), record("A1"), record("A0", "failed")]
    one = write_contact_sheet(tmp_path / "1.html", records, {}).read_bytes()
    assert (
        write_contact_sheet(tmp_path / "2.html", records[::-1], {}).read_bytes() == one
    )


@pytest.mark.parametrize(
    "records",
    [[], [{}], [{"slide_id": "A1", "status": "done"}], [record("A1", tissue=None)]],
)
def test_little_known_is_no_crash(
    tmp_path: Path,
    records: list[dict[str, Any]],
) -> None:
    assert len(Cards(write_contact_sheet(tmp_path, records, {})).texts) == len(records)


def test_thousands_of_slides(tmp_path: Path) -> None:
    start = time.process_time()
    records = [record(f"S{i:05d}") for i in range(5000)]
    page = write_contact_sheet(
        tmp_path,
        records,
        dict.fromkeys((r["slide_id"] for r in records), b"x" * 25_000),
    )
    assert page.stat().st_size < 200e6
    assert time.process_time() - start < 20


def test_pictures_shrink_when_the_page_would_grow_too_large(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, tissue, grid = view(glass.section((600, 800)))
    jpeg = thumbnail(seen, tissue, grid, np.empty(0, np.int64), np.empty(0, bool))
    monkeypatch.setattr(contact_sheet, "PAGE_BYTES", 40_000)
    page = write_contact_sheet(
        tmp_path,
        [record("A1"), record("A2")],
        {"A1": jpeg, "A2": b"no picture"},
    )
    assert page.stat().st_size < 50_000
    assert Cards(page).images == 2


def test_smaller() -> None:
    seen, tissue, grid = view(glass.section((600, 800)))
    jpeg = thumbnail(seen, tissue, grid, np.empty(0, np.int64), np.empty(0, bool))
    assert len(smaller(jpeg, 5_000)) <= 5_000
    assert smaller(b"no picture", 5) == b"no picture"
