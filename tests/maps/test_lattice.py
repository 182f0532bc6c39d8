from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.maps import Lattice


def grid(
    step: float, columns: int, rows: int, start: tuple[float, float]
) -> np.ndarray:
    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    return np.stack([across.ravel(), down.ravel()], axis=1) * step + start


@pytest.mark.parametrize("step", [224.0, 506.53, 443.2])
def test_every_tile_has_its_own_pixel_up_to_the_far_corner(step: float) -> None:
    corners = np.floor(grid(step, 150, 90, (1311.0, 77.0)))
    kept = np.random.default_rng(0).random(len(corners)) < 0.4
    kept[[0, -1]] = True
    lattice = Lattice.of(corners[kept], round(step))
    assert (lattice.rows, lattice.columns) == (90, 150)
    pixels = np.stack([lattice.column, lattice.row], axis=1)
    assert len(np.unique(pixels, axis=0)) == kept.sum()
    left_upper = np.array(lattice.origin) + pixels * np.array(lattice.step)
    assert np.abs(left_upper - corners[kept]).max() < 0.02 * step


@pytest.mark.parametrize("rounding", [np.rint, np.floor])
@pytest.mark.parametrize("step", [443.9, 224.4, 300.3])
def test_a_step_between_whole_px_leaves_no_gap_on_a_wide_slide(
    step: float, rounding: np.ufunc
) -> None:
    corners = rounding(grid(step, 1200, 3, (0.0, 0.0)))
    lattice = Lattice.of(corners, step)
    assert (lattice.rows, lattice.columns) == (3, 1200)
    left = lattice.origin[0] + lattice.column * lattice.step[0]
    assert np.abs(left - corners[:, 0]).max() < 1


def test_tiles_that_overlap_have_pixels_at_their_centres() -> None:
    corners = grid(112.0, 20, 10, (0.0, 0.0))
    lattice = Lattice.of(corners, 224.0)
    assert lattice.step == pytest.approx((112.0, 112.0))
    assert lattice.origin == pytest.approx((56.0, 56.0))


def test_tiles_far_apart_keep_their_size() -> None:
    corners = grid(2240.0, 5, 4, (0.0, 0.0))
    lattice = Lattice.of(corners, 224.0)
    assert lattice.step == pytest.approx((224.0, 224.0))
    assert np.isfinite(lattice.image(np.ones(20))).sum() == 20


def test_one_tile_is_one_pixel() -> None:
    lattice = Lattice.of(np.array([[10.0, 20.0]]), 224.0)
    assert (lattice.rows, lattice.columns, lattice.origin) == (1, 1, (10.0, 20.0))


def test_values_come_back_from_the_image() -> None:
    corners = grid(256.0, 7, 5, (512.0, 0.0))
    values = np.arange(35.0)
    values[3] = np.nan
    lattice = Lattice.of(corners, 256.0)
    image = lattice.image(values)
    assert image.shape == (5, 7)
    np.testing.assert_array_equal(lattice.at_tiles(image), values)


def test_coordinates_of_no_slide_are_refused() -> None:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1e7, 1e7]])
    with pytest.raises(InputError, match="not of one slide"):
        Lattice.of(corners, 1.0)
