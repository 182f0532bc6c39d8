"""What a compressed tile claims, without decoding it."""

from __future__ import annotations

import struct

import cv2
import imagecodecs
import numpy as np
import pytest

from survfuse.slides.codestreams import claimed_size

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)


@pytest.mark.parametrize("width", [1, 80, 65500])
def test_a_jpeg_says_its_size(width: int) -> None:
    stored = bytearray(imagecodecs.jpeg8_encode(PIXELS))
    place = stored.find(b"\xff\xc0")
    stored[place + 5 : place + 9] = struct.pack(">HH", 48, width)
    assert claimed_size(bytes(stored)) == (width, 48, 3)


@pytest.mark.parametrize("codec", ["j2k", "jp2"])
def test_a_jpeg_2000_says_its_size(codec: str) -> None:
    assert claimed_size(imagecodecs.jpeg2k_encode(PIXELS, codecformat=codec)) == (
        80,
        48,
        3,
    )


@pytest.mark.parametrize("level", [None, 80])
def test_png_and_webp_say_their_size(level: int | None) -> None:
    assert claimed_size(imagecodecs.png_encode(PIXELS)) == (80, 48, 4)
    assert claimed_size(
        imagecodecs.webp_encode(PIXELS, level=level, lossless=level is None),
    ) == (80, 48, 4)


def test_a_progressive_jpeg_of_very_many_scans_says_nothing() -> None:
    stored = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[
        1
    ].tobytes()
    assert claimed_size(stored) == (80, 48, 3)
    scan = stored[stored.rfind(b"\xff\xda") : -2]
    assert claimed_size(stored[:-2] + 100 * scan + stored[-2:]) is None


def test_what_a_decoder_would_skip_is_skipped() -> None:
    stored = imagecodecs.jpeg8_encode(PIXELS)
    assert claimed_size(stored[:2] + b"between\xff\x00" + stored[2:]) == (80, 48, 3)


def test_a_codestream_is_not_taken_from_another_box() -> None:
    stored = imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2")
    lie = imagecodecs.jpeg2k_encode(PIXELS[:9, :9], codecformat="j2k")
    box = (8 + len(lie)).to_bytes(4, "big") + b"xml " + lie
    assert claimed_size(stored[:12] + box + stored[12:]) == (80, 48, 3)


def test_fill_bytes_and_comments_are_walked_over() -> None:
    stored = imagecodecs.jpeg8_encode(PIXELS)
    assert claimed_size(stored[:2] + b"\xff\xff\xff\xfe\x00\x06note" + stored[2:]) == (
        80,
        48,
        3,
    )


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9" * 9,
        b"\xff\xd8" + b"\xff" * 99,
        b"\x00" * 64,
    ],
)
def test_what_says_nothing_is_none(stored: bytes) -> None:
    assert claimed_size(stored) is None


def test_any_start_of_a_stream_is_taken_without_a_fault() -> None:
    for whole in (
        imagecodecs.jpeg8_encode(PIXELS),
        imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k"),
    ):
        for length in range(min(len(whole), 400)):
            assert claimed_size(whole[:length]) in (None, (80, 48, 3))
