"""One table, many machines: each takes every n-th row and needs to know nothing of the others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from survfuse._errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Part `index` of `of` parts, counted from 0.

    >>> Shard.parse("1/3").take(["a", "b", "c", "d", "e"])
    ['b', 'e']
    >>> Shard.parse("3/3")
    Traceback (most recent call last):
    survfuse._errors.ConfigError: shard '3/3': shards count from 0, so the last of 3 is 2/3
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        if self.of < 1:
            raise ConfigError(f"shard '{self}': there must be at least 1 shard")
        if not 0 <= self.index < self.of:
            raise ConfigError(
                f"shard '{self}': shards count from 0, so the last of {self.of} is "
                f"{self.of - 1}/{self.of}",
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @classmethod
    def parse(
        cls,
        text: str,
        environment: Mapping[str, str] | None = None,
    ) -> Shard:
        """Read "3/16", or ask the scheduler.

        Parameters
        ----------
        text : str
            ``i/N``; ``slurm`` for a SLURM array job; ``k8s`` for a Kubernetes indexed job,
            whose number of completions must stand in SURVFUSE_SHARDS.
        environment : mapping, optional
            ``os.environ`` by default.

        Raises
        ------
        ConfigError
            When it is neither, or a variable of the scheduler is missing.
        """
        variables = os.environ if environment is None else environment
        if text == "slurm":
            return cls._of_slurm(variables)
        if text == "k8s":
            completions = _number(
                variables,
                "SURVFUSE_SHARDS",
                "set it to the job's number of completions",
            )
            return cls(_number(variables, "JOB_COMPLETION_INDEX", INDEXED), completions)
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII)
        if match is None:
            raise ConfigError(
                f"shard {text!r}: expected i/N such as 3/16 (counted from 0), or slurm, or k8s",
            )
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _of_slurm(cls, variables: Mapping[str, str]) -> Shard:
        prefix = "SLURM_ARRAY_TASK_"
        task = _number(variables, f"{prefix}ID", ARRAY)
        count = _number(variables, f"{prefix}COUNT", ARRAY)
        # Older schedulers do not give the ends of the array.
        first = _number({f"{prefix}MIN": "0", **variables}, f"{prefix}MIN", ARRAY)
        end = str(first + count - 1)
        last = _number({f"{prefix}MAX": end, **variables}, f"{prefix}MAX", ARRAY)
        if last - first + 1 != count:
            raise ConfigError(
                f"shard slurm: the array has {count} tasks between {first} and {last}; "
                f"it must be without gaps (--array=0-{count - 1}), and a part of it is run again "
                "with --shard i/N",
            )
        return cls(task - first, count)

    def take(self, items: Sequence[T]) -> list[T]:
        """Choose this shard's items; depends on their order alone."""
        return list(items[self.index :: self.of])


ARRAY = "submit an array job (sbatch --array=0-15)"
INDEXED = "the job needs completionMode: Indexed"


def _number(
    variables: Mapping[str, str],
    name: str,
    advice: str,
) -> int:
    text = variables.get(name, "")
    if not (text.isascii() and text.isdecimal()):
        state = f"is {text!r}" if text else "is not set"
        raise ConfigError(f"{name} {state}, expected a number; {advice}")
    return int(text)
