"""Slides as files: what OpenSlide and tifffile make of them, and damage that is met only while reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from survfuse._errors import InputError
from survfuse.datasets.rendered_slides import (
    damage,
    read_classes,
    write_classes,
    write_mask,
    write_pyramid,
)


def _picture(height: int, width: int) -> np.ndarray:
    """Smooth colours, which JPEG keeps."""
    y, x = np.mgrid[:height, :width]
    channels = [
        128 + 100 * np.sin(y / 97),
        128 + 100 * np.cos(x / 83),
        60 + 0.1 * (x + y),
    ]
    return np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("mpp", [0.5, 0.25, 0.2527])
def test_openslide_sees_every_level_and_the_spacing(tmp_path: Path, mpp: float) -> None:
    write_pyramid(tmp_path / "s.tif", _picture(1000, 1400), mpp)
    with openslide.OpenSlide(tmp_path / "s.tif") as slide:
        assert slide.level_dimensions == (
            (1400, 1000),
            (700, 500),
            (350, 250),
            (175, 125),
        )
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(
            mpp,
            rel=1e-5,
        )
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(
            mpp,
            rel=1e-5,
        )
        assert not slide.associated_images
    with tifffile.TiffFile(tmp_path / "s.tif") as file:
        assert [int(page.subfiletype) for page in file.pages] == [0, 1, 1, 1]
        assert {page.tilewidth for page in file.pages} == {256}
        found = [
            1e4 / np.divide(*page.tags["XResolution"].value) for page in file.pages
        ]
        np.testing.assert_allclose(found, mpp * 2 ** np.arange(4), rtol=1e-5)


def test_pixels_come_back_on_every_level(tmp_path: Path) -> None:
    picture = _picture(900, 700)
    write_pyramid(tmp_path / "s.tif", picture, 0.5)
    with openslide.OpenSlide(tmp_path / "s.tif") as slide:
        for level, (width, height) in enumerate(slide.level_dimensions):
            read = np.asarray(
                slide.read_region((0, 0), level, (width, height)).convert("RGB"),
            ).astype(int)
            step = 2**level
            expected = picture[: height * step, : width * step].reshape(
                height,
                step,
                width,
                step,
                3,
            )
            assert np.abs(read - expected.mean(axis=(1, 3))).mean() < 2.0


@pytest.mark.parametrize("shape", [(256, 256), (1, 1), (300, 1), (64, 4096)])
def test_odd_shapes_end(tmp_path: Path, shape: tuple[int, int]) -> None:
    write_pyramid(tmp_path / "s.tif", _picture(*shape), 0.5)
    with tifffile.TiffFile(tmp_path / "s.tif") as file:
        assert file.pages[0].shape == (*shape, 3)


def test_without_spacing_nothing_is_said(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "s.tif", _picture(600, 600), None)
    with openslide.OpenSlide(tmp_path / "s.tif") as slide:
        assert "openslide.mpp-x" not in slide.properties
        assert "openslide.objective-power" not in slide.properties


def test_same_picture_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_pyramid(tmp_path / name, _picture(700, 500), 0.5)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("mpp", [0.5, 0.25])
def test_a_damaged_slide_opens_and_its_tiles_fail(tmp_path: Path, mpp: float) -> None:
    write_pyramid(tmp_path / "s.tif", _picture(2048, 2048), mpp)
    size = (tmp_path / "s.tif").stat().st_size
    assert damage(tmp_path / "s.tif") > 10
    assert (tmp_path / "s.tif").stat().st_size == size
    with openslide.OpenSlide(tmp_path / "s.tif") as slide:
        assert slide.level_count == 4
        slide.read_region((0, 0), 3, slide.level_dimensions[3])  # an overview
        slide.read_region((0, 0), 0, (224, 224))  # a corner
    for level in range(
        2 if mpp == 0.5 else 3,
    ):  # 0.5 and 1 µm/px, so that no finer level stands in
        with (
            openslide.OpenSlide(tmp_path / "s.tif") as slide,
            pytest.raises(openslide.OpenSlideError, match="JPEG"),
        ):
            slide.read_region((1000, 1000), level, (64, 64))


def test_masks_are_one_channel(tmp_path: Path) -> None:
    tissue = np.zeros((60, 80), dtype=bool)
    tissue[10:20, 30:70] = True
    write_mask(tmp_path / "m.tif", tissue)
    read = tifffile.imread(tmp_path / "m.tif")
    assert read.shape == (60, 80)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.where(tissue, 255, 0))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "m.tif")), read)


def test_class_maps_come_back(tmp_path: Path) -> None:
    classes = np.arange(60, dtype=np.uint8).reshape(6, 10) % 6
    write_classes(tmp_path / "c.png", classes)
    np.testing.assert_array_equal(read_classes(tmp_path / "c.png"), classes)
    colours = np.asarray(Image.open(tmp_path / "c.png").convert("RGB"))
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 6


def test_what_is_no_class_map_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    with pytest.raises(
        InputError,
        match=r"rgb.png: expected a PNG of classes \(mode P\), got mode RGB",
    ):
        read_classes(tmp_path / "rgb.png")
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "absent.png"):
        with pytest.raises(InputError, match=f"{name}: not a map of classes"):
            read_classes(tmp_path / name)
