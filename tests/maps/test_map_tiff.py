from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from maps.drawn_maps import drawn_map
from slide_files import tiny_slide
from survfuse._errors import InputError
from survfuse.maps import SlideMap
from survfuse.maps.colours import colours
from survfuse.maps.map_tiff import write_tiff
from survfuse.slides.opening import open_slide


def colour_of_tile(drawn: SlideMap, tile: int) -> list[int]:
    image = colours(drawn.score("tile_risk"), drawn.image_of("tile_risk"))
    lattice = drawn.lattice
    return list(image[lattice.row[tile], lattice.column[tile]].tolist())


@pytest.mark.parametrize(
    ("mpp", "step", "start"),
    [(0.5, 224.0, (0.0, 0.0)), (0.25, 443.2, (1311.0, 977.0))],
)
def test_openslide_and_tifffile_see_all_levels_in_the_frame_of_the_slide(
    tmp_path: Path, mpp: float, step: float, start: tuple[float, float]
) -> None:
    drawn = drawn_map(150, 91, step, start, mpp=mpp)
    path = tmp_path / "map.tiff"
    levels = write_tiff(path, drawn, "tile_risk")
    assert len(levels) == 3
    scale = levels[0].scale[0]
    assert scale == 2 ** round(np.log2(scale))
    with tifffile.TiffFile(path) as file:
        assert [page.shape[:2] for page in file.pages] == [
            (level.height, level.width) for level in levels
        ]
        assert [page.subfiletype for page in file.pages] == [0, 1, 1]
        pages = [page.asarray() for page in file.pages]
        told = json.loads(file.pages[0].description)
    assert told["level0_px_per_px"] == scale
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert slide.level_dimensions == tuple(level[:2] for level in levels)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(mpp * scale)
        for number, level in enumerate(levels):
            seen = np.asarray(slide.read_region((0, 0), number, level[:2]))
            assert slide.level_downsamples[number] == pytest.approx(2**number, rel=0.01)
            for tile in (0, 149, 1234, 150 * 91 - 1):  # the last is the far corner
                centre = drawn.places.corners[tile] + step / 2
                x, y = (centre / level.scale).astype(int)
                expected = colour_of_tile(drawn, tile)
                assert pages[number][y, x].tolist() == expected
                assert seen[y, x].tolist() == expected


def test_edges_of_tiles_are_true_to_a_pixel_and_the_rest_is_transparent(
    tmp_path: Path,
) -> None:
    kept = np.zeros(60, bool)
    kept[[0, 13, 59]] = True
    drawn = drawn_map(10, 6, 256.0, (512.0, 256.0), kept=kept)
    (base, *_) = write_tiff(tmp_path / "m.tiff", drawn, "tile_risk")
    pixels = tifffile.imread(tmp_path / "m.tiff", key=0)
    assert base.scale == (64.0, 64.0)
    assert (pixels[..., 3] > 0).sum() == 3 * 4 * 4
    assert pixels[4:8, 8:12, 3].all()  # the first tile: 512 / 64, 256 / 64


def test_the_size_is_that_of_the_slide(tmp_path: Path) -> None:
    drawn = drawn_map(4, 4, 256.0)
    with open_slide(tiny_slide(tmp_path / "s.tiff", (1500, 1100))) as reader:
        (base, *_) = write_tiff(tmp_path / "m.tiff", drawn, "cluster", reader)
        assert base[:2] == (24, 18)  # 1500 / 64, 1100 / 64, rounded up
        with pytest.raises(InputError, match="another slide"):
            write_tiff(tmp_path / "m.tiff", drawn_map(9, 4), "cluster", reader)


def test_a_scale_that_is_not_known_is_not_invented(tmp_path: Path) -> None:
    write_tiff(tmp_path / "m.tiff", drawn_map(mpp=None), "attention")
    with openslide.OpenSlide(tmp_path / "m.tiff") as slide:
        assert "openslide.mpp-x" not in slide.properties
