"""Painted slides: what they look like in numbers, and what the planted factors do to them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.datasets.slide_layout import BACKGROUND, STEP, draw_layout
from survfuse.datasets.slide_light import LABORATORY, PATIENT, PENS, STANDARD
from survfuse.datasets.slide_painting import KINDS, Look, Painted, paint
from survfuse.datasets.slide_textures import SHEET, Sheets, cut, draw_sheets, nuclei

SHARES = np.array([3.0, 3.0, 3.0, 1.5, 0.7]) / 11.2
NOTHING = np.zeros(2)


@pytest.fixture(scope="module")
def sheets() -> Sheets:
    return draw_sheets(np.random.default_rng(0))


def _look(
    tumour: object = NOTHING,
    immune: object = NOTHING,
    shares: np.ndarray = SHARES,
) -> Look:
    return Look(
        shares,
        np.asarray(tumour, dtype=float),
        np.asarray(immune, dtype=float),
        STANDARD,
    )


def _paint(sheets: Sheets, look: Look, seed: int = 0, **options: object) -> Painted:
    return paint(sheets, look, 768, 640, np.random.default_rng(seed), **options)


def _density(image: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(image, 1) / 255.0)


def _where(painted: Painted, name: str) -> np.ndarray:
    """Pixels well inside a class."""
    area = (painted.classes == CLASSES.index(name)).astype(np.uint8)
    height, width = painted.image.shape[:2]
    return (
        cv2.resize(
            cv2.erode(area, np.ones((5, 5), np.uint8)),
            (width, height),
            interpolation=0,
        )
        > 0
    )


def test_sheets_have_no_seam(sheets: Sheets) -> None:
    for name in ("cloud", "fibres", "muscle"):
        sheet = getattr(sheets, name).astype(int)
        for axis in (0, 1):
            inside = np.abs(np.diff(sheet, axis=axis)).mean()
            seam = np.abs(
                np.take(sheet, 0, axis=axis) - np.take(sheet, -1, axis=axis),
            ).mean()
            assert seam < 1.5 * inside + 1


@pytest.mark.parametrize(
    ("height", "width"),
    [(10, 20), (SHEET, SHEET), (3 * SHEET + 1, 1500)],
)
def test_a_piece_of_a_sheet_is_the_sheet_again_and_again(
    sheets: Sheets,
    height: int,
    width: int,
) -> None:
    top, left = 1000, 900
    piece = cut(sheets.cloud, top, left, height, width)
    rows, columns = (
        np.arange(top, top + height) % SHEET,
        np.arange(left, left + width) % SHEET,
    )
    np.testing.assert_array_equal(piece, sheets.cloud[np.ix_(rows, columns)])


def test_long_nuclei_are_as_long_as_asked() -> None:
    ratios = []
    for stamp in nuclei(64, 6.0, 120.0, np.random.default_rng(0), elongation=3.5):
        y, x = np.nonzero(stamp > 40)
        small, large = np.linalg.eigvalsh(np.cov(y, x))
        ratios.append(np.sqrt(large / small))
    assert np.mean(ratios) == pytest.approx(3.5, rel=0.1)


def test_nuclei_are_as_large_as_asked_and_fit_their_square() -> None:
    for radius in (3.0, 8.0, 20.0):
        stamps = nuclei(64, radius, 120.0, np.random.default_rng(1))
        area = (stamps > 40).sum(axis=(1, 2)).mean()
        assert np.sqrt(area / np.pi) == pytest.approx(radius, rel=0.05, abs=0.4)
        border = np.concatenate(
            [stamps[:, 0], stamps[:, -1], stamps[:, :, 0], stamps[:, :, -1]],
            axis=1,
        )
        assert border.max() < 10


def test_layouts_hold_tissue_tumour_and_glass() -> None:
    chips = []
    for seed in range(40):
        classes, pieces = draw_layout(120, 96, SHARES, np.random.default_rng(seed))
        tissue = classes != BACKGROUND
        assert 0.15 < tissue.mean() < 0.85
        assert (classes[tissue] == 0).mean() > 0.03
        assert not tissue[[0, -1]].any()
        assert not tissue[:, [0, -1]].any()
        chips.append(pieces)
    assert 4 < sum(count > 1 for count in chips) < 25
    assert set(chips) <= {1, 2, 3, 4, 5}


def test_glass_is_white_and_tissue_is_stained(sheets: Sheets) -> None:
    painted = _paint(sheets, _look())
    assert painted.image.dtype == np.uint8
    glass = painted.image[_where(painted, "background")].astype(float)
    assert np.abs(glass.mean(axis=0) - 243).max() < 4
    assert 0.8 < glass.std(axis=0).max() < 3
    for name in KINDS:
        inside = painted.image[_where(painted, name)]
        if len(inside) > 2000:
            red, green, blue = inside.astype(float).mean(axis=0)
            assert green < red - 5, name  # pink to purple
            assert green < blue - 5, name
            assert green < 215, name


def test_tumour_is_bluer_than_muscle(sheets: Sheets) -> None:
    shares = np.array([0.5, 0.0, 0.0, 0.5, 0.0])
    painted = _paint(sheets, _look(shares=shares), seed=3)
    tumour, muscle = (
        painted.image[_where(painted, name)].mean(axis=0)
        for name in ("tumour", "muscle")
    )
    assert tumour[0] - tumour[2] < muscle[0] - muscle[2] - 10


def test_sides_may_turn_and_the_map_turns_along(sheets: Sheets) -> None:
    shapes = set()
    for seed in range(6):
        painted = _paint(sheets, _look(), seed)
        height, width = painted.image.shape[:2]
        assert painted.classes.shape == (height // STEP, width // STEP)
        shapes.add((height, width))
        dark = (
            cv2.resize(
                painted.image,
                painted.classes.shape[::-1],
                interpolation=cv2.INTER_AREA,
            ).min(2)
            < 225
        )
        assert (dark == (painted.classes != BACKGROUND)).mean() > 0.95
    assert shapes == {(768, 640), (640, 768)}


def test_twice_the_pixels_show_the_same(sheets: Sheets) -> None:
    coarse, fine = _paint(sheets, _look(), 5), _paint(sheets, _look(), 5, finer=2)
    assert (coarse.mpp, fine.mpp) == (0.5, 0.25)
    height, width = coarse.image.shape[:2]
    assert fine.image.shape == (2 * height, 2 * width, 3)
    np.testing.assert_array_equal(coarse.classes, fine.classes)
    halved = cv2.resize(
        fine.image,
        (width, height),
        interpolation=cv2.INTER_AREA,
    ).astype(float)
    assert np.abs(halved - coarse.image).mean() < 2.5  # noise alone gives 1.8
    sharp = [
        cv2.Laplacian(image.mean(axis=2), cv2.CV_64F).std()
        for image in (halved, coarse.image)
    ]
    assert sharp[0] == pytest.approx(sharp[1], rel=0.03)


def test_factors_move_tumour_and_nothing_else(sheets: Sheets) -> None:
    plain, dense, dark = (
        _paint(sheets, _look(f), 7) for f in ([0, 0], [1.5, 0], [0, 1.5])
    )
    for changed in (dense, dark):
        np.testing.assert_array_equal(changed.classes, plain.classes)
        for name in ("immune", "stroma", "muscle", "necrosis", "background"):
            where = _where(plain, name)
            if where.any():
                assert (
                    np.abs(changed.image[where].astype(int) - plain.image[where]).mean()
                    < 0.1
                ), name
    where = _where(plain, "tumour")
    nuclei_of = [
        (_density(p.image)[where][:, 0] > 0.45).mean() for p in (plain, dense, dark)
    ]
    assert nuclei_of[1] > 1.25 * nuclei_of[0]
    red, green = (
        _density(dark.image)[where].mean(axis=0)
        / _density(plain.image)[where].mean(axis=0)
    )[:2]
    assert red > 1.1
    assert red > green + 0.1  # eosin takes green away, haematoxylin red as well


def test_the_decoy_moves_immune_infiltrate_alone(sheets: Sheets) -> None:
    shares = np.array([0.5, 0.5, 0.0, 0.0, 0.0])
    plain, moved = (
        _paint(sheets, _look(immune=f, shares=shares), 2) for f in ([0, 0], [1.5, 1.5])
    )
    where = _where(plain, "tumour")
    assert np.abs(moved.image[where].astype(int) - plain.image[where]).mean() < 0.1
    where = _where(plain, "immune")
    assert (
        _density(moved.image)[where].mean() > 1.1 * _density(plain.image)[where].mean()
    )


def test_extreme_factors_stay_paintable(sheets: Sheets) -> None:
    for extreme in ([50, 50], [-50, -50]):
        painted = _paint(sheets, _look(extreme, extreme))
        assert 60 < painted.image[_where(painted, "tumour")].mean() < 235


@pytest.mark.parametrize("pen", sorted(PENS))
def test_a_pen_mark_has_its_colour(sheets: Sheets, pen: str) -> None:
    plain, marked = _paint(sheets, _look(), 4), _paint(sheets, _look(), 4, pen=pen)
    assert (plain.pen, marked.pen) == (None, pen)
    np.testing.assert_array_equal(plain.classes, marked.classes)
    glass = _where(plain, "background")
    dark = marked.image.max(axis=2).astype(int) < 215
    assert 0.003 < (dark & glass).mean() < 0.2
    ink = np.median(marked.image[dark & glass], axis=0)
    np.testing.assert_allclose(ink, PENS[pen], atol=30)


def test_stains_differ_but_little() -> None:
    rng = np.random.default_rng(0)
    for spread in (LABORATORY, PATIENT):
        stains = [STANDARD.shifted(spread, rng) for _ in range(50)]
        strength = np.array([np.linalg.norm(stain.colours, axis=1) for stain in stains])
        ratio = strength / np.linalg.norm(STANDARD.colours, axis=1)
        assert 0.03 < np.log(ratio).std() < 0.09
        assert all(
            (stain.light > 225).all() and (stain.light < 255).all() for stain in stains
        )


def test_same_stream_same_picture(sheets: Sheets) -> None:
    np.testing.assert_array_equal(
        _paint(sheets, _look(), 9).image,
        _paint(sheets, _look(), 9).image,
    )
    other = replace(_look(), stain=STANDARD.shifted(PATIENT, np.random.default_rng(0)))
    assert (
        _paint(sheets, other, 9).image != _paint(sheets, _look(), 9).image
    ).mean() > 0.2
