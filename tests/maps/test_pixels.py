from __future__ import annotations

import io

import numpy as np
from PIL import Image

from maps.drawn_maps import drawn_map
from survfuse.maps import Score, SlideMap, TilePlaces
from survfuse.maps.colours import CATEGORIES
from survfuse.maps.pixels import float32_bytes, pixel_png


def test_numbers_and_pixels_lie_where_the_lattice_says() -> None:
    kept = np.ones(24, bool)
    kept[[1, 22]] = False
    drawn = drawn_map(6, 4, kept=kept)
    image = np.frombuffer(float32_bytes(drawn, "tile_risk"), "<f4").reshape(4, 6)
    assert image[0, 0] == -1
    assert image[3, 5] == 1
    assert np.isnan(image[[0, 3], [1, 4]]).all()
    picture = Image.open(io.BytesIO(pixel_png(drawn, "cluster")))
    assert (picture.mode, picture.size) == ("RGBA", (6, 4))
    assert picture.getpixel((3, 0)) == (*CATEGORIES[3], 255)
    assert picture.getpixel((1, 0))[3] == 0  # type: ignore[index]


def test_clusters_of_tiles_in_one_pixel_are_not_averaged() -> None:
    corners = np.array([[0.0, 0.0], [0.0, 0.0], [256.0, 0.0]])
    clusters = np.array([2, 6, 1])
    values = np.array([-1.0, 1.0, 0.5])
    risk = Score("risk", "Risk", "log-risk", "diverging", values, 1.0)
    kinds = Score("cluster", "C", "cluster", "categories", clusters * 1.0, 1.0)
    scores = {"risk": risk, "cluster": kinds}
    one = SlideMap("p", "slides", "s", TilePlaces(corners, 256.0), scores, clusters)
    assert one.image_of("risk").tolist() == [[0.0, 0.5]]
    assert one.image_of("cluster").tolist() == [[6.0, 1.0]]
