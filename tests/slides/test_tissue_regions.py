from __future__ import annotations

import numpy as np
import pytest

from slides import glass
from survfuse.slides.tissue_regions import find_stained


def stained(image: glass.Image, mpp: float = 8.0, **limits: float) -> glass.Mask:
    asked = {"min_area_mm2": 0.0, "max_hole_mm2": 0.0, **limits}
    return find_stained(image, mpp, **asked)[0]


def test_a_line_is_no_tissue_however_long() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((400, 600), bool)
    mask[200:202, 20:580] = True  # 16 µm wide, 4.5 mm long
    mask[40:60, 300:320] = True
    found = stained(glass.paint("", mask, rng, noise=0.5).image)
    assert not found[195:210].any()
    assert found[45:55, 305:315].all()


def test_a_hole_is_enclosed() -> None:
    rng = np.random.default_rng(0)
    mask = np.ones((400, 600), bool)
    mask[:40, 280:320] = False  # a bay at the border
    mask[180:200, 280:320] = False
    mask[250:, 400:] = False  # glass enough to compare with
    found = stained(glass.paint("", mask, rng).image, max_hole_mm2=0.2)
    assert found[185:195, 285:315].all()
    assert not found[:30, 290:310].any()


@pytest.mark.parametrize("noise", [0.5, 3.0, 6.0])
def test_noise_is_no_tissue(noise: float) -> None:
    rng = np.random.default_rng(1)
    blank = glass.paint("", np.zeros((400, 600), bool), rng, noise=noise)
    assert not stained(blank.image).any()


def test_the_edge_stays_within_one_px() -> None:
    import cv2

    painted = glass.section(seed=20)
    found = stained(painted.image)
    near = cv2.dilate(painted.tissue.astype(np.uint8), np.ones((5, 5)))
    assert not (found & (near == 0)).any()


def test_pieces_that_are_near_are_joined_and_others_are_not() -> None:
    import cv2

    rng = np.random.default_rng(0)
    mask = np.zeros((400, 600), bool)
    mask[100:200, 100:200] = mask[100:200, 201:300] = mask[100:200, 320:400] = True
    found = stained(glass.paint("", mask, rng).image)
    assert cv2.connectedComponents(found.astype(np.uint8))[0] - 1 == 2
