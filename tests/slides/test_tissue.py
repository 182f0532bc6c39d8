from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slides import glass
from survfuse._errors import MissingExtraError
from survfuse.slides.geometry import Grid
from survfuse.slides.opening import open_slide
from survfuse.slides.overviews import Overview, overview
from survfuse.slides.reading import Level
from survfuse.slides.tissue import Tissue, everything, find_tissue, measured

EXPECTED = {
    "jpeg": 0.97,
    "chips": 0.95,
    "chips_jpeg": 0.9,
    "blue": 0.96,
    "green": 0.96,
    "black": 0.96,
    "red": 0.96,
}


def found(painted: glass.Painted, **options: Any) -> Tissue:
    return find_tissue(
        Overview(painted.image, painted.scale, painted.mpp),
        0.5,
        **options,
    )


def grid_over(
    columns: int,
    rows: int,
    footprint: float,
    stride: float | None = None,
    origin: float = 0.0,
) -> Grid:
    return Grid(
        0,
        1.0,
        224,
        0.5,
        footprint,
        stride or footprint,
        (origin, origin),
        columns,
        rows,
        0.5,
    )


def tissue_of(mask: npt.NDArray[np.bool_], scale: float = 16.0) -> Tissue:
    return measured(mask, (scale, scale), 0.5, source="found")


@pytest.mark.slow
@pytest.mark.parametrize("scene", sorted(glass.SCENES))
def test_planted_tissue_is_found(scene: str) -> None:
    painted = glass.SCENES[scene]()
    tissue = found(painted)
    assert glass.overlap(tissue.mask, painted.tissue) >= EXPECTED.get(scene, 0.98)
    assert tissue.pen_share == pytest.approx(painted.pen.mean(), abs=0.02)
    assert tissue.source == "found"
    assert tissue.scale == painted.scale
    assert tissue.area_mm2 == pytest.approx(tissue.mask.sum() * (8e-3) ** 2)


@pytest.mark.parametrize("scene", ["blank", "tinted"])
def test_a_slide_without_tissue_gives_empty_tissue(scene: str) -> None:
    tissue = found(glass.SCENES[scene]())
    assert not tissue.mask.any()
    assert (tissue.area_mm2, tissue.components) == (0.0, 0)
    assert tissue.choose(grid_over(50, 30, 448), 0.25).size == 0


def test_a_slide_full_of_tissue_says_that_it_saw_no_glass() -> None:
    tissue = found(glass.full())
    assert tissue.mask.all()
    assert tissue.notes == ("no bare glass was seen to compare with",)


@pytest.mark.slow
def test_every_chip_is_found_and_keeps_a_tile() -> None:
    painted = glass.chips()
    tissue = found(painted)
    assert tissue.components == 60
    height, width = painted.image.shape[:2]
    grid = grid_over(
        int(width * 16 / 1024) + 1,
        int(height * 16 / 1024) + 1,
        1024.0,
    )  # tiles of 0.26 mm²
    chosen = tissue.choose(grid, 0.25)
    assert pieces_without_tile(tissue, grid, chosen) == 0


def pieces_without_tile(
    tissue: Tissue,
    grid: Grid,
    chosen: npt.NDArray[np.int64],
) -> int:
    import cv2

    count, labels = cv2.connectedComponents(tissue.mask.astype(np.uint8))
    under = np.zeros_like(tissue.mask)
    for x, y in (grid.corners(chosen) / tissue.scale[0]).round().astype(int):
        side = round(grid.footprint / tissue.scale[0])
        under[y : y + side, x : x + side] = True
    return count - 1 - len(set(np.unique(labels[under])) - {0})


@pytest.mark.parametrize("ink", sorted(glass.INKS))
def test_no_tile_is_kept_under_a_pen_stroke(ink: str) -> None:
    painted = glass.penned(ink)
    tissue = found(painted)
    assert (tissue.mask & painted.pen).sum() < 0.01 * painted.pen.sum()


def test_large_holes_stay_and_small_ones_are_filled() -> None:
    painted = glass.fat()
    assert found(painted, max_hole_mm2=1000.0).area_mm2 > found(painted).area_mm2
    assert found(painted, max_hole_mm2=0.0).area_mm2 < found(painted).area_mm2


