"""One contract over every registered executor; Ray's runs where Ray is started (test_ray.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from carried import Deeds
from contract import CONTRACT, Promise
from survfuse._errors import ConfigError
from survfuse.executors import EXECUTORS, Executor, Task, make_executor

HERE = [name for name in EXECUTORS if name != "ray"]


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_every_executor_keeps_the_contract(
    name: str,
    promise: Promise,
    tmp_path: Path,
) -> None:
    promise(
        make_executor(name, **({} if name == "inline" else {"workers": 2})),
        tmp_path,
    )


def test_all_are_registered() -> None:
    assert set(EXECUTORS) == {"inline", "process", "ray"}
    assert all(isinstance(card.build(), Executor) for card in EXECUTORS.values())
    assert all(card.summary for card in EXECUTORS.values())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("celery", {}, "unknown executor 'celery'; known: inline, process, ray"),
        ("process", {"workers": 0}, "workers must be 1 or more, got 0"),
        ("process", {"threads": -1}, "threads must be 1 or more, got -1"),
        (
            "inline",
            {"workers": 3},
            "workers=3: inline computes in one process; choose process or ray",
        ),
        (
            "process",
            {"address": "auto"},
            "address 'auto' is for the ray executor, not for process",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(
    name: str,
    options: dict[str, int],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_executor(name, **options)  # type: ignore[arg-type]


def test_a_key_twice_is_refused_before_anything_starts(tmp_path: Path) -> None:
    tasks = [
        Task("a", ("double", 1)),
        Task("b", ("double", 1)),
        Task("a", ("double", 2)),
    ]
    for name in EXECUTORS:
        with pytest.raises(
            ValueError,
            match="task keys must differ; more than once: a",
        ):
            make_executor(name).run(Deeds(tmp_path), tasks)
    assert not list(tmp_path.iterdir())
