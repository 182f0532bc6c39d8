"""Work for executors, as bad as work can be; a module of its own so that workers can import it."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time as clock
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from survfuse._errors import SlideError


class Unpicklable(Exception):
    """Holds what cannot travel."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = (n for n in range(3))


class Unrestorable(Exception):
    """Travels, but cannot be made again at the other end."""

    def __init__(self, slide: str, tile: int) -> None:
        super().__init__(f"{slide} at {tile}")


class BadAtHome:
    """Can be pickled, but not restored."""

    def __reduce__(self) -> Any:
        return (int, ("no number",))


class TooLarge:
    """Takes more memory to send than there is."""

    def __reduce__(self) -> Any:
        raise MemoryError


@dataclass
class Deeds:
    """Does what its payload says, and leaves a mark for each start; `loaded` is made once per worker."""

    folder: Path
    loaded: str | None = field(default=None, init=False)

    def __call__(self, payload: tuple[str, Any]) -> Any:
        deed, detail = payload
        if self.loaded is None:
            self.loaded = f"{os.getpid()}-{clock.monotonic_ns()}"
            (self.folder / f"loaded-{self.loaded}").touch()
        with (self.folder / "starts").open("a") as file:
            file.write(f"{deed} {detail}\n")
        return getattr(self, deed)(detail)

    def double(self, number: int) -> int:
        return 2 * number

    def loader(self, _: Any) -> str | None:
        return self.loaded

    def wait(self, seconds: float) -> int:
        clock.sleep(seconds)
        return os.getpid()

    def raises(self, text: str) -> NoReturn:
        raise SlideError(text)

    def disk(self, text: str) -> NoReturn:
        raise OSError(text)

    def once(self, mark: str) -> str:
        if (self.folder / mark).exists():
            return "second time"
        (self.folder / mark).touch()
        raise OSError("first time")

    def leaves(self, code: int) -> NoReturn:
        sys.exit(code)

    def unpicklable(self, text: str) -> NoReturn:
        raise Unpicklable(text)

    def unrestorable(self, text: str) -> NoReturn:
        raise Unrestorable(text, 7)

    def generator(self, _: Any) -> Any:
        return (n for n in range(3))

    def bad_at_home(self, _: Any) -> Any:
        return BadAtHome()

    def huge(self, size: int) -> bytes:
        return bytes(size)

    def too_large(self, _: Any) -> Any:
        return TooLarge()

    def full_disk(self, place: str) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)

    def prints(self, text: str) -> str:
        sys.stdout.write(text)
        sys.stdout.flush()
        os.write(2, text.encode())
        return text

    def tidies(self, name: str) -> None:
        """Works on a temporary file, which it removes however it ends."""
        path = self.folder / name
        path.touch()
        try:
            clock.sleep(60)
        finally:
            path.unlink()

    def is_deaf(self, name: str) -> None:
        """Meets no signal, as code of a library that does not come back to Python."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        (self.folder / name).touch()
        clock.sleep(60)

    def segfault(self, _: Any) -> Any:
        return ctypes.string_at(0)

    def segfault_once(self, mark: str) -> str:
        if not (self.folder / mark).exists():
            (self.folder / mark).touch()
            ctypes.string_at(0)
        return "second time"

    def dies(self, code: int) -> NoReturn:
        os._exit(code)

    def kills_itself(self, _: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def all_threads(self, _: Any) -> tuple[int | None, int | None]:
        import scipy.linalg  # noqa: F401 - brings the BLAS
        import torch  # noqa: F401

        from survfuse.executors.threads import Threads

        found = Threads.here()
        return found.torch, found.blas

    def starts(self, deed: str) -> int:
        """How often a deed was started."""
        return sum(
            line.startswith(f"{deed} ")
            for line in (self.folder / "starts").read_text().splitlines()
        )


class Refusing:
    """Cannot be restored in a worker."""

    def __reduce__(self) -> Any:
        return (refuse, ())

    def __call__(self, payload: Any) -> Any:
        return payload


def refuse() -> NoReturn:
    raise ValueError("weights.bin: not here")


class Fatal:
    """Kills whoever loads it."""

    def __reduce__(self) -> Any:
        return (os._exit, (9,))

    def __call__(self, payload: Any) -> Any:
        return payload
