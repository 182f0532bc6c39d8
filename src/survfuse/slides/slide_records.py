"""What is known of each slide on disk: a record before work starts, another when it ends.

A folder of bags holds ``<slide_id>.h5``, ``state/<slide_id>.json``, ``quality/<slide_id>.jpg``
and ``extraction.json`` (the settings that all of them share). Slides never share a file, so
that any number of shards can work in one folder.
"""

from __future__ import annotations

import json
import os
import socket
import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from survfuse._errors import ConfigError, InputError, SlideError, listed
from survfuse._places import is_alive, sweep, temporary_path
from survfuse._storage import atomic_path, read_json, to_json, write_json

Status = Literal["pending", "running", "done", "empty", "failed", "quarantined"]
STAGES = ("open", "hash", "tissue", "read", "quality", "encode", "write")
RECORD_FORMAT, SETTINGS_FORMAT = "survfuse-slide-record", "survfuse-extraction"
VERSION = 1


@dataclass
class Record:
    """What happened to one slide.

    Attributes
    ----------
    slide_id, patient_id : str
    status : str
        pending, running, done, empty (no tissue: a result), failed, or quarantined (it
        killed its worker twice).
    attempts, crashes : int
        How often it was started, and how often its worker died over it.
    reason : str
        Why it failed, or is empty.
    final : bool
        Whether `reason` lies in the data, so that trying the same again is of no use.
    inputs, key : str
        See :func:`survfuse.slides.settings.inputs_key` and ``content_key``.
    tiles, chosen, unreadable : int
        In the bag; on tissue; of those, not readable.
    dropped : mapping of str to int
        Tiles left out as background or pen.
    quality : mapping
        Medians over the kept tiles: background, pen, blur.
    slide, grid, tissue : mapping
        Image (path, size, mtime_ns, sha256, mpp, spacing_source, vendor, notes), tiles
        (level, tile_px, mpp, tile_um, footprint), tissue (source, area_mm2, components,
        pen_share, notes, mask_sha256).
    bag : mapping
        The file of the bag: sha256, stamp (see :func:`survfuse._storage.file_stamp`), notes; empty
        in records of older versions.
    seconds : mapping of stage to float
        Of the last attempt, by `STAGES`.
    versions : mapping of str to str
    executor, host, pid, began : str, str, int, int
        Who worked on it; see :func:`survfuse._places.began`.
    started, finished : str
        When (UTC).
    """

    slide_id: str
    patient_id: str
    status: Status = "pending"
    attempts: int = 0
    crashes: int = 0
    reason: str = ""
    final: bool = False
    inputs: str = ""
    key: str = ""
    tiles: int = 0
    chosen: int = 0
    unreadable: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    slide: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    tissue: dict[str, Any] = field(default_factory=dict)
    bag: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    executor: str = ""
    host: str = ""
    pid: int = 0
    began: int = 0
    started: str = ""
    finished: str = ""

    @property
    def good(self) -> bool:
        """Whether there is a bag, be it of no tiles."""
        return self.status in ("done", "empty")

    @property
    def notes(self) -> list[str]:
        """What a person should know of its image, its tissue and its bag, beyond `reason`."""
        notes: list[str] = []
        for part in (self.slide, self.tissue, self.bag):
            notes += map(str, part.get("notes", ()))
        return [note for note in notes if note not in self.reason]

    def fail(
        self,
        reason: str,
        *,
        final: bool = False,
        status: Status = "failed",
    ) -> None:
        """Note why there is no bag; bytes that are no UTF-8 are written as escapes."""
        self.status, self.final, self.finished = status, final, now()
        self.reason = reason.encode(errors="backslashreplace").decode()

    @property
    def here(self) -> bool:
        """Whether it was this machine that worked on it."""
        return self.host == socket.gethostname()

    def lives(self) -> bool:
        """Whether the process that works on it is alive, as far as this machine can tell."""
        return self.status == "running" and self.here and is_alive(self.pid, self.began)

    @property
    def died_inline(self) -> bool:
        """Whether a process worked on it itself and is gone: the slide may have killed it."""
        running = self.status == "running"
        return running and self.executor == "inline" and not self.lives()

    def settle(self) -> bool:
        """Take a slide back from a process that is gone; tells whether anything changed.

        This counts nothing against the slide: whoever kills a run kills it over some slide. Only a
        process that watched its worker die can count that death.
        """
        if self.status != "running" or self.lives():
            return False
        self.status = "pending"
        return True


