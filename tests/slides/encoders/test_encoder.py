from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import SlideError
from survfuse.slides.encoders.encoder import TileEncoder, to_float16
from survfuse.slides.encoders.loading import load_encoder


def test_float16_is_exact_where_it_can_be() -> None:
    values = np.array([[0.0, 1.5, -65504.0]], np.float32)
    assert to_float16(values, "x").tolist() == values.tolist()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 65600.0, -1e30])
def test_what_does_not_fit_is_refused_and_counted(wrong: float) -> None:
    values = np.ones((4, 3), np.float32)
    values[2, 1] = wrong
    with pytest.raises(
        SlideError,
        match=r"^encoder 'x' gave values .* in 1 of 4 tiles \(1 features, the first is number 1; ",
    ):
        to_float16(values, "x")


def test_nothing_finite_is_said_so() -> None:
    with pytest.raises(
        SlideError,
        match=r"largest finite value none finite, limit 65504",
    ):
        to_float16(np.full((1, 1), np.nan, np.float32), "x")


@pytest.fixture
def encoder() -> TileEncoder:
    return load_encoder("stain_texture")


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((64, 64, 3), np.uint8),
        ((1, 64, 64, 4), np.uint8),
        ((1, 64, 32, 3), np.uint8),
        ((1, 64, 64, 3), np.float32),
    ],
)
def test_what_is_not_a_stack_of_tiles_is_refused(
    encoder: TileEncoder,
    shape: tuple[int, ...],
    dtype: type,
) -> None:
    with pytest.raises(
        ValueError,
        match=r"^expected tiles \(n, px, px, 3\) of uint8, got \(.*\) of (uint8|float32)$",
    ):
        encoder.encode(np.zeros(shape, dtype))
