"""The process that opens HDF5 files: replaced when it ends, never shared, never left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from survfuse._errors import CrashError, FeatureFileError
from survfuse.readers import child_process, read_features
from survfuse.readers.child_process import answers
from survfuse.readers.hdf5_files import MEMORY, look


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["features"] = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    return tmp_path / "b.h5"


def total(path: Path) -> float:
    return float(read_features(path).values.sum())


def ask_and_send(path: Path, number: int) -> None:
    """Send a signal to the process instead of taking its second answer."""
    with answers(path, "look", 1, MEMORY, names=[""], attributes=[]) as process:
        process.answer()
        os.kill(process.run.pid, number)
        process.answer()


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (
            signal.SIGSEGV,
            FeatureFileError,
            "not a whole HDF5 file .its library crashes on it, status -11",
        ),
        (
            signal.SIGPROF,
            FeatureFileError,
            "not a whole HDF5 file .reading it does not end.; write it again",
        ),
        (
            signal.SIGKILL,
            CrashError,
            "was killed .SIGKILL., perhaps for want of memory; run it again",
        ),
    ],
)
def test_a_process_that_ends_is_told_and_replaced(
    bag: Path,
    number: int,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=rf"b\.h5: .*{message}"):
        ask_and_send(bag, number)
    assert total(bag) == 21


def test_an_interrupted_answer_is_not_taken_for_the_next(bag: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        answers(bag, "look", 1, MEMORY, names=[""], attributes=[]),
    ):
        raise KeyboardInterrupt
    assert total(bag) == 21


def test_many_broken_files_do_not_stop_the_next(bag: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    for _ in range(child_process.MOST_ERRORS + 1):
        with pytest.raises(
            FeatureFileError,
            match=r"broken\.h5: not a whole HDF5 file",
        ):
            look(tmp_path / "broken.h5", [""])
    assert total(bag) == 21


def test_threads_take_turns(bag: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(total, [bag] * 40)) == {21}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_has_its_own(bag: Path, method: str) -> None:
    assert total(bag) == 21
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(total, [bag] * 4) == [21] * 4
    assert total(bag) == 21


def test_it_reads_beside_a_changed_folder(
    bag: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert total(bag) == 21
    monkeypatch.chdir(bag.parent)
    assert total(Path(bag.name)) == 21


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(),
    reason="asks Linux for its processes",
)
@pytest.mark.parametrize("end", ["", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_its_parent(bag: Path, end: str) -> None:
    code = (
        "import os, sys; from survfuse.readers import read_features, child_process as p;"
        f"read_features({str(bag)!r}); print(p._process.run.pid, flush=True); {end}"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    status = Path(f"/proc/{int(run.stdout)}/stat")
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        os.sched_yield()


@pytest.mark.parametrize("change", [-4, 4])
def test_a_process_that_is_out_of_step_is_replaced(bag: Path, change: int) -> None:
    with (
        pytest.raises(
            FeatureFileError,
            match=r"it has more values than|it ends too early",
        ),
        answers(bag, "read", 1, MEMORY, name="features") as process,
    ):
        process.fill_parts(memoryview(bytearray(24 + change)))
    assert process.run.poll() is not None
    assert total(bag) == 21
