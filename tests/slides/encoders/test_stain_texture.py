from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import skew

from slides.encoders.painting import discs, lattice, tissue
from survfuse.slides.encoders.loading import load_encoder
from survfuse.slides.encoders.stain_names import DESCRIPTIONS
from survfuse.slides.encoders.stain_planes import StainSplitter
from survfuse.slides.encoders.stain_texture import FEATURES, StainTextureEncoder

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
    assert all(DESCRIPTIONS.values())
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
    found, planes = measured(tile), StainSplitter()(tile)
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
        "\n".join(f"| `{name}` | {told} |" for name, told in DESCRIPTIONS.items())
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
