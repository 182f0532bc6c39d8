"""What a frame of zstd says of its size."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse._gate import boundary
from survfuse.readers.zarr_codecs import UNPACKERS

numcodecs = pytest.importorskip(
    "numcodecs",
    reason="the anndata extra is not installed",
)


@pytest.mark.parametrize("size", [1, 255, 256, 65_791, 65_792, 2**20])
def test_a_size_is_taken_from_the_frame(size: int) -> None:
    stored = np.frombuffer(bytes(numcodecs.Zstd().encode(bytes(size))), np.uint8)
    assert UNPACKERS["zstd"](stored, size).tobytes() == bytes(size)
    for wrong in (size - 1, size + 1):
        with pytest.raises(
            ValueError,
            match=f"a chunk that unpacks to {size} bytes, expected {wrong}",
        ):
            UNPACKERS["zstd"](stored, wrong)


@pytest.mark.parametrize("name", sorted(UNPACKERS))
def test_what_is_no_frame_is_an_error(name: str) -> None:
    for content in (b"", b"(\xb5/\xfd", b"(\xb5/\xfd\xff", b"1" * 40):
        with (
            pytest.raises(InputError, match="expected a whole chunk"),
            boundary("c", "a whole chunk"),
        ):
            UNPACKERS[name](np.frombuffer(content, np.uint8), 10)
