"""Zip archives of arrays (``.npz``, ``.pt``): members are checked before and after reading."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from survfuse._errors import FeatureFileError, InputError
from survfuse._gate import boundary, regular_file
from survfuse._types import ByteArray
from survfuse.readers.array_checks import check_stored

_DIRECTORY_LIMIT = 8 * 2**20
"""Largest list of members that is read, in bytes: about 100,000 members."""
_STEP = 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _File(io.FileIO):
    """A file that is read in pieces: the one long read of zipfile is the list of members."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _DIRECTORY_LIMIT:
            raise ValueError(
                f"a list of members of {size} bytes, at most {_DIRECTORY_LIMIT} are read",
            )
        return super().read(-1 if size is None else size)


@contextmanager
def open_archive(
    path: Path,
    what: str,
    remedy: str,
    *,
    error: type[InputError] = FeatureFileError,
) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members lie in the file, each in a place of its own.

    Parameters
    ----------
    path : Path
        The file.
    what, remedy : str
        What was expected and what to do, as for :func:`survfuse._gate.boundary`.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        For anything that zipfile cannot read, within the block too, and for two members of one
        name.
    """
    size = regular_file(path, error=error)
    with (
        boundary(
            path,
            what,
            error=error,
            remedy=remedy,
        ),
        _File(path) as file,
        zipfile.ZipFile(file) as archive,
    ):
        members = archive.infolist()
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two members have one name")
        stored = sum(member.compress_size for member in members)
        if stored > size:
            raise ValueError(f"members of {stored} bytes in a file of {size}")
        yield archive


@contextmanager
def open_member(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
) -> Iterator[IO[bytes]]:
    """Open one member, stored or deflated; its checksum is verified when its end is read.

    Of files that torch wrote without checksums the field is 0, and nothing is verified.
    """
    if member.compress_type not in _METHODS:
        raise ValueError(
            f"{member.filename!r} is packed by method {member.compress_type}; only deflate is read",
        )
    if (
        member.compress_type == zipfile.ZIP_STORED
        and member.compress_size != member.file_size
    ):
        raise ValueError(
            f"{member.filename!r} is stored as it is, but its two sizes differ",
        )
    if member.CRC == 0 and member.compress_type == zipfile.ZIP_STORED:
        del member.CRC
    with archive.open(member) as opened:
        yield opened


def read_member(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
) -> ByteArray:
    """Read one member whole.

    Raises
    ------
    ValueError, BadZipFile, zlib.error
        When it is not what the archive says of it: caught by the block of :func:`open_archive`.
    FeatureFileError
        When it claims more than its stored bytes can unpack to, or than the machine has.
    """
    check_stored(
        f"{archive.filename}: {member.filename!r}",
        member.file_size,
        member.compress_size,
    )
    with open_member(archive, member) as opened:
        return read_exactly(opened, member.file_size)


def read_exactly(file: IO[bytes], size: int) -> ByteArray:
    """Read the rest of a stream, which must be `size` bytes: no fewer and no more."""
    whole = np.empty(size, np.uint8)
    view = whole.data
    filled = 0
    while filled < size:
        count = file.readinto(view[filled : filled + _STEP])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"{size - filled} of {size} bytes are missing")
        filled += count
    if file.read(1):
        raise ValueError(f"more than the {size} bytes that its header claims")
    return whole
