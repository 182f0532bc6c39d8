"""Slides of kinds that are easily read wrongly, from the file to the record of the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from leica_slides import leica_slide
from slide_files import GLASS, MeanEncoder, tiny_slide, tissue_pixels
from survfuse.readers import read_features
from survfuse.slides import ExtractConfig, Record, SlideItem
from survfuse.slides.extract import extract_slide

Pixels = npt.NDArray[Any]
CONFIG = ExtractConfig(tile_px=64, batch=64)
SIDE = 1024


@pytest.fixture(scope="module")
def pyramid() -> list[Pixels]:
    """Tissue in the middle half of 1,024 px, and half and quarter of it."""
    image = np.full((SIDE, SIDE, 3), GLASS, np.uint8)
    image[256:768, 256:768] = tissue_pixels(512, 512, np.random.default_rng(0))
    return [
        image,
        *(
            cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            for side in (512, 256)
        ),
    ]


def run(path: Path, config: ExtractConfig = CONFIG, **row: Any) -> Record:
    return extract_slide(
        SlideItem("a", "P", path, **row),
        config,
        MeanEncoder(),
        path.parent / "out",
    )


def written(
    path: Path,
    images: list[Pixels],
    mpp: float | None = 0.5,
    **how: Any,
) -> Path:
    with tifffile.TiffWriter(path) as file:
        for number, image in enumerate(images):
            scale = {} if mpp is None else {"resolution": (1e4 / mpp / 2**number,) * 2}
            more = {
                **how,
                "description": how.get("description") if number == 0 else None,
            }
            file.write(
                image,
                tile=(256, 256),
                photometric="rgb" if image.ndim == 3 else "minisblack",
                subfiletype=1 if number else 0,
                resolutionunit="NONE" if mpp is None else "CENTIMETER",
                metadata=None,
                **scale,
                **more,
            )
    return path


# -- samples


def test_16_bits_give_the_features_of_8(tmp_path: Path, pyramid: list[Pixels]) -> None:
    (tmp_path / "8").mkdir()
    (tmp_path / "16").mkdir()
    plain = run(written(tmp_path / "8" / "a.tif", pyramid))
    deep = run(
        written(
            tmp_path / "16" / "a.tif",
            [image.astype(np.uint16) * 257 for image in pyramid],
        ),
    )
    assert (plain.tiles, deep.tiles) == (64, 64)
    assert deep.slide["notes"] == ["samples of 16 bits; the upper 8 are read"]
    one, two = (read_features(tmp_path / bits / "out" / "a.h5") for bits in ("8", "16"))
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("tissue", ["otsu", "everything"])
def test_fewer_bits_in_16_fail_with_their_reason(
    tmp_path: Path,
    pyramid: list[Pixels],
    bits: int,
    tissue: str,
) -> None:
    images = [image.astype(np.uint16) << (bits - 8) for image in pyramid]
    record = run(
        written(tmp_path / "a.tif", images),
        CONFIG.model_copy(update={"tissue": tissue}),
    )
    assert (record.status, record.final, record.tiles) == ("failed", True, 0)
    assert "nearly black" in record.reason
    assert "samples of 16 bits, of which fewer seem to be used" in record.reason


def test_grey_slides_fail_with_their_reason(
    tmp_path: Path,
    pyramid: list[Pixels],
) -> None:
    record = run(
        written(tmp_path / "a.tif", [image[..., 1].copy() for image in pyramid]),
    )
    assert (record.status, record.final) == ("failed", True)
    assert (
        "stored as one grey value per pixel (8 bits), without colour" in record.reason
    )
    grey = [np.repeat(image[..., 1:2], 3, axis=2) for image in pyramid]
    record = run(written(tmp_path / "a.tif", grey, compression="jpeg"))
    assert (record.status, record.final) == ("failed", True)
    assert "no colour: all its pixels are grey" in record.reason


# -- scales


OME_SIZES = [
    {
        "PhysicalSizeX": 0.5,
        "PhysicalSizeY": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeYUnit": "µm",
    },
    {
        "PhysicalSizeX": 500,
        "PhysicalSizeY": 500,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeYUnit": "nm",
    },
    {
        "PhysicalSizeX": 5e-4,
        "PhysicalSizeY": 5e-4,
        "PhysicalSizeXUnit": "mm",
        "PhysicalSizeYUnit": "mm",
    },
    {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
]


@pytest.mark.parametrize("said", OME_SIZES)
@pytest.mark.parametrize("subifds", [True, False])
def test_an_ome_tiff_says_its_scale_in_its_xml_alone(
    tmp_path: Path,
    pyramid: list[Pixels],
    said: dict[str, Any],
    subifds: bool,
) -> None:
    how = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(
            pyramid[0],
            subifds=2 if subifds else 0,
            metadata={"axes": "YXS", **said},
            **how,
        )
        for image in pyramid[1:] if subifds else []:
            file.write(image, subfiletype=1, metadata=None, **how)
    record = run(tmp_path / "a.ome.tif")
    assert (record.status, record.tiles, record.slide["mpp"]) == (
        "done",
        64,
        pytest.approx(0.5),
    )
    assert record.slide["notes"] == []
    coarse = run(tmp_path / "a.ome.tif", CONFIG.model_copy(update={"mpp": 1.0}))
    assert coarse.tiles == 16


def test_ome_xml_without_a_scale_is_named(
    tmp_path: Path,
    pyramid: list[Pixels],
) -> None:
    how = {"tile": (256, 256), "photometric": "rgb"}
    said = {"PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "pixel"}
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        pyramid[0],
        ome=True,
        metadata={"axes": "YXS", **said},
        **how,
    )
    record = run(tmp_path / "a.ome.tif")
    assert record.status == "failed"
    assert (
        "OME-XML gives PhysicalSizeX 1 in 'pixel', which is no length" in record.reason
    )


def aperio(text: str) -> str:
    return f"Aperio Image Library v11.2.1 \r\n1024x1024 [0,0 1024x1024] (256x256) JPEG/RGB Q=70|{text}"


def test_a_flag_that_the_slide_contradicts_is_refused_and_the_hint_works(
    tmp_path: Path,
    pyramid: list[Pixels],
) -> None:
    path = written(tmp_path / "a.svs", pyramid, None, description=aperio("AppMag = 20"))
    forty = CONFIG.model_copy(update={"objective_power": 40.0})
    record = run(path, forty)
    assert record.status == "failed"
    assert (
        "--objective-power: 40x, about 0.25 µm/px, but the file's objective: 20x"
        in record.reason
    )
    record = run(path, forty, objective=20.0)
    assert (record.status, record.slide["mpp"], record.tiles) == ("done", 0.5, 64)
    assert "--objective-power: 40x" in record.slide["notes"][0]


@pytest.mark.parametrize(
    ("text", "tags", "told"),
    [
        ("AppMag = 40|MPP = 0.5", None, "the file's objective: 40x, about 0.25 µm/px"),
        (
            "AppMag = 20|MPP = 0.5",
            0.05,
            "resolution tags: 0.05 µm/px, which no scanner has",
        ),
        (
            "AppMag = 20|MPP = 0.5",
            1.27,
            "resolution tags: 1.27 µm/px, but the file's description (MPP): 0.5",
        ),
        (
            "AppMag = 20|MPP = 0.05",
            0.5,
            "description (MPP): 0.05 µm/px, which no scanner has",
        ),
    ],
)
def test_a_file_that_contradicts_itself_says_so(
    tmp_path: Path,
    pyramid: list[Pixels],
    text: str,
    tags: float | None,
    told: str,
) -> None:
    record = run(written(tmp_path / "a.svs", pyramid, tags, description=aperio(text)))
    assert (record.status, record.slide["mpp"], record.tiles) == ("done", 0.5, 64)
    assert told in record.slide["notes"][0]


@pytest.mark.parametrize("mpp", [0.05, 5.0, 0.0005, 500.0])
def test_a_scale_of_no_scanner_fails_by_its_name(tmp_path: Path, mpp: float) -> None:
    path = tiny_slide(tmp_path / "a.tif", mpp=mpp)
    record = run(path)
    assert (record.status, record.final) == ("failed", True)
    assert f"{mpp:g} µm/px, which no scanner has; expected 0.08 to 4" in record.reason
    assert run(path, mpp=0.5).status == "done"


# -- empty


def test_empty_says_why(tmp_path: Path) -> None:
    record = run(tiny_slide(tmp_path / "a.tif", tissue=[]))
    assert record.status == "empty"
    assert record.reason.startswith("no tissue: nothing is stained; bare glass on 100%")
    record = run(tiny_slide(tmp_path / "a.tif", tissue=[(200, 200, 90, 90)]))
    assert record.status == "empty"
    assert "is lines, specks, or pieces smaller than 0.02 mm²" in record.reason
    mask = tmp_path / "m.tif"
    tifffile.imwrite(mask, np.zeros((64, 64), np.uint8))
    record = run(tiny_slide(tmp_path / "a.tif"), mask=mask)
    assert (record.status, record.reason) == ("empty", "the mask marks no tissue")
    assert (tmp_path / "out" / "a.h5").exists()


def test_tiles_that_are_all_left_out_are_counted_in_the_reason(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:12, :12] = 1
    tifffile.imwrite(tmp_path / "m.tif", mask)
    record = run(tiny_slide(tmp_path / "a.tif"), mask=tmp_path / "m.tif")
    assert record.status == "empty"
    assert record.reason.startswith(
        "all 9 tiles on tissue were left out (9 background); only 0.0% of what",
    )


def test_the_reason_stays_when_a_record_is_lost(tmp_path: Path) -> None:
    path = tiny_slide(tmp_path / "a.tif", tissue=[])
    first = run(path)
    (tmp_path / "out" / "state" / "a.json").unlink()
    assert run(path).reason == first.reason


# -- the scanned area


def test_a_mask_of_the_scanned_area_gives_the_tiles_of_one_of_the_whole(
    tmp_path: Path,
    pyramid: list[Pixels],
) -> None:
    path, at = (
        leica_slide(tmp_path / "a.scn", pyramid, 5000, (1500, 2250)),
        (1500, 2250),
    )
    scanned = np.zeros((128, 128), np.uint8)
    scanned[32:64, 32:96] = 1  # the upper half of the tissue
    whole = np.zeros((625, 625), np.uint8)
    whole[
        (at[1] + 256) // 8 : (at[1] + 512) // 8,
        (at[0] + 256) // 8 : (at[0] + 768) // 8,
    ] = 1
    places = []
    for name, mask in (("scanned area", scanned), ("whole slide", whole)):
        tifffile.imwrite(tmp_path / "m.tif", mask, compression="zlib")
        record = run(path, mask=tmp_path / "m.tif")
        assert (record.status, record.reason) == ("done", "")
        assert record.grid["bounds"] == [*at, SIDE, SIDE]
        assert f"the mask was taken to show the {name}" in record.tissue["notes"][0]
        places.append(read_features(tmp_path / "out" / "a.h5").coords)
    assert len(places[0]) == 32
    np.testing.assert_array_equal(places[0], places[1])
    np.testing.assert_array_equal(places[0].min(axis=0), [at[0] + 256, at[1] + 256])


def test_a_mirrored_mask_fails(tmp_path: Path) -> None:
    path = tiny_slide(
        tmp_path / "a.tif",
        tissue=[(64, 64, 512, 300), (64, 364, 200, 400)],
    )
    mask = np.zeros((64, 64), np.uint8)
    mask[4:23, 4:36] = 1
    mask[23:48, 4:17] = 1
    item = SlideItem("a", "P", path, mask=tmp_path / "m.tif")
    for turned, status in (
        (mask, "done"),
        (mask[:, ::-1], "failed"),
        (mask[::-1], "failed"),
    ):
        tifffile.imwrite(tmp_path / "m.tif", turned)
        record = extract_slide(replace(item), CONFIG, MeanEncoder(), tmp_path / "out")
        assert record.status == status
    assert (
        "when it is mirrored top to bottom; write it the way the slide lies"
        in record.reason
    )
