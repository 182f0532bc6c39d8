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

from survfuse._errors import SlideError
from survfuse._places import began
from survfuse._storage import atomic_path, file_stamp, sha256_file
from survfuse.slides.bag_writer import BagWriter, read_about, read_key
from survfuse.slides.geometry import Grid, plan_grid
from survfuse.slides.opening import open_slide
from survfuse.slides.overviews import Overview, at_least, check_overview, overview
from survfuse.slides.quality import judge_tiles
from survfuse.slides.reading import Indices, Mask, SlideReader
from survfuse.slides.settings import (
    ExtractConfig,
    content_key,
    hash_slide,
    inputs_key,
    settings_of,
    stamp_there,
    versions,
)
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

if TYPE_CHECKING:
    from survfuse.slides.encoders.card import TileEncoder
    from survfuse.slides.tissue import Tissue

IN_BAG = (
    "key",
    "tiles",
    "chosen",
    "unreadable",
    "dropped",
    "quality",
    "slide",
    "grid",
    "tissue",
    "versions",
)
"""Fields of a record that the bag repeats: what it is, not when and where it was made."""


def extract_slide(
    item: SlideItem,
    config: ExtractConfig,
    encoder: TileEncoder,
    out: Path,
    *,
    executor: str = "inline",
) -> Record:
    """Extract one slide, unless this is already done.

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
    before = known or Record(item.slide_id, item.patient_id)
    record = Record(
        slide_id=item.slide_id,
        patient_id=item.patient_id,
        status="running",
        attempts=1 + before.attempts,
        crashes=before.crashes,
        inputs=inputs,
        bag=dict(before.bag),
        versions=versions(),
        executor=executor,
        host=socket.gethostname(),
        pid=os.getpid(),
        began=began(os.getpid()),
        started=now(),
    )
    write_record(places, record)
    try:
        _Extraction(item, config, encoder, settings, places, record, before.slide).run()
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
    """Whether the bag of a record is there, made from these very inputs and not changed since.

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
        record.bag["stamp"] = None  # so that the next run hashes again
        write_record(places, record)
        return False
    record.bag |= {"sha256": digest, "stamp": stamp}
    with suppress(OSError):  # a read-only copy is hashed each time
        write_record(places, record)
    return True


def mask_of(item: SlideItem) -> Path:
    """Return the mask of a slide that needs one.

    Raises
    ------
    SlideError
        When it has none, or the file is not there.
    """
    if item.mask is None:
        raise SlideError(
            f"slide {item.slide_id!r} has no tissue mask, and --tissue given takes nothing else; "
            "add its mask to the folder of masks, or say --tissue auto",
        )
    if not item.mask.is_file():
        raise SlideError(f"{item.mask}: no such mask, of slide {item.slide_id!r}")
    return item.mask