def test_dust_is_larger_than_the_limit_only_when_the_limit_is_lower() -> None:
    rng = np.random.default_rng(1)
    mask = glass.blobs((600, 600), [(0.2, 0.2, 0.008), (0.6, 0.6, 0.2)], rng)
    painted = glass.paint("speck", mask, rng)
    assert found(painted).components == 1
    assert found(painted, min_area_mm2=0.001).components == 2


def test_tissue_is_found_at_other_scales_and_turned() -> None:
    import cv2

    painted = glass.section()
    small = Overview(
        cv2.resize(painted.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        (32, 32),
        16.0,
    )
    truth = found(painted).area_mm2
    assert find_tissue(small, 0.5).area_mm2 == pytest.approx(truth, rel=0.02)
    turned = find_tissue(
        Overview(np.rot90(painted.image).copy(), painted.scale, 8.0),
        0.5,
    )
    assert turned.area_mm2 == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (37, 31)])
@pytest.mark.parametrize("value", [0, 127, 255])
def test_flat_and_tiny_overviews_are_empty(shape: tuple[int, int], value: int) -> None:
    tissue = find_tissue(
        Overview(np.full((*shape, 3), value, np.uint8), (16, 16), 8.0),
        0.5,
        min_area_mm2=0.0,
    )
    assert not tissue.mask.any()
    assert tissue.mask.shape == shape


@pytest.mark.slow
def test_finding_is_fast() -> None:
    painted = glass.chips((2000, 2000))
    found(painted)
    best = min(_seconds(painted) for _ in range(3))
    assert best < 0.9  # 0.25 s on one idle core; the margin is for a busy machine


def _seconds(painted: glass.Painted) -> float:
    start = time.process_time()
    found(painted)
    return time.process_time() - start


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'survfuse\[slides\]'"):
        found(glass.section((100, 150)))


# -- cover and choice of tiles


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    footprint=st.floats(3, 200),
    scale=st.sampled_from([1.0, 2.5, 16.0]),
    where=st.tuples(st.floats(-100, 400), st.floats(-100, 400)),
)
def test_cover_is_the_area_by_an_oracle(
    seed: int,
    footprint: float,
    scale: float,
    where: tuple[float, float],
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((13, 17)) > 0.5
    corner = np.array([where])
    share = tissue_of(mask, scale).cover(corner, footprint)[0]
    x = np.clip(
        np.minimum(np.arange(17) + 1, (where[0] + footprint) / scale)
        - np.maximum(np.arange(17), where[0] / scale),
        0,
        None,
    )
    y = np.clip(
        np.minimum(np.arange(13) + 1, (where[1] + footprint) / scale)
        - np.maximum(np.arange(13), where[1] / scale),
        0,
        None,
    )
    assert share == pytest.approx((y @ mask @ x) / (footprint / scale) ** 2, abs=1e-6)
    assert 0 <= share <= 1


def test_cover_of_a_full_and_an_empty_mask() -> None:
    corners = np.array([[0.0, 0.0], [100.0, 50.0], [150.0, 150.0], [1e6, 1e6]])
    full = tissue_of(np.ones((20, 20), bool), 10.0)
    np.testing.assert_allclose(full.cover(corners, 100.0), [1, 1, 0.25, 0])
    assert not tissue_of(np.zeros((20, 20), bool), 10.0).cover(corners, 100.0).any()


def test_more_is_kept_when_less_is_asked_for() -> None:
    tissue = found(glass.section())
    grid = grid_over(54, 36, 448)
    kept = [set(tissue.choose(grid, share).tolist()) for share in (0.9, 0.5, 0.25, 0.0)]
    assert all(less <= more for less, more in pairwise(kept))
    chosen = tissue.choose(grid, 0.5)
    assert chosen.dtype == np.int64
    assert (np.diff(chosen) > 0).all()


def test_a_chip_on_the_corner_of_four_tiles_keeps_one() -> None:
    mask = np.zeros((64, 64), bool)
    mask[25:41, 25:41] = True  # tiles of 32 px meet at 32
    tissue = tissue_of(mask, 1.0)
    grid = grid_over(2, 2, 32.0)
    assert tissue.cover(grid.corners(), 32.0).max() < 0.25
    assert tissue.choose(grid, 0.25).tolist() == [
        3,
    ]  # the lower right holds 9 × 9 of it


def test_a_chip_is_not_lost_beside_a_large_piece_that_its_tile_belongs_to() -> None:
    mask = np.zeros((64, 128), bool)
    mask[:, :30] = True
    mask[40:52, 58:70] = (
        True  # its tiles, 2 and 3 of the lower row, have too little of it
    )
    tissue = tissue_of(mask, 1.0)
    chosen = tissue.choose(grid_over(4, 2, 32.0), 0.25)
    assert {0, 4} <= set(chosen.tolist())
    assert set(chosen.tolist()) & {5, 6}


def test_specks_get_no_tile() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:13, 10:13] = True
    assert tissue_of(mask, 1.0).choose(grid_over(2, 2, 32.0), 0.25).size == 0
    assert tissue_of(mask, 1.0).choose(grid_over(2, 2, 32.0), 0.0).tolist() == [0]


