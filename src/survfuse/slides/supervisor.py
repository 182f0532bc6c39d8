"""Many slides: what is done is left alone, what fails costs one slide, what was killed goes on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from survfuse._errors import CrashError, InputError, PartialError, SlideError, listed
from survfuse.executors import Executor, Outcome, ProcessExecutor, Shard, Task
from survfuse.slides.extract import is_finished
from survfuse.slides.identity import inputs_key, stamp
from survfuse.slides.settings import ExtractConfig, settings_of
from survfuse.slides.slide_list import SlideItem, check_items
from survfuse.slides.slide_records import (
    STAGES,
    Places,
    Record,
    claim_settings,
    read_record,
    write_record,
)
from survfuse.slides.worker import ExtractWork, LoadEncoder, encoder_of

SHEET_PICTURES = 500
"""Slides shown with a picture on the contact sheet; of more, only those that need a look."""


class ExtractWatcher:
    """Hears how a run goes on; every method is a door that may stay closed."""

    def on_slides(self, total: int, waiting: int) -> None:
        """Of `total` slides, `waiting` are to be extracted now."""

    def on_start(self, slide_id: str, attempt: int) -> None:
        """A slide is handed to a worker."""

    def on_slide(self, record: Record, done: int, waiting: int) -> None:
        """A slide has ended, `done` of `waiting` so far."""


@dataclass(frozen=True)
class Summary:
    """What is known of all slides of a table, or of a shard of it.

    Attributes
    ----------
    records : tuple of Record
        Sorted by slide id.
    """

    records: tuple[Record, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Slides by status, those that occur."""
        return dict(sorted(Counter(record.status for record in self.records).items()))

    @property
    def failed(self) -> tuple[Record, ...]:
        """Slides without a bag that were tried: failed or quarantined."""
        return tuple(
            record
            for record in self.records
            if record.status in ("failed", "quarantined")
        )

    @property
    def tiles(self) -> int:
        """Tiles of all bags."""
        return sum(record.tiles for record in self.records if record.good)

    @property
    def seconds(self) -> dict[str, float]:
        """Time by stage, over all slides, as far as it was recorded."""
        return {
            stage: round(
                sum(record.seconds.get(stage, 0.0) for record in self.records),
                3,
            )
            for stage in STAGES
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "slides": len(self.records),
            "counts": self.counts,
            "tiles": self.tiles,
            "seconds": self.seconds,
            "records": [asdict(record) for record in self.records],
        }

    def raise_failed(self) -> None:
        """Raise when a slide failed.

        Raises
        ------
        PartialError
            Names the slides and their reasons.
        """
        if self.failed:
            named = listed(
                (f"{record.slide_id} ({record.reason})" for record in self.failed),
                10,
            )
            raise PartialError(
                f"{len(self.failed)} of {len(self.records)} slides have no features: {named}",
            )


