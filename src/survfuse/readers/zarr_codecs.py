"""Codecs of zarr: compressors that unpack to a size that is known before, and filters on the bytes."""

from __future__ import annotations

import bz2
import lzma
import math
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import FeatureFileError
from survfuse.readers.array_checks import AnyArray, swap_bytes

Bytes = npt.NDArray[np.uint8]
Shape = tuple[int, ...]
DType = np.dtype[Any]

_MEMORY = 256 * 2**20
"""Of lzma, in bytes."""
_DTYPE = re.compile(r"[<>|=]?[fiu][1248]|float(16|32|64)|u?int(8|16|32|64)")


@dataclass(frozen=True)
class Codec:
    """A codec by its name, and what the metadata say of it."""

    name: str
    about: Mapping[str, Any]

    @classmethod
    def of(cls, name: Any, about: Mapping[str, Any]) -> Codec:
        """Make it of an entry of the metadata."""
        if not isinstance(name, str):
            raise ValueError(f"expected a name, got {type(name).__name__}")
        return cls(name.removeprefix("numcodecs."), about)


def plain_dtype(name: Any) -> DType:
    """Return a dtype of numbers from its name, as format 2 or 3 writes it."""
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise ValueError(f"dtype {str(name)[:80]!r}, expected plain numbers")
    return np.dtype(name)


def counts_in(values: Any) -> Shape:
    """Return a list of counts >= 0 as a tuple."""
    is_list = isinstance(values, list)
    if not is_list or not all(type(n) is int and n >= 0 for n in values):
        raise ValueError(f"expected a list of counts, got {str(values)[:80]}")
    return tuple(values)


def check_known(codecs: Sequence[Codec], folder: Path) -> None:
    """Refuse codecs that are not read, and more than one compressor."""
    names = [codec.name for codec in codecs]
    unknown = set(names).difference(UNPACKERS, _FILTERS, ["sharding_indexed"])
    if unknown:
        raise FeatureFileError(
            f"{folder}: packed with {', '.join(sorted(unknown))[:200]}, which is not read",
        )
    if sum(name in UNPACKERS for name in names) > 1:
        raise ValueError("packed by more than one compressor")


def unpack(
    stored: Bytes, codecs: Sequence[Codec], shape: Shape, dtype: DType
) -> AnyArray:
    """Undo the codecs of one chunk.

    Parameters
    ----------
    stored : ndarray of uint8
    codecs : sequence of Codec
        In the order of packing.
    shape, dtype
        Of the chunk.

    Raises
    ------
    ValueError and others
        When it is damaged, or unpacks to another size: to be caught by
        :func:`survfuse._gate.boundary`.
    """
    if not len(stored):
        raise ValueError("it is empty")
    expected = dtype.itemsize * math.prod(shape)
    sizes = [expected]
    for codec in codecs:
        sizes.append(_packed_size(codec, sizes[-1]))
    for codec, size in zip(reversed(codecs), sizes[-2::-1], strict=True):
        if codec.name in UNPACKERS:
            stored = UNPACKERS[codec.name](stored, size)
        else:
            stored = _FILTERS[codec.name](stored, codec.about, shape, dtype)
    if stored.nbytes != expected:
        raise ValueError(f"a chunk of {stored.nbytes} bytes, expected {expected}")
    return stored.view(dtype).reshape(shape)


def _packed_size(codec: Codec, size: int) -> int:
    """Bytes after a codec, where that can be known."""
    if codec.name == "delta":
        before, after = _delta_dtypes(codec.about)
        return size // before.itemsize * after.itemsize
    return size + 4 * (codec.name == "crc32c")


# -- filters


def _native(
    stored: Bytes, about: Mapping[str, Any], shape: Shape, dtype: DType
) -> Bytes:
    """Undo codec `bytes`: the byte order of the file becomes that of the machine."""
    if dtype.itemsize == 1 or about.get("endian", "little") == sys.byteorder:
        return stored
    return swap_bytes(stored, dtype.itemsize)


