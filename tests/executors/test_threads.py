from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contract import carried
from survfuse.executors import InlineExecutor, ProcessExecutor, make_executor
from survfuse.executors.threads import Threads, cores, share


def blas() -> int | None:
    return Threads.here().blas


@pytest.fixture(autouse=True)
def _as_before() -> object:
    before = Threads.here()
    yield
    before.set()


def test_what_is_set_is_read() -> None:
    Threads(torch=2, blas=2).set()
    assert Threads.here() == Threads(torch=2, blas=2)
    assert os.environ["OMP_NUM_THREADS"] == "2"
    Threads(torch=1).set()
    assert Threads.here() == Threads(torch=1, blas=2)


def test_inline_gives_the_threads_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before, environment = Threads.here(), dict(os.environ)
    assert carried(InlineExecutor(threads=2), tmp_path, ("all_threads", 0))[
        0
    ].value == (2, 2)
    assert (Threads.here(), dict(os.environ)) == (before, environment)


@pytest.mark.parametrize(("asked", "here"), [(2, 1), (None, 1), (None, 2)])
def test_a_worker_has_those_asked_for_or_those_of_its_parent(
    asked: int | None,
    here: int,
    tmp_path: Path,
) -> None:
    torch.set_num_threads(here)
    found = carried(
        ProcessExecutor(workers=1, threads=asked),
        tmp_path,
        ("all_threads", 0),
    )[0]
    assert found.value == (asked or here, asked or blas())


def test_nothing_is_imported_for_it() -> None:
    code = (
        "import sys; from survfuse.executors.threads import Threads; found = Threads.here();"
        "Threads(2, 2).set();"
        "assert not {'torch', 'numpy'} & set(sys.modules); assert found == Threads(None, None);"
        "import torch; assert torch.get_num_threads() == 2; print(found.per_worker)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout == "2\n"


def test_there_is_a_core() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("told", "workers", "threads"),
    [(None, 2, 4), (None, 3, 2), (None, 16, 1), ("1", 2, 1), ("6", 1, 6)],
)
def test_workers_share_the_cores(
    monkeypatch: pytest.MonkeyPatch,
    told: str | None,
    workers: int,
    threads: int,
) -> None:
    monkeypatch.setattr("survfuse.executors.threads.cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert share(workers) == threads
    assert make_executor("process", workers=workers).threads == threads
    assert make_executor("process", workers=workers, threads=3).threads == 3
    assert make_executor("process").threads is None
