"""Ray in a cluster of its own, inside this process's machine: two nodes, one of which is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carried import Deeds, Refusing
from contract import (
    CONTRACT,
    Promise,
    a_crash_costs_only_its_own_task,
    an_error_brings_the_place_where_it_happened,
    carried,
    errors_that_cannot_travel_come_as_text,
    values_that_cannot_travel_are_errors,
)
from survfuse._errors import MissingExtraError
from survfuse.executors import RayExecutor, Task
from survfuse.executors.ray import gpu_share

TESTS = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node with one CPU, to which this process is connected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
        ray = pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        made = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False},
        )
        try:
            ray.init(address=made.address, logging_level="error", log_to_driver=False)
            made.add_node(num_cpus=1)
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.fixture(scope="module")
def executor(cluster: Any) -> RayExecutor:
    return RayExecutor()


PROMISES = (
    *CONTRACT,
    errors_that_cannot_travel_come_as_text,
    values_that_cannot_travel_are_errors,
    an_error_brings_the_place_where_it_happened,
    a_crash_costs_only_its_own_task,
)


@pytest.mark.slow
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_ray_keeps_the_contract(
    promise: Promise,
    executor: RayExecutor,
    tmp_path: Path,
) -> None:
    promise(executor, tmp_path)


def test_work_that_cannot_be_loaded_is_the_error_itself(executor: RayExecutor) -> None:
    with pytest.raises(ValueError, match=r"weights\.bin: not here"):
        list(executor.run(Refusing(), [Task("a", 1)]))


@pytest.mark.slow
def test_threads_are_those_asked_for(executor: RayExecutor, tmp_path: Path) -> None:
    found = carried(RayExecutor(workers=1, threads=2), tmp_path, ("all_threads", 0))
    assert found[0].value == (2, 2)


@pytest.mark.slow
def test_a_node_killed_in_the_middle_costs_time_alone(
    cluster: Any,
    tmp_path: Path,
) -> None:
    doomed = cluster.add_node(num_cpus=1)
    tasks = [Task(str(n), ("wait", 0.5)) for n in range(16)]
    killer = threading.Timer(
        0.7,
        cluster.remove_node,
        (doomed,),
        {"allow_graceful": False},
    )
    told: list[str] = []

    def start(key: str, attempt: int) -> None:
        told.append(key)
        if len(told) == 4:
            killer.start()

    outcomes = list(RayExecutor(workers=3).run(Deeds(tmp_path), tasks, on_start=start))
    killer.join()
    assert sorted(o.key for o in outcomes) == sorted(task.key for task in tasks)
    assert {(o.error, o.crashes) for o in outcomes} == {(None, 0)}
    assert (
        1 <= sum(o.attempts - 1 for o in outcomes) <= 2
    )  # what the lost machine held, and no more
    assert len(told) == sum(o.attempts for o in outcomes)


SCRIPT = """
    import os

    from carried import Deeds
    from pathlib import Path
    from survfuse.executors import Task, make_executor

    executor = make_executor("ray", workers=1)
    outcomes = list(executor.run(Deeds(Path(".")), [Task("a", ("double", 2)), Task("b", ("segfault", 0))]))
    import ray

    print([(o.key, o.value, o.attempts, o.crashes) for o in outcomes])
    print(os.environ["RAY_AUTH_MODE"], "RAY_AUTH_TOKEN" in os.environ, ray.is_initialized())
"""


@pytest.mark.slow
def test_a_cluster_is_started_and_stopped(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(TESTS), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-2:] == [
        "[('a', 4, 1, 0), ('b', None, 2, 2)]",
        "token False False",
    ]
    assert not (tmp_path / ".ray" / "auth_token").exists()


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    code = "from survfuse.executors import *; [*make_executor('ray', address='auto').run(str, [Task('a', 1)])]"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HOME": str(tmp_path), "RAY_TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ConfigError: Ray cluster 'auto' cannot be joined" in ended.stderr


def test_a_missing_ray_names_its_extra(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # taken back at the end
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'survfuse\[ray\]'"):
        list(RayExecutor().run(Deeds(tmp_path), [Task("a", ("double", 1))]))


def test_gpus_are_shared_evenly() -> None:
    assert [gpu_share(2.0, n) for n in (1, 2, 3, 4, 5)] == [
        1.0,
        1.0,
        0.5,
        0.5,
        pytest.approx(1 / 3),
    ]
