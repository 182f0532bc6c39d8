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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from survfuse._errors import ConfigError, CrashError, MissingExtraError
from survfuse.executors.executor import EXECUTORS, Executor, Job, OnStart, Outcome
from survfuse.executors.serialization import (
    Answer,
    answer_packed,
    call,
    pack_answer,
    pack_work,
    unpack,
    unpack_answer,
)
from survfuse.executors.threads import Threads, cores
from survfuse.executors.worker_pool import Death, Worker, WorkerPool

P = TypeVar("P")
R = TypeVar("R")


@EXECUTORS.register(
    "ray",
    summary="actors of a Ray cluster (extra `ray`)",
    source="docs.ray.io",
)
class RayExecutor(Executor):
    """Computes tasks on a Ray cluster and survives the loss of workers and of machines.

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
        cpus = self.workers or max(1, cores() // threads.per_worker)
        with _connected(ray, self.address, cpus):
            resources = ray.cluster_resources()
            limit = min(self.workers or max(1, int(resources.get("CPU", 1))), len(jobs))
            gpus = gpu_share(resources.get("GPU", 0.0), limit)
            pool = ActorPool(ray, work, threads, {"num_cpus": 1, "num_gpus": gpus})
            yield from pool.run(jobs, limit, on_start)


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
    """Part of a GPU that each actor gets, so that all can be placed.

    >>> gpu_share(0, 8), gpu_share(2, 8), gpu_share(8, 2)
    (0.0, 0.25, 1.0)
    """
    return 1.0 / math.ceil(actors / gpus) if gpus >= 1 else 0.0


@contextmanager
def _connected(
    ray: Any,
    address: str | None,
    cpus: int,
) -> Iterator[None]:
    """Join a cluster or start one; leave or stop it afterwards, unless it was joined before."""
    if ray.is_initialized():
        yield
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"logging_level": "warning", "log_to_driver": False}
    if where == "local":
        options |= {"num_cpus": cpus, "include_dashboard": False}
    try:
        with _token(where), _sigterm_preserved():
            ray.init(address=where, **options)
    except (ConnectionError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(f"Ray cluster {where!r} cannot be joined: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _sigterm_preserved() -> Iterator[None]:
    """Preserve the handler of SIGTERM, which ray would replace by one with its own exit code."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _token(where: str) -> Iterator[None]:
    """Give a cluster that is started here a token that is in no file; others have their own."""
    given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if where != "local" or given or (Path.home() / ".ray" / "auth_token").exists():
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN"]


class Server:
    """Runs in an actor: loads the work once, then answers payload after payload."""

    def __init__(self, work: bytes, threads: Threads) -> None:
        threads.set()
        self.loaded = call(unpack, work)
        threads.set()  # loading the work may have imported torch

    def start(self) -> bytes:
        """Say whether the work could be loaded."""
        return pack_answer(Answer(error=self.loaded.error))

    def answer(self, payload: bytes) -> bytes:
        """Answer a packed payload."""
        return answer_packed(self.loaded.value, payload)


@dataclass(eq=False)
class Actor(Worker):
    """One actor and the reference to its next answer; None once that was read."""

    handle: Any
    pending: Any


class ActorPool(WorkerPool[Actor]):
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

    def start(self) -> Actor:
        """Start an actor."""
        handle = self.server.remote(self.work, self.threads)
        return Actor(handle, handle.start.remote())

    def submit(self, worker: Actor, payload: Any) -> None:
        """Call an actor with a payload."""
        worker.pending = worker.handle.answer.remote(
            self.ray.cloudpickle.dumps(payload),
        )

    def poll(self) -> Iterator[tuple[Actor, Answer | Death]]:
        """Wait for one answer or death."""
        pending = {worker.pending: worker for worker in self.workers if worker.pending}
        ready, _ = self.ray.wait(list(pending), num_returns=1)
        for reference in ready:
            worker = pending[reference]
            worker.pending = None
            yield worker, self._read(worker, reference)

    def _read(
        self,
        worker: Actor,
        reference: Any,
    ) -> Answer | Death:
        errors = self.ray.exceptions
        try:
            return unpack_answer(self.ray.get(reference))
        except errors.ActorDiedError as error:
            if error.actor_init_failed:
                raise CrashError(
                    "a Ray worker cannot start; every machine needs the same packages: "
                    f"{error}",
                ) from error
            return Death(_reason(error), lost=_machine_was_lost(error))
        except errors.RayError as error:
            # Nobody knows whether it lives, or its answer is gone: nobody waits for it.
            self._kill(worker)
            lost = (
                errors.ActorUnavailableError,
                errors.ObjectLostError,
                errors.OwnerDiedError,
            )
            return Death(_reason(error), lost=isinstance(error, lost))

    def _kill(self, worker: Actor) -> None:
        with suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.kill(worker.handle)

    def terminate(self) -> None:
        """Kill all actors."""
        for worker in self.workers:
            self._kill(worker)
        self.workers.clear()


def _machine_was_lost(error: Any) -> bool:
    """Whether an actor died with its machine, which Ray says only in its message."""
    message = str(error).lower()
    signs = ("node has died", "node was", "raylet")
    return bool(error.preempted) or any(sign in message for sign in signs)


def _reason(error: BaseException) -> str:
    """The line of Ray's message that names the cause, without its list of common causes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if line.startswith("The actor is dead because"):
            return line.partition(" Some common causes")[0]
    first = lines[0] if lines else type(error).__name__
    return first.partition(" Some common causes")[0]
