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
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from survfuse._errors import ConfigError, InputError, SlideError, listed
from survfuse._places import is_alive, sweep, temporary_path
from survfuse._storage import atomic_path, read_json, to_json, write_json

Status = Literal["pending", "running", "done", "empty", "failed", "quarantined"]
STAGES = ("open", "hash", "tissue", "read", "quality", "encode", "write")
RECORD_FORMAT, SETTINGS_FORMAT, VERSION = (
    "survfuse-slide-record",
    "survfuse-extraction",
    1,
)


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
        every = [
            note
            for about in (self.slide, self.tissue, self.bag)
            for note in about.get("notes", ())
        ]
        return [str(note) for note in every if str(note) not in self.reason]

    def fail(
        self,
        reason: str,
        *,
        final: bool = False,
        status: Status = "failed",
    ) -> None:
        """Note why there is no bag; of a file name that is no UTF-8, bytes are told as escapes."""
        reason = reason.encode(errors="backslashreplace").decode()
        self.status, self.reason, self.final, self.finished = (
            status,
            reason,
            final,
            now(),
        )

    @property
    def here(self) -> bool:
        """Whether it was this machine that worked on it."""
        return self.host == socket.gethostname()

    def lives(self) -> bool:
        """Whether the process that works on it is alive, as far as this machine can tell."""
        return self.status == "running" and self.here and is_alive(self.pid, self.began)

    @property
    def died_inline(self) -> bool:
        """Whether a process that is gone worked on it itself: the slide may have killed it, or a person."""
        return (
            self.status == "running" and self.executor == "inline" and not self.lives()
        )

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
        """Yield a temporary path for the bag, removed afterwards where it was not given its name."""
        self.bag.parent.mkdir(parents=True, exist_ok=True)
        path = temporary_path(self.bag)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a killed process left half written of this slide; others may be at it just now."""
        for whole in (self.bag, self.state, self.picture):
            sweep(whole.parent, whole.name)


def now() -> str:
    """UTC, to the second."""
    return clock.strftime("%Y-%m-%dT%H:%M:%SZ", clock.gmtime())


def write_record(places: Places, record: Record) -> None:
    """Write a record atomically."""
    text = (
        to_json({"format": RECORD_FORMAT, "version": VERSION, **asdict(record)}) + "\n"
    )
    with atomic_path(places.state) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_record(places: Places) -> Record | None:
    """Read a record; None where there is none or it is not whole (work is then looked at afresh)."""
    try:
        found = read_json(places.state)
    except InputError:
        return None
    known = {one.name for one in fields(Record)}
    if not isinstance(found, dict) or found.get("format") != RECORD_FORMAT:
        return None
    if found.get("version") != VERSION or found.get("status") not in get_args(Status):
        return None
    with suppress(TypeError):
        record, plain = (
            Record(**{name: found[name] for name in known & set(found)}),
            Record("", ""),
        )
        if all(
            type(getattr(record, name)) is type(getattr(plain, name)) for name in known
        ):
            return record
    return None


def claim_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a folder, or hold ours against those that came first.

    Raises
    ------
    ConfigError
        When bags of other settings lie there: each difference is named.
    SlideError
        When the folder holds other feature files.
    """
    target = out / "extraction.json"
    if not target.exists():
        _refuse_foreign(out)
        _write_first(
            target,
            {"format": SETTINGS_FORMAT, "version": VERSION, **settings},
        )
    found = read_json(target)
    ours = isinstance(found, dict) and found.get("format") == SETTINGS_FORMAT
    if not ours or found.get("version") != VERSION:
        raise ConfigError(
            f"{target}: not the settings of an extraction of this version; choose another -o",
        )
    wanted = json.loads(json.dumps(settings))
    differ = [
        f"{name} is {_at(found, name)!r} there, {_at(wanted, name)!r} here"
        for name in sorted(_names(found) | _names(wanted))
        if name not in ("format", "version") and _at(found, name) != _at(wanted, name)
    ]
    if differ:
        raise ConfigError(
            f"{out}: holds bags of other settings ({listed(differ)}); one folder has one kind of features: "
            "say the same, or choose another -o",
        )


def _refuse_foreign(out: Path) -> None:
    foreign = sorted(path.name for path in out.glob("*.h5")) if out.is_dir() else []
    if foreign:
        told = f"of another program, or without their extraction.json ({listed(foreign, 3)})"
        raise SlideError(f"{out}: holds feature files {told}; choose another -o")


def _write_first(target: Path, value: Mapping[str, Any]) -> None:
    """Put a whole file in place unless another process was faster."""
    mine = temporary_path(target)
    sweep(target.parent, target.name)
    write_json(mine, value)
    try:
        os.link(mine, target)
    except FileExistsError:
        pass
    except OSError:  # a file system without links: the last writer wins, and all of them say the same or stop
        mine.replace(target)
    finally:
        mine.unlink(missing_ok=True)


def _names(value: Mapping[str, Any]) -> set[str]:
    """Names of a mapping, with those of the encoder's identity below it."""
    encoder = value.get("encoder")
    below = (
        {f"encoder.{name}" for name in encoder}
        if isinstance(encoder, Mapping)
        else set()
    )
    return (set(value) - {"encoder"}) | below


def _at(value: Mapping[str, Any], name: str) -> Any:
    if name.startswith("encoder."):
        encoder = value.get("encoder")
        return (
            encoder.get(name.removeprefix("encoder."))
            if isinstance(encoder, Mapping)
            else encoder
        )
    return value.get(name)
