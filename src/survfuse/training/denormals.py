"""Numbers so small that processors take a slow way round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed() -> Iterator[None]:
    """Take subnormal numbers (below 1e-38 in float32) for zero within, where the processor can.

    A network that strong weight decay drives to a constant multiplies one tiny number by another, and
    a product with subnormal operands takes ten times as long or more. The setting is one of the
    thread, and of threads that it starts; it is left as it was found.
    """
    before = _flushes()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes() -> bool:
    """Whether this thread takes subnormal numbers for zero already."""
    return bool(torch.tensor([1e-38]).mul_(1e-2).item() == 0.0)
