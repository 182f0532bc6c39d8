"""Files of `torch.save` that torch itself reads: judged first for what it does not judge.

With `weights_only` torch runs no code, but it takes the members of an archive where they lie, packed or
not, verifies no checksum, and makes a bytearray of whatever size the file names.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from survfuse._errors import InputError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse.readers.archives import open_archive, open_member, read_member

_WHAT = "a checkpoint that is safe to read"
_PICKLES = 5
"""At the begin of a file that torch wrote before 1.6."""
_STEP = 2**20


def read_checkpoint(
    path: Path,
    *,
    remedy: str,
    error: type[InputError] = InputError,
) -> Any:
    """Read what `torch.save` wrote, on the CPU, without running anything in it.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do about a file that cannot be read.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        When it is no regular file, was cut, changed or packed again, asks for memory that it does not fill,
        or holds what torch does not read without running code.
    """
    size = regular_file(path, error=error)
    refuse_claim(path, size, size, error=error)
    with boundary(path, _WHAT, error=error, remedy=remedy):
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _check_archive(path, remedy, error)
        else:
            with path.open("rb") as file:
                for _ in range(_PICKLES):
                    _refuse_makers(file)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _check_archive(path: Path, remedy: str, error: type[InputError]) -> None:
    with open_archive(path, _WHAT, remedy, error=error) as archive:
        members = archive.infolist()
        packed = [
            member.filename
            for member in members
            if member.compress_type != zipfile.ZIP_STORED
        ]
        if packed:
            raise error(
                f"{path}: was packed again by another program ({packed[0][:80]!r}); {remedy}",
            )
        for member in members:
            if member.filename.endswith(".pkl"):
                _refuse_makers(io.BytesIO(read_member(archive, member).tobytes()))
                continue
            with open_member(archive, member) as file:
                while file.read(_STEP):  # at its end the checksum is verified
                    pass


def _refuse_makers(file: IO[bytes]) -> None:
    """Refuse the one call that torch allows and that takes as much memory as the file asks for."""
    for operation, argument, _ in pickletools.genops(file):
        if operation.name == "GLOBAL" and str(argument).endswith("bytearray"):
            raise ValueError("it holds a bytearray, which no weights do")
