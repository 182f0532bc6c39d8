import os
import stat

import pytest

from survfuse._errors import CohortError, FeatureFileError, InputError
from survfuse._gate import (
    boundary,
    format_bytes,
    free_memory,
    kind_of,
    refuse_claim,
    regular_file,
)


def test_a_regular_file_gives_its_size_and_a_link_to_it_too(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    assert (
        regular_file(tmp_path / "a") == regular_file(str(tmp_path / "b"), limit=5) == 5
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/zero", "a device"),
        ("absent", "no such file"),
        ("a\0b", "NUL"),
        ("x" * 5000, "too long"),
        (".", "a folder"),
    ],
)
def test_what_is_no_regular_file_is_refused_unopened(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FeatureFileError, match=said):
        regular_file(path, error=FeatureFileError)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="got a pipe"):
        regular_file(tmp_path / "pipe")


def test_a_file_beyond_its_limit_is_refused(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**21)
    with pytest.raises(InputError, match=r"2\.0 MiB, of such a file at most 1\.0 MiB"):
        regular_file(tmp_path / "large", limit=2**20)


def test_a_boundary_turns_anything_into_our_error_but_lets_ours_and_interrupts_pass():
    for raised in (
        ValueError("v"),
        RecursionError(),
        MemoryError(),
        AttributeError("a"),
        KeyError(1),
    ):
        with (
            pytest.raises(CohortError, match="file"),
            boundary("file", "a table", error=CohortError),
        ):
            raise raised
    for passing in (InputError("ours"), KeyboardInterrupt(), SystemExit(3)):
        with (
            pytest.raises(type(passing)),
            boundary("file", "a table", error=CohortError),
        ):
            raise passing


def test_a_claim_beyond_the_file_or_the_machine_is_refused():
    refuse_claim("here", 1000, 1)
    for claimed, stored in ((-1, 1), (1101, 1), (2**60, None)):
        with pytest.raises(InputError, match="here"):
            refuse_claim("here", claimed, stored)


def test_memory_and_kinds_are_told_in_words():
    assert free_memory() > 0
    assert [kind_of(mode) for mode in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFLNK)] == [
        "a pipe",
        "a socket",
        "something else",
    ]
    assert format_bytes(512) == "512 bytes"
    assert format_bytes(5 * 2**40) == "5.0 TiB"
