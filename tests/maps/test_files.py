from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maps.drawn_maps import drawn_map
from slide_files import tiny_slide
from survfuse._errors import InputError, SlideError
from survfuse.maps import FORMATS, MapOptions, file_stems, safe_stem, write_files
from survfuse.maps.files import _WRITERS, DRAWN


def test_every_format_has_a_writer() -> None:
    assert list(_WRITERS) == list(FORMATS)


def test_all_formats_are_written_beside_each_other(tmp_path: Path) -> None:
    slide = tiny_slide(tmp_path / "S1.tiff")
    drawn = replace(drawn_map(4, 4), image=slide)
    files = write_files(drawn, tmp_path / "maps")
    assert {path.name for path in files} == {
        "S1.tile_risk.png",
        "S1.cluster.png",
        "S1.tile_risk.pixels.png",
        "S1.cluster.pixels.png",
        "S1.json",
        "S1.tile_risk.tiff",
        "S1.cluster.tiff",
        "S1.geojson.gz",
        "S1.h5",
        "S1.parquet",
    }
    assert sorted(files) == sorted((tmp_path / "maps").iterdir())


def test_scores_and_formats_are_chosen(tmp_path: Path) -> None:
    drawn = drawn_map()
    pair = replace(drawn.score("tile_risk"), name="slides*clinical")
    drawn = replace(drawn, scores={**drawn.scores, "slides*clinical": pair})
    options = MapOptions(("png", "parquet"), ("slides*clinical", "absent"))
    names = [path.name for path in write_files(drawn, tmp_path, options, stem="x")]
    assert names == ["x.slides-x-clinical.png", "x.parquet"]


def test_a_slide_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "S1.svs"
    broken.write_bytes(b"no slide")
    drawn = replace(drawn_map(), image=broken)
    with pytest.raises(SlideError, match=r"S1\.svs"):
        write_files(drawn, tmp_path / "maps")
    assert write_files(
        drawn, tmp_path / "maps", MapOptions(("hdf5",))
    )  # needs no image


def test_what_is_blank_says_why(tmp_path: Path) -> None:
    blank = replace(drawn_map(), scores={}, why_blank="slides: left out")
    with pytest.raises(InputError, match="no map: slides: left out"):
        write_files(blank, tmp_path)


def test_options_that_there_are_not_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected png, pixels, tiff, .* got svg"):
        MapOptions(("svg",))
    with pytest.raises(InputError, match="expected bounds or full, got 'x'"):
        MapOptions(origin="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "a/b",
        "a\\b",
        "../x",
        "",
        "..",
        "con",
        "COM1.x",
        "ä",
        "a b",
        "x" * 300,
        "a:b*?",
        "-rf",
    ],
)
def test_names_of_files_are_safe(text: str) -> None:
    stem = safe_stem(text)
    assert stem == safe_stem(text)
    assert Path(stem).name == stem
    assert len(stem) < 100
    assert stem.isascii()
    assert not stem.startswith("-")
    assert not set(stem) & set('/\\:*?"<>| ')
    assert stem.split(".")[0].lower() not in {"con", "com1", ""}
    assert stem != safe_stem(text + "x")


def test_usual_names_stay() -> None:
    assert safe_stem("TCGA-XK-AAJU_01.svs") == "TCGA-XK-AAJU_01.svs"


def test_the_page_names_every_format_and_what_is_drawn() -> None:
    page = (Path(__file__).parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")
    for name in (*FORMATS, *DRAWN):
        assert f"`{name}`" in page


def test_no_two_ids_share_a_name_of_a_file() -> None:
    ids = ["a/b", "a_b-c14cddc0", "p1", "P1", "index", "x" * 300, "x" * 301]
    stems = file_stems(ids, ["INDEX"])
    assert list(stems) == ids
    folded = {stem.casefold() for stem in stems.values()}
    assert len(folded | {"index"}) == len(ids) + 1
    assert stems["p1"] == "p1"
