"""A first look at a slide by a process that may die: its format cannot be checked.

OpenSlide follows what such files say: it allocates, opens further files, and ends the process when
memory is refused. Whatever it does, it does here first, within limits.
"""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from survfuse._errors import SlideError
from survfuse._gate import kind_of

CPU_SECONDS, SECONDS = 10, 60
"""For opening and two small reads; an honest slide takes less than one, and a slow disk no
computing."""
_MEMORY = 4 * 2**30  # bytes of addresses, libraries included
_LOOK = f"""
import signal, sys
try:
    import resource
    signal.alarm({SECONDS} + 5)  # should nobody be left to wait for it
    for which, most in (("CPU", {CPU_SECONDS}), ("AS", {_MEMORY}), ("CORE", 0)):
        resource.setrlimit(getattr(resource, "RLIMIT_" + which), (most, most))
except (ImportError, AttributeError, ValueError, OSError):
    pass
try:
    import openslide
    slide = openslide.OpenSlide(sys.argv[1])
    slide.read_region((0, 0), slide.level_count - 1, (256, 256))
    middle = tuple(side // 2 for side in slide.dimensions)
    slide.read_region(middle, 0, (256, 256))
except Exception:
    sys.exit(1)
"""
_SAID = (0, 1)  # exit statuses of the process itself: read, or refused with an error
_STOPPED = (
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
)  # the whole run is being ended, and will hear of it itself


def look_first(path: Path) -> None:
    """Open a slide and read a little of it in another process.

    An error that OpenSlide answers with is not told: who opens the slide next gets it too.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        When the process dies, or does not come back in time.
    """
    _refuse_pipes(path)
    if not sys.executable:
        return
    try:
        ended = subprocess.run(
            [
                sys.executable,
                "-P",
                "-c",
                _LOOK,
                str(path),
            ],  # -P: no module of the current folder is run
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SlideError(
            f"{path}: opening it did not end within {SECONDS} s: it, or a file that it names, "
            "is damaged or "
            "a pipe, or the disk does not answer; copy the slide with all its files again",
        ) from None
    if ended.returncode not in _SAID and _ending(ended.returncode) not in _STOPPED:
        raise SlideError(
            f"{path}: opening it ended the process that looked at it first "
            f"({_ending(ended.returncode)}); it is "
            "damaged, or claims more than memory holds: copy it with all its files again, or "
            "convert it to a "
            "tiled pyramidal TIFF",
        )


def _refuse_pipes(path: Path) -> None:
    """Refuse a folder of a slide (MRXS, DICOM) in which something would be waited for."""
    folder = path.parent if path.suffix.lower() == ".dcm" else path.with_suffix("")
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        with suppress(OSError):  # a link that leads nowhere
            mode = entry.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise SlideError(
                    f"{entry}: expected a file of the slide {path.name}, got {kind_of(mode)}; "
                    "take it away",
                )


def _ending(status: int) -> str:
    """Name the signal that ended a process.

    >>> _ending(-6)
    'SIGABRT'
    """
    if -status in set(signal.Signals):
        return signal.Signals(-status).name
    return f"exit status {status}"
