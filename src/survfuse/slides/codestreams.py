"""What a compressed tile claims to be, read from its header alone: a kilobyte can claim 12 GB."""

from __future__ import annotations

import struct

_NO_LENGTH = {0x01, 0xD8, *range(0xD0, 0xD8)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_START, _J2K_START, _JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "


def claimed_size(stored: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG or JPEG 2000 stream will be decoded to; None for anything else.

    Parameters
    ----------
    stored : bytes
        One whole tile.
    """
    if stored.startswith(_JPEG_START):
        return _jpeg_size(stored)
    start = stored.find(_J2K_START) if stored.startswith(_JP2_START) else 0
    if start >= 0 and stored.startswith(_J2K_START, start) and len(stored) >= start + 24:
        right, bottom, left, top = struct.unpack_from(">4I", stored, start + 8)
        return right - left, bottom - top
    return None


def _jpeg_size(stored: bytes) -> tuple[int, int] | None:
    """Walk the markers to the first frame."""
    place = 2
    while place + 9 <= len(stored) and stored[place] == 0xFF:
        marker = stored[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", stored, place + 5)
            return width, height
        if marker == 0xFF:  # fill
            place += 1
        elif marker in _NO_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(stored[place + 2 : place + 4], "big")
    return None
