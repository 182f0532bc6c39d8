"""Zip archives that lie about their members."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from survfuse._errors import FeatureFileError
from survfuse.readers import archives
from survfuse.readers.archives import open_archive, read_member

CONTENT = bytes(range(256)) * 40


def archive(path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a", CONTENT)
    return path


def read(path: Path, name: str = "a") -> bytes:
    with open_archive(path, "a whole archive", "write it again") as file:
        return read_member(file, file.getinfo(name)).tobytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_read_and_verified(tmp_path: Path, method: int) -> None:
    path = archive(tmp_path / "a.zip", method)
    assert read(path) == CONTENT
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        FeatureFileError,
        match=r"a\.zip: expected a whole archive .*; write it again",
    ):
        read(path)


def test_a_checksum_that_was_never_written_is_not_verified(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip")
    with zipfile.ZipFile(path) as file:
        checksum = struct.pack("<I", file.getinfo("a").CRC)
    path.write_bytes(path.read_bytes().replace(checksum, bytes(4)))
    assert read(path) == CONTENT


def changed(path: Path, offset: int, form: str, value: int) -> Path:
    """Change a field of the last entry in the list of members."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.rindex(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "form", "value", "message"),
    [
        (8, "<H", 1, "is encrypted"),
        (10, "<H", 99, "packed by method 99; only deflate is read"),
        (10, "<H", zipfile.ZIP_LZMA, "packed by method 14; only deflate is read"),
        (20, "<I", 2**31, r"members of 2147483648 bytes in a file of \d+"),
        (24, "<I", 2**31, r"'a': claims 2\.0 GiB where 10\.0 KiB are stored"),
        (24, "<I", 20_000, "its two sizes differ"),
        (42, "<I", 9, "Bad magic number"),
        (42, "<I", 2**30, "BadZipFile|OSError|struct"),
    ],
)
def test_fields_that_lie(
    tmp_path: Path,
    offset: int,
    form: str,
    value: int,
    message: str,
) -> None:
    with pytest.raises(FeatureFileError, match=rf"a\.zip: .*({message})"):
        read(changed(archive(tmp_path / "a.zip"), offset, form, value))


def test_a_deflated_member_longer_than_it_claims(tmp_path: Path) -> None:
    with pytest.raises(FeatureFileError, match="Bad CRC-32"):
        read(changed(archive(tmp_path / "a.zip", zipfile.ZIP_DEFLATED), 24, "<I", 5000))
    with pytest.raises(FeatureFileError, match="10 of 10250 bytes are missing"):
        read(
            changed(
                archive(tmp_path / "b.zip", zipfile.ZIP_DEFLATED),
                24,
                "<I",
                10_250,
            ),
        )


def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a", b"2")
    with pytest.raises(FeatureFileError, match="two members have one name"):
        read(tmp_path / "a.zip")


def test_a_list_of_too_many_members(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(100):
            file.writestr(str(number), b"")
    monkeypatch.setattr(archives, "_DIRECTORY_LIMIT", 4000)
    with pytest.raises(
        FeatureFileError,
        match="a list of members of 4790 bytes, at most 4000 are read",
    ):
        read(tmp_path / "a.zip", "0")
