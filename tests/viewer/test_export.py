from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import viewed
from survfuse._errors import InputError, SlideError
from survfuse.slides.reading import SlideReader
from survfuse.viewer import export, open_slides
from survfuse.viewer.export import (
    MODULES,
    export_patient,
    one_script,
    page_of,
    scale_of,
)
from survfuse.viewer.open_study import open_study

STATIC = files("survfuse.viewer") / "static"


def content_of(html: str) -> Any:
    text = re.search(
        r'<script type="application/json" id="content">(.*?)</script>', html
    )
    assert text is not None
    return json.loads(text[1])


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("export") / "001.html"
    assert export_patient(viewed.study(), "001", out) == out.stat().st_size
    return out.read_text()


def test_everything_is_in_the_file(html: str) -> None:
    content = content_of(html)
    first, second = content["slides"]
    one = viewed.study().maps("001", "slides")[0][viewed.FIRST]
    values = np.frombuffer(b64decode(first["scores"]["tile_risk"]), "<f4")
    np.testing.assert_allclose(
        values.reshape(12, 16), one.image_of("tile_risk"), rtol=1e-6
    )
    last = first["record"]["picture"]["levels"] - 1
    assert b64decode(first["tiles"][f"{last}/3/2"])[:2] == b"\xff\xd8"
    listed = {str(tile["tile"]) for tile in second["record"]["listed"]}
    assert listed == second["neighbours"].keys()
    assert listed <= second["thumbnails"].keys()
    assert content["about"]["has_page"] is False
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!#|data:)', markup)


def test_only_its_own_scripts_run(html: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    bodies = re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", html, re.DOTALL)
    assert len(bodies) == 2
    for body in bodies:
        digest = b64encode(sha256(body.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert "script-src 'unsafe" not in policy[1]
    assert "default-src 'none'" in policy[1]


def test_texts_of_the_data_cannot_end_the_element() -> None:
    evil = "</script><script>alert(1)</script><!--"
    html = page_of({"about": {"patient": evil}, "slides": []})
    assert content_of(html)["about"]["patient"] == evil
    assert html.count("<script") == 3


def test_the_modules_are_all_that_the_page_imports() -> None:
    imported = set()
    for name in MODULES:
        text = (STATIC / f"{name}.js").read_text()
        imported |= set(
            re.findall(r'^import .* from "\./(\w+)\.js";$', text, re.MULTILINE)
        )
        for other in re.findall(r'from "\./(\w+)\.js"', text):
            assert MODULES.index(other) < MODULES.index(name)
    assert imported == set(MODULES) - {"export_page"}
    script = one_script(MODULES)
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    named = re.findall(
        r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE
    )
    assert sorted(named) == sorted(set(named))


@pytest.mark.parametrize(
    ("sizes", "scale"),
    [
        ([], 1),
        ([(8192, 8192)], 1),
        ([(8193, 10)], 2),
        ([(100_000, 80_000)], 16),
        ([(8192, 8192)] * 2, 1),
        ([(8192, 8192)] * 3, 2),
    ],
)
def test_large_slides_are_coarser(sizes: list[tuple[int, int]], scale: int) -> None:
    assert scale_of(sizes) == scale


def test_a_coarse_picture_has_the_coarse_levels_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export, "LONGEST_SIDE", 1000)
    export_patient(viewed.study(), "001", tmp_path / "a.html")
    slide = content_of((tmp_path / "a.html").read_text())["slides"][1]
    assert slide["record"]["picture"]["scale"] == 4
    levels = {int(name.split("/")[0]) for name in slide["tiles"]}
    assert levels == set(range(slide["record"]["picture"]["levels"]))


def test_a_patient_without_slides_and_one_who_is_not_there(tmp_path: Path) -> None:
    export_patient(viewed.study(), "002", tmp_path / "a.html")
    assert content_of((tmp_path / "a.html").read_text())["slides"] == []
    with pytest.raises(InputError, match="no such patient: 'x'"):
        export_patient(viewed.study(), "x", tmp_path / "b.html")
    assert not (tmp_path / "b.html").exists()


def test_a_slide_that_cannot_be_read_costs_its_picture_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: Path) -> SlideReader:
        if path.stem == viewed.FIRST:
            raise SlideError(f"{path}: damaged")
        return viewed.opened(path)

    defaults = open_slides.MOST_OPEN, opened
    monkeypatch.setattr(open_slides.OpenSlides.__init__, "__defaults__", defaults)
    export_patient(viewed.study(), "001", tmp_path / "a.html")
    first, second = content_of((tmp_path / "a.html").read_text())["slides"]
    assert first["tiles"] == first["thumbnails"] == {}
    assert "damaged" in first["record"]["why_no_image"]
    assert first["scores"].keys() == second["scores"].keys()
    assert second["tiles"]


@pytest.mark.parametrize("how", viewed.SPOILT)
def test_a_bad_image_costs_the_image_of_its_slide_alone(
    tmp_path: Path, how: str
) -> None:
    study, _ = open_study(viewed.bundle(), viewed.spoilt(tmp_path, how))
    export_patient(study, "001", tmp_path / "a.html")
    good, bad = content_of((tmp_path / "a.html").read_text())["slides"]
    assert good["tiles"]
    assert good["record"]["why_no_image"] == ""
    if how == "replaced":  # the map does not belong to the image
        assert not bad["scores"]
        assert re.search(viewed.SPOILT[how], bad["record"]["why_no_map"])
    else:
        assert not bad["tiles"]
        assert not bad["thumbnails"]
        assert bad["scores"]
        assert re.search(viewed.SPOILT[how], bad["record"]["why_no_image"])