class Places:
    """Where the files of one slide lie.

    Parameters
    ----------
    out : Path
        Folder of all bags.
    slide_id : str
    """

    def __init__(self, out: Path, slide_id: str) -> None:
        self.bag = out / f"{slide_id}.h5"
        self.state = out / "state" / f"{slide_id}.json"
        self.picture = out / "quality" / f"{slide_id}.jpg"

    @contextmanager
    def part(self) -> Iterator[Path]:
        """Yield a temporary path for the bag; it is removed unless it was renamed."""
        self.bag.parent.mkdir(parents=True, exist_ok=True)
        path = temporary_path(self.bag)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a killed process left half written; other processes may be working."""
        for whole in (self.bag, self.state, self.picture):
            sweep(whole.parent, whole.name)


def now() -> str:
    """UTC, to the second."""
    return clock.strftime("%Y-%m-%dT%H:%M:%SZ", clock.gmtime())


def write_record(places: Places, record: Record) -> None:
    """Write a record atomically."""
    content = {"format": RECORD_FORMAT, "version": VERSION, **asdict(record)}
    with atomic_path(places.state) as temporary:
        temporary.write_text(
            to_json(content) + "\n",
            encoding="utf-8",
            newline="\n",
        )


def read_record(places: Places) -> Record | None:
    """Read a record; None where there is none or it is not whole (the slide is extracted)."""
    try:
        content = read_json(places.state)
    except InputError:
        return None
    if not isinstance(content, dict):
        return None
    if (content.get("format"), content.get("version")) != (RECORD_FORMAT, VERSION):
        return None
    if content.get("status") not in get_args(Status):
        return None
    plain = asdict(Record("", ""))
    known = {name: content[name] for name in plain if name in content}
    if any(type(value) is not type(plain[name]) for name, value in known.items()):
        return None
    with suppress(TypeError):  # without an id
        return Record(**known)
    return None


def claim_settings(
    out: Path,
    settings: Mapping[str, Any],
) -> None:
    """Write the settings of a folder, or compare ours with those that came first.

    Raises
    ------
    ConfigError
        When bags of other settings lie there: each difference is named.
    SlideError
        When the folder holds other feature files.
    """
    target = out / "extraction.json"
    head = {"format": SETTINGS_FORMAT, "version": VERSION}
    if not target.exists():
        others = sorted(path.name for path in out.glob("*.h5"))
        if others:
            raise SlideError(
                f"{out}: holds feature files of another program, or without their "
                f"extraction.json ({listed(others, 3)}); choose another -o",
            )
        _write_first(target, {**head, **settings})
    there = read_json(target)
    if not isinstance(there, dict) or there.items() & head.items() != head.items():
        raise ConfigError(
            f"{target}: not the settings of an extraction of this version; choose another -o",
        )
    before = _flat(there)
    here = _flat({**head, **json.loads(json.dumps(settings))})
    differ = []
    for name in sorted(before.keys() | here.keys()):
        one, other = before.get(name), here.get(name)
        if one != other:
            differ.append(f"{name} is {one!r} there, {other!r} here")
    if differ:
        raise ConfigError(
            f"{out}: holds bags of other settings ({listed(differ)}); one folder has one kind of "
            "features: say the same, or choose another -o",
        )


def _write_first(
    target: Path,
    value: Mapping[str, Any],
) -> None:
    """Put a whole file in place unless another process was faster."""
    part = temporary_path(target)
    sweep(target.parent, target.name)
    write_json(part, value)
    try:
        os.link(part, target)
    except FileExistsError:
        pass
    except OSError:
        # without links the last writer wins, and all of them say the same or stop
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, those of the encoder as `encoder.name`."""
    flat = dict(settings)
    encoder = flat.get("encoder")
    if isinstance(encoder, Mapping):
        del flat["encoder"]
        flat |= {f"encoder.{name}": value for name, value in encoder.items()}
    return flat
