"""The encoder `stain_texture`: planes and shapes whose measures are known beforehand."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import skew

from slides.encoders.painting import discs, lattice, render, tissue
from survfuse._errors import MissingExtraError
from survfuse.slides.encoders.loading import load_encoder
from survfuse.slides.encoders.stain_texture import (
    COLUMNS,
    FEATURES,
    GRAINS,
    RESIDUAL_ZERO,
    StainTextureEncoder,
    bands,
    direction,
    grains,
    half,
    lags,
    mean_square,
    moments,
    nuclei,
    patchiness,
    ranks,
    spatial,
    split,
    sum_of_squares,
    unmixing,
)

NOISE = np.random.default_rng(0).integers(0, 200, (112, 112), dtype=np.uint8)
FLAT = np.full((112, 112), 30, np.uint8)


def nuclear(tile: np.ndarray) -> dict[str, float]:
    planes = split(tile)
    found = nuclei(half(planes.haematoxylin), half(planes.eosin))
    return dict(zip(COLUMNS["nuclear"], found, strict=True))


def test_the_names_are_as_many_as_the_numbers() -> None:
    assert len(spatial(split(tissue(0)))) == len(
        {**COLUMNS["nuclear"], **COLUMNS["spatial"]},
    )


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
    plane = half(split(discs(lattice(56), diameter)).haematoxylin)
    assert GRAINS[int(np.argmax(grains(plane)))] in {
        expected,
        GRAINS[GRAINS.index(expected) - 1],
    }


def test_granulometry_adds_up() -> None:
    plane = half(split(tissue(1)).haematoxylin)
    lost = grains(plane)
    opened = cv2.morphologyEx(plane, cv2.MORPH_OPEN, np.ones((21, 21), np.uint8))
    assert sum(lost) == pytest.approx((plane.mean() - opened.mean()) / 100)
    assert min(lost) >= 0


def test_contrast_is_at_its_scale() -> None:
    rows = np.mgrid[:224, :224][1]
    fine = (60 + 50 * (-1) ** rows).astype(np.uint8)
    coarse = (60 + 50 * np.sin(2 * math.pi * rows / 56)).astype(np.uint8)
    assert int(np.argmax(bands(fine, half(fine)))) == 0
    assert int(np.argmax(bands(coarse, half(coarse)))) >= 4
    assert bands(FLAT, half(FLAT)) == [0] * 6


def test_correlation_with_neighbours() -> None:
    assert lags(FLAT) == [0, 0, 0]
    assert np.abs(lags(NOISE)).max() < 0.05
    checks = (100 * (np.indices((64, 64)).sum(axis=0) % 2)).astype(np.uint8)
    assert lags(checks) == pytest.approx([-1, 1, 1])


@pytest.mark.parametrize("angle", [0, 30, 90, 135])
def test_fibres_have_a_direction_whichever_it_is(angle: float) -> None:
    y, x = np.mgrid[:112, :112]
    along = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    fibres = (100 + 80 * np.sin(along / 2)).astype(np.uint8)
    gradient, local, whole = direction(fibres, 0.01)
    assert local > 0.95
    assert whole > 0.95
    assert gradient > 0


def test_a_slope_has_its_gradient() -> None:
    slope = np.tile(
        np.arange(112, dtype=np.uint8),
        (112, 1),
    )  # 1 unit per sample: half a unit per px
    assert direction(slope, 1.0)[0] == pytest.approx(0.5, rel=0.02)


def test_noise_and_rings_have_none() -> None:
    assert direction(NOISE, 1)[2] < 0.1
    y, x = np.mgrid[:112, :112] - 55.5
    rings = (100 + 80 * np.sin(np.hypot(x, y) / 2)).astype(np.uint8)
    _, local, whole = direction(rings, 1)
    assert local > 0.6
    assert whole < 0.1
    assert direction(FLAT, 1) == [0, 0, 0]


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
    assert ranks(NOISE) == pytest.approx(expected, rel=1e-6)
    assert ranks(FLAT) == [1, 0, 0, 0]


def test_patches() -> None:
    sides = FLAT.copy()
    sides[:, 56:] = 50
    assert patchiness(sides) == pytest.approx(0.1)
    assert patchiness(FLAT) == 0


@pytest.mark.parametrize(
    ("haematoxylin", "eosin"),
    [(0.0, 0.0), (0.9, 0.0), (0.0, 0.8), (0.6, 0.4), (1.2, 0.3)],
)
def test_painted_stains_are_found_again(haematoxylin: float, eosin: float) -> None:
    tile = render(np.full((32, 32), haematoxylin), np.full((32, 32), eosin))
    planes = split(tile)
    assert (
        abs(int(planes.haematoxylin[0, 0]) - 100 * haematoxylin) <= 2
    )  # bytes of colour are coarse
    assert abs(int(planes.eosin[0, 0]) - 100 * eosin) <= 2
    assert abs(int(planes.residual[0, 0]) - RESIDUAL_ZERO) <= 2


def test_against_the_formula_pixel_by_pixel() -> None:
    tile = tissue(0)
    planes = split(tile)
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
    ink = np.full((32, 32, 3), (30, 140, 60), np.uint8)
    residual = abs(int(split(ink).residual[0, 0]) - RESIDUAL_ZERO)
    assert residual > 10
    assert (
        residual
        > 5 * np.abs(split(tissue(0)).residual.astype(int) - RESIDUAL_ZERO).mean()
    )


def test_sums_are_exact() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 50, 70), dtype=np.uint8)
    assert mean_square(first, second) == np.mean(
        (first.astype(float) - second) ** 2,
    )
    left, right = first[:, :-3], first[:, 3:]
    assert mean_square(left, right) == np.mean((left.astype(float) - right) ** 2)
    assert sum_of_squares(first) == int((first.astype(np.int64) ** 2).sum())
    mean, variance = moments(first)
    assert (mean, variance) == pytest.approx((first.mean(), first.var()), rel=1e-12)
    assert moments(np.full((9, 9), 7, np.uint8)) == (7, 0)


def test_half_is_an_average() -> None:
    plane = np.array([[0, 4, 8, 8], [0, 4, 8, 8]], np.uint8)
    assert half(plane).tolist() == [[2, 8]]


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "survfuse.slides.encoders.stain_texture")
    with pytest.raises(
        MissingExtraError,
        match=r"^cv2 is needed for encoder stain_texture: pip install 'survfuse\[slides\]'",
    ):
        load_encoder("stain_texture")


ENCODER = StainTextureEncoder()


def measured(tile: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, ENCODER.measure(tile[None])[0].tolist(), strict=True))


def test_what_it_says_of_itself() -> None:
    encoder = load_encoder("stain-texture")
    assert (encoder.name, encoder.px, encoder.dim) == (
        "stain_texture",
        224,
        len(FEATURES),
    )
    assert 60 <= len(FEATURES) <= 100
    assert len(set(FEATURES)) == len(FEATURES)
    assert all(all(group.values()) for group in COLUMNS.values())
    assert encoder.identity() == {
        "name": "stain_texture",
        "arch": "measured",
        "version": 1,
        "dim": len(FEATURES),
    }


def test_the_same_tile_gives_the_same_bits_in_any_company() -> None:
    tiles = np.stack([tissue(seed) for seed in range(6)])
    whole = ENCODER.encode(tiles)
    assert whole.dtype == np.float16
    for n in (1, 2, 5):
        parts = [ENCODER.encode(tiles[i : i + n]) for i in range(0, 6, n)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(ENCODER.encode(tiles[::-1])[::-1], whole)
    np.testing.assert_array_equal(StainTextureEncoder().encode(tiles), whole)


def test_histogram_features_are_those_of_a_slow_count() -> None:
    tile = tissue(3)
    found, planes = measured(tile), split(tile)
    dark, pink = (
        planes.haematoxylin.ravel().astype(float),
        planes.eosin.ravel().astype(float),
    )
    expected = {
        "haematoxylin_mean": dark.mean() / 100,
        "haematoxylin_sd": dark.std() / 100,
        "haematoxylin_skewness": skew(dark),
        "eosin_skewness": skew(pink),
        "haematoxylin_q05": np.quantile(dark, 0.05, method="inverted_cdf") / 100,
        "haematoxylin_q95": np.quantile(dark, 0.95, method="inverted_cdf") / 100,
        "eosin_q50": np.quantile(pink, 0.5, method="inverted_cdf") / 100,
        "residual_mean": (planes.residual.mean() - 128) / 100,
        "residual_sd": planes.residual.std() / 100,
        "brightness_mean": planes.brightness.mean() / 255,
        "brightness_q95": np.quantile(planes.brightness, 0.95, method="inverted_cdf")
        / 255,
        "chroma_sd": planes.chroma.std() / 255,
        "blank_share": (planes.brightness > 220).mean(),
        "haematoxylin_above_40": (dark > 40).mean(),
        "eosin_above_20": (pink > 20).mean(),
        "stain_balance": dark.mean() / (dark.mean() + pink.mean()),
        "stain_correlation": np.corrcoef(dark, pink)[0, 1],
    }
    assert {name: found[name] for name in expected} == pytest.approx(
        expected,
        rel=1e-5,
        abs=1e-6,
    )


GOLDEN = {
    "haematoxylin_mean": 0.2322,
    "haematoxylin_q95": 0.7400,
    "eosin_sd": 0.0501,
    "stain_balance": 0.4365,
    "nuclei_threshold": 0.4200,
    "nuclei_density": 7.5733,
    "nuclei_peaks": 9.7656,
    "nuclei_area_mean": 12.6901,
    "nuclei_haematoxylin": 0.7828,
    "grain_14": 0.0563,
    "haematoxylin_band_07": 0.0478,
    "brightness_lag_04": 0.6097,
    "eosin_gradient": 0.0077,
    "brightness_coherence_local": 0.2209,
    "brightness_valley_2": 0.1896,
    "haematoxylin_patchiness": 0.0880,
}


def test_numbers_of_version_1() -> None:
    """Another OpenCV or another formula would show here: then `VERSION` must rise."""
    found = measured(tissue(0))
    assert {name: found[name] for name in GOLDEN} == pytest.approx(
        GOLDEN,
        rel=2e-3,
        abs=6e-5,
    )


def test_every_column_stands_on_the_page() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "encoders.md").read_text(
        encoding="utf-8",
    )
    assert (
        "\n".join(
            f"| `{name}` | {told} |"
            for group in COLUMNS.values()
            for name, told in group.items()
        )
        in page
    )


@pytest.mark.parametrize("turn", [1, 2, 3, "mirror"])
def test_turning_a_tile_changes_nothing(turn: int | str) -> None:
    tile = tissue(4)
    turned = tile[:, ::-1] if turn == "mirror" else np.rot90(tile, int(turn))
    np.testing.assert_allclose(
        ENCODER.measure(turned[None]),
        ENCODER.measure(tile[None]),
        rtol=1e-5,
        atol=1e-6,
    )


def test_density_size_darkness_and_stain_show_in_their_own_features() -> None:
    plain = measured(discs(lattice(32), 14))
    denser, larger = measured(discs(lattice(22), 14)), measured(discs(lattice(32), 22))
    darker, pinker = (
        measured(discs(lattice(32), 14, dark=1.2)),
        measured(discs(lattice(32), 14, eosin=0.5)),
    )
    assert denser["nuclei_density"] > 1.5 * plain["nuclei_density"]
    assert denser["nuclei_area_mean"] == pytest.approx(
        plain["nuclei_area_mean"],
        rel=0.1,
    )
    assert larger["nuclei_area_mean"] > 1.4 * plain["nuclei_area_mean"]
    assert larger["nuclei_density"] == pytest.approx(plain["nuclei_density"])
    assert darker["nuclei_haematoxylin"] > plain["nuclei_haematoxylin"] + 0.15
    assert darker["nuclei_density"] == pytest.approx(plain["nuclei_density"])
    assert pinker["eosin_mean"] == pytest.approx(plain["eosin_mean"] + 0.2, abs=0.02)
    assert pinker["stain_balance"] < plain["stain_balance"] - 0.05
    assert pinker["haematoxylin_mean"] == pytest.approx(
        plain["haematoxylin_mean"],
        abs=0.02,
    )


HOSTILE = {
    "white": np.full((224, 224, 3), 255, np.uint8),
    "black": np.zeros((224, 224, 3), np.uint8),
    "red": np.full((224, 224, 3), (255, 0, 0), np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8),
    "checks": np.repeat(
        (255 * (np.indices((224, 224)).sum(axis=0) % 2))[..., None],
        3,
        axis=2,
    ).astype(np.uint8),
    "half blank": np.concatenate(
        [np.full((224, 112, 3), 255, np.uint8), tissue(0)[:, 112:]],
        axis=1,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tiles_have_finite_features(name: str) -> None:
    found = ENCODER.encode(HOSTILE[name][None])
    assert np.isfinite(found).all()


def test_nothing_is_on_a_blank_tile() -> None:
    found = measured(HOSTILE["white"])
    assert found["blank_share"] == 1
    zero = (
        "haematoxylin_mean",
        "eosin_sd",
        "nuclei_density",
        "nuclei_peaks",
        "stain_balance",
        "brightness_gradient",
    )
    assert [found[name] for name in zero] == [0] * len(zero)


@pytest.mark.parametrize("px", [32, 33, 47, 100, 256, 500])
def test_any_side(px: int) -> None:
    found = ENCODER.encode(tissue(0, px=px, nuclei=px // 4)[None])
    assert found.shape == (1, len(FEATURES))
    assert np.isfinite(found).all()


def test_no_tiles_give_no_features() -> None:
    found = ENCODER.encode(np.zeros((0, 224, 224, 3), np.uint8))
    assert found.shape == (0, len(FEATURES))
    assert found.dtype == np.float16
