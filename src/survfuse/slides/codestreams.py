"""What a compressed tile claims to be, read from its header alone: a kilobyte can claim 12 GB."""

from __future__ import annotations

import struct

BOUNDED = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}
"""TIFF compressions whose streams say no size: they are decoded into as many bytes as a tile has."""
_NO_LENGTH = {0x01, 0xD8, *range(0xD0, 0xD8)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_MOST_SCANS = 100  # each goes over all pixels; encoders make about ten
_JPEG_START, _J2K_START, _JP2_START = (
    b"\xff\xd8",
    b"\xff\x4f\xff\x51",
    b"\x00\x00\x00\x0cjP  ",
)
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_COLOURS = 4  # the most that PNG and WebP have

Claim = tuple[int, int, int]


def claimed_size(stored: bytes) -> Claim | None:
    """Width, height and channels that a JPEG, JPEG 2000, PNG or WebP stream will be decoded to.

    Parameters
    ----------
    stored : bytes
        One whole tile.

    Returns
    -------
    tuple of int or None
        None for anything else, and for a stream that does not say it.
    """
    if stored.startswith(_JPEG_START):
        return _jpeg_size(stored)
    if stored.startswith(_JP2_START):
        return _jp2_size(stored)
    if stored.startswith(_J2K_START):
        return _j2k_size(stored, 0)
    if stored.startswith(_PNG_START) and len(stored) >= 24:
        return *struct.unpack_from(">II", stored, 16), _COLOURS
    if stored[:4] == b"RIFF" and stored[8:12] == b"WEBP":
        return _webp_size(stored)
    return None


def _jpeg_size(stored: bytes) -> Claim | None:
    """Walk the markers to the first frame; what lies between them is skipped, as decoders do."""
    place = 2
    while True:
        place = stored.find(b"\xff", place)
        if place < 0 or place + 10 > len(stored):
            return None
        marker = stored[place + 1]
        if marker in _FRAMES:
            if marker in _PROGRESSIVE and stored.count(b"\xff\xda") > _MOST_SCANS:
                return None
            height, width, channels = struct.unpack_from(">HHB", stored, place + 5)
            return width, height, channels
        if marker == 0xFF:  # fill
            place += 1
        elif marker == 0 or marker in _NO_LENGTH:
            place += 2
        elif marker == 0xDA:  # pixels before any frame
            return None
        else:
            place += 2 + int.from_bytes(stored[place + 2 : place + 4], "big")


def _jp2_size(stored: bytes) -> Claim | None:
    """Walk the boxes to the codestream."""
    place = 0
    while place + 16 <= len(stored):
        length, kind = struct.unpack_from(">I4s", stored, place)
        head = 8
        if length == 1:
            length, head = int.from_bytes(stored[place + 8 : place + 16], "big"), 16
        if kind == b"jp2c":
            return _j2k_size(stored, place + head)
        if length < head:  # 0: to the end
            return None
        place += length
    return None


def _j2k_size(stored: bytes, start: int) -> Claim | None:
    if not stored.startswith(_J2K_START, start) or len(stored) < start + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stored, start + 8)
    return (
        right - left,
        bottom - top,
        int.from_bytes(stored[start + 40 : start + 42], "big"),
    )


def _webp_size(stored: bytes) -> Claim | None:
    kind = stored[12:16]
    if len(stored) < 30:
        return None
    if kind == b"VP8X":
        width, height = (
            int.from_bytes(stored[at : at + 3], "little") + 1 for at in (24, 27)
        )
        return width, height, _COLOURS
    if kind == b"VP8L":
        bits = int.from_bytes(stored[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, _COLOURS
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", stored, 26)
        return width & 0x3FFF, height & 0x3FFF, _COLOURS
    return None
