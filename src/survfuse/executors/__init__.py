"""Independent tasks, computed by this process, by workers beside it, or by a Ray cluster.

>>> from survfuse.executors import Task, make_executor
>>> outcomes = make_executor("inline").run(str.upper, [Task("a", "tile"), Task("b", "slide")])
>>> [outcome.value for outcome in outcomes]
['TILE', 'SLIDE']
"""

from survfuse.executors.executor import (
    EXECUTORS,
    Executor,
    InlineExecutor,
    Outcome,
    Task,
    make_executor,
)
from survfuse.executors.process import ProcessExecutor
from survfuse.executors.ray import RayExecutor
from survfuse.executors.shards import Shard
from survfuse.executors.threads import Threads

__all__ = [
    "EXECUTORS",
    "Executor",
    "InlineExecutor",
    "Outcome",
    "ProcessExecutor",
    "RayExecutor",
    "Shard",
    "Task",
    "Threads",
    "make_executor",
]
