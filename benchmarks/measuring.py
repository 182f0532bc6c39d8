"""What benchmarks share: how much memory a piece of work takes."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path


def status(field: str) -> float:
    """A field of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


class Peak:
    """Watches how far resident memory rises above where it was at the start.

    VmHWM after minus VmRSS before, with the mark reset through ``/proc/self/clear_refs`` and freed
    memory handed back first. It counts everything, mapped files included.
    """

    def __init__(self) -> None:
        self.before = self._reset()

    def _reset(self) -> float:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return status("VmRSS")

    def so_far(self) -> float:
        """MB of the peak since the start or the last call."""
        peak = status("VmHWM") - self.before
        self._reset()
        return peak
