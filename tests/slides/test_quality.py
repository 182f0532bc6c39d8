from __future__ import annotations

import time

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slides import glass
from survfuse._errors import MissingExtraError
from survfuse.slides.quality import judge_tiles

Tiles = npt.NDArray[np.uint8]


def flat(*colours: tuple[int, int, int], px: int = 224) -> Tiles:
    return np.stack([np.full((px, px, 3), colour, np.uint8) for colour in colours])


def stained(tiles: int = 3, px: int = 224, seed: int = 0, **stains: float) -> Tiles:
    made = [
        glass.paint(
            "",
            np.ones((px, px), bool),
            np.random.default_rng(seed + i),
            **stains,
        ).image  # type: ignore[arg-type]
        for i in range(tiles)
    ]
    return np.stack(made)


def test_glass_and_padding_are_background() -> None:
    quality = judge_tiles(
        flat((255, 255, 255), (238, 236, 226), (0, 0, 0), (240, 233, 238)),
    )
    np.testing.assert_array_equal(quality.background, 1)
    np.testing.assert_array_equal(quality.pen, 0)
    np.testing.assert_array_equal(quality.blur, 0)


@pytest.mark.parametrize(
    "stains",
    [{}, {"haematoxylin": 1.0, "eosin": 0.1}, {"haematoxylin": 0.05, "eosin": 0.4}],
)
def test_tissue_is_neither_background_nor_ink(stains: dict[str, float]) -> None:
    quality = judge_tiles(stained(**stains))
    assert (quality.background < 0.1).all()
    assert (quality.pen < 0.02).all()


def test_ink_is_ink() -> None:
    quality = judge_tiles(flat(*glass.INKS.values()))
    np.testing.assert_array_equal(quality.pen, 1)
    np.testing.assert_array_equal(quality.background, 0)


def test_shares_are_shares() -> None:
    tile = flat((240, 240, 240))
    tile[0, :, :112] = glass.INKS["blue"]
    quality = judge_tiles(tile)
    assert quality.pen[0] == pytest.approx(0.5)
    assert quality.background[0] == pytest.approx(0.5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sigma=st.floats(0.7, 4),
    eosin=st.floats(0.05, 0.6),
    haematoxylin=st.floats(0.05, 1),
)
def test_a_blurred_tile_is_blurrier(
    seed: int,
    sigma: float,
    eosin: float,
    haematoxylin: float,
) -> None:
    tile = stained(1, seed=seed, eosin=eosin, haematoxylin=haematoxylin)
    once = cv2.GaussianBlur(tile[0], (0, 0), sigma)[None]
    twice = cv2.GaussianBlur(once[0], (0, 0), 2 * sigma)[None]
    sharp, blurred, more = (
        float(judge_tiles(one).blur[0]) for one in (tile, once, twice)
    )
    assert sharp > blurred > more


def test_blur_is_the_variance_of_the_laplacian() -> None:
    tile = stained(1)[0]
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float64)
    full = cv2.filter2D(tile[..., 1].astype(np.float64), -1, kernel)[1::8, 1::8][
        :28,
        :28,
    ]
    assert judge_tiles(tile[None]).blur[0] == pytest.approx(full.var(), rel=1e-4)


@pytest.mark.parametrize("px", [1, 2, 3, 50, 97, 224, 256])
def test_any_size_of_tile_and_any_layout(px: int) -> None:
    tiles = stained(4, px)
    whole = judge_tiles(tiles)
    apart = [judge_tiles(tile[None]) for tile in tiles]
    sliced = judge_tiles(np.repeat(tiles, 2, axis=0)[::2])
    for name in ("background", "pen", "blur"):
        values = getattr(whole, name)
        assert values.shape == (4,)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(
            values,
            np.concatenate([getattr(one, name) for one in apart]),
        )
        np.testing.assert_array_equal(values, getattr(sliced, name))


def test_tiles_are_left_as_they_were() -> None:
    tiles = stained(2)
    before = tiles.copy()
    judge_tiles(tiles)
    np.testing.assert_array_equal(tiles, before)


def test_no_tiles() -> None:
    assert judge_tiles(np.empty((0, 224, 224, 3), np.uint8)).blur.shape == (0,)


@pytest.mark.parametrize("shape", [(224, 224, 3), (2, 224, 224), (2, 224, 224, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(tiles, px, px, 3\) uint8"):
        judge_tiles(np.zeros(shape, np.uint8))


def test_judging_is_cheap() -> None:
    tiles = stained(64)
    judge_tiles(tiles)
    spent = []
    for _ in range(15):
        start = time.process_time()
        judge_tiles(tiles)
        spent.append(time.process_time() - start)
    assert min(spent) / 64 < 40e-6  # 8 µs on an idle core; the margin is for a busy one


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'survfuse\[slides\]'"):
        judge_tiles(flat((1, 2, 3)))
