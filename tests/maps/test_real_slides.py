"""Maps of real slides, of a model of painted slides of the same encoder; and of scanned parts."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import jsonschema
import numpy as np
import openslide
import pandas as pd
import pytest
import tifffile
import yaml

from leica_slides import leica_slide
from maps.qupath_schema import COLLECTION
from painted_explanation import extracted, painted_model
from slide_files import GLASS, tissue_pixels
from survfuse.cohort import load_cohort
from survfuse.explanations import Explanation, explain
from survfuse.maps import MapOptions, SlideMap, write_files
from survfuse.maps.colours import colours
from survfuse.maps.overlay import framed
from survfuse.slides.opening import open_slide

AT, PART = (1500, 2250), 1024


def explained(
    folder: Path, rows: list[tuple[str, str, str, Any]], *words: str
) -> Explanation:
    """Extract slides with the encoder of the painted ones and explain their patients."""
    columns = ["slide_id", "patient_id", "path", "mpp"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "slides.csv", index=False)
    slides = {
        "table": "slides.csv",
        "features": "features/",
        "encoder": "stain_texture",
    }
    cohort = folder / "cohort.yaml"
    cohort.write_text(yaml.safe_dump({"name": "real", "slides": slides}))
    extracted(cohort, *words)
    return explain(painted_model(), load_cohort(cohort, need_outcome=False))


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    slides = shared_data / "slides"
    return explained(
        tmp_path_factory.mktemp("real"),
        [
            (
                "CMU",
                "A",
                str(slides / "CMU-1-Small-Region.svs"),
                "",
            ),  # tells 0.499 µm/px
            ("tcga cr", "B", str(slides / "tcga-cr-7395-01a-01-ts1.svs"), 0.25),
            ("boxes", "C", str(slides / "openslide_boxes.tiff"), 0.5),
        ],
        "--tissue=everything",
    )


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> SlideMap:
    """Map of a slide whose scanned area begins at 1500, 2250; tissue fills its middle half."""
    folder = tmp_path_factory.mktemp("part")
    image = np.full((PART, PART, 3), GLASS, np.uint8)
    image[256:768, 256:768] = tissue_pixels(512, 512, np.random.default_rng(0))
    pyramid = [image]
    for side in (512, 256):
        pyramid.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
    leica_slide(folder / "part.scn", pyramid, 5000, AT)
    explanation = explained(folder, [("part", "E", "part.scn", "")])
    return explanation.slide_maps("E")["part"]


@pytest.mark.parametrize("patient", ["A", "B", "C"])
def test_real_slides_have_maps_that_others_can_read(
    real: Explanation, patient: str, tmp_path: Path
) -> None:
    (slide_map,) = real.slide_maps(patient).values()
    options = MapOptions(("tiff", "qupath", "hdf5"), ("tile_risk",))
    tiff, geojson, table = write_files(slide_map, tmp_path, options, stem="m")
    assert slide_map.image is not None
    with (
        openslide.OpenSlide(slide_map.image) as slide,
        openslide.OpenSlide(tiff) as drawn,
    ):
        with tifffile.TiffFile(tiff) as file:
            told = json.loads(file.pages[0].description)
            assert len(file.pages) == drawn.level_count
        scale = told["level0_px_per_px"]
        for own, whole in zip(drawn.dimensions, slide.dimensions, strict=True):
            assert own == int(np.ceil(whole / scale))
        pixels = np.asarray(drawn.read_region((0, 0), 0, drawn.dimensions))
    painted = colours(slide_map.score("tile_risk"), slide_map.image_of("tile_risk"))
    lattice = slide_map.lattice
    for tile, corner in enumerate(slide_map.places.corners):
        x, y = ((corner + slide_map.side / 2) / scale).astype(int).tolist()
        if x < pixels.shape[1] and y < pixels.shape[0]:
            expected = painted[lattice.row[tile], lattice.column[tile]]
            assert pixels[y, x].tolist() == expected.tolist()
    loaded = json.loads(gzip.decompress(geojson.read_bytes()))
    jsonschema.Draft202012Validator(COLLECTION).validate(loaded)
    first = loaded["features"][0]["geometry"]["coordinates"][0][0]
    assert first == slide_map.places.corners[0].tolist()
    with h5py.File(table) as file:
        np.testing.assert_array_equal(file["coords"][:], slide_map.places.corners)


def test_slides_of_two_spacings_have_tiles_of_one_size_in_micrometres(
    real: Explanation,
) -> None:
    sides = {}
    for patient in "AB":
        (one,) = real.slide_maps(patient).values()
        assert one.mpp is not None
        sides[one.mpp] = one.side * one.mpp
    assert set(sides) == {0.499, 0.25}
    assert list(sides.values()) == pytest.approx([112.0, 112.0], rel=0.01)


@pytest.mark.parametrize(("origin", "offset"), [("bounds", AT), ("full", (0, 0))])
def test_tiles_of_a_scanned_part_lie_on_its_tissue(
    part: SlideMap, tmp_path: Path, origin: Any, offset: tuple[int, int]
) -> None:
    (path,) = write_files(part, tmp_path, MapOptions(("qupath",), origin=origin))
    features = json.loads(gzip.decompress(path.read_bytes()))["features"]
    rings = np.array([one["geometry"]["coordinates"][0] for one in features])
    assert part.image is not None
    with openslide.OpenSlide(part.image) as slide:
        assert slide.properties["openslide.bounds-x"] == str(AT[0])
        side = round(part.side)
        for left, top in (rings.min(axis=1) + offset).astype(int).tolist():
            tile = np.asarray(slide.read_region((left, top), 0, (side, side)))[..., :3]
            assert (tile.min(axis=-1) < 200).mean() > 0.2  # stained
    tissue = np.array([AT, AT]) - offset + [[256, 256], [768, 768]]
    assert (rings.max(axis=(0, 1)) > tissue[0]).all()
    assert (rings.min(axis=(0, 1)) < tissue[1]).all()
    # The far corner: the last tile ends less than its side beyond the tissue.
    assert (np.abs(rings.max(axis=(0, 1)) - tissue[1]) < part.side).all()


def test_the_overlay_of_a_scanned_part_shows_that_part(part: SlideMap) -> None:
    assert part.image is not None
    with open_slide(part.image) as reader:
        assert reader.bounds == (*AT, PART, PART)
        bare, frame = framed(part, "tile_risk", reader, alpha=0.0)
        shown, _ = framed(part, "tile_risk", reader, alpha=1.0)
    assert (frame.x, frame.y) == pytest.approx(AT, abs=frame.scale[0])
    assert frame.width * frame.scale[0] == pytest.approx(PART, abs=2 * frame.scale[0])
    changed = (bare != shown).any(axis=-1)
    rows, columns = np.nonzero(changed)
    far = np.array([columns.max() + 1, rows.max() + 1]) * frame.scale + (
        frame.x,
        frame.y,
    )
    last = part.places.corners.max(axis=0) + part.side
    assert np.abs(far - last).max() <= 2 * max(
        frame.scale
    )  # px of the picture, not of the map


def test_tiff_of_a_scanned_part_has_the_whole_frame(
    part: SlideMap, tmp_path: Path
) -> None:
    (path,) = write_files(part, tmp_path, MapOptions(("tiff",), ("tile_risk",)))
    with openslide.OpenSlide(path) as drawn:
        pixels = np.asarray(drawn.read_region((0, 0), 0, drawn.dimensions))
    scale = 5000 / pixels.shape[1]
    rows, columns = np.nonzero(pixels[..., 3])
    ends = np.array([columns.max() + 1, rows.max() + 1]) * scale
    last = part.places.corners.max(axis=0) + part.side
    assert np.abs(ends - last).max() <= part.side / 4
    moved = replace(
        part, places=replace(part.places, corners=part.places.corners + 4000)
    )
    with pytest.raises(Exception, match="another slide"):
        write_files(moved, tmp_path, MapOptions(("tiff",), ("tile_risk",)))