def extract(
    items: Sequence[SlideItem],
    config: ExtractConfig,
    out: Path | str,
    *,
    executor: Executor,
    shard: Shard | None = None,
    watcher: ExtractWatcher | None = None,
    retry: bool = False,
    verify: bool = False,
    load: LoadEncoder = encoder_of,
) -> Summary:
    """Extract slides into a folder of bags, leaving alone what is already there.

    Parameters
    ----------
    items : sequence of SlideItem
        All slides; with a shard too.
    config : ExtractConfig
    out : path
        Folder of the bags; several runs may work in it at once on different shards.
    executor : Executor
    shard : Shard, optional
        Take only its part of the items (in order of their ids).
    watcher : ExtractWatcher, optional
    retry : bool
        Try again what failed for good or is quarantined.
    verify : bool
        Hash every bag that is there; otherwise only those whose file times or size have changed.
    load : callable
        Makes the encoder from `config`; called here first, so that weights that do not fit
        stop the run before any slide is opened.

    Returns
    -------
    Summary
        Also when slides failed; see :meth:`Summary.raise_failed`.

    Raises
    ------
    SlideError
        For ids and images that cannot be kept apart.
    ConfigError
        When `out` holds bags of other settings.
    """
    folder, watcher = Path(out).absolute(), watcher or ExtractWatcher()
    mine = _mine(items, shard)
    config = _absolute(config)
    encoder = load(config)
    settings = settings_of(config, encoder)
    folder.mkdir(parents=True, exist_ok=True)
    claim_settings(folder, settings)
    records, waiting, doubtful = _look(mine, config, settings, folder, retry, verify)
    waits = len(waiting) + len(doubtful)
    watcher.on_slides(len(mine), waits)
    work = ExtractWork(config, folder, settings["encoder"], executor.name, load)
    if executor.name == "inline":
        work.encoder = encoder
        carried = _inline(work, waiting, doubtful, executor, watcher)
    else:
        waiting = sorted(
            [*waiting, *doubtful],
            key=_size,
            reverse=True,
        )  # no long one is left for the end
        carried = _carry(work, waiting, executor, watcher)
    del encoder
    with closing(carried) as ended:
        for done, record in enumerate(ended, start=1):
            records[record.slide_id] = record
            watcher.on_slide(record, done, waits)
    return Summary(tuple(records[item.slide_id] for item in mine))


def survey(
    items: Sequence[SlideItem],
    out: Path | str,
    *,
    shard: Shard | None = None,
) -> Summary:
    """Look at the records of a folder without touching anything; slides without one are pending."""
    folder = Path(out)
    found = []
    for item in _mine(items, shard):
        record = read_record(Places(folder, item.slide_id)) or Record(
            item.slide_id,
            item.patient_id,
        )
        if record.here:  # what runs on another machine is believed
            record.settle()
        found.append(record)
    return Summary(tuple(found))


def _mine(items: Sequence[SlideItem], shard: Shard | None) -> list[SlideItem]:
    checked = [
        replace(
            item,
            path=item.path.absolute(),
            mask=None if item.mask is None else item.mask.absolute(),
        )
        for item in check_items(items)
    ]
    return checked if shard is None else shard.take(checked)


def _absolute(config: ExtractConfig) -> ExtractConfig:
    """Workers may sit in another folder."""
    if config.weights is None:
        return config
    return config.model_copy(update={"weights": config.weights.absolute()})


def _look(
    items: Sequence[SlideItem],
    config: ExtractConfig,
    settings: Mapping[str, Any],
    out: Path,
    retry: bool,
    verify: bool,
) -> tuple[dict[str, Record], list[SlideItem], list[SlideItem]]:
    """Sort slides into records that stand, items to extract, and those that may have ended their process."""
    records, waiting, doubtful = {}, [], []
    for item in items:
        places = Places(out, item.slide_id)
        record = read_record(places)
        if record is not None and record.died_inline:
            doubtful.append(
                item,
            )  # its record stays as it is until a worker has answered for the slide
            continue
        if record is not None and record.settle():
            write_record(places, record)
        inputs = inputs_key(item, config, settings)
        if record is not None and _stands(record, inputs, places, retry, verify):
            records[item.slide_id] = record
            continue
        if record is not None and record.crashes and not record.good:
            _forgive(record, places, retry)
        waiting.append(item)
    return records, waiting, doubtful


def _stands(
    record: Record,
    inputs: str,
    places: Places,
    retry: bool,
    verify: bool,
) -> bool:
    """Tell whether there is nothing to do for a slide."""
    if record.good:
        return is_finished(record, inputs, places, verify=verify)
    if retry or record.inputs != inputs:
        return False
    return record.status == "quarantined" or (
        record.status == "failed" and record.final
    )


def _forgive(record: Record, places: Places, retry: bool) -> None:
    """Forget the crashes of a slide that a person sends in again, or that has changed."""
    if retry or record.status == "quarantined":
        record.crashes, record.status = 0, "pending"
        write_record(places, record)


