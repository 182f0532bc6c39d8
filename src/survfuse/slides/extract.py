"""One slide to one bag: read, find tissue, judge tiles, encode them, write; memory stays flat.

The only place that does this: training, serving and every executor come through here.
"""

from __future__ import annotations

import os
import socket
import time as clock
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError
from survfuse._places import began
from survfuse._storage import atomic_path, file_stamp, sha256_file
from survfuse.slides.bag_writer import BagWriter, read_about, read_key
from survfuse.slides.describe import (
    KEPT,
    about_bag,
    about_grid,
    about_places,
    about_tissue,
    why_empty,
)
from survfuse.slides.geometry import Grid, plan_grid
from survfuse.slides.identity import (
    content_key,
    hash_slide,
    inputs_key,
    stamp_there,
    versions,
)
from survfuse.slides.opening import open_slide
from survfuse.slides.overview_checks import check_overview
from survfuse.slides.overviews import Overview, at_least, overview
from survfuse.slides.quality_counts import Tally
from survfuse.slides.reading import SlideReader
from survfuse.slides.settings import ExtractConfig, settings_of
from survfuse.slides.slide_list import SlideItem
from survfuse.slides.slide_records import (
    STAGES,
    Places,
    Record,
    now,
    read_record,
    write_record,
)
from survfuse.slides.spacing import slide_spacing
from survfuse.slides.tiles import TileBatch, stream_tiles
from survfuse.slides.tissue_source import mask_of, tissue_of

if TYPE_CHECKING:
    from survfuse.slides.encoders.card import TileEncoder
    from survfuse.slides.tissue import Tissue


def extract_slide(
    item: SlideItem,
    config: ExtractConfig,
    encoder: TileEncoder,
    out: Path,
    *,
    executor: str = "inline",
) -> Record:
    """Extract one slide, or find that this is already done.

    Parameters
    ----------
    item : SlideItem
    config : ExtractConfig
    encoder : TileEncoder
    out : Path
        Folder of all bags.
    executor : str
        Noted in the record.

    Returns
    -------
    Record
        `done`, `empty`, or `failed` for what lies in the data of the slide. Anything else that
        goes wrong is raised; the record then still says `running`.
    """
    places = Places(out, item.slide_id)
    settings = settings_of(config, encoder)
    inputs = inputs_key(item, config, settings)
    known = read_record(places)
    if known is not None and is_finished(known, inputs, places):
        return known
    places.sweep()
    record = _begin(item, inputs, known, executor)
    write_record(places, record)
    try:
        _Extraction(item, config, encoder, settings, places, record, known).run()
    except SlideError as error:
        record.fail(str(error), final=True)
    except (KeyboardInterrupt, SystemExit):
        record.status = "pending"
        write_record(places, record)
        raise
    record.seconds = {name: round(spent, 4) for name, spent in record.seconds.items()}
    write_record(places, record)
    return record


def is_finished(
    record: Record,
    inputs: str,
    places: Places,
    *,
    verify: bool = False,
) -> bool:
    """Tell whether a record is of a bag that is there, made from these very inputs and not changed since.

    The bag is hashed where its stamp (inode, size, times) is not the recorded one, or to `verify`.
    """
    if not record.good or record.inputs != inputs:
        return False
    if read_key(places.bag) != (record.key, record.tiles):
        return False
    if not record.bag and not verify:
        return True  # of an older version, which kept no hash
    stamp = file_stamp(places.bag)
    if stamp == record.bag.get("stamp") and not verify:
        return True
    digest = sha256_file(places.bag)
    if record.bag.get("sha256") not in (None, digest):
        record.bag["stamp"] = (
            None  # of no use any more: whoever looks next hashes again
        )
        write_record(places, record)
        return False
    record.bag |= {"sha256": digest, "stamp": stamp}
    with suppress(OSError):  # a read-only copy is hashed each time
        write_record(places, record)
    return True


def _begin(item: SlideItem, inputs: str, known: Record | None, executor: str) -> Record:
    return Record(
        slide_id=item.slide_id,
        patient_id=item.patient_id,
        status="running",
        attempts=1 + (known.attempts if known else 0),
        crashes=known.crashes if known else 0,
        inputs=inputs,
        bag=dict(known.bag) if known else {},
        versions=versions(),
        executor=executor,
        host=socket.gethostname(),
        pid=os.getpid(),
        began=began(os.getpid()),
        started=now(),
    )


