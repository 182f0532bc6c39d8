"""What benchmarks share: how much memory a piece of work takes."""

from __future__ import annotations

import ctypes
import gc
import threading
from pathlib import Path


def status(field: str) -> float:
    """A field of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(
        int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")
    )


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


class OwnPeak:
    """Watches the memory that a process holds for itself (RssAnon), every few milliseconds.

    Pages of mapped files are not in it: the system takes them back when others want the room.
    """

    def __init__(self) -> None:
        self.before = status("RssAnon")
        self.most = self.before
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> OwnPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, status("RssAnon"))

    @property
    def megabytes(self) -> float:
        """Most of it, beyond what was held at the start."""
        return self.most - self.before
