from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from maps.drawn_maps import drawn_map
from maps.qupath_schema import COLLECTION
from survfuse._errors import InputError
from survfuse.maps import SlideMap, qupath
from survfuse.maps.qupath import write_qupath
from survfuse.slides.reading import Level


@dataclass
class Bounded:
    """What of a slide whose scanned area is a part of level 0 is asked."""

    path = Path("scan.mrxs")
    levels = (Level(9000, 8000, 1.0),)
    bounds = (1024, 2048, 6000, 5000)
    mpp = 0.5


def read(path: Path) -> dict[str, Any]:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    text = gzip.decompress(path.read_bytes()).decode()
    loaded: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return loaded


def box(feature: dict[str, Any]) -> list[float]:
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all()
    return [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()]


def some_missing(drawn: SlideMap) -> SlideMap:
    values = drawn.score("tile_risk").values.copy()
    values[[1, 2]] = [np.nan, np.inf]
    scores = {
        **drawn.scores,
        "tile_risk": replace(drawn.score("tile_risk"), values=values),
    }
    return replace(drawn, scores=scores)


def test_tiles_have_the_form_that_qupath_documents(tmp_path: Path) -> None:
    drawn = some_missing(drawn_map(70, 60, start=(1024.0, 2048.0)))  # two chunks
    (path,) = write_qupath(tmp_path, "S1", drawn)
    assert path.name == "S1.geojson.gz"
    loaded = read(path)
    jsonschema.Draft202012Validator(COLLECTION).validate(loaded)
    features = loaded["features"]
    assert len(features) == 4200
    assert len({feature["id"] for feature in features}) == 4200
    first, last = features[0]["properties"], features[-1]["properties"]
    assert first["measurements"]["Tile risk (log-risk × 100)"] == -100
    assert last["measurements"]["Tile risk (log-risk × 100)"] == 100
    assert last["measurements"]["Attention (% of the bag)"] == pytest.approx(
        100 / 4200, rel=1e-5
    )
    assert first["classification"]["name"] == "Cluster 0"
    for feature in features[1:3]:  # they are not finite
        assert set(feature["properties"]["measurements"]) == {
            "Attention (% of the bag)"
        }
    assert box(features[-1]) == [
        1024 + 69 * 256,
        2048 + 59 * 256,
        1024 + 70 * 256,
        2048 + 60 * 256,
    ]


def test_bounds_are_taken_off_unless_the_whole_frame_is_asked_for(
    tmp_path: Path,
) -> None:
    drawn, slide = drawn_map(4, 4, start=(1024.0, 2048.0)), Bounded()
    (path,) = write_qupath(tmp_path, "cropped", drawn, slide)  # type: ignore[arg-type]
    assert box(read(path)["features"][0])[:2] == [0, 0]
    assert read(path)["survfuse"]["offset"] == [1024, 2048]
    (path,) = write_qupath(tmp_path, "full", drawn, slide, origin="full")  # type: ignore[arg-type]
    assert box(read(path)["features"][0])[:2] == [1024, 2048]
    with pytest.raises(InputError, match="expected bounds or full, got 'top'"):
        write_qupath(tmp_path, "s", drawn, slide, origin="top")  # type: ignore[arg-type]


def test_the_same_map_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        write_qupath(tmp_path, name, drawn_map())[0].read_bytes() for name in "ab"
    )
    assert first == second


def test_a_measurement_says_that_it_does_not_reproduce(tmp_path: Path) -> None:
    (path,) = write_qupath(tmp_path, "s", drawn_map(grey=True), scores=["tile_risk"])
    assert set(read(path)["features"][0]["properties"]["measurements"]) == {
        "Tile risk (log-risk × 100, does not reproduce)",
    }


def test_many_tiles_are_a_table_and_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qupath, "MOST_TILES", 15)
    drawn = some_missing(drawn_map(4, 4, start=(1024.0, 2048.0)))
    drawn = replace(drawn, slide_id="S'1$\\")
    table, script = write_qupath(tmp_path, "S1", drawn, Bounded())  # type: ignore[arg-type]
    frame = pd.read_csv(table)
    assert list(frame.columns)[:3] == ["x", "y", "cluster"]
    assert frame.loc[0, ["x", "y"]].tolist() == [0, 0]
    assert frame["Tile risk (log-risk × 100)"].isna().sum() == 2
    assert frame["Tile risk (log-risk × 100)"].iloc[-1] == 100
    text = script.read_text()
    assert "@" not in text
    assert "def table = 'S1.tiles.csv'" in text
    assert "def name = 'survfuse S\\'1$\\\\'" in text
    assert "int width = 6000" in text
    assert "double side = 256" in text
    cells = table.read_text().splitlines()[1].split(",")  # as the script reads them
    assert len(cells) == 3 + text.count("(log-risk × 100)") + text.count(
        "(% of the bag)"
    )
