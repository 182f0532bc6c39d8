from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from survfuse._errors import ConfigError
from survfuse.executors import Shard


@given(st.lists(st.integers(), max_size=50), st.integers(1, 20))
def test_shards_share_a_table_without_overlap(items: list[int], of: int) -> None:
    parts = [Shard(index, of).take(items) for index in range(of)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [Shard.parse(str(Shard(index, of))) for index in range(of)] == [
        Shard(i, of) for i in range(of)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16/16", "shard '16/16': shards count from 0, so the last of 16 is 15/16"),
        ("-1/4", "shard '-1/4': expected i/N such as 3/16"),
        ("0/0", "there must be at least 1 shard"),
        ("3", "shard '3': expected i/N"),
        ("1/2/3", "expected i/N"),
        ("٣/٤", "expected i/N"),
        ("", "shard '': expected i/N"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Shard.parse(text)


SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4"}


def test_the_scheduler_is_asked() -> None:
    assert Shard.parse(" 3/16 ") == Shard(3, 16)
    first = {"SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_MAX": "8"}
    assert Shard.parse("slurm", {**SLURM, **first}) == Shard(2, 4)
    assert Shard.parse("slurm", {**SLURM, "SLURM_ARRAY_TASK_ID": "3"}) == Shard(3, 4)
    assert Shard.parse(
        "k8s",
        {"JOB_COMPLETION_INDEX": "0", "SURVFUSE_SHARDS": "9"},
    ) == Shard(0, 9)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        (
            "slurm",
            {},
            r"SLURM_ARRAY_TASK_ID is not set, expected a number; submit an array job",
        ),
        (
            "slurm",
            {**SLURM, "SLURM_ARRAY_TASK_COUNT": "many"},
            "SLURM_ARRAY_TASK_COUNT is 'many'",
        ),
        ("slurm", SLURM, "the last of 4 is 3/4"),
        (
            "slurm",
            {**SLURM, "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7"},
            r"4 tasks between 1 and 7; it must be without gaps \(--array=0-3\)",
        ),
        (
            "k8s",
            {"JOB_COMPLETION_INDEX": "0"},
            "SURVFUSE_SHARDS is not set.*number of completions",
        ),
        (
            "k8s",
            {"SURVFUSE_SHARDS": "3"},
            "JOB_COMPLETION_INDEX is not set.*completionMode: Indexed",
        ),
    ],
)
def test_a_scheduler_that_says_too_little_is_refused(
    text: str,
    environment: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        Shard.parse(text, environment)
