"""Shapes whose measures are known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slides.encoders.painting import discs, lattice, tissue
from survfuse.slides.encoders.stain_measures import (
    bands,
    direction,
    grains,
    lags,
    nuclei,
    patchiness,
    ranks,
    spatial,
)
from survfuse.slides.encoders.stain_names import GRAINS, NUCLEAR, SPATIAL
from survfuse.slides.encoders.stain_planes import StainSplitter, half, import_cv2

CV2 = import_cv2()
NOISE = np.random.default_rng(0).integers(0, 200, (112, 112), dtype=np.uint8)
FLAT = np.full((112, 112), 30, np.uint8)


def nuclear(tile: np.ndarray) -> dict[str, float]:
    planes = StainSplitter()(tile)
    found = nuclei(CV2, half(CV2, planes.haematoxylin), half(CV2, planes.eosin))
    return dict(zip(NUCLEAR, found, strict=True))


def test_the_names_are_as_many_as_the_numbers() -> None:
    assert len(spatial(CV2, StainSplitter()(tissue(0)))) == len(NUCLEAR) + len(SPATIAL)


@pytest.mark.parametrize("diameter", [12, 16, 24])
def test_nuclei_are_counted_and_measured(diameter: int) -> None:
    centres = lattice(32)
    found = nuclear(discs(centres, diameter))
    side = math.sqrt(math.pi / 4) * diameter
    assert found["nuclei_density"] == pytest.approx(len(centres) * 10_000 / 224**2)
    assert found["nuclei_peaks"] == found["nuclei_density"]
    assert found["nuclei_area_mean"] == pytest.approx(side, abs=1.5)
    assert found["nuclei_area_sd"] < 0.5
    assert found["nuclei_share"] == pytest.approx(
        len(centres) * side**2 / 224**2,
        rel=0.25,
    )
    assert found["nuclei_elongation"] == pytest.approx(1, abs=0.15)
    assert found["nuclei_haematoxylin"] == pytest.approx(0.9, abs=0.12)
    assert found["outside_haematoxylin"] == pytest.approx(0.1, abs=0.05)
    assert found["nuclei_eosin"] == pytest.approx(0.3, abs=0.03)
    assert found["outside_eosin"] == pytest.approx(0.3, abs=0.03)


def test_touching_nuclei_are_told_apart_by_their_peaks_and_weigh_more() -> None:
    apart = nuclear(discs([(60, 112), (150, 112)], 20))
    touching = nuclear(discs([(100, 112), (119, 112)], 20))
    assert touching["nuclei_density"] < apart["nuclei_density"]
    assert touching["nuclei_elongation"] > 1.5
    assert touching["nuclei_area_weighted"] > 1.2 * apart["nuclei_area_weighted"]


def test_bare_glass_moves_no_threshold() -> None:
    whole = discs(lattice(32), 16, pale=0.3)
    part = whole.copy()
    part[:, 128:] = 255  # between two columns of nuclei
    of_whole, of_part = nuclear(whole), nuclear(part)
    assert (of_whole["tissue_share"], of_part["tissue_share"]) == (
        1,
        pytest.approx(4 / 7, abs=0.01),
    )
    for name in ("threshold", "area_mean", "haematoxylin", "eosin"):
        assert of_part[f"nuclei_{name}"] == pytest.approx(
            of_whole[f"nuclei_{name}"],
            rel=0.03,
        )
    assert of_part["outside_haematoxylin"] == pytest.approx(
        of_whole["outside_haematoxylin"],
        rel=0.03,
    )
    assert of_part["nuclei_density"] == pytest.approx(
        of_whole["nuclei_density"] * 4 / 7,
    )


def test_pale_tissue_has_no_nuclei() -> None:
    found = nuclear(discs(lattice(32), 16, dark=0.15, pale=0.05))
    assert (
        found["nuclei_density"]
        == found["nuclei_share"]
        == found["nuclei_haematoxylin"]
        == 0
    )
    assert found["outside_haematoxylin"] > 0


@pytest.mark.parametrize(("diameter", "expected"), [(10, 10), (20, 22), (34, 42)])
def test_granulometry_finds_the_size(diameter: int, expected: int) -> None:
    plane = half(CV2, StainSplitter()(discs(lattice(56), diameter)).haematoxylin)
    assert GRAINS[int(np.argmax(grains(CV2, plane)))] in {
        expected,
        GRAINS[GRAINS.index(expected) - 1],
    }


def test_granulometry_adds_up() -> None:
    plane = half(CV2, StainSplitter()(tissue(1)).haematoxylin)
    lost = grains(CV2, plane)
    opened = CV2.morphologyEx(plane, CV2.MORPH_OPEN, np.ones((21, 21), np.uint8))
    assert sum(lost) == pytest.approx((plane.mean() - opened.mean()) / 100)
    assert min(lost) >= 0


def test_contrast_is_at_its_scale() -> None:
    rows = np.mgrid[:224, :224][1]
    fine = (60 + 50 * (-1) ** rows).astype(np.uint8)
    coarse = (60 + 50 * np.sin(2 * math.pi * rows / 56)).astype(np.uint8)
    assert int(np.argmax(bands(CV2, fine, half(CV2, fine)))) == 0
    assert int(np.argmax(bands(CV2, coarse, half(CV2, coarse)))) >= 4
    assert bands(CV2, FLAT, half(CV2, FLAT)) == [0] * 6


def test_correlation_with_neighbours() -> None:
    assert lags(CV2, FLAT) == [0, 0, 0]
    assert np.abs(lags(CV2, NOISE)).max() < 0.05
    checks = (100 * (np.indices((64, 64)).sum(axis=0) % 2)).astype(np.uint8)
    assert lags(CV2, checks) == pytest.approx([-1, 1, 1])


@pytest.mark.parametrize("angle", [0, 30, 90, 135])
def test_fibres_have_a_direction_whichever_it_is(angle: float) -> None:
    y, x = np.mgrid[:112, :112]
    along = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    fibres = (100 + 80 * np.sin(along / 2)).astype(np.uint8)
    gradient, local, whole = direction(CV2, fibres, 0.01)
    assert local > 0.95
    assert whole > 0.95
    assert gradient > 0


def test_a_slope_has_its_gradient() -> None:
    slope = np.tile(
        np.arange(112, dtype=np.uint8),
        (112, 1),
    )  # 1 unit per sample: half a unit per px
    assert direction(CV2, slope, 1.0)[0] == pytest.approx(0.5, rel=0.02)


def test_noise_and_rings_have_none() -> None:
    assert direction(CV2, NOISE, 1)[2] < 0.1
    y, x = np.mgrid[:112, :112] - 55.5
    rings = (100 + 80 * np.sin(np.hypot(x, y) / 2)).astype(np.uint8)
    _, local, whole = direction(CV2, rings, 1)
    assert local > 0.6
    assert whole < 0.1
    assert direction(CV2, FLAT, 1) == [0, 0, 0]


def test_ranks_are_those_of_a_slow_count() -> None:
    slow = np.array(
        [
            sum(
                int(NOISE[r + i, c + j] > NOISE[r, c])
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            )
            for r in range(1, 111)
            for c in range(1, 111)
        ],
    )
    counts = np.bincount(slow, minlength=9) / len(slow)
    expected = [counts[0], counts[1] + counts[2], counts[6] + counts[7], counts[8]]
    assert ranks(CV2, NOISE) == pytest.approx(expected, rel=1e-6)
    assert ranks(CV2, FLAT) == [1, 0, 0, 0]


def test_patches() -> None:
    sides = FLAT.copy()
    sides[:, 56:] = 50
    assert patchiness(CV2, sides) == pytest.approx(0.1)
    assert patchiness(CV2, FLAT) == 0
