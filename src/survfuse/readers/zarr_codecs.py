"""Codecs of zarr: compressors that unpack to a size that is known before, and filters on the bytes."""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
About = Mapping[str, Any]
"""What the metadata say of a codec."""
Shape = tuple[int, ...]
DType = np.dtype[Any]

_MEMORY = 256 * 2**20
"""Of lzma, in bytes."""
_TYPES_2 = re.compile(r"[<>|=]?[fiu][1248]")
_TYPES_3 = re.compile(r"float(16|32|64)|u?int(8|16|32|64)")


def plain_dtype(name: Any) -> np.dtype[Any]:
    """Return a dtype of numbers from its name, as format 2 or 3 writes it."""
    if not isinstance(name, str) or not (
        _TYPES_2.fullmatch(name) or _TYPES_3.fullmatch(name)
    ):
        raise ValueError(f"dtype {str(name)[:80]!r}, expected plain numbers")
    return np.dtype(name)


def counts_in(values: Any) -> tuple[int, ...]:
    """Return a list of counts >= 0 as a tuple."""
    if not isinstance(values, list) or not all(
        type(n) is int and n >= 0 for n in values
    ):
        raise ValueError(f"expected a list of counts, got {str(values)[:80]}")
    return tuple(values)


def _native(stored: Bytes, about: About, shape: Shape, dtype: DType) -> Bytes:
    """Undo codec `bytes`: the byte order of the file becomes that of the machine."""
    if dtype.itemsize == 1 or about.get("endian", "little") == sys.byteorder:
        return stored
    return np.ascontiguousarray(stored.reshape(-1, dtype.itemsize)[:, ::-1]).reshape(-1)


def _transposed(stored: Bytes, about: About, shape: Shape, dtype: DType) -> Bytes:
    order = counts_in(about["order"])
    if sorted(order) != list(range(len(shape))):
        raise ValueError(f"axes in the order {order}")
    values = stored.view(dtype).reshape([shape[axis] for axis in order])
    return (
        np.ascontiguousarray(values.transpose(np.argsort(order)))
        .reshape(-1)
        .view(np.uint8)
    )


def _unshuffled(stored: Bytes, about: About, shape: Shape, dtype: DType) -> Bytes:
    size = about.get("elementsize", 4)
    if type(size) is not int or not 1 <= size <= 64:
        raise ValueError(f"shuffled by {str(size)[:80]} bytes")
    return np.ascontiguousarray(stored.reshape(size, -1).T).reshape(-1)


def _summed(stored: Bytes, about: About, shape: Shape, dtype: DType) -> Bytes:
    summed = plain_dtype(about["dtype"])
    steps = stored.view(plain_dtype(about.get("astype") or summed.str))
    values = np.empty(steps.shape, summed)
    with np.errstate(
        all="ignore",
    ):  # values beyond their type are refused with all that are not finite
        np.cumsum(steps, out=values)
    return values.view(np.uint8)


def checked_crc32c(stored: Bytes, about: About, shape: Shape, dtype: DType) -> Bytes:
    """Verify the checksum at the end of a chunk, and return what is before it."""
    import google_crc32c

    if int.from_bytes(stored[-4:].tobytes(), "little") != google_crc32c.value(
        stored[:-4].tobytes(),
    ):
        raise ValueError("a checksum is not that of its chunk: the store was damaged")
    return stored[:-4]


FILTERS: Mapping[str, Callable[[Bytes, About, Shape, DType], Bytes]] = {
    "bytes": _native,
    "transpose": _transposed,
    "shuffle": _unshuffled,
    "delta": _summed,
    "crc32c": checked_crc32c,
}


def _blosc(stored: Bytes, size: int) -> Bytes:
    from numcodecs.blosc import Blosc

    claimed, _, packed = struct.unpack("<III", stored[4:16].tobytes())
    if packed != len(stored):
        raise ValueError(f"{len(stored)} bytes of {packed}")
    if claimed != size:
        raise ValueError(f"a chunk that unpacks to {claimed} bytes, expected {size}")
    return _into(Blosc(), stored, size)


def _zstd(stored: Bytes, size: int) -> Bytes:
    from numcodecs.zstd import Zstd

    if (claimed := _zstd_size(stored[:18].tobytes())) not in (None, size):
        raise ValueError(f"a chunk that unpacks to {claimed} bytes, expected {size}")
    return _into(Zstd(), stored, size)


def _zstd_size(head: bytes) -> int | None:
    """What a zstd frame says that it unpacks to (RFC 8878, 3.1.1.1); None where it does not say."""
    if head[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("no frame of zstd")
    flags = head[4]
    single = flags >> 5 & 1
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    length = (single, 2, 4, 8)[flags >> 6]
    value = int.from_bytes(head[start : start + length], "little")
    return value + 256 * (length == 2) if length else None


def _lz4(stored: Bytes, size: int) -> Bytes:
    from numcodecs.lz4 import LZ4

    if (claimed := int.from_bytes(stored[:4].tobytes(), "little")) != size:
        raise ValueError(f"a chunk that unpacks to {claimed} bytes, expected {size}")
    return _into(LZ4(), stored, size)


def _into(codec: Any, stored: Bytes, size: int) -> Bytes:
    values = np.empty(size, np.uint8)
    codec.decode(stored, values)
    return values


def _streamed(start: Callable[[], Any]) -> Callable[[Bytes, int], Bytes]:
    """Unpack with a decompressor of the standard library, which stops at a size."""

    def unpack(stored: Bytes, size: int) -> Bytes:
        stream = start()
        values = stream.decompress(stored.tobytes(), size + 1)
        if not stream.eof:
            raise ValueError(
                f"a chunk that is cut, or unpacks to more than {size} bytes",
            )
        return np.frombuffer(values, np.uint8)

    return unpack


UNPACKERS: Mapping[str, Callable[[Bytes, int], Bytes]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "lz4": _lz4,
    "zlib": _streamed(zlib.decompressobj),
    "gzip": _streamed(lambda: zlib.decompressobj(31)),
    "bz2": _streamed(bz2.BZ2Decompressor),
    "lzma": _streamed(lambda: lzma.LZMADecompressor(memlimit=_MEMORY)),
}
