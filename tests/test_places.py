import errno
import os
import subprocess
import sys
import time

import pytest

from survfuse._errors import BundleError, InputError
from survfuse._places import LOCK, answered, disk_answer, held, try_file, try_folder


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path):
    assert try_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert try_file(tmp_path / "a" / "file.csv") == tmp_path / "a" / "file.csv"
    assert list(tmp_path.iterdir()) == []


def test_a_place_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert try_folder("a/b").as_posix() == "a/b"
    assert try_file("file.csv").as_posix() == "file.csv"
    assert try_file("a/file.csv").as_posix() == "a/file.csv"
    (tmp_path / "blind").symlink_to("nowhere")
    for target in ("blind", "blind/a"):
        with pytest.raises(InputError, match="blind is no folder; choose another place"):
            try_folder(target)


@pytest.mark.parametrize(
    "target", ["/proc/nothing", "/dev/null/x", "a\0b", "n" * 300, "x/" + "n" * 300 + "/y"]
)
def test_a_folder_that_cannot_be_made_is_known_before(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError):
        try_folder(target, error=BundleError)


def test_devices_pipes_folders_and_blind_links_are_never_written_over(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "blind").symlink_to("nowhere")
    for target, said in (
        ("/dev/full", "device"),
        (tmp_path / "pipe", "pipe"),
        (tmp_path, "folder"),
        (tmp_path / "blind", "link"),
    ):
        with pytest.raises(InputError, match=said):
            try_file(target)


def test_a_full_disk_is_found_by_writing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full"):
        try_folder(tmp_path / "out")


def test_errors_of_a_disk_are_answered_and_others_are_not():
    assert (
        disk_answer(OSError(errno.EROFS, "x", "/a/b")) == "/a/b: the disk is read-only; choose another place"
    )
    assert disk_answer(OSError(errno.EBADF, "x")) is None
    with pytest.raises(OSError, match="x"), answered("/a"):
        raise OSError(errno.EBADF, "x")


def test_a_held_folder_is_refused_to_others_until_its_holder_ends(tmp_path):
    code = (
        f"import time\nfrom survfuse._places import held\nwith held({str(tmp_path)!r}):\n"
        "    print(1, flush=True)\n    time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(InputError, match=f"process {other.pid} on .* works in this folder"),
            held(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with held(tmp_path):
                assert (tmp_path / LOCK).exists()
                with pytest.raises(InputError, match="another run of this process"), held(tmp_path):
                    pass
            break
        except InputError:
            time.sleep(0.05)
    assert not (tmp_path / LOCK).exists()
