"""Checkpoints that torch reads: what it would take memory for, or misread, is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from survfuse._errors import BundleError
from survfuse.readers.checkpoint_files import read_checkpoint


class Vast:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (10**12,)


@pytest.mark.parametrize("zipped", [True, False])
def test_memory_that_the_file_does_not_fill_is_refused(
    zipped: bool,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": Vast()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        BundleError,
        match=r"a\.pt: .*it holds a bytearray, which no weights do\); try",
    ):
        read_checkpoint(path, remedy="try", error=BundleError)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_format_come_back(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.arange(5.0)}, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_checkpoint(path, remedy="try")["a"], torch.arange(5.0))


def test_an_archive_without_checksums_is_read(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.arange(5.0)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(
        read_checkpoint(tmp_path / "a.pt", remedy="try")["a"],
        torch.arange(5.0),
    )
