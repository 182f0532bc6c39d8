"""A slide that cannot be judged fails; an empty one is another thing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from slides import glass
from survfuse._errors import SlideError
from survfuse.slides.overviews import Overview, check_overview


def check(image: Any, bits: int = 8) -> None:
    reader: Any = SimpleNamespace(path="s.tif", sample_bits=bits)
    check_overview(
        reader,
        Overview(np.ascontiguousarray(image, np.uint8), (16.0, 16.0), 8.0),
    )


@pytest.mark.parametrize("scene", sorted(glass.SCENES))
def test_what_a_scanner_makes_is_judged(scene: str) -> None:
    image = glass.SCENES[scene]().image
    check(image)
    check(image, bits=16)


def test_a_blank_slide_without_any_tint_is_judged() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.normal(240, 2, (800, 1000, 1)), 3, axis=2)
    grey[100:110, :] = 150  # the edge of the coverslip
    check(grey)
    check(np.full((500, 500, 3), 255))


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_16_bit_samples_of_which_fewer_are_used_are_no_glass(bits: int) -> None:
    image = glass.section().image.astype(np.uint16) * 257 >> (16 - bits)
    with pytest.raises(
        SlideError,
        match=r"s\.tif: nearly black: .* 16 bits, of which fewer seem to be used",
    ):
        check(image >> 8, bits=16)


def test_a_black_slide_is_not_empty() -> None:
    with pytest.raises(
        SlideError,
        match="its brightest pixels have 0 of 255; it is no bright-field scan",
    ):
        check(np.zeros((500, 500, 3)))


@pytest.mark.parametrize("kind", ["fluorescence", "inverted"])
def test_a_dark_field_is_refused(kind: str) -> None:
    image = glass.section().image
    if kind == "inverted":
        image = 255 - image
    else:
        image = np.full_like(image, 9)
        image[300:500, 300:700] = (30, 220, 60)
    with pytest.raises(
        SlideError,
        match=r"of what was scanned is nearly black.*fluorescence scan, or inverted",
    ):
        check(image)


@pytest.mark.parametrize("quality", [None, 40])
def test_a_picture_without_colour_is_refused(quality: int | None) -> None:
    image = np.repeat(
        cv2.cvtColor(glass.section().image, cv2.COLOR_RGB2GRAY)[..., None],
        3,
        axis=2,
    )
    if quality is not None:
        image = cv2.imdecode(
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1],
            1,
        )
    with pytest.raises(
        SlideError,
        match=r"no colour: all its pixels are grey, \d+% of them dark",
    ):
        check(image)
