from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import viewed
from painted_explanation import painted_cohort, painted_explanation, painted_model
from small_explanations import small_explanation
from survfuse._errors import InputError
from survfuse.cohort import load_cohort
from survfuse.explanations import explain
from survfuse.explanations import slide_maps as making
from survfuse.explanations.bag_terms import BagTerm
from survfuse.maps import MapOptions, SlideMap
from survfuse.results.explanation_maps import NO_BOUNDS, MapRecord, write_maps

QUICK = MapOptions(("pixels", "qupath"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MapRecord]:
    folder = tmp_path_factory.mktemp("maps")
    return folder, write_maps(painted_explanation(), folder, QUICK)


def test_each_patient_has_a_folder_and_each_file_is_recorded(
    written: tuple[Path, MapRecord],
) -> None:
    folder, record = written
    told = json.loads(json.dumps(record.described()))
    assert told["failed"] == []
    assert told["blank"] == {}
    assert {row["patient_id"] for row in told["slides"]} == set(
        painted_cohort().patients
    )
    names = [name for row in told["slides"] for name in row["files"]] + told[
        "galleries"
    ]
    there = {
        p.relative_to(folder / "maps").as_posix()
        for p in folder.rglob("*")
        if p.is_file()
    }
    assert set(names) == there
    assert len(names) == len(there)
    assert "clusters.png" in there


def test_tiles_of_qupath_have_the_values_of_the_table(
    written: tuple[Path, MapRecord],
) -> None:
    folder, record = written
    row = record.slides[0]
    (name,) = (name for name in row["files"] if name.endswith(".geojson.gz"))
    features = json.loads(gzip.decompress((folder / "maps" / name).read_bytes()))[
        "features"
    ]
    frame = painted_explanation().tiles(row["patient_id"])
    frame = frame[frame["slide"] == row["slide_id"]]
    assert len(features) == len(frame) == row["tiles"]
    for feature, (_, tile) in zip(features, frame.iterrows(), strict=True):
        assert feature["geometry"]["coordinates"][0][0] == [tile["x"], tile["y"]]
        measured = feature["properties"]["measurements"]
        key = next(
            key for key in measured if key.startswith("Tile risk (log-risk × 100")
        )
        assert measured[key] == pytest.approx(100 * tile["tile_risk"], rel=1e-5)


def test_pictures_are_named_by_their_score(tmp_path: Path) -> None:
    explanation = explain(
        painted_model(), painted_cohort(), painted_cohort().patients[:1]
    )
    options = MapOptions(("tiff", "png"), ("attention", "tile_risk"))
    record = write_maps(explanation, tmp_path, options, gallery=False)
    for row in record.slides:
        assert list(row["pictures"]) == ["attention", "tile_risk"]
        for score, name in row["pictures"].items():
            assert name in row["files"]
            assert name.endswith(f".{score}.png")
            assert (tmp_path / "maps" / name).exists()


def test_galleries_are_pictures_of_tiles(written: tuple[Path, MapRecord]) -> None:
    folder, record = written
    picture = np.asarray(
        Image.open(folder / "maps" / record.galleries[0]).convert("RGB")
    )
    assert np.ptp(picture[:, picture.shape[1] // 2 :]) > 100


def test_one_slide_that_fails_costs_one_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explanation = explain(
        painted_model(), painted_cohort(), painted_cohort().patients[:2]
    )
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no slide")
    usual = making.slide_maps

    def damaged(
        explanation: Any, patient: str, *given: Any, **how: Any
    ) -> dict[str, SlideMap]:
        maps = usual(explanation, patient, *given, **how)
        if patient != explanation.patients[0]:
            return maps
        return {key: replace(one, image=broken) for key, one in maps.items()}

    monkeypatch.setattr("survfuse.results.explanation_maps.slide_maps", damaged)
    record = write_maps(
        explanation, tmp_path / "out", MapOptions(("hdf5", "tiff")), gallery=False
    )
    first, second = explanation.patients
    assert [row["patient_id"] for row in record.failed] == [first]
    assert "broken.tif" in record.failed[0]["reason"]
    assert {row["patient_id"] for row in record.slides} == {second}
    assert not [
        p for p in (tmp_path / "out").rglob("*") if p.is_file() and first in p.parts
    ]


def test_tiles_of_unknown_places_have_no_map_and_say_so(tmp_path: Path) -> None:
    record = write_maps(small_explanation(), tmp_path, QUICK)
    assert record.slides == []
    assert len(record.failed) == 25
    assert "not known where its tiles lie" in record.failed[0]["reason"]
    assert not list(tmp_path.rglob("*.gz"))


def test_a_modality_that_is_left_out_is_blank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_out(*_: Any, **__: Any) -> None:
        raise InputError("slides: the model leaves it out")

    monkeypatch.setattr(making, "tiles", left_out)
    explanation = explain(
        painted_model(), painted_cohort(), painted_cohort().patients[:1]
    )
    record = write_maps(explanation, tmp_path, QUICK)
    if record.slides:  # interactions with slides keep their map
        assert all(
            "*" in name
            for row in record.slides
            for name in row["files"]
            if "png" in name
        )
    else:
        assert record.blank == {"slides": "slides: the model leaves it out"}


def test_slides_that_no_term_reads_are_blank_wherever_their_tiles_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_out(*_: Any) -> None:
        raise InputError("slides: the model leaves it out")

    explanation = explain(painted_model(), painted_cohort(), painted_cohort().patients)
    read = [name for name in explanation.terms if "slides" not in name]
    vars(explanation)["terms"] = explanation.terms[read]
    monkeypatch.setattr(BagTerm, "of", left_out)
    monkeypatch.setattr(making, "slide_maps", None)  # not called
    record = write_maps(explanation, tmp_path, QUICK)
    assert record.blank == {"slides": "slides: the model leaves it out"}
    assert record.failed == record.slides == []


def test_a_score_that_no_map_has_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="no map has risk; there are: tile_risk, "):
        write_maps(painted_explanation(), tmp_path, MapOptions(scores=("risk",)))
    assert not list(tmp_path.iterdir())


def test_without_an_image_qupath_has_no_bounds_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = painted_cohort().patients[:1]
    explanation = explain(painted_model(), painted_cohort(), patients)
    usual = making.slide_maps

    def without(*given: Any, **how: Any) -> dict[str, SlideMap]:
        maps = usual(*given, **how)
        return {key: replace(one, image=None) for key, one in maps.items()}

    monkeypatch.setattr("survfuse.results.explanation_maps.slide_maps", without)
    for number, (origin, told) in enumerate([("bounds", True), ("full", False)]):
        options = MapOptions(("qupath",), origin=origin)  # type: ignore[arg-type]
        out = tmp_path / str(number)
        record = write_maps(explanation, out, options, gallery=False)
        assert (NO_BOUNDS in record.described()["notes"]) == told


def test_a_score_is_looked_for_in_the_first_slide_that_has_a_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = painted_cohort().patients[:2]
    explanation = explain(painted_model(), painted_cohort(), patients)
    usual = making.slide_maps

    def partly(
        explanation: Any, patient: str, *given: Any, failed: dict[str, str]
    ) -> dict[str, SlideMap]:
        maps = usual(explanation, patient, *given, failed=failed)
        if patient != patients[0]:
            return maps
        failed |= dict.fromkeys(maps, "no places")
        return {}

    monkeypatch.setattr("survfuse.results.explanation_maps.slide_maps", partly)
    options = MapOptions(("parquet",), ("tile_risk",))
    record = write_maps(explanation, tmp_path, options, gallery=False)
    assert [row["patient_id"] for row in record.failed] == [patients[0]]
    assert [row["patient_id"] for row in record.slides] == [patients[1]]


def test_galleries_are_named_below_the_folder_of_maps_whatever_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = painted_cohort().patients[:1]
    explanation = explain(painted_model(), painted_cohort(), patients)
    monkeypatch.setattr(
        "survfuse.results.explanation_maps.file_stems",
        lambda texts, taken=(): dict.fromkeys(texts, "maps"),
    )
    record = write_maps(explanation, tmp_path, MapOptions(("parquet",)))
    assert record.galleries == ["maps/tiles.png", "clusters.png"]
    for name in record.galleries:
        assert (tmp_path / "maps" / name).is_file()


@pytest.mark.parametrize("how", ["absent", "empty", "cut", "replaced"])
def test_a_bad_image_costs_one_slide(tmp_path: Path, how: str) -> None:
    cohort = load_cohort(viewed.spoilt(tmp_path, how))
    explanation = explain(viewed.model(), cohort, ["001"])
    options = MapOptions(("png", "hdf5"), ("tile_risk",))
    record = write_maps(explanation, tmp_path / "out", options)
    images = {row["slide_id"]: row["image"] for row in record.slides}
    assert images[viewed.FIRST]
    assert "001/tiles.png" in record.galleries
    if how == "absent":
        assert images == {viewed.FIRST: True, viewed.SECOND: False}
        said = " ".join(record.notes)
    else:
        (row,) = record.failed
        assert row["slide_id"] == viewed.SECOND
        said = row["reason"]
    assert re.search(viewed.SPOILT[how], said)


def test_ids_that_make_the_same_name_keep_apart(tmp_path: Path) -> None:
    ids = ["clusters.png", "a/b", "a_b-c14cddc0", "p1", "P1", "maps", "-rf", ".."]
    cohort = load_cohort(viewed.renamed(tmp_path / "cohort", ids))
    explanation = explain(viewed.model(), cohort, ids)
    record = write_maps(explanation, tmp_path / "out", MapOptions(("pixels",)))
    files = [name for row in record.slides for name in row["files"]]
    files += record.galleries
    assert len({name.casefold() for name in files}) == len(files)
    root = tmp_path / "out" / "maps"
    there = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    assert sorted(there) == sorted(files)
    homes = {row["patient_id"]: row["files"][0].split("/")[0] for row in record.slides}
    assert len({home.casefold() for home in homes.values()}) == len(ids)
    assert not [home for home in homes.values() if home.startswith("-")]


@pytest.mark.parametrize(
    ("side", "said"),
    [(1e9, r"tiles of 1e\+09 px, expected at most"), (1e5, "tiles of 100000 px, but ")],
)
def test_tiles_larger_than_a_slide_are_refused(
    tmp_path: Path, side: float, said: str
) -> None:
    cohort = load_cohort(viewed.vast(tmp_path, side))
    record = write_maps(
        explain(viewed.model(), cohort, ["001"]),
        tmp_path / "out",
        MapOptions(("png",), ("tile_risk",)),
    )
    assert [row["slide_id"] for row in record.slides] == [viewed.FIRST]
    (row,) = record.failed
    assert re.search(said, row["reason"])
    assert "001/tiles.png" in record.galleries