def _size(item: SlideItem) -> int:
    found = stamp(item.path)
    return int(found[0]) if len(found) == 2 else 0


def _inline(
    work: ExtractWork,
    waiting: Sequence[SlideItem],
    doubtful: Sequence[SlideItem],
    executor: Executor,
    watcher: ExtractWatcher,
) -> Generator[Record, None, None]:
    """Extract in this process, but for the slides over which an earlier run ended.

    Nobody can tell whether those killed the process or were at hand when the run was killed. They
    come last, in a worker that this process survives: its deaths count, those of a run never do.
    """
    yield from _carry(work, waiting, executor, watcher)
    if not doubtful:
        return
    left = {item.slide_id: item for item in doubtful}
    work.encoder = (
        None  # makes room for the worker's own; loaded again if it is needed here
    )
    try:
        for record in _carry(
            work,
            doubtful,
            ProcessExecutor(workers=1, threads=executor.threads),
            watcher,
        ):
            del left[record.slide_id]
            yield record
    except (
        CrashError,
        TypeError,
    ):  # a program whose work cannot be sent, or whose script cannot be imported
        yield from _carry(work, list(left.values()), executor, watcher)


def _carry(
    work: ExtractWork,
    waiting: Sequence[SlideItem],
    executor: Executor,
    watcher: ExtractWatcher,
) -> Generator[Record, None, None]:
    """Records of the slides as they end; what is not about one slide is raised."""
    by_id = {item.slide_id: item for item in waiting}
    tasks = [Task(item.slide_id, item) for item in waiting]
    with closing(executor.run(work, tasks, on_start=watcher.on_start)) as outcomes:
        for outcome in outcomes:
            if outcome.value is not None:
                yield _counted(outcome.value, outcome, work.out)
            else:
                yield _failed(by_id[outcome.key], outcome, work.out)


def _counted(record: Record, outcome: Outcome[Record], out: Path) -> Record:
    if outcome.crashes:
        record.crashes += outcome.crashes
        write_record(Places(out, record.slide_id), record)
    return record


def _failed(item: SlideItem, outcome: Outcome[Record], out: Path) -> Record:
    """Write down a slide that its worker could not answer for."""
    error = outcome.error
    if isinstance(error, InputError) and not isinstance(error, SlideError):
        raise error
    places = Places(out, item.slide_id)
    places.sweep()
    record = read_record(places) or Record(
        item.slide_id,
        item.patient_id,
        attempts=outcome.attempts,
    )
    record.crashes += outcome.crashes
    crashed = isinstance(error, CrashError) and outcome.crashes > 0
    record.fail(_told(error), status="quarantined" if crashed else "failed")
    write_record(places, record)
    return record


def _told(error: BaseException | None) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, CrashError):
        return str(error)
    if isinstance(error, MemoryError):
        return "takes more memory than this machine has free; use a larger machine, or fewer workers"
    if isinstance(error, OSError) and error.errno:
        where = f": {error.filename}" if error.filename else ""
        return f"{os.strerror(error.errno)}{where} (not a fault of the slide; the same command tries it again)"
    return f"{type(error).__name__}: {error or 'no message'}"


def contact_sheet(summary: Summary, out: Path | str) -> Path:
    """Write ``contact.html``: every slide with its numbers, and its picture while they are few enough.

    Parameters
    ----------
    summary : Summary
    out : path
        Folder of the bags.
    """
    from survfuse.slides.contact_sheet import write_contact_sheet

    folder = Path(out)
    shown = [record for record in summary.records if record.status != "pending"]
    if len(shown) > SHEET_PICTURES:
        shown = [record for record in shown if record.status != "done"][:SHEET_PICTURES]
    pictures = {
        record.slide_id: Places(folder, record.slide_id).picture for record in shown
    }
    return write_contact_sheet(
        folder / "contact.html",
        [asdict(record) for record in summary.records],
        {
            slide: path.read_bytes()
            for slide, path in pictures.items()
            if path.is_file()
        },
    )
