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
from typing import Any


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
        found = [
            lib["num_threads"] for lib in _libraries() if lib["user_api"] == "blas"
        ]
        return cls(
            None if torch is None else int(torch.get_num_threads()),
            max(found, default=None),
        )

    @property
    def each(self) -> int:
        """Cores that a worker with so many threads keeps busy."""
        told = os.environ.get("OMP_NUM_THREADS", "")
        return self.torch or (int(told) if told.isdecimal() else 0) or 1

    def set(self) -> None:
        """Set them here, also for libraries that are loaded later; imports neither of them."""
        for name, number in (
            ("OMP", self.torch),
            ("MKL", self.torch),
            ("OPENBLAS", self.blas),
        ):
            if number is not None:
                os.environ[f"{name}_NUM_THREADS"] = str(number)
        if self.blas is not None and "numpy" in sys.modules:
            from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

            threadpool_limits(limits=self.blas, user_api="blas")
        torch = sys.modules.get("torch")
        if torch is not None and self.torch is not None:
            torch.set_num_threads(self.torch)

    @contextmanager
    def while_running(self) -> Iterator[None]:
        """Set them here for a while."""
        before, environment = Threads.here(), dict(os.environ)
        self.set()
        try:
            yield
        finally:
            before.set()
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                os.environ.pop(name, None)
                os.environ.update(
                    {name: environment[name]} if name in environment else {},
                )


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(workers: int) -> int:
    """Threads of each of some workers: what `OMP_NUM_THREADS` allows, or a share of the cores if fewer."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(int(told) if told.isdecimal() else cores(), cores() // workers))


def _libraries() -> list[dict[str, Any]]:
    if "numpy" not in sys.modules:
        return []
    from threadpoolctl import threadpool_info  # comes with scikit-learn

    return list(threadpool_info())
