"""Actors of a Ray cluster, one loaded work each.

Ray's own retries are off, so that every start of a task is ours and is counted. Token
authentication is on: whoever reaches an open Ray port can run anything. The dashboard is off.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from survfuse._errors import ConfigError, CrashError, MissingExtraError
from survfuse.executors.executor import EXECUTORS, Executor, Job, OnStart, Outcome
from survfuse.executors.serialization import (
    Answer,
    answered,
    call,
    pack_answer,
    pack_work,
    unpack,
    unpack_answer,
)
from survfuse.executors.threads import Threads, cores
from survfuse.executors.worker_pool import Crew, Death, News, Worker

P = TypeVar("P")
R = TypeVar("R")


@EXECUTORS.register(
    "ray",
    summary="actors of a Ray cluster (extra `ray`)",
    source="docs.ray.io",
)
class RayExecutor(Executor):
    """Carries tasks on a Ray cluster and survives the loss of workers and of machines.

    Every machine needs this package and, for tasks that read or write files, the same paths.

    Parameters
    ----------
    workers : int, optional
        Actors, each with one CPU and, where the cluster has GPUs, an even share of them;
        by default as many as the cluster has CPUs.
    threads : int, optional
        Of each worker; those of this process by default.
    address : str, optional
        Of a running cluster: "auto", "host:port", "ray://host:port". By default RAY_ADDRESS,
        else the cluster that this process is connected to, else one is started here and
        stopped at the end.
    """

    name = "ray"

    def __init__(
        self,
        *,
        workers: int | None = None,
        threads: int | None = None,
        address: str | None = None,
    ) -> None:
        self.workers, self.threads, self.address = workers, threads, address

    def _outcomes(
        self,
        work: Callable[[P], R],
        jobs: list[Job[P]],
        on_start: OnStart | None,
    ) -> Generator[Outcome[R], None, None]:
        if not jobs:
            return
        ray = import_ray()
        threads = Threads.of(self.threads)
        with _connected(
            ray,
            self.address,
            self.workers or max(1, cores() // threads.each),
        ):
            has = ray.cluster_resources()
            most = min(self.workers or max(1, int(has.get("CPU", 1))), len(jobs))
            options = {"num_cpus": 1, "num_gpus": gpu_share(has.get("GPU", 0.0), most)}
            yield from _Actors(ray, work, threads, options).carry(jobs, most, on_start)


def import_ray() -> Any:
    """Import ray with authentication on.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when ray is first imported
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "the ray executor needs ray: pip install 'survfuse[ray]'",
        ) from error
    return ray


def gpu_share(gpus: float, actors: int) -> float:
    """Tell what part of a GPU each actor gets, so that all find a place.

    >>> gpu_share(0, 8), gpu_share(2, 8), gpu_share(8, 2)
    (0.0, 0.25, 1.0)
    """
    return 1.0 / math.ceil(actors / gpus) if gpus >= 1 else 0.0


@contextmanager
def _connected(ray: Any, address: str | None, cpus: int) -> Iterator[None]:
    """Be part of a cluster; leave it, or stop it, unless it was there before."""
    if ray.is_initialized():
        yield
        return
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"logging_level": "warning", "log_to_driver": False}
    if place == "local":
        options |= {"num_cpus": cpus, "include_dashboard": False}
    try:
        with _token(place), _sigterm_as_it_is():
            ray.init(address=place, **options)
    except (ConnectionError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(f"Ray cluster {place!r} cannot be joined: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _sigterm_as_it_is() -> Iterator[None]:
    """Keep what SIGTERM does; ray would have it end the process with an exit code of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _token(place: str) -> Iterator[None]:
    """Give a cluster that is started here a token that no file keeps; one elsewhere has its own."""
    has_one = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if place != "local" or has_one or (Path.home() / ".ray" / "auth_token").exists():
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN"]


class Server:
    """What an actor is: holds the work, answers payload after payload."""

    def __init__(self, work: bytes, threads: Threads) -> None:
        threads.set()
        self.loaded = call(unpack, work)
        threads.set()  # loading the work may have brought torch

    def start(self) -> bytes:
        """Say whether the work could be loaded."""
        return pack_answer(Answer(error=self.loaded.error))

    def answer(self, payload: bytes) -> bytes:
        """Answer a packed payload."""
        return answered(self.loaded.value, payload)


class _Actor(Worker):
    """One actor and the answer that is awaited from it."""

    def __init__(self, ray: Any, handle: Any) -> None:
        self.ray, self.handle = ray, handle
        self.awaited: Any = handle.start.remote()

    def give(self, payload: Any) -> None:
        self.awaited = self.handle.answer.remote(self.ray.cloudpickle.dumps(payload))


class _Actors(Crew[_Actor]):
    """The actors of one run; the work lies in the cluster's object store once."""

    def __init__(
        self,
        ray: Any,
        work: Any,
        threads: Threads,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.ray, self.threads = ray, threads
        self.work = ray.put(pack_work(work, ray.cloudpickle.dumps))
        self.server = ray.remote(max_restarts=0, max_task_retries=0, **options)(Server)

    def hire(self) -> _Actor:
        return _Actor(self.ray, self.server.remote(self.work, self.threads))

    def listen(self) -> News[_Actor]:
        awaited = {
            worker.awaited: worker
            for worker in self.workers
            if worker.awaited is not None
        }
        ready, _ = self.ray.wait(list(awaited), num_returns=1)
        for reference in ready:
            worker = awaited[reference]
            worker.awaited = None
            yield worker, self._heard(worker, reference)

    def _heard(self, worker: _Actor, reference: Any) -> Answer | Death:
        errors = self.ray.exceptions
        try:
            return unpack_answer(self.ray.get(reference))
        except (
            errors.ActorUnavailableError,
            errors.ObjectLostError,
            errors.OwnerDiedError,
        ) as error:
            self._kill(
                worker,
            )  # no one knows whether it lives, or its answer is gone: nobody waits for it
            return Death(_first_line(error), lost=True)
        except errors.ActorDiedError as error:
            if error.actor_init_failed:
                raise CrashError(
                    f"a Ray worker cannot start; every machine needs the same packages: {error}",
                ) from error
            return Death(_first_line(error), lost=_of_machine(error))
        except errors.RayError as error:
            self._kill(worker)
            return Death(_first_line(error))

    def _kill(self, worker: _Actor) -> None:
        with suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.kill(worker.handle)

    def stop(self) -> None:
        for worker in self.workers:
            self._kill(worker)
        self.workers.clear()


def _of_machine(error: Any) -> bool:
    """Whether the actor died with its machine, as Ray tells it in words."""
    told = str(error).lower()
    return (
        bool(error.preempted)
        or "node has died" in told
        or "node was" in told
        or "raylet" in told
    )


def _first_line(error: BaseException) -> str:
    told = [line.strip() for line in str(error).splitlines() if line.strip()]
    says = [line for line in told if line.startswith("The actor is dead because")]
    return (says or told or [type(error).__name__])[0].partition(" Some common causes")[
        0
    ]
