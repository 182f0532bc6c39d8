"""Many slides: what is done is left alone, what fails costs one slide, what was killed goes on."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse._errors import (
    ConfigError,
    CrashError,
    InputError,
    PartialError,
    SlideError,
    listed,
)
from survfuse.executors import Executor, Outcome, ProcessExecutor, Shard, Task
from survfuse.slides.extract import extract_slide, is_finished
from survfuse.slides.settings import ExtractConfig, inputs_key, settings_of, stamp
from survfuse.slides.slide_list import SlideItem, check_items
from survfuse.slides.slide_records import (
    STAGES,
    Places,
    Record,
    claim_settings,
    read_record,
    write_record,
)

if TYPE_CHECKING:
    from survfuse.slides.encoders.card import TileEncoder

LoadEncoder = Callable[[ExtractConfig], "TileEncoder"]

SHEET_PICTURES = 500
"""Slides with a picture on the contact sheet; of more, only those that need a look."""


class ExtractWatcher:
    """Follows a run; every method may be left as it is."""

    def on_slides(self, total: int, waiting: int) -> None:
        """Of `total` slides, `waiting` are to be extracted now."""

    def on_start(self, slide_id: str, attempt: int) -> None:
        """A slide is handed to a worker."""

    def on_slide(
        self,
        record: Record,
        done: int,
        waiting: int,
    ) -> None:
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
        bad = ("failed", "quarantined")
        return tuple(record for record in self.records if record.status in bad)

    @property
    def tiles(self) -> int:
        """Tiles of all bags."""
        return sum(record.tiles for record in self.records if record.good)

    @property
    def seconds(self) -> dict[str, float]:
        """Time by stage, over all slides, as far as it was recorded."""
        total = dict.fromkeys(STAGES, 0.0)
        for record in self.records:
            for stage in STAGES:
                total[stage] += record.seconds.get(stage, 0.0)
        return {stage: round(spent, 3) for stage, spent in total.items()}

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
            reasons = [f"{record.slide_id} ({record.reason})" for record in self.failed]
            raise PartialError(
                f"{len(reasons)} of {len(self.records)} slides have no features: "
                f"{listed(reasons, 10)}",
            )


def encoder_of(config: ExtractConfig) -> TileEncoder:
    """Load the encoder that a configuration names."""
    from survfuse.slides.encoders import load_encoder

    return load_encoder(
        config.encoder,
        config.weights,
        sha256=config.sha256,
        random_weights=config.random_weights,
        device=config.device,
        precision=config.precision,
        batch=config.batch,
    )


@dataclass
class ExtractWork:
    """What a worker does, slide after slide, with one encoder that it loads at the first.

    Attributes
    ----------
    config : ExtractConfig
    out : Path
    identity : mapping
        Of the encoder where the run was started; a worker's must be the same.
    executor : str
        Noted in records.
    load : callable
        Makes the encoder from `config`.
    """

    config: ExtractConfig
    out: Path
    identity: dict[str, Any]
    executor: str = "inline"
    load: LoadEncoder = encoder_of
    encoder: TileEncoder | None = field(
        default=None,
        repr=False,
        compare=False,
    )

    def __call__(self, item: SlideItem) -> Record:
        """Extract one slide.

        Raises
        ------
        ConfigError
            When the encoder here is not the one of the machine where the run was started.
        """
        if self.encoder is None:
            self.encoder = self.load(self.config)
            self._check(self.encoder.identity())
        return extract_slide(
            item,
            self.config,
            self.encoder,
            self.out,
            executor=self.executor,
        )

    def _check(self, mine: Mapping[str, Any]) -> None:
        differ = []
        for name in sorted({*mine, *self.identity}):
            if mine.get(name) != self.identity.get(name):
                differ.append(
                    f"{name} {mine.get(name)!r}, not {self.identity.get(name)!r}",
                )
        if differ:
            raise ConfigError(
                f"worker on {socket.gethostname()}: the encoder is not the one of the run "
                f"({', '.join(differ)}); make the machines alike, or say --precision and --device",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "encoder": None}


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
    if config.weights is not None:  # workers may run in another folder
        config = config.model_copy(update={"weights": config.weights.absolute()})
    encoder = load(config)
    settings = settings_of(config, encoder)
    folder.mkdir(parents=True, exist_ok=True)
    claim_settings(folder, settings)
    records: dict[str, Record] = {}
    waiting, doubtful = [], []
    for item in mine:
        places = Places(folder, item.slide_id)
        record = read_record(places)
        if record is None:
            waiting.append(item)
        elif record.died_inline:
            doubtful.append(item)  # its record stays until a worker has tried the slide
        elif _is_final(
            record,
            inputs_key(item, config, settings),
            places,
            retry,
            verify,
        ):
            records[item.slide_id] = record
        else:
            waiting.append(item)
    count = len(waiting) + len(doubtful)
    watcher.on_slides(len(mine), count)
    work = ExtractWork(config, folder, settings["encoder"], executor.name, load)
    if executor.name == "inline":
        work.encoder = encoder
        running = _run_inline(work, waiting, doubtful, executor, watcher)
    else:
        # the largest come first, so that no long one is left for the end
        waiting = sorted(
            [*waiting, *doubtful],
            key=_size,
            reverse=True,
        )
        running = _run(work, waiting, executor, watcher)
    del encoder
    with closing(running) as ended:
        for done, record in enumerate(ended, start=1):
            records[record.slide_id] = record
            watcher.on_slide(record, done, count)
    return Summary(tuple(records[item.slide_id] for item in mine))


def survey(
    items: Sequence[SlideItem],
    out: Path | str,
    *,
    shard: Shard | None = None,
) -> Summary:
    """Look at the records of a folder without touching anything; slides without one are pending."""
    records = []
    for item in _mine(items, shard):
        places = Places(Path(out), item.slide_id)
        record = read_record(places) or Record(item.slide_id, item.patient_id)
        if record.here:  # records of other machines are believed
            record.settle()
        records.append(record)
    return Summary(tuple(records))


def _mine(
    items: Sequence[SlideItem],
    shard: Shard | None,
) -> list[SlideItem]:
    """Items of a shard, with absolute paths."""
    checked = []
    for item in check_items(items):
        mask = None if item.mask is None else item.mask.absolute()
        checked.append(
            replace(
                item,
                path=item.path.absolute(),
                mask=mask,
            ),
        )
    return checked if shard is None else shard.take(checked)


def _is_final(
    record: Record,
    inputs: str,
    places: Places,
    retry: bool,
    verify: bool,
) -> bool:
    """Whether there is nothing to do for a slide; else its record is made ready for another try."""
    if record.settle():
        write_record(places, record)
    if record.good:
        return is_finished(record, inputs, places, verify=verify)
    failed = record.status == "quarantined" or (
        record.status == "failed" and record.final
    )
    if failed and record.inputs == inputs and not retry:
        return True
    # the crashes of a slide that a person sends in again, or that has changed, are forgotten
    if record.crashes and (retry or record.status == "quarantined"):
        record.crashes, record.status = 0, "pending"
        write_record(places, record)
    return False


def _size(item: SlideItem) -> int:
    size = stamp(item.path)[0]  # the path where the file is absent
    return size if isinstance(size, int) else 0


def _run_inline(
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
    yield from _run(work, waiting, executor, watcher)
    if not doubtful:
        return
    left = {item.slide_id: item for item in doubtful}
    # makes room for the worker's own; loaded again if it is needed here
    work.encoder = None
    worker = ProcessExecutor(workers=1, threads=executor.threads)
    try:
        for record in _run(work, doubtful, worker, watcher):
            del left[record.slide_id]
            yield record
    except (CrashError, TypeError):
        # a program whose work cannot be sent, or whose script cannot be imported
        yield from _run(work, list(left.values()), executor, watcher)


def _run(
    work: ExtractWork,
    waiting: Sequence[SlideItem],
    executor: Executor,
    watcher: ExtractWatcher,
) -> Generator[Record, None, None]:
    """Records of the slides as they end; what is not about one slide is raised."""
    by_id = {item.slide_id: item for item in waiting}
    tasks = [Task(slide_id, item) for slide_id, item in by_id.items()]
    with closing(executor.run(work, tasks, on_start=watcher.on_start)) as outcomes:
        for outcome in outcomes:
            record = outcome.value
            if record is None:
                yield _failed(by_id[outcome.key], outcome, work.out)
                continue
            if outcome.crashes:
                record.crashes += outcome.crashes
                write_record(Places(work.out, record.slide_id), record)
            yield record


def _failed(
    item: SlideItem,
    outcome: Outcome[Record],
    out: Path,
) -> Record:
    """Write the record of a slide for which its worker returned none."""
    error = outcome.error
    if isinstance(error, InputError) and not isinstance(error, SlideError):
        raise error
    places = Places(out, item.slide_id)
    places.sweep()
    record = read_record(places)
    if record is None:
        record = Record(item.slide_id, item.patient_id, attempts=outcome.attempts)
    record.crashes += outcome.crashes
    crashed = isinstance(error, CrashError) and outcome.crashes > 0
    record.fail(_message(error), status="quarantined" if crashed else "failed")
    write_record(places, record)
    return record


def _message(error: BaseException | None) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, CrashError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "takes more memory than this machine has free; use a larger machine, "
            "or fewer workers"
        )
    if isinstance(error, OSError) and error.errno:
        place = f": {error.filename}" if error.filename else ""
        return (
            f"{os.strerror(error.errno)}{place} "
            "(not a fault of the slide; the same command tries it again)"
        )
    return f"{type(error).__name__}: {error or 'no message'}"


def contact_sheet(summary: Summary, out: Path | str) -> Path:
    """Write ``contact.html``: every slide with its numbers and, where they are few, its picture.

    Parameters
    ----------
    summary : Summary
    out : path
        Folder of the bags.
    """
    from survfuse.slides.contact_sheet import write_contact_sheet

    folder = Path(out)
    pictured = [record for record in summary.records if record.status != "pending"]
    if len(pictured) > SHEET_PICTURES:
        pictured = [record for record in pictured if record.status != "done"]
    pictures = {}
    for record in pictured[:SHEET_PICTURES]:
        path = Places(folder, record.slide_id).picture
        if path.is_file():
            pictures[record.slide_id] = path.read_bytes()
    records = [asdict(record) for record in summary.records]
    return write_contact_sheet(folder / "contact.html", records, pictures)
