from __future__ import annotations

import sys

import numpy as np
import pytest

from slides.encoders.painting import render, tissue
from survfuse._errors import MissingExtraError
from survfuse.slides.encoders.stain_planes import (
    RESIDUAL_ZERO,
    StainSplitter,
    half,
    histogram,
    import_cv2,
    mean_square,
    moments,
    sum_of_squares,
    unmixing,
)


@pytest.mark.parametrize(
    ("haematoxylin", "eosin"),
    [(0.0, 0.0), (0.9, 0.0), (0.0, 0.8), (0.6, 0.4), (1.2, 0.3)],
)
def test_painted_stains_are_found_again(haematoxylin: float, eosin: float) -> None:
    tile = render(np.full((32, 32), haematoxylin), np.full((32, 32), eosin))
    planes = StainSplitter()(tile)
    assert (
        abs(int(planes.haematoxylin[0, 0]) - 100 * haematoxylin) <= 2
    )  # bytes of colour are coarse
    assert abs(int(planes.eosin[0, 0]) - 100 * eosin) <= 2
    assert abs(int(planes.residual[0, 0]) - RESIDUAL_ZERO) <= 2


def test_against_the_formula_pixel_by_pixel() -> None:
    tile = tissue(0)
    planes = StainSplitter()(tile)
    density = -np.log10((tile.astype(float) + 1) / 256)
    stains = density @ unmixing().T
    expected = np.clip(stains * 100 + [0, 0, RESIDUAL_ZERO], 0, 255)
    found = np.dstack([planes.haematoxylin, planes.eosin, planes.residual])
    assert np.abs(found - expected).max() <= 0.5001
    np.testing.assert_array_equal(planes.chroma, tile.max(axis=2) - tile.min(axis=2))


def test_stains_are_least_squares_amounts() -> None:
    """The residual is at right angles to both stains."""
    density = np.random.default_rng(0).uniform(0, 1, 3)
    mixing = np.linalg.inv(unmixing())  # (colours, stains)
    fitted = np.linalg.lstsq(mixing[:, :2], density, rcond=None)[0]
    np.testing.assert_allclose((unmixing() @ density)[:2], fitted)


def test_green_ink_is_residual_and_not_tissue() -> None:
    splitter = StainSplitter()
    ink = np.full((32, 32, 3), (30, 140, 60), np.uint8)
    residual = abs(int(splitter(ink).residual[0, 0]) - RESIDUAL_ZERO)
    assert residual > 10
    assert (
        residual
        > 5 * np.abs(splitter(tissue(0)).residual.astype(int) - RESIDUAL_ZERO).mean()
    )


def test_sums_are_exact() -> None:
    cv2 = import_cv2()
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 50, 70), dtype=np.uint8)
    np.testing.assert_array_equal(
        histogram(cv2, first),
        np.bincount(first.ravel(), minlength=256),
    )
    assert mean_square(cv2, first, second) == np.mean(
        (first.astype(float) - second) ** 2,
    )
    left, right = first[:, :-3], first[:, 3:]
    assert mean_square(cv2, left, right) == np.mean((left.astype(float) - right) ** 2)
    assert sum_of_squares(cv2, first) == int((first.astype(np.int64) ** 2).sum())
    mean, variance = moments(cv2, first)
    assert (mean, variance) == pytest.approx((first.mean(), first.var()), rel=1e-12)
    assert moments(cv2, np.full((9, 9), 7, np.uint8)) == (7, 0)


def test_half_is_an_average() -> None:
    plane = np.array([[0, 4, 8, 8], [0, 4, 8, 8]], np.uint8)
    assert half(import_cv2(), plane).tolist() == [[2, 8]]


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        MissingExtraError,
        match=r"^cv2 is needed for encoder stain_texture: pip install 'survfuse\[slides\]'",
    ):
        StainSplitter()
