"""Training on several processes: the number of this one, and sums over all of them.

A launcher such as ``torchrun`` starts the same program several times. Every process fits the same
transforms, takes its share of the pieces of each step (`survfuse.training.steps`), and adds its
log-risks and gradients to those of the others; risk sets therefore are whole, and all processes
hold the same weights at all times. Rank 0 writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from survfuse._errors import CrashError, InputError

PATIENCE = timedelta(
    hours=2,
)  # that a rank waits for a slower one before it counts as lost


@dataclass(frozen=True)
class Ranks:
    """The processes that train together.

    Attributes
    ----------
    own : int
        Which of them this one is, from 0.
    count : int
    """

    own: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """Those of the process group that this process belongs to; itself alone without one."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def writes(self) -> bool:
        """Whether this process writes what all of them made."""
        return self.own == 0

    def add(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over all processes, the same bits everywhere.

        Raises
        ------
        CrashError
            When a process was lost.
        """
        if self.count == 1:
            return
        try:
            for tensor in tensors:
                distributed.all_reduce(tensor)
        except RuntimeError as error:
            raise CrashError(
                f"rank {self.own} of {self.count} lost touch with the others "
                f"({str(error).splitlines()[0]}); start the same command again: it goes on from "
                "the last checkpoint",
            ) from error

    @contextmanager
    def first(self) -> Iterator[None]:
        """Let rank 0 do something before the others (write a packed store, for example)."""
        if self.own:
            self.add(torch.zeros(1, device=collective_device()))
        yield
        if self.own == 0 and self.count > 1:
            self.add(torch.zeros(1, device=collective_device()))

    def agree(self, number: int, what: str) -> None:
        """Refuse to go on when the processes do not hold the same `number`.

        Raises
        ------
        InputError
            Names `what` they disagree about.
        """
        if self.count == 1:
            return
        numbers = torch.zeros(
            self.count,
            dtype=torch.int64,
            device=collective_device(),
        )
        numbers[self.own] = number
        self.add(numbers)
        if (numbers != number).any():
            raise InputError(
                f"{what}: ranks 0 to {self.count - 1} have {numbers.tolist()}; all of them must "
                "see the same files (a folder on a shared disk) and the same configuration",
            )


def collective_device() -> torch.device:
    """Where tensors must lie to be added up: nccl adds on GPUs, gloo on the CPU."""
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


def pick_device(name: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``; under a launcher each process has its own GPU.

    Raises
    ------
    InputError
        When a GPU was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device: 'cuda' was asked for, but torch sees no GPU; use 'cpu' or 'auto'",
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


@contextmanager
def ranks_of_launcher(device: str) -> Iterator[Ranks]:
    """Join the processes that a launcher started, by its environment variables; alone without one.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        Decides between nccl and gloo.

    Raises
    ------
    InputError
        When `WORLD_SIZE` is set and the rest of what a launcher says is not.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count == "1":
        yield Ranks()
        return
    needed = ("RANK", "MASTER_ADDR", "MASTER_PORT")
    absent = [name for name in needed if name not in os.environ]
    if absent or not count.isdecimal():
        raise InputError(
            f"WORLD_SIZE is {count!r}, but {', '.join(absent) or 'no whole number'} is not set; "
            "start the command with torchrun, or unset WORLD_SIZE",
        )
    on_gpu = (
        device != "cpu"
        and torch.cuda.is_available()
        and distributed.is_nccl_available()
    )
    if on_gpu:
        torch.cuda.set_device(_own_gpu())
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield Ranks.here()
    finally:
        distributed.destroy_process_group()


def _own_gpu() -> int:
    """The GPU of this process, by its number on this machine: two cannot share one."""
    place, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if place >= there:
        raise InputError(
            f"process {place} of this machine has no GPU of its own: there are {there}; start at "
            f"most {there} a machine, or set model.training.device=cpu",
        )
    return place
