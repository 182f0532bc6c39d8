"""How many cores there are for us, and how many threads sums are spread over.

The last bits of a sum depend on how many threads share it. Two libraries share sums: torch,
and the BLAS beneath numpy and scipy; both are set, so that a worker adds as its parent does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Threads:
    """Threads of the libraries that compute; None leaves one as it is.

    Attributes
    ----------
    torch : int or None
        Also of OpenMP and MKL.
    blas : int or None
        Of the BLAS beneath numpy and scipy.
    """

    torch: int | None = None
    blas: int | None = None

    @classmethod
    def of(cls, number: int | None) -> Threads:
        """As many as asked for; as many as this process has, where nothing was asked for."""
        return cls.here() if number is None else cls(number, number)

    @classmethod
    def here(cls) -> Threads:
        """Read those of this process, as far as the libraries are loaded."""
        torch = sys.modules.get("torch")
        blas = None
        if "numpy" in sys.modules:
            from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

            for library in threadpool_info():
                if library["user_api"] == "blas":
                    blas = max(blas or 0, library["num_threads"])
        return cls(None if torch is None else int(torch.get_num_threads()), blas)

    @property
    def per_worker(self) -> int:
        """Cores that a worker with so many threads uses."""
        return self.torch or _omp_threads() or 1

    def set(self) -> None:
        """Set them here, also for libraries that are loaded later; imports neither of them."""
        for name, number in zip(
            VARIABLES,
            (self.torch, self.torch, self.blas),
            strict=True,
        ):
            if number is not None:
                os.environ[name] = str(number)
        if self.blas is not None and "numpy" in sys.modules:
            from threadpoolctl import threadpool_limits

            threadpool_limits(limits=self.blas, user_api="blas")
        torch = sys.modules.get("torch")
        if torch is not None and self.torch is not None:
            torch.set_num_threads(self.torch)

    @contextmanager
    def while_running(self) -> Iterator[None]:
        """Set them here for a while."""
        before = Threads.here()
        environment = {name: os.environ.get(name) for name in VARIABLES}
        self.set()
        try:
            yield
        finally:
            before.set()
            for name, value in environment.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(workers: int) -> int:
    """Threads of each worker: what `OMP_NUM_THREADS` allows, or a share of the cores if fewer."""
    return max(1, min(_omp_threads() or cores(), cores() // workers))


def _omp_threads() -> int:
    """Number in `OMP_NUM_THREADS`; 0 where there is none."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() else 0
