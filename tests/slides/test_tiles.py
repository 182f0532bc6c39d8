"""Streamed tiles against the slow way: one region per tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slide_files import cut_in_the_middle, tiny_slide
from survfuse.slides.geometry import plan_grid
from survfuse.slides.opening import open_slide
from survfuse.slides.reading import SlideReader
from survfuse.slides.tiles import stream_tiles


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("slides") / "a.tif"
    return tiny_slide(
        place,
        size=(1500, 1300),
        tissue=[(0, 0, 1500, 1300)],
        compression="deflate",
    )


def gathered(
    reader: SlideReader,
    mpp: float,
    chosen: np.ndarray | None = None,
    *,
    px: int = 224,
    batch: int = 7,
    **how: int,
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, str]]]:
    grid = plan_grid(reader, 0.5, tile_px=px, mpp=mpp)
    wanted = np.arange(len(grid)) if chosen is None else chosen
    bad: list[tuple[int, str]] = []
    batches = list(
        stream_tiles(
            reader,
            grid,
            wanted,
            batch=batch,
            on_bad=lambda at, why: bad.append((at, why)),
            **how,
        ),
    )
    assert all(len(each.index) == len(each.pixels) <= batch for each in batches)
    index = np.concatenate([each.index for each in batches] or [np.zeros(0, int)])
    pixels = np.concatenate(
        [each.pixels for each in batches] or [np.zeros((0, px, px, 3), np.uint8)],
    )
    return index, pixels, bad


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_native_pixels_equal_one_region_per_tile(slide: Path, batch: int) -> None:
    with open_slide(slide) as reader:
        grid = plan_grid(reader, 0.5, tile_px=224, mpp=0.5)
        chosen = np.array([0, 1, 2, 5, 6, 7, 13, 20, 21, len(grid) - 1])
        index, pixels, bad = gathered(reader, 0.5, chosen, batch=batch)
        assert index.tolist() == list(range(10))
        assert bad == []
        for got, (x, y) in zip(pixels, grid.corners(chosen).astype(int), strict=True):
            np.testing.assert_array_equal(got, reader.region(0, x, y, 224, 224))


def test_resampled_pixels_are_area_means(slide: Path) -> None:
    with open_slide(slide) as reader:
        index, pixels, _ = gathered(reader, 0.75, px=64)  # level 0, 96 px to 64
        grid = plan_grid(reader, 0.5, tile_px=64, mpp=0.75)
        assert (grid.level, grid.read_px) == (0, 96)
        region = reader.region(0, 0, 0, 96, 96).astype(float)
        halves = region.repeat(2, axis=0).repeat(
            2,
            axis=1,
        )  # 192 px: each of 64 px is the mean of 3 x 3
        means = halves.reshape(64, 3, 64, 3, 3).mean(axis=(1, 3))
        assert len(index) == len(grid)
        assert np.abs(pixels[0] - means).max() <= 1


def test_threads_change_nothing(slide: Path) -> None:
    with open_slide(slide) as reader:
        index, pixels, _ = gathered(reader, 0.5)
        again, same, _ = gathered(reader, 0.5, threads=3)
    np.testing.assert_array_equal(index, again)
    np.testing.assert_array_equal(pixels, same)


@pytest.mark.slow
def test_a_damaged_native_tile_costs_the_tiles_it_touches_and_no_others(
    tmp_path: Path,
) -> None:
    how = {"size": 2048, "levels": 2, "tissue": [(0, 0, 2048, 2048)]}
    whole = tiny_slide(tmp_path / "whole.tif", **how)
    broken = cut_in_the_middle(tiny_slide(tmp_path / "broken.tif", **how))
    with open_slide(whole) as one, open_slide(broken) as other:
        index, pixels, bad = gathered(one, 0.5)
        left, rest, told = gathered(other, 0.5, threads=2)
        assert bad == []
        assert 10 <= len(told) < len(index)
        assert sorted([*left, *(at for at, _ in told)]) == index.tolist()
        assert all("damaged tile at level 0" in why for _, why in told)
        np.testing.assert_array_equal(rest, pixels[left])


def test_nothing_chosen_yields_nothing(slide: Path) -> None:
    with open_slide(slide) as reader:
        index, _, bad = gathered(reader, 0.5, np.zeros(0, np.int64))
        assert len(index) == 0
        assert bad == []


def test_a_consumer_that_stops_early_leaves_no_thread_waiting(slide: Path) -> None:
    with open_slide(slide) as reader:
        grid = plan_grid(reader, 0.5, tile_px=224, mpp=0.5)
        stream = stream_tiles(
            reader,
            grid,
            np.arange(len(grid)),
            batch=2,
            threads=2,
            on_bad=lambda at, why: None,
        )
        next(stream)
        stream.close()  # type: ignore[attr-defined]


def test_large_tiles_come_in_smaller_batches(
    slide: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_slide(slide) as reader:
        grid = plan_grid(reader, 0.5, tile_px=128, mpp=0.5)
        monkeypatch.setattr("survfuse.slides.tiles.MOST_PIXELS", 3 * 128 * 128)
        batches = list(
            stream_tiles(reader, grid, np.arange(7), batch=64, on_bad=lambda *_: None),
        )
    assert [len(batch.index) for batch in batches] == [3, 3, 1]