@dataclass
class _Extraction:
    """The steps of one slide; each fills its part of the record."""

    item: SlideItem
    config: ExtractConfig
    encoder: TileEncoder
    settings: dict[str, Any]
    places: Places
    record: Record
    known_slide: dict[str, Any]
    unreadable: list[str] = field(default_factory=list)

    def run(self) -> None:
        record = self.record
        record.seconds = dict.fromkeys(STAGES, 0.0)
        with self.stage("open"):
            reader = open_slide(self.item.path)
        # the hash is computed at the same time, and waited for when it is needed
        with reader, ThreadPoolExecutor(1, thread_name_prefix="hash") as pool:
            with self.stage("open"):
                slide_mpp = self._describe_slide(reader)
            digest = pool.submit(self._sha256)
            if self._reuse_bag(digest):
                return
            with self.stage("read"):
                view = self._overview(reader, slide_mpp)
            with self.stage("tissue"):
                tissue = self._tissue(reader, view, slide_mpp)
                grid = plan_grid(
                    reader,
                    slide_mpp,
                    tile_px=self.settings["tile_px"],
                    mpp=self.settings["mpp"],
                    overlap=self.settings["overlap"],
                )
                self._describe_tissue(tissue, grid, reader)
                chosen = tissue.choose(grid, self.config.min_cover)
            record.chosen = len(chosen)
            with self.places.part() as part:
                with BagWriter(
                    part,
                    dim=self.encoder.dim,
                    expected=len(chosen),
                ) as bag:
                    included = self._fill(bag, reader, grid, chosen)
                    self._sign(digest)
                    self._finish(bag, grid)
                with self.stage("write"):
                    view = at_least(reader, view, slide_mpp)
                    self._draw(view, tissue, grid, chosen, included)
                    part.replace(self.places.bag)
        self._end()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = clock.perf_counter()
        try:
            yield
        finally:
            self.record.seconds[name] += clock.perf_counter() - start

    def _describe_slide(self, reader: SlideReader) -> float:
        """Note what the image is; return its µm/px."""
        size, mtime = stamp_there(self.item.path)
        slide = self.record.slide = {
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
        slide |= {"mpp": spacing.mpp, "spacing_source": spacing.source}
        slide["notes"] += spacing.notes
        return spacing.mpp

    def _sha256(self) -> str:
        """Hash the image, unless its size and time are as they were."""
        before, slide = self.known_slide, self.record.slide
        known = before.get("sha256")
        unchanged = all(
            before.get(name) == slide[name] for name in ("size", "mtime_ns")
        )
        return str(known) if known and unchanged else hash_slide(self.item.path)

    def _sign(self, digest: Future[str]) -> None:
        """Give the record its key."""
        slide = self.record.slide
        with self.stage("hash"):
            slide["sha256"] = digest.result()
            if stamp_there(self.item.path) != (slide["size"], slide["mtime_ns"]):
                raise SlideError(
                    f"{self.item.path}: changed while it was read; let it be and start again",
                )
            method = self.config.method_for(self.item)
            mask = sha256_file(mask_of(self.item)) if method == "given" else None
        self.record.tissue["mask_sha256"] = mask
        self.record.key = content_key(
            self.settings,
            slide_sha256=slide["sha256"],
            slide_mpp=slide["mpp"],
            method=method,
            mask_sha256=mask,
        )

    def _reuse_bag(self, digest: Future[str]) -> bool:
        """Reuse a bag of the same content, whose record was lost or is of an older file time."""
        record, bag = self.record, self.places.bag
        written = record.bag.get("sha256")
        record.bag["notes"] = []
        if written and bag.is_file() and sha256_file(bag) != written:
            note = "its bag was damaged or edited after it was written: extracted anew"
            record.bag["notes"] = [note]
            return False
        about = read_about(bag)
        if about is None:
            return False
        self._sign(digest)
        if about.get("key") != record.key:
            return False
        stored = about.get("record", {})
        slide = {**stored.get("slide", {}), **record.slide}
        for name in IN_BAG:
            if name in stored:
                setattr(record, name, stored[name])
        record.slide, record.tiles = slide, about["tiles"]
        self._end()
        return True

    def _overview(
        self,
        reader: SlideReader,
        slide_mpp: float,
    ) -> Overview:
        view = overview(reader, slide_mpp)
        if view.lost:
            lost = f"{view.lost:.1%} of the overview cannot be read: taken as glass"
            self.record.slide["notes"].append(lost)
        check_overview(reader, view)
        return view

    def _draw(
        self,
        view: Overview,
        tissue: Tissue,
        grid: Grid,
        chosen: Indices,
        included: Mask,
    ) -> None:
        from survfuse.slides.thumbnails import thumbnail

        picture = thumbnail(view, tissue, grid, chosen, included)
        with atomic_path(self.places.picture, durable=False) as temporary:
            temporary.write_bytes(picture)

    def _tissue(
        self,
        reader: SlideReader,
        view: Overview,
        slide_mpp: float,
    ) -> Tissue:
        """Tissue of the slide by the method that the configuration says."""
        from survfuse.slides.tissue import everything, find_tissue, stained_on

        method = self.config.method_for(self.item)
        if method == "everything":
            return everything(reader, slide_mpp)
        if method == "given":
            from survfuse.slides.masks import given_mask

            stained = stained_on(view, slide_mpp)
            return given_mask(mask_of(self.item), reader, slide_mpp, stained)
        return find_tissue(
            view,
            slide_mpp,
            min_area_mm2=self.config.min_area_mm2,
            max_hole_mm2=self.config.max_hole_mm2,
        )

    def _describe_tissue(
        self,
        tissue: Tissue,
        grid: Grid,
        reader: SlideReader,
    ) -> None:
        self.record.tissue |= {
            "source": tissue.source,
            "area_mm2": round(tissue.area_mm2, 4),
            "components": tissue.components,
            "pen_share": round(tissue.pen_share, 5),
            "notes": list(tissue.notes),
        }
        names = ("level", "tile_px", "mpp", "tile_um", "footprint", "columns", "rows")
        self.record.grid = {name: getattr(grid, name) for name in names}
        self.record.grid["bounds"] = list(reader.bounds)

    def _fill(
        self,
        bag: BagWriter,
        reader: SlideReader,
        grid: Grid,
        chosen: Indices,
    ) -> Mask:
        """Judge, encode and write the chosen tiles; which of them are in the bag, (tiles,)."""
        record, config = self.record, self.config
        included = np.zeros(len(chosen), bool)
        names = ("background", "pen", "blur")
        quality = np.full((len(names), len(chosen)), np.nan, np.float32)
        dropped = {"background": 0, "pen": 0}
        for batch in self._batches(reader, grid, chosen):
            with self.stage("quality"):
                quality[:, batch.index] = tile_quality = judge_tiles(batch.pixels)
                blank = tile_quality.background > config.max_background
                pen = (tile_quality.pen > config.max_pen) & ~blank
                dropped["background"] += int(blank.sum())
                dropped["pen"] += int(pen.sum())
                good = ~(blank | pen)
            if not good.any():
                continue
            with self.stage("encode"):
                pixels = batch.pixels if good.all() else batch.pixels[good]
                features = self.encoder.encode(pixels)
            with self.stage("write"):
                index = batch.index[good]
                corners = np.rint(grid.corners(chosen[index])).astype(np.int64)
                bag.append(features, corners)
                included[index] = True
        record.unreadable, record.dropped = len(self.unreadable), dropped
        if included.any():
            medians = map(np.median, quality[:, included])
            rounded = [round(float(median), 5) for median in medians]
            record.quality = dict(zip(names, rounded, strict=True))
        record.tiles = bag.tiles
        return included

    def _batches(
        self,
        reader: SlideReader,
        grid: Grid,
        chosen: Indices,
    ) -> Iterator[TileBatch]:
        """Batches; counts the time of waiting, and stops when too many tiles cannot be read."""
        batches = stream_tiles(
            reader,
            grid,
            chosen,
            batch=self.config.batch,
            threads=self.config.threads,
            on_bad=lambda _, reason: self.unreadable.append(reason),
        )
        limit = self.config.max_unreadable
        while True:
            with self.stage("read"):
                batch = next(batches, None)
            count = len(self.unreadable)
            if count > limit * len(chosen):
                self.record.unreadable = count
                first = self.unreadable[0].removeprefix(f"{self.item.path}: ")
                raise SlideError(
                    f"{self.item.path}: at least {count} of {len(chosen)} tiles cannot be read, at "
                    f"most {limit:.0%} may (--limit-unreadable); the first is {first}",
                )
            if batch is None:
                return
            yield batch

    def _finish(self, bag: BagWriter, grid: Grid) -> None:
        """Write the attributes of the bag; nothing that differs between two copies of one slide."""
        record = self.record
        slide = dict(record.slide)
        del slide["path"], slide["mtime_ns"]
        with self.stage("write"):
            bag.finish(
                encoder=self.encoder.name,
                places={
                    "patch_size": grid.tile_px,
                    "patch_size_level0": grid.footprint,
                    "level0_magnification": 10.0 / grid.slide_mpp,
                    "target_magnification": 10.0 / grid.mpp,
                    "overlap": round(self.settings["overlap"] * grid.tile_px),
                },
                about={
                    "key": record.key,
                    "mpp": grid.mpp,
                    "tile_um": grid.tile_um,
                    "slide_mpp": grid.slide_mpp,
                    "slide_sha256": slide["sha256"],
                    "bounds": record.grid["bounds"],
                    "tissue": record.tissue["source"],
                    "encoder": self.settings["encoder"],
                    "versions": record.versions,
                    "record": {name: getattr(record, name) for name in IN_BAG}
                    | {"slide": slide},
                },
            )

    def _end(self) -> None:
        record, bag = self.record, self.places.bag
        record.bag |= {"sha256": sha256_file(bag), "stamp": file_stamp(bag)}
        record.status = "done" if record.tiles else "empty"
        record.reason = "" if record.tiles else _why_empty(record)
        record.finished = now()


def _why_empty(record: Record) -> str:
    """Why a slide has no tiles, from its record."""
    area, reasons = record.tissue["area_mm2"], list(record.tissue["notes"])
    if record.chosen:
        left_out = {**record.dropped, "unreadable": record.unreadable}
        counts = [f"{count} {name}" for name, count in left_out.items() if count]
        text = (
            f"all {record.chosen} tiles on tissue were left out ({', '.join(counts)})"
        )
        reasons.insert(0, text)
    elif area or not reasons:
        reasons.insert(0, f"no tile holds enough of the {area:g} mm² of tissue")
    return "; ".join(reasons)
