"""What every executor must do, as functions of an executor and an empty folder."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carried import Deeds
from survfuse._errors import SlideError
from survfuse.executors import Executor, Outcome, Task

Promise = Callable[[Executor, Path], None]


def carried(
    executor: Executor,
    folder: Path,
    *deeds: tuple[str, Any],
    **how: Any,
) -> list[Outcome[Any]]:
    """Run deeds and give their outcomes in the order of the deeds."""
    tasks = [Task(f"t{number}", deed) for number, deed in enumerate(deeds)]
    outcomes = {
        outcome.key: outcome for outcome in executor.run(Deeds(folder), tasks, **how)
    }
    assert set(outcomes) == {task.key for task in tasks}
    return [outcomes[task.key] for task in tasks]


def every_task_ends_once(executor: Executor, folder: Path) -> None:
    outcomes = carried(executor, folder, *[("double", n) for n in range(30)])
    assert [outcome.value for outcome in outcomes] == [2 * n for n in range(30)]
    assert {(o.error, o.attempts, o.crashes) for o in outcomes} == {(None, 1, 0)}
    assert all(0 <= outcome.seconds < 60 for outcome in outcomes)
    assert Deeds(folder).starts("double") == 30


def the_order_changes_nothing(executor: Executor, folder: Path) -> None:
    tasks = [Task(str(n), ("double", n)) for n in range(12)]
    found = {o.key: o.value for o in executor.run(Deeds(folder), tasks)}
    assert {o.key: o.value for o in executor.run(Deeds(folder), tasks[::-1])} == found


def errors_of_data_are_not_tried_again(executor: Executor, folder: Path) -> None:
    good, bad = carried(
        executor,
        folder,
        ("double", 4),
        ("raises", "slide-7: no levels"),
    )
    assert (good.value, bad.value) == (8, None)
    assert type(bad.error) is SlideError
    assert str(bad.error) == "slide-7: no levels"
    assert (bad.attempts, bad.crashes) == (1, 0)
    assert Deeds(folder).starts("raises") == 1


def errors_of_the_disk_are_tried_once_more(executor: Executor, folder: Path) -> None:
    always, passing = carried(
        executor,
        folder,
        ("disk", "stale handle"),
        ("once", "mark"),
    )
    assert isinstance(always.error, OSError)
    assert (always.attempts, always.crashes) == (2, 0)
    assert (passing.value, passing.error, passing.attempts) == ("second time", None, 2)
    assert Deeds(folder).starts("disk") == 2


def starts_are_told(executor: Executor, folder: Path) -> None:
    told: list[tuple[str, int]] = []
    carried(
        executor,
        folder,
        ("disk", "x"),
        ("double", 1),
        on_start=lambda *start: told.append(start),
    )
    assert sorted(told) == [("t0", 1), ("t0", 2), ("t1", 1)]


def leaving_is_an_error_like_others(executor: Executor, folder: Path) -> None:
    gone, good = carried(executor, folder, ("leaves", 3), ("double", 1))
    assert isinstance(gone.error, SystemExit)
    assert gone.crashes == 0
    assert good.value == 2


def nothing_to_do_is_nothing(executor: Executor, folder: Path) -> None:
    assert list(executor.run(Deeds(folder), [])) == []


def more_workers_than_tasks(executor: Executor, folder: Path) -> None:
    assert carried(executor, folder, ("double", 21))[0].value == 42


def work_is_loaded_once_per_worker(executor: Executor, folder: Path) -> None:
    found = {
        o.value for o in carried(executor, folder, *[("loader", n) for n in range(20)])
    }
    assert {path.name for path in folder.glob("loaded-*")} == {
        f"loaded-{name}" for name in found
    }
    assert 1 <= len(found) <= 2


def it_can_be_stopped_in_the_middle(executor: Executor, folder: Path) -> None:
    running = executor.run(
        Deeds(folder),
        [Task(str(n), ("double", n)) for n in range(50)],
    )
    assert next(running).error is None
    running.close()
    assert next(running, None) is None


CONTRACT: tuple[Promise, ...] = (
    every_task_ends_once,
    the_order_changes_nothing,
    errors_of_data_are_not_tried_again,
    errors_of_the_disk_are_tried_once_more,
    starts_are_told,
    leaving_is_an_error_like_others,
    nothing_to_do_is_nothing,
    more_workers_than_tasks,
    work_is_loaded_once_per_worker,
    it_can_be_stopped_in_the_middle,
)


def errors_that_cannot_travel_come_as_text(executor: Executor, folder: Path) -> None:
    first, second = carried(
        executor,
        folder,
        ("unpicklable", "a lock"),
        ("unrestorable", "s1"),
    )
    assert isinstance(first.error, RuntimeError)
    assert str(first.error) == "carried.Unpicklable: a lock"
    assert str(second.error) == "carried.Unrestorable: s1 at 7"
    assert "in unpicklable" in first.error.__notes__[0]


def values_that_cannot_travel_are_errors(executor: Executor, folder: Path) -> None:
    sent, restored = carried(executor, folder, ("generator", 0), ("bad_at_home", 0))
    assert isinstance(sent.error, TypeError)
    assert "what the work returned (generator) cannot be sent between processes" in str(
        sent.error,
    )
    assert "what the work returned cannot be restored in this process" in str(
        restored.error,
    )


def an_error_brings_the_place_where_it_happened(
    executor: Executor,
    folder: Path,
) -> None:
    error = carried(executor, folder, ("raises", "slide-7"))[0].error
    assert error is not None
    assert "in raises" in error.__notes__[0]


def errors_of_memory_and_disk_arrive_as_they_are(
    executor: Executor,
    folder: Path,
) -> None:
    short, full = carried(
        executor,
        folder,
        ("too_large", 0),
        ("full_disk", "/data/a.h5"),
    )
    assert type(short.error) is MemoryError
    assert str(short.error) == "too little to send what the work returned (TooLarge)"
    assert isinstance(full.error, OSError)
    assert (full.error.errno, full.error.filename) == (errno.ENOSPC, "/data/a.h5")
    assert (short.attempts, full.attempts) == (2, 2)


def what_a_worker_prints_is_no_answer(executor: Executor, folder: Path) -> None:
    assert [
        o.value
        for o in carried(executor, folder, ("prints", "x" * 9999), ("double", 1))
    ] == [
        "x" * 9999,
        2,
    ]


def huge_values_travel(executor: Executor, folder: Path) -> None:
    values = [
        len(o.value)
        for o in carried(executor, folder, ("huge", 100 * 2**20), ("huge", 3))
    ]
    assert values == [100 * 2**20, 3]


BETWEEN_PROCESSES: tuple[Promise, ...] = (
    errors_that_cannot_travel_come_as_text,
    values_that_cannot_travel_are_errors,
    an_error_brings_the_place_where_it_happened,
    errors_of_memory_and_disk_arrive_as_they_are,
    what_a_worker_prints_is_no_answer,
    huge_values_travel,
)


def a_crash_costs_only_its_own_task(executor: Executor, folder: Path) -> None:
    deeds: list[tuple[str, Any]] = [("double", n) for n in range(10)]
    deeds[3:3] = [("segfault", 0), ("segfault_once", "mark")]
    found = carried(executor, folder, *deeds)
    culprit, lucky = found.pop(3), found.pop(3)
    assert [(o.value, o.attempts, o.crashes) for o in found] == [
        (2 * n, 1, 0) for n in range(10)
    ]
    assert (culprit.value, culprit.attempts, culprit.crashes) == (None, 2, 2)
    assert type(culprit.error).__name__ == "CrashError"
    assert "worker died twice" in str(culprit.error)
    assert (lucky.value, lucky.attempts, lucky.crashes) == ("second time", 2, 1)
    assert Deeds(folder).starts("segfault") == 2