def test_choice_with_overlap_and_an_origin_stays_within_the_grid() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        mask = rng.random((40, 40)) > 0.97
        grid = grid_over(5, 5, 12.0, 7.0, 3.0)
        chosen = tissue_of(mask, 1.0).choose(grid, 0.9)
        assert chosen.size == 0 or (chosen.min() >= 0 and chosen.max() < len(grid))
        share = tissue_of(mask, 1.0).cover(grid.corners(chosen), 12.0)
        assert (share > 0).all()


def test_many_pieces_and_many_tiles_take_no_time() -> None:
    rng = np.random.default_rng(4)
    mask = rng.random((1500, 1500)) > 0.999
    start = time.perf_counter()
    tissue_of(mask, 32.0).choose(grid_over(214, 214, 224.0), 0.25)
    assert time.perf_counter() - start < 3


# -- everything


def reader_of(
    width: int,
    height: int,
    bounds: tuple[int, int, int, int] | None = None,
) -> Any:
    return SimpleNamespace(
        path=Path("slide.svs"),
        levels=(Level(width, height, 1.0),),
        bounds=bounds or (0, 0, width, height),
        mpp=0.5,
    )


def test_everything_is_what_was_scanned() -> None:
    tissue = everything(reader_of(20_000, 10_000))
    assert tissue.mask.all()
    assert tissue.area_mm2 == pytest.approx(50.0)
    part = everything(reader_of(20_000, 10_000, (5_000, 0, 10_000, 10_000)), 0.25)
    assert part.mask.mean() == pytest.approx(0.5, abs=0.01)
    assert part.area_mm2 == pytest.approx(6.25)
    assert part.source == "everything"


def test_everything_of_a_tiny_slide() -> None:
    assert everything(reader_of(3, 2)).mask.shape == (2, 3)


# -- real slides


@pytest.mark.parametrize(
    ("name", "mpp", "low", "high"),
    [
        ("CMU-1-Small-Region.svs", 0.499, 0.55, 0.8),
        ("tcga-cr-7395-01a-01-ts1.svs", 0.5, 2.3, 2.8),
    ],
)
def test_real_slides(
    shared_data: Path,
    name: str,
    mpp: float,
    low: float,
    high: float,
) -> None:
    with open_slide(shared_data / "slides" / name) as reader:
        view = overview(reader, mpp)
        tissue = find_tissue(view, mpp)
    assert low < tissue.area_mm2 < high
    assert tissue.pen_share == 0
    grey = view.image.astype(int)
    stained = (grey[..., 0] + grey[..., 2]) / 2 - grey[..., 1]
    assert stained[tissue.mask].mean() > stained[~tissue.mask].mean() + 10


def test_a_mask_of_noise_costs_no_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Specks are told by their area alone: their tiles are never looked for."""
    mask = np.random.default_rng(0).random((1000, 1000)) < 0.02
    monkeypatch.setattr("survfuse.slides.tissue._tiles_meeting", None)
    assert len(tissue_of(mask).choose(grid_over(70, 70, 224.0), 0.25)) == 0
