import errno
import os
import subprocess
import sys
import time

import pytest

from survfuse._errors import BundleError, InputError
from survfuse._places import (
    LOCK,
    began,
    disk_advice,
    disk_errors,
    held,
    is_alive,
    owner_mark,
    staged_folder,
    sweep,
    sweep_stage,
    try_file,
    try_folder,
)


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
        with pytest.raises(
            InputError,
            match="blind is no folder; choose another place",
        ):
            try_folder(target)


@pytest.mark.parametrize(
    "target",
    ["/proc/nothing", "/dev/null/x", "a\0b", "n" * 300, "x/" + "n" * 300 + "/y"],
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
        disk_advice(OSError(errno.EROFS, "x", "/a/b"))
        == "/a/b: the disk is read-only; choose another place"
    )
    assert disk_advice(OSError(errno.EBADF, "x")) is None
    with pytest.raises(OSError, match="x"), disk_errors("/a"):
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
            pytest.raises(
                InputError,
                match=f"process {other.pid} on .* works in this folder",
            ),
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
                with (
                    pytest.raises(InputError, match="another run of this process"),
                    held(tmp_path),
                ):
                    pass
            break
        except InputError:
            time.sleep(0.05)
    assert not (tmp_path / LOCK).exists()


def mark_of_the_dead() -> str:
    """What the temporary files of a process that has ended are marked with."""
    code = "from survfuse._places import owner_mark; print(owner_mark())"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def mark_of_another_machine() -> str:
    machine, _, rest = owner_mark().partition("-")
    return f"{int(machine, 16) ^ 1:08x}-{rest}"


def test_what_dead_processes_left_is_removed_and_what_living_ones_write_is_kept(
    tmp_path,
):
    dead, far = mark_of_the_dead(), mark_of_another_machine()
    gone = [f".a.{dead}.x1y2z3w4.part", f".a.{far}.long_ago.part"]
    kept = [
        f".a.{owner_mark()}.mine.part",
        f".a.{far}.just_now.part",
        f".a.b.{dead}.other.part",
        ".a.somebodys.part",
        "a",
    ]
    for name in (*gone, *kept):
        (tmp_path / name).touch()
    os.utime(tmp_path / gone[1], (1, 1))
    sweep(tmp_path, "a")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


@pytest.mark.skipif(
    not os.path.exists("/proc/self/stat"),
    reason="only Linux says when a process began",
)
def test_a_process_is_not_taken_for_an_earlier_one_of_its_number():
    pid = os.getpid()
    assert is_alive(pid)
    assert is_alive(pid, began(pid))
    assert not is_alive(pid, began(pid) - 1)
    assert not is_alive(2**40)


def fill(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)


def test_a_staged_folder_is_whole_or_absent(tmp_path):
    target = tmp_path / "a" / "b"
    with staged_folder(target) as folder:
        (folder / "file").write_text("1")
        assert not target.exists()
    assert (target / "file").read_text() == "1"
    with pytest.raises(IsADirectoryError), staged_folder(target) as folder:
        tmp_path.read_text()
    assert (target / "file").read_text() == "1"
    with staged_folder(target) as folder:
        (folder / "file").write_text("3")
    assert (target / "file").read_text() == "3"
    assert [path.name for path in target.parent.iterdir()] == ["b"]


def test_a_replacement_that_fails_leaves_the_old_folder(tmp_path, monkeypatch):
    target = tmp_path / "b"
    fill(target, "old")
    move = type(target).rename

    def broken(self, to):
        if self.name == "new":
            raise OSError(errno.EIO, "disk gone", str(to))
        return move(self, to)

    monkeypatch.setattr(type(target), "rename", broken)
    with (
        pytest.raises(BundleError, match="b: the disk reports an error"),
        staged_folder(target, error=BundleError) as folder,
    ):
        fill(folder, "new")
    assert (target / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    "mode",
    ["in the block", "between the renames", "after the renames"],
)
def test_what_a_killed_run_left_is_mended_by_the_next(tmp_path, mode):
    target = tmp_path / "b"
    fill(target, "old")
    code = """
import os, signal, sys
from pathlib import Path
from survfuse import _places
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
move, target, mode = Path.rename, Path(sys.argv[1]), sys.argv[2]
def rename(self, to):
    if self.name == "new" and mode == "between the renames": die()
    return move(self, to)
Path.rename = rename
with _places.staged_folder(target) as folder:
    (folder / "file").write_text("new")
    if mode == "in the block": die()
    if mode == "after the renames": _places.shutil.rmtree = die
"""
    done = subprocess.run([sys.executable, "-c", code, str(target), mode], check=False)
    assert done.returncode == -9
    assert (tmp_path / ".b.part").is_dir()
    sweep_stage(target)
    assert (target / "file").read_text() == (
        "new" if mode == "after the renames" else "old"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("interrupted", ["old", "b"])
def test_an_interrupt_between_the_renames_leaves_the_old_folder(
    tmp_path,
    monkeypatch,
    interrupted,
):
    target = tmp_path / "b"
    fill(target, "old")
    move = type(target).rename

    def interrupt(self, to):
        moved = move(self, to)
        if to.name == interrupted:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(type(target), "rename", interrupt)
    with (
        pytest.raises(KeyboardInterrupt, match=r"^$"),
        staged_folder(target) as folder,
    ):
        fill(folder, "new")
    content = "old" if interrupted == "old" else "new"
    assert (target / "file").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_two_runs_do_not_make_one_folder(tmp_path):
    with staged_folder(tmp_path / "b"):
        with (
            pytest.raises(InputError, match=r"\.b\.part: another run"),
            staged_folder(tmp_path / "b"),
        ):
            pass
        with pytest.raises(InputError, match=r"\.b\.part: another run"):
            sweep_stage(tmp_path / "b")
    assert (tmp_path / "b").is_dir()


def test_disk_errors_name_the_target_and_those_of_other_files_pass(tmp_path):
    with (
        pytest.raises(InputError, match="b: the disk is full"),
        staged_folder(tmp_path / "b"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), staged_folder(tmp_path / "b"):
        raise OSError(errno.EACCES, "Permission denied", "/elsewhere/slide.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_answered_and_left_clean(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        with (
            pytest.raises(InputError, match="b: the disk is full"),
            staged_folder(disk / "b") as folder,
        ):
            (folder / "file").write_bytes(bytes(2**20))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_nothing_is_left_where_the_disk_knows_no_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refuse)
    with held(tmp_path / "run"):
        (tmp_path / "run" / "a").touch()
    with staged_folder(tmp_path / "whole") as folder:
        (folder / "b").touch()
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")) == [
        "run", "run/a", "whole", "whole/b",
    ]  # fmt: skip
