"""Many slides: finished work stays, one bad slide costs one slide, and kills cost nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from slide_files import (
    FragileEncoder,
    MeanEncoder,
    fragile_encoder,
    mean_encoder,
    raw_tiff,
    tiff_tags,
    tiny_slide,
    vast_vms,
)
from survfuse._errors import ConfigError, PartialError, SlideError
from survfuse._storage import file_stamp
from survfuse.executors import Shard, make_executor
from survfuse.slides import ExtractConfig, Record, SlideItem, Summary, survey
from survfuse.slides.slide_records import Places, read_record, write_record
from survfuse.slides.supervisor import (
    ExtractWatcher,
    ExtractWork,
    contact_sheet,
    extract,
)

CONFIG = ExtractConfig(tile_px=64, batch=16)
INLINE = make_executor("inline")
TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good slides of different size and tissue."""
    root = tmp_path_factory.mktemp("slides")
    for number in range(6):
        size = 512 + 128 * number
        tiny_slide(
            root / f"s{number}.tif",
            size,
            tissue=[(32, 32, size * 3 // 4, size * 3 // 4)],
            seed=number,
        )
    return root


@pytest.fixture
def items(folder: Path) -> list[SlideItem]:
    return [
        SlideItem(path.stem, f"P{path.stem}", path)
        for path in sorted(folder.glob("*.tif"))
    ]


def test_hostile_slides_and_masks_cost_themselves_only(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    hostile = [
        raw_tiff(tmp_path / "counts.tif", tiff_tags(stored=3_400_000_000)),
        raw_tiff(tmp_path / "circle.tif", tiff_tags(), next_of_last=1),
        vast_vms(tmp_path / "vast.vms"),
        tmp_path / "pipe.svs",
        Path("/dev/zero"),
    ]
    os.mkfifo(tmp_path / "pipe.svs")
    bad = [
        SlideItem(f"h{number}", "P", path, mpp=0.5)
        for number, path in enumerate(hostile)
    ]
    masked = replace(items[1], slide_id="masked", mask=hostile[0])
    given = [items[0], masked, *bad]
    summary = extract(
        given,
        CONFIG,
        tmp_path / "out",
        executor=INLINE,
        load=mean_encoder,
    )
    assert summary.counts == {"done": 1, "failed": 6}
    assert all(record.final and record.crashes == 0 for record in summary.failed)
    assert (
        "counts.tif: one tile or strip claims 3.2 GiB" in summary.records[5].reason
    )  # of the mask


def test_memory_that_runs_out_is_an_answer(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    class Large(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            raise MemoryError

    summary = extract(
        items[:1],
        CONFIG,
        tmp_path / "out",
        executor=INLINE,
        load=lambda _: Large(),
    )
    (record,) = summary.failed
    assert record.reason.startswith(
        "takes more memory than this machine has free; use a larger machine",
    )
    assert not record.final


class Listens(ExtractWatcher):
    def __init__(self) -> None:
        self.total = self.waiting = -1
        self.ended: list[str] = []
        self.started: list[str] = []

    def on_slides(self, total: int, waiting: int) -> None:
        self.total, self.waiting = total, waiting

    def on_start(self, slide_id: str, attempt: int) -> None:
        self.started.append(slide_id)

    def on_slide(self, record: Record, done: int, waiting: int) -> None:
        assert (len(self.ended) + 1, self.waiting) == (done, waiting)
        self.ended.append(record.slide_id)


def run(items: list[SlideItem], out: Path, **given: Any) -> Summary:
    return extract(
        items,
        CONFIG,
        out,
        **{"executor": INLINE, "load": mean_encoder, **given},
    )


def bags(out: Path) -> dict[str, bytes]:
    """Every bag's bytes; and nothing half written lies about."""
    assert [path.name for path in out.rglob("*.part")] == []
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.h5"))}


def test_every_slide_once_and_never_again(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    watcher = Listens()
    summary = run(items[::-1], tmp_path, watcher=watcher)
    assert summary.counts == {"done": 6}
    assert summary.failed == ()
    assert summary.tiles == sum(record.tiles for record in summary.records)
    assert [record.slide_id for record in summary.records] == [
        f"s{n}" for n in range(6)
    ]
    assert (watcher.total, watcher.waiting, watcher.ended) == (
        6,
        6,
        [f"s{n}" for n in range(6)],
    )
    before = bags(tmp_path)
    encoder = MeanEncoder()
    watcher = Listens()
    again = run(items, tmp_path, load=lambda _: encoder, watcher=watcher)
    assert (again, encoder.seen, watcher.waiting, bags(tmp_path)) == (
        summary,
        0,
        0,
        before,
    )
    assert survey(items, tmp_path) == summary
    json.dumps(summary.to_dict(), allow_nan=False)


def test_verifying_hashes_every_bag(items: list[SlideItem], tmp_path: Path) -> None:
    run(items, tmp_path)
    before = bags(tmp_path)
    with h5py.File(tmp_path / "s2.h5", "r+") as file:
        file["features"][0, 0] += 0.5
    places = Places(tmp_path, "s2")
    record = read_record(places)
    assert record is not None
    record.bag["stamp"] = file_stamp(places.bag)  # a disk that rots changes no date
    write_record(places, record)
    watcher = Listens()
    run(items, tmp_path, watcher=watcher)
    assert watcher.ended == []
    summary = run(items, tmp_path, watcher=watcher, verify=True)
    assert watcher.ended == ["s2"]
    assert [one.slide_id for one in summary.records if one.notes] == ["s2"]
    assert bags(tmp_path) == before


def test_one_bad_slide_costs_one_slide(items: list[SlideItem], tmp_path: Path) -> None:
    text = tmp_path / "text.svs"
    text.write_text("no slide")
    bad = [
        SlideItem("text", "P", text),
        SlideItem("unscaled", "P", tiny_slide(tmp_path / "u.tif", 640, None)),
        SlideItem("glass", "P", tiny_slide(tmp_path / "g.tif", 256, tissue=[])),
    ]
    summary = run([*items, *bad], tmp_path / "out")
    assert summary.counts == {"done": 6, "empty": 1, "failed": 2}
    with pytest.raises(
        PartialError,
        match=r"^2 of 9 slides have no features: text \(.*text\.svs: not a whole",
    ):
        summary.raise_failed()
    watcher = Listens()
    assert run([*items, *bad], tmp_path / "out", watcher=watcher) == summary
    assert watcher.waiting == 0  # a fault of the data is not tried again
    run([*items, *bad], tmp_path / "out", watcher=watcher, retry=True)
    assert watcher.ended == ["text", "unscaled"]
    bad[1] = replace(bad[1], mpp=0.5)  # the user fills in the column
    watcher = Listens()
    summary = run([*items, *bad], tmp_path / "out", watcher=watcher)
    assert watcher.ended == ["unscaled"]
    assert summary.counts == {"done": 7, "empty": 1, "failed": 1}
    assert {record.slide_id: record.attempts for record in summary.records}[
        "unscaled"
    ] == 3


def test_a_scale_for_all_is_no_other_setting(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    """The very fix that the error advises must not be refused, nor cost the finished slides anything."""
    unscaled = SlideItem("u", "P", tiny_slide(tmp_path / "u.tif", 640, None))
    run([*items, unscaled], tmp_path / "out")
    before = bags(tmp_path / "out")
    encoder = MeanEncoder()
    config = CONFIG.model_copy(update={"slide_mpp": 0.5})
    summary = extract(
        [*items, unscaled],
        config,
        tmp_path / "out",
        executor=INLINE,
        load=lambda _: encoder,
    )
    assert summary.counts == {"done": 7}
    assert encoder.seen == read_record(Places(tmp_path / "out", "u")).tiles  # type: ignore[union-attr]
    assert {name: bags(tmp_path / "out")[name] for name in before} == before


def test_other_settings_in_one_folder_are_refused(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    run(items[:1], tmp_path)
    with pytest.raises(ConfigError, match=r"overlap is 0\.0 there, 0\.5 here"):
        extract(
            items,
            CONFIG.model_copy(update={"overlap": 0.5}),
            tmp_path,
            executor=INLINE,
            load=mean_encoder,
        )
    with pytest.raises(ConfigError, match=r"encoder\.version is 1 there, 2 here"):
        run(items, tmp_path, load=lambda _: MeanEncoder(2))


def test_shards_are_parts_of_the_whole(items: list[SlideItem], tmp_path: Path) -> None:
    run(items, tmp_path / "whole")
    parts = [
        run(items, tmp_path / "parts", shard=Shard(index, 4)) for index in range(4)
    ]
    taken = [record.slide_id for part in parts for record in part.records]
    assert sorted(taken) == [item.slide_id for item in items]
    assert bags(tmp_path / "parts") == bags(tmp_path / "whole")
    assert run(items[::-1], tmp_path / "parts").counts == {"done": 6}
    few = run(items[:2], tmp_path / "few", shard=Shard(3, 4))
    assert (few.records, few.counts, few.tiles) == ((), {}, 0)


@pytest.mark.slow
def test_processes_give_the_same_bytes_and_survive_a_crash(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    dark = SlideItem(
        "dark",
        "P",
        tiny_slide(tmp_path / "d.tif", 640, shade=0.6, tissue=[(64, 64, 512, 512)]),
    )
    run(items, tmp_path / "inline")
    crew = make_executor("process", workers=2)
    watcher = Listens()
    summary = run(
        [*items, dark],
        tmp_path / "crew",
        executor=crew,
        load=fragile_encoder,
        watcher=watcher,
    )
    assert summary.counts == {"done": 6, "quarantined": 1}
    (lost,) = summary.failed
    assert (lost.slide_id, lost.crashes, lost.attempts) == ("dark", 2, 2)
    assert "SIGSEGV" in lost.reason
    assert bags(tmp_path / "crew") == bags(tmp_path / "inline")
    assert watcher.started[0] == "s5"  # the largest first
    assert {record.executor for record in summary.records} == {"process"}
    watcher = Listens()
    again = run(
        [*items, dark],
        tmp_path / "crew",
        load=fragile_encoder,
        watcher=watcher,
    )
    assert (again, watcher.waiting) == (
        summary,
        0,
    )  # quarantined, or this process would be dead
    mended = run([*items, dark], tmp_path / "crew", retry=True)
    assert mended.counts == {"done": 7}
    assert mended.records[0].crashes == 0


@pytest.mark.slow
def test_a_slide_that_kills_an_inline_run_is_then_tried_in_a_worker(
    tmp_path: Path,
) -> None:
    tiny_slide(tmp_path / "a.tif", 640)
    tiny_slide(tmp_path / "b.tif", 640, shade=0.6, tissue=[(64, 64, 512, 512)])
    tiny_slide(tmp_path / "c.tif", 640)
    ended = [program(tmp_path, "fragile_encoder").wait() for _ in range(3)]
    assert ended == [-signal.SIGSEGV, 0, 0]
    summary = survey(
        [SlideItem(name, "P", tmp_path / f"{name}.tif") for name in "abc"],
        tmp_path / "out",
    )
    assert [record.status for record in summary.records] == [
        "done",
        "quarantined",
        "done",
    ]
    assert [record.attempts for record in summary.records] == [1, 3, 1]
    assert summary.records[1].crashes == 2
    assert "SIGSEGV" in summary.records[1].reason


@pytest.mark.slow
@pytest.mark.parametrize("load", ["mean_encoder", "local"])
def test_a_run_that_is_killed_over_a_good_slide_never_counts(
    items: list[SlideItem],
    tmp_path: Path,
    load: str,
) -> None:
    """Also where the work cannot be sent to a worker, because the program makes its encoder itself."""
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    for times in range(3):
        left = Record(
            "s3",
            "Ps3",
            status="running",
            executor="inline",
            attempts=times,
            pid=killed.pid,
        )
        write_record(Places(tmp_path, "s3"), replace(left, host=socket.gethostname()))
        watcher = Listens()
        how = {"load": lambda _: MeanEncoder()} if load == "local" else {}
        summary = run(items, tmp_path, watcher=watcher, **how)
        assert summary.counts == {"done": 6}
        assert watcher.ended[-1] == "s3"
        assert summary.records[3].crashes == 0
    assert summary.records[3].executor == "inline"
    run(items, tmp_path / "straight")
    assert bags(tmp_path) == bags(tmp_path / "straight")


def program(folder: Path, load: str, *, shard: str = "0/1") -> subprocess.Popen[bytes]:
    """A run of its own over all slides of a folder, inline."""
    code = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
import slide_files
from survfuse.executors import Shard, make_executor
from survfuse.slides import ExtractConfig, SlideItem
from survfuse.slides.supervisor import extract
items = [SlideItem(p.stem, "P", p) for p in Path({str(folder)!r}).glob("*.tif")]
extract(items, ExtractConfig(tile_px=64, batch=16), {str(folder / "out")!r}, executor=make_executor("inline"),
        shard=Shard.parse({shard!r}), load=slide_files.{load})
"""
    return subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_files(
    folder: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    items = [SlideItem(path.stem, "P", path) for path in sorted(tmp_path.glob("*.tif"))]
    run(items, tmp_path / "whole")
    started = time.monotonic()
    for kill in range(4):
        killed = program(tmp_path, "slow_encoder")
        while not list((tmp_path / "out").glob(".s*.part")) and killed.poll() is None:
            time.sleep(0.01)
            assert time.monotonic() - started < 120
        time.sleep(0.11 * kill)
        killed.kill()
        killed.wait()
        for state in (tmp_path / "out" / "state").glob("s*.json"):
            record = read_record(Places(tmp_path / "out", state.stem))
            assert record is not None  # never half a record
            assert record.crashes == 0  # the kills are ours, not the slide's
    summary = run(items, tmp_path / "out")
    assert summary.counts == {"done": 6}
    assert bags(tmp_path / "out") == bags(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "out" / "quality").iterdir()) == [
        f"s{n}.jpg" for n in range(6)
    ]


@pytest.mark.slow
def test_two_shards_at_once_in_one_folder(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    items = [SlideItem(path.stem, "P", path) for path in sorted(tmp_path.glob("*.tif"))]
    both = [program(tmp_path, "slow_encoder", shard=f"{index}/2") for index in range(2)]
    looks = 0
    while any(one.poll() is None for one in both):
        summary = survey(items, tmp_path / "out")  # --status while others run
        assert not summary.failed
        looks += 1
        time.sleep(0.05)
    assert looks > 1
    assert [one.wait() for one in both] == [0, 0]
    summary = survey(items, tmp_path / "out")
    assert summary.counts == {"done": 6}
    assert {record.attempts for record in summary.records} == {1}
    assert len({record.pid for record in summary.records}) == 2


def test_what_is_nobodys_fault_is_tried_again(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    class Stumbles(MeanEncoder):
        falls = 0

        def encode(self, tiles: np.ndarray) -> np.ndarray:
            self.falls += 1
            if self.falls == 1:
                raise ValueError("operands could not be broadcast")
            return super().encode(tiles)

    encoder = Stumbles()
    summary = run(items, tmp_path, load=lambda _: encoder)
    assert summary.counts == {"done": 5, "failed": 1}
    assert summary.failed[0].reason == "ValueError: operands could not be broadcast"
    assert not summary.failed[0].final
    assert run(items, tmp_path, load=lambda _: encoder).counts == {"done": 6}


def test_a_passing_fault_of_the_disk_costs_an_attempt(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    class DiskFull(MeanEncoder):
        falls = 0

        def encode(self, tiles: np.ndarray) -> np.ndarray:
            self.falls += 1
            if self.falls == 1:
                raise OSError("stale file handle")
            return super().encode(tiles)

    encoder = DiskFull()
    summary = run(items[:1], tmp_path, load=lambda _: encoder)
    assert [(record.status, record.attempts) for record in summary.records] == [
        ("done", 2),
    ]


def test_what_is_about_no_single_slide_stops_the_run(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    class Refuses(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            raise ConfigError("the encoder cannot take tiles of this side")

    with pytest.raises(ConfigError, match="the encoder cannot take tiles of this side"):
        run(items, tmp_path, load=lambda _: Refuses())
    assert bags(tmp_path) == {}
    with pytest.raises(SlideError, match=r"slide id 's0' is used 2 times"):
        run([*items, items[0]], tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_a_worker_with_another_encoder_is_stopped(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    work = ExtractWork(
        CONFIG,
        tmp_path,
        {"name": "mean_colour", "version": 2},
        "ray",
        mean_encoder,
    )
    with pytest.raises(
        ConfigError,
        match=r"the encoder is not the one of the run \(version 1, not 2\)",
    ):
        work(items[0])
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_stays_behind_when_work_travels(tmp_path: Path) -> None:
    work = ExtractWork(
        CONFIG,
        tmp_path,
        {},
        load=fragile_encoder,
        encoder=FragileEncoder(),
    )
    assert work.__getstate__()["encoder"] is None
    assert work.encoder is not None


def test_a_survey_touches_nothing(items: list[SlideItem], tmp_path: Path) -> None:
    assert survey(items, tmp_path / "none").counts == {"pending": 6}
    assert not (tmp_path / "none").exists()
    places = Places(tmp_path, "s0")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = Record(
        "s0",
        "P",
        status="running",
        attempts=1,
        host=os.uname().nodename,
        pid=dead.pid,
    )
    write_record(places, stale)
    assert survey(items, tmp_path).counts == {"pending": 6}
    assert read_record(places) == stale


def test_what_runs_on_another_machine_is_shown_as_running(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    far = Record(
        "s0",
        "P",
        status="running",
        attempts=1,
        host="elsewhere",
        pid=1,
        executor="inline",
    )
    write_record(Places(tmp_path, "s0"), far)
    assert survey(items, tmp_path).counts == {"pending": 5, "running": 1}
    assert survey(items[:1], tmp_path).records == (far,)
    assert (
        run(items[:1], tmp_path).records[0].attempts == 2
    )  # a run of the same slide takes it over


def test_workers_may_sit_in_another_folder(
    items: list[SlideItem],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(items[0].path.parent)
    near = [replace(items[0], path=Path(items[0].path.name))]

    class Moves(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            os.chdir("/")
            return super().encode(tiles)

    out = Path(os.path.relpath(tmp_path / "out"))
    summary = extract(near, CONFIG, out, executor=INLINE, load=lambda _: Moves())
    assert summary.counts == {"done": 1}
    assert summary.records[0].slide["path"] == str(items[0].path)
    assert (tmp_path / "out" / "s0.h5").is_file()


def test_the_contact_sheet_names_every_slide(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    text = tmp_path / "text.svs"
    text.write_text("no slide")
    summary = run([*items, SlideItem("bad & worse", "P", text)], tmp_path / "out")
    page = contact_sheet(summary, tmp_path / "out").read_text()
    assert (tmp_path / "out" / "contact.html").is_file()
    assert [item.slide_id for item in items if item.slide_id not in page] == []


def test_of_very_many_slides_only_the_doubtful_have_pictures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: dict[str, Any] = {}

    def write(out: Path, records: list[Any], images: dict[str, bytes]) -> Path:
        told.update(images=images, records=len(records))
        return out

    monkeypatch.setattr("survfuse.slides.contact_sheet.write_contact_sheet", write)
    monkeypatch.setattr("survfuse.slides.supervisor.SHEET_PICTURES", 3)
    records = [
        Record(f"s{n}", "P", status="empty" if n == 2 else "done") for n in range(4)
    ]
    for record in records:
        picture = Places(tmp_path, record.slide_id).picture
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(b"jpeg")
    contact_sheet(Summary(tuple(records)), tmp_path)
    assert told == {"images": {"s2": b"jpeg"}, "records": 4}
    contact_sheet(Summary(tuple(records[:3])), tmp_path)
    assert set(told["images"]) == {"s0", "s1", "s2"}


def test_a_full_disk_is_told_in_one_line_and_tried_again(
    items: list[SlideItem],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError(
            "Unable to flush (file write failed: time = now\n, errno = 28, error message = ...)",
        )

    with monkeypatch.context() as patch:
        patch.setattr("h5py.File.flush", full)
        record = run(items[:1], tmp_path).records[0]
    assert record.status == "failed"
    assert record.reason.startswith("No space left on device: ")
    assert "\n" not in record.reason
    assert run(items[:1], tmp_path).counts == {"done": 1}
