from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import viewed
from slide_files import tiny_slide
from survfuse._errors import InputError
from survfuse.slides.opening import open_slide
from survfuse.viewer import deep_zoom
from survfuse.viewer.deep_zoom import DeepZoom, Picture


def decoded(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def whole(zoom: DeepZoom, level: int) -> np.ndarray:
    columns, rows = zoom.picture.grid(level)
    lines = []
    for row in range(rows):
        parts = [zoom.pixels(level, column, row) for column in range(columns)]
        lines.append(np.concatenate(parts, axis=1))
    return np.concatenate(lines)


@pytest.fixture
def zoom(tmp_path: Path) -> DeepZoom:
    return DeepZoom(open_slide(tiny_slide(tmp_path / "a.tif", (1300, 900), seed=1)))


def test_the_last_level_is_the_slide_itself(zoom: DeepZoom) -> None:
    level = zoom.picture.levels - 1
    assert zoom.picture.levels == 12  # 2 ** 11 is the first power above 1,300
    assert zoom.picture.grid(level) == (3, 2)
    expected = zoom.reader.region(0, 0, 0, 1300, 900)
    np.testing.assert_array_equal(whole(zoom, level), expected)


@pytest.mark.parametrize("back", [1, 2, 3, 5])
def test_each_level_shows_the_whole_slide_at_half_of_the_next(
    zoom: DeepZoom, back: int
) -> None:
    level = zoom.picture.levels - 1 - back
    image = whole(zoom, level).astype(float)
    height, width = image.shape[:2]
    assert abs(width - 1300 / 2**back) <= 1
    assert abs(height - 900 / 2**back) <= 1
    full = zoom.reader.region(0, 0, 0, 1300, 900).astype(float)
    step = 2**back
    trimmed = full[: 900 // step * step, : 1300 // step * step]
    means = trimmed.reshape(900 // step, step, 1300 // step, step, 3).mean(axis=(1, 3))
    rows, columns = min(height, len(means)), min(width, means.shape[1])
    apart = np.abs(image[:rows, :columns] - means[:rows, :columns])
    assert apart.mean() < 6


def test_the_coarsest_level_is_one_pixel(zoom: DeepZoom) -> None:
    assert zoom.pixels(0, 0, 0).shape == (1, 1, 3)


def test_bounds_shift_the_image() -> None:
    viewed.cohort_file()
    folder = Path(viewed.cohort_file()).parent / "images"
    with viewed.opened(folder / f"{viewed.SECOND}.tif") as reader:
        zoom = DeepZoom(reader)
        assert zoom.picture == Picture(2400, 1600, 400, 200)
        last = zoom.picture.levels - 1
        corner = zoom.pixels(last, 4, 3)
    assert corner.shape == (1600 - 3 * 512, 2400 - 4 * 512, 3)
    assert (corner[-1, -1] == viewed.RED).all()
    assert (corner[-1, -1 - 200] == viewed.PALE).all()


def test_large_regions_are_put_together_from_four(
    zoom: DeepZoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = zoom.picture.levels - 4
    plain = whole(zoom, level).astype(float)
    largest = 0
    region = zoom.reader.region

    def watched(number: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        nonlocal largest
        largest = max(largest, width * height)
        return region(number, x, y, width, height)

    monkeypatch.setattr(deep_zoom, "MOST_READ", 512 * 512)
    monkeypatch.setattr(zoom.reader, "levels", zoom.reader.levels[:1])
    monkeypatch.setattr(zoom.reader, "region", watched)
    composed = whole(zoom, level).astype(float)
    assert 0 < largest <= 512 * 512
    assert composed.shape == plain.shape
    assert np.abs(composed - plain).mean() < 6
    before, largest = largest, 0
    whole(zoom, level)
    assert (before, largest) == (512 * 512, 0)  # it is kept


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((12, 0, 0), "level: expected 0 to 11, got 12"),
        ((-1, 0, 0), "level: expected 0 to 11, got -1"),
        (
            (11, 3, 0),
            "tile: expected column 0 to 2 and row 0 to 1 of level 11, got 3, 0",
        ),
        ((11, 0, -1), "got 0, -1"),
    ],
)
def test_tiles_that_are_not_there(
    zoom: DeepZoom, place: tuple[int, int, int], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        zoom.jpeg(*place)


@pytest.mark.parametrize(
    "name",
    ["CMU-1-Small-Region.svs", "openslide_boxes.tiff", "tcga-cr-7395-01a-01-ts1.svs"],
)
def test_real_slides_of_several_formats(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / "slides" / name) as reader:
        zoom = DeepZoom(reader)
        last = zoom.picture.levels - 1
        left, top, width, height = reader.bounds
        tile = decoded(zoom.jpeg(last, 0, 0)).astype(float)
        size = min(width, 512), min(height, 512)
        assert tile.shape == (size[1], size[0], 3)
        expected = reader.region(0, left, top, *size).astype(float)
        assert np.abs(tile - expected).mean() < 4
        small = decoded(zoom.jpeg(last - 3, 0, 0))
        assert abs(small.shape[1] - min(512, width / 8)) <= 1


def test_a_thumbnail_is_a_square_of_the_slide() -> None:
    folder = Path(viewed.cohort_file()).parent / "images"
    with viewed.opened(folder / f"{viewed.SECOND}.tif") as reader:
        picture = decoded(DeepZoom(reader).thumbnail(2600, 1600, 200, 50))
    assert picture.shape == (50, 50, 3)
    assert np.abs(picture.astype(int) - viewed.RED).max() < 12
