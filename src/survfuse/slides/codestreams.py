"""The size that a compressed tile claims in its header: a kilobyte can claim 12 GB."""

from __future__ import annotations

import struct

BOUNDED = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}
"""TIFF compressions whose streams say no size: they are decoded into as many bytes as a tile
has."""
_MOST_SCANS = (
    100  # of a progressive JPEG, each over all pixels; encoders make about ten
)
_J2K_START = b"\xff\x4f\xff\x51"
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
    if stored.startswith(b"\xff\xd8"):
        return _jpeg_size(stored)
    if stored.startswith(b"\x00\x00\x00\x0cjP  "):
        return _jp2_size(stored)
    if stored.startswith(_J2K_START):
        return _j2k_size(stored)
    if stored.startswith(_PNG_START) and len(stored) >= 24:
        return *struct.unpack_from(">II", stored, 16), _COLOURS
    if stored[:4] == b"RIFF" and stored[8:12] == b"WEBP" and len(stored) >= 30:
        return _webp_size(stored)
    return None


def _jpeg_size(stored: bytes) -> Claim | None:
    """Read the first frame header; what lies between markers is skipped, as decoders do."""
    place = 2
    while True:
        place = stored.find(b"\xff", place)
        if place < 0 or place + 10 > len(stored):
            return None
        marker = stored[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            is_progressive = marker % 4 == 2
            if is_progressive and stored.count(b"\xff\xda") > _MOST_SCANS:
                return None
            height, width, channels = struct.unpack_from(">HHB", stored, place + 5)
            return width, height, channels
        if marker == 0xDA:  # pixels before any frame
            return None
        if marker == 0xFF:  # fill
            place += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # without a length
            place += 2
        else:
            place += 2 + int.from_bytes(stored[place + 2 : place + 4], "big")


def _jp2_size(stored: bytes) -> Claim | None:
    """Read the boxes up to the codestream."""
    place = 0
    while place + 16 <= len(stored):
        length, kind, long = struct.unpack_from(">I4sQ", stored, place)
        head = 16 if length == 1 else 8
        length = long if length == 1 else length
        if kind == b"jp2c":
            return _j2k_size(stored[place + head :])
        if length < head:  # 0: to the end
            return None
        place += length
    return None


def _j2k_size(stored: bytes) -> Claim | None:
    if not stored.startswith(_J2K_START) or len(stored) < 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stored, 8)
    (channels,) = struct.unpack_from(">H", stored, 40)
    return right - left, bottom - top, channels


def _webp_size(stored: bytes) -> Claim | None:
    kind = stored[12:16]
    if kind == b"VP8X":
        width, height = stored[24:27], stored[27:30]
        little = [int.from_bytes(side, "little") + 1 for side in (width, height)]
        return little[0], little[1], _COLOURS
    if kind == b"VP8L":
        bits = int.from_bytes(stored[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, _COLOURS
    if kind == b"VP8 ":
        across, down = struct.unpack_from("<HH", stored, 26)
        return across & 0x3FFF, down & 0x3FFF, _COLOURS
    return None
