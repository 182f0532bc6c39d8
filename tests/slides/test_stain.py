from __future__ import annotations

import numpy as np
import pytest

from slides import glass
from survfuse.slides.stain import find_ink, keep_large, measure_light, stain


def test_glass_has_no_density_whatever_its_colour_and_gradient() -> None:
    for colour, gradient in [
        ((250, 250, 250), 0.0),
        ((236, 228, 200), 25.0),
        ((215, 220, 230), 15.0),
    ]:
        rng = np.random.default_rng(0)
        painted = glass.paint(
            "",
            np.zeros((400, 600), bool),
            rng,
            glass=colour,
            gradient=gradient,
        )
        light = measure_light(painted.image)
        assert light.glass > 0.9
        assert abs(float(light.density.mean())) < 0.01
        assert float(np.abs(light.density.mean(axis=(0, 1))).max()) < 0.01


def test_density_is_what_was_painted() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((400, 600), bool)
    mask[100:300, 100:300] = True
    light = measure_light(
        glass.paint("", mask, rng, haematoxylin=0.4, eosin=0.3, noise=0.5).image,
    )
    inside = light.density[150:250, 150:250].mean(axis=(0, 1))
    np.testing.assert_allclose(
        inside,
        0.4 * glass.HAEMATOXYLIN + 0.3 * glass.EOSIN,
        atol=0.03,
    )


def test_stain_is_blind_to_grey() -> None:
    assert stain(np.full((4, 5, 3), 0.7, np.float32)) == pytest.approx(0, abs=1e-6)
    both = np.stack([glass.HAEMATOXYLIN, glass.EOSIN]).astype(np.float32)[None]
    assert (stain(both) > 0.2).all()


@pytest.mark.parametrize("value", [0, 3, 255])
def test_padding_is_found_and_counts_as_nothing(value: int) -> None:
    painted = glass.padded(value)
    light = measure_light(painted.image)
    outside = np.ones_like(light.padding)
    outside[200:1200, 300:1800] = False
    assert glass.overlap(light.padding, outside) > 0.98
    assert not light.density[light.padding].any()


def test_white_inside_tissue_is_no_padding() -> None:
    image = np.full((200, 200, 3), 150, np.uint8)
    image[80:120, 80:120] = 255
    assert not measure_light(image).padding.any()


@pytest.mark.parametrize("ink", sorted(glass.INKS))
def test_ink_is_found_and_tissue_is_not_ink(ink: str) -> None:
    painted = glass.penned(ink)
    marks = find_ink(measure_light(painted.image), painted.mpp)
    assert (marks & painted.pen).sum() > 0.97 * painted.pen.sum()
    assert (marks & ~painted.pen).sum() < 0.25 * painted.pen.sum()


@pytest.mark.parametrize(
    "scene",
    [
        "he",
        "pale",
        "lymphoid",
        "mixed",
        "yellow",
        "full",
        "blank",
        "dusty",
        "padded_black",
    ],
)
def test_no_ink_where_there_is_none(scene: str) -> None:
    assert not find_ink(measure_light(glass.SCENES[scene]().image), 8.0).any()


def test_keep_large() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[0, :2] = mask[5:8, 5:8] = 1
    assert keep_large(mask, 3).sum() == 9
    assert keep_large(mask, 0).sum() == 11
    assert not keep_large(np.zeros((3, 3), np.uint8), 1).any()


def test_a_thin_stroke_on_a_small_slide_is_ink() -> None:
    painted = glass.section((100, 150))
    painted = glass.stroke(painted, "black", [(0.05, 0.1), (0.6, 0.4)], 40.0)
    marks = find_ink(measure_light(painted.image), painted.mpp)
    assert (marks & painted.pen).sum() > 0.9 * painted.pen.sum()