def _transposed(
    stored: Bytes, about: Mapping[str, Any], shape: Shape, dtype: DType
) -> Bytes:
    order = counts_in(about["order"])
    if sorted(order) != list(range(len(shape))):
        raise ValueError(f"axes in the order {order}")
    values = stored.view(dtype).reshape([shape[axis] for axis in order])
    values = np.ascontiguousarray(values.transpose(np.argsort(order)))
    return values.reshape(-1).view(np.uint8)


def _unshuffled(
    stored: Bytes, about: Mapping[str, Any], shape: Shape, dtype: DType
) -> Bytes:
    size = about.get("elementsize", 4)
    if type(size) is not int or not 1 <= size <= 64:
        raise ValueError(f"shuffled by {str(size)[:80]} bytes")
    return np.ascontiguousarray(stored.reshape(size, -1).T).reshape(-1)


def _summed(
    stored: Bytes, about: Mapping[str, Any], shape: Shape, dtype: DType
) -> Bytes:
    before, after = _delta_dtypes(about)
    # values beyond their type are refused with all that are not finite
    with np.errstate(all="ignore"):
        return stored.view(after).cumsum(dtype=before).view(np.uint8)


def _delta_dtypes(about: Mapping[str, Any]) -> tuple[DType, DType]:
    """Dtypes of the values, and of their stored differences."""
    before = plain_dtype(about["dtype"])
    return before, plain_dtype(about.get("astype") or before.str)


def check_crc32c(stored: Bytes, *_: Any) -> Bytes:
    """Verify the checksum at the end of a chunk, and return what is before it."""
    import google_crc32c

    checksum = int.from_bytes(stored[-4:].tobytes(), "little")
    if checksum != google_crc32c.value(stored[:-4].tobytes()):
        raise ValueError("a checksum is not that of its chunk: the store was damaged")
    return stored[:-4]


_FILTERS: Mapping[str, Callable[[Bytes, Mapping[str, Any], Shape, DType], Bytes]] = {
    "bytes": _native,
    "transpose": _transposed,
    "shuffle": _unshuffled,
    "delta": _summed,
    "crc32c": check_crc32c,
}


# -- compressors


def _by_numcodecs(
    name: str, size_of: Callable[[bytes], int | None]
) -> Callable[[Bytes, int], Bytes]:
    """Unpack by numcodecs, once the header of a chunk (18 bytes) names the expected size."""

    def unpack(stored: Bytes, size: int) -> Bytes:
        import numcodecs

        head = stored[:18].tobytes()
        if (claimed := size_of(head)) not in (None, size):
            raise ValueError(
                f"a chunk that unpacks to {claimed} bytes, expected {size}"
            )
        if name == "blosc" and _number(head[12:16]) != len(stored):
            raise ValueError(f"{len(stored)} bytes of {_number(head[12:16])}")
        values = np.empty(size, np.uint8)
        numcodecs.get_codec({"id": name}).decode(stored, values)
        return values

    return unpack


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


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _zstd_size(head: bytes) -> int | None:
    """What a zstd frame says that it unpacks to (RFC 8878, 3.1.1.1); None where it does not say."""
    if head[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("no frame of zstd")
    flags = head[4]
    single = flags >> 5 & 1
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    length = (single, 2, 4, 8)[flags >> 6]
    value = _number(head[start : start + length])
    return value + 256 * (length == 2) if length else None


UNPACKERS: Mapping[str, Callable[[Bytes, int], Bytes]] = {
    "blosc": _by_numcodecs("blosc", lambda head: _number(head[4:8])),
    "zstd": _by_numcodecs("zstd", _zstd_size),
    "lz4": _by_numcodecs("lz4", lambda head: _number(head[:4])),
    "zlib": _streamed(zlib.decompressobj),
    "gzip": _streamed(lambda: zlib.decompressobj(31)),
    "bz2": _streamed(bz2.BZ2Decompressor),
    "lzma": _streamed(lambda: lzma.LZMADecompressor(memlimit=_MEMORY)),
}