@dataclass
class _Extraction:
    """The steps of one slide; each fills its part of the record."""

    item: SlideItem
    config: ExtractConfig
    encoder: TileEncoder
    settings: dict[str, Any]
    places: Places
    record: Record
    known: Record | None
    bad: list[tuple[int, str]] = field(default_factory=list)

    def run(self) -> None:
        self.record.seconds = dict.fromkeys(STAGES, 0.0)
        with self.stage("open"):
            reader = open_slide(self.item.path)
        # the hash is computed beside everything else, and waited for when it is needed
        with reader, ThreadPoolExecutor(1, thread_name_prefix="hash") as beside:
            with self.stage("open"):
                slide_mpp = self._describe(reader)
            digest = beside.submit(self._sha256)
            if self._adopt(digest):
                return
            with self.stage("read"):
                view = self._overview(reader, slide_mpp)
                check_overview(reader, view)
            with self.stage("tissue"):
                tissue = tissue_of(self.item, self.config, reader, view, slide_mpp)
                grid = self._plan(reader, tissue, slide_mpp)
                chosen = tissue.choose(grid, self.config.min_cover)
            self.record.chosen = len(chosen)
            with self.places.part() as part:
                with BagWriter(part, dim=self.encoder.dim, expected=len(chosen)) as bag:
                    kept = self._fill(bag, reader, grid, chosen)
                    self._sign(digest)
                    with self.stage("write"):
                        self._finish(bag, grid)
                with self.stage("write"):
                    self._picture(reader, view, tissue, grid, chosen, kept)
                    part.replace(self.places.bag)
        self._end()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = clock.perf_counter()
        try:
            yield
        finally:
            self.record.seconds[name] = (
                self.record.seconds[name] + clock.perf_counter() - start
            )

    def _end(self) -> None:
        self.record.bag |= {
            "sha256": sha256_file(self.places.bag),
            "stamp": file_stamp(self.places.bag),
        }
        self.record.status = "done" if self.record.tiles else "empty"
        self.record.reason = "" if self.record.tiles else why_empty(self.record)
        self.record.finished = now()

    def _describe(self, reader: SlideReader) -> float:
        """Note what the image is; gives its µm/px."""
        size, mtime = stamp_there(self.item.path)
        self.record.slide = {
            "path": str(self.item.path),
            "size": size,
            "mtime_ns": mtime,
            "vendor": reader.vendor,
            "notes": list(reader.notes),
        }
        spacing = slide_spacing(
            reader,
            column=self.item.mpp,
            power=self.item.objective,
            stated=self.config.slide_mpp,
            stated_power=self.config.objective_power,
        )
        self.record.slide |= {"mpp": spacing.mpp, "spacing_source": spacing.source}
        self.record.slide["notes"] += spacing.notes
        return spacing.mpp

    def _sha256(self) -> str:
        """Hash the image, unless its size and time are as they were."""
        before = self.known.slide if self.known else {}
        same = all(
            before.get(name) == self.record.slide[name] for name in ("size", "mtime_ns")
        )
        return (
            str(before["sha256"])
            if same and before.get("sha256")
            else hash_slide(self.item.path)
        )

    def _sign(self, digest: Future[str]) -> None:
        """Give the record its key."""
        with self.stage("hash"):
            self.record.slide["sha256"] = digest.result()
            if stamp_there(self.item.path) != (
                self.record.slide["size"],
                self.record.slide["mtime_ns"],
            ):
                raise SlideError(
                    f"{self.item.path}: changed while it was read; let it be and start again",
                )
            method = self.config.method_for(self.item)
            mask = sha256_file(mask_of(self.item)) if method == "given" else None
        self.record.tissue["mask_sha256"] = mask
        self.record.key = content_key(
            self.settings,
            slide_sha256=self.record.slide["sha256"],
            slide_mpp=self.record.slide["mpp"],
            method=method,
            mask_sha256=mask,
        )

    def _adopt(self, digest: Future[str]) -> bool:
        """Take over a bag of the same content, whose record was lost or is of an older file time."""
        about = None if self._is_damaged() else read_about(self.places.bag)
        if about is None:
            return False
        self._sign(digest)
        if about.get("key") != self.record.key:
            return False
        said = about.get("record", {})
        slide = {**said.get("slide", {}), **self.record.slide}
        for name in KEPT:
            if name in said:
                setattr(self.record, name, said[name])
        self.record.slide, self.record.tiles = slide, about["tiles"]
        self._end()
        return True

    def _is_damaged(self) -> bool:
        """Whether a bag is there that is not the one that was written; notes it."""
        written = self.record.bag.get("sha256")
        damaged = (
            written is not None
            and self.places.bag.is_file()
            and sha256_file(self.places.bag) != written
        )
        note = "its bag was damaged or edited after it was written: extracted anew"
        self.record.bag["notes"] = [note] if damaged else []
        return damaged

    def _plan(self, reader: SlideReader, tissue: Tissue, slide_mpp: float) -> Grid:
        """Lay the grid, and note what was found on the slide."""
        tiling = {name: self.settings[name] for name in ("tile_px", "mpp", "overlap")}
        grid = plan_grid(reader, slide_mpp, **tiling)
        self.record.tissue |= about_tissue(tissue)
        self.record.grid = about_grid(grid, reader)
        return grid

    def _fill(
        self,
        bag: BagWriter,
        reader: SlideReader,
        grid: Grid,
        chosen: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """Stream the chosen tiles through judge and encoder into the bag; tells which were kept."""
        kept = np.zeros(len(chosen), bool)
        tally = Tally(len(chosen))
        for batch in self._batches(reader, grid, chosen):
            with self.stage("quality"):
                good = tally.judge(batch, self.config)
            if not good.any():
                continue
            with self.stage("encode"):
                pixels = batch.pixels if good.all() else batch.pixels[good]
                features = self.encoder.encode(pixels)
            with self.stage("write"):
                index = batch.index[good]
                bag.append(
                    features,
                    np.rint(grid.corners(chosen[index])).astype(np.int64),
                )
                kept[index] = True
        self.record.unreadable = len(self.bad)
        self.record.dropped, self.record.quality = tally.dropped, tally.medians(kept)
        self.record.tiles = bag.tiles
        return kept

    def _finish(self, bag: BagWriter, grid: Grid) -> None:
        bag.finish(
            encoder=self.encoder.name,
            places=about_places(grid, round(self.settings["overlap"] * grid.tile_px)),
            about=about_bag(self.record, grid, self.settings["encoder"]),
        )

    def _batches(
        self,
        reader: SlideReader,
        grid: Grid,
        chosen: npt.NDArray[np.int64],
    ) -> Iterator[TileBatch]:
        """Batches, the time waited for them counted; ends in a SlideError when too many tiles are bad."""
        batches = stream_tiles(
            reader,
            grid,
            chosen,
            batch=self.config.batch,
            threads=self.config.threads,
            on_bad=lambda position, why: self.bad.append((position, why)),
        )
        while True:
            with self.stage("read"):
                batch = next(batches, None)
            self._refuse_unreadable(len(chosen))
            if batch is None:
                return
            yield batch

    def _refuse_unreadable(self, chosen: int) -> None:
        limit = self.config.max_unreadable
        if len(self.bad) > limit * chosen:
            self.record.unreadable = len(self.bad)
            first = self.bad[0][1].removeprefix(f"{self.item.path}: ")
            raise SlideError(
                f"{self.item.path}: at least {len(self.bad)} of {chosen} tiles cannot be read, at most "
                f"{limit:.0%} may (--limit-unreadable); the first is {first}",
            )

    def _overview(self, reader: SlideReader, slide_mpp: float) -> Overview:
        view = overview(reader, slide_mpp)
        if view.lost:
            told = f"{view.lost:.1%} of the overview cannot be read: taken as glass"
            self.record.slide["notes"].append(told)
        return view

    def _picture(
        self,
        reader: SlideReader,
        view: Overview,
        tissue: Tissue,
        grid: Grid,
        chosen: npt.NDArray[np.int64],
        kept: npt.NDArray[np.bool_],
    ) -> None:
        from survfuse.slides.contact_sheet import thumbnail

        view = at_least(reader, view, grid.slide_mpp)
        with atomic_path(self.places.picture, durable=False) as temporary:
            temporary.write_bytes(thumbnail(view, tissue, grid, chosen, kept))
