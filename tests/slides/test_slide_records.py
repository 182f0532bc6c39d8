from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from survfuse._errors import ConfigError, SlideError
from survfuse._places import began, owner_mark
from survfuse.slides.slide_records import (
    Places,
    Record,
    claim_settings,
    read_record,
    write_record,
)

SETTINGS = {"tile_px": 224, "mpp": 0.5, "encoder": {"name": "uni", "precision": "fp32"}}


def dead_pid() -> int:
    """Number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def running(executor: str, pid: int, **given: object) -> Record:
    return Record(
        "a",
        "P",
        status="running",
        executor=executor,
        host=socket.gethostname(),
        pid=pid,
        **given,
    )  # type: ignore[arg-type]


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    places = Places(tmp_path, "a ü")
    record = Record(
        "a ü",
        "P",
        status="done",
        tiles=7,
        seconds={"read": 0.5},
        slide={"size": 3, "notes": ["x"]},
    )
    assert read_record(places) is None
    write_record(places, record)
    assert read_record(places) == record
    assert json.loads(places.state.read_text())["format"] == "survfuse-slide-record"


WHOLE = '{"format": "survfuse-slide-record", "slide_id": "a", "patient_id": "P", "version": 1, "status": "done"}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        WHOLE[:60],
        WHOLE.replace("1", "9"),
        WHOLE.replace("done", "odd"),
    ],
)
def test_a_broken_record_is_none(tmp_path: Path, text: str) -> None:
    places = Places(tmp_path, "a")
    places.state.parent.mkdir()
    places.state.write_text(text)
    assert read_record(places) is None


def test_a_field_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    places = Places(tmp_path, "a")
    write_record(places, Record("a", "P"))
    told = json.loads(places.state.read_text())
    places.state.write_text(json.dumps({**told, "colour": "blue"}))
    assert read_record(places) == Record("a", "P")


def test_a_living_process_keeps_its_slide() -> None:
    record = running("inline", os.getpid())
    assert record.lives()
    assert not record.settle()
    assert record.status == "running"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells")
def test_a_process_that_ended_unnoticed_is_dead() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(
        os.P_PID,
        ended.pid,
        os.WEXITED | os.WNOWAIT,
    )  # it has ended, and stays a zombie
    assert not running("process", ended.pid).lives()
    ended.wait()


@pytest.mark.parametrize("executor", ["inline", "process", "ray"])
def test_a_dead_process_gives_its_slide_back_and_nothing_is_counted(
    executor: str,
) -> None:
    record = running(executor, dead_pid(), attempts=1)
    assert record.died_inline == (executor == "inline")
    assert record.settle()
    assert (record.status, record.attempts, record.crashes) == ("pending", 1, 0)
    assert not record.died_inline
    assert not record.settle()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells")
def test_another_process_of_the_same_number_does_not_keep_a_slide() -> None:
    assert running("process", os.getpid(), began=began(os.getpid())).lives()
    assert not running("process", os.getpid(), began=began(os.getpid()) - 1).lives()


def test_what_the_dead_left_of_a_slide_is_removed_and_others_are_kept(
    tmp_path: Path,
) -> None:
    dead = owner_mark().replace(f"-{os.getpid()}-", f"-{dead_pid()}-")
    places = Places(tmp_path, "a[1]")
    gone = [
        tmp_path / f".a[1].h5.{dead}.140.part",
        tmp_path / "state" / f".a[1].json.{dead}.x7.part",
        tmp_path / "quality" / f".a[1].jpg.{dead}.x7.part",
    ]
    kept = [
        tmp_path / f".a1.h5.{dead}.140.part",
        tmp_path / "state" / f".a[1].json.{owner_mark()}.x7.part",
    ]
    for path in (*gone, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    places.sweep()
    assert sorted(tmp_path.rglob("*.part")) == sorted(kept)
    with places.part() as part:
        part.write_bytes(b"mine")
        assert part.parent == tmp_path
    assert sorted(tmp_path.rglob("*.part")) == sorted(kept)


def test_settings_are_written_once_and_held_against_later_ones(tmp_path: Path) -> None:
    claim_settings(tmp_path / "out", SETTINGS)
    first = (tmp_path / "out" / "extraction.json").read_bytes()
    claim_settings(tmp_path / "out", json.loads(json.dumps(SETTINGS)))
    assert (tmp_path / "out" / "extraction.json").read_bytes() == first
    other = {
        **SETTINGS,
        "mpp": 1.0,
        "encoder": {"name": "uni", "precision": "bf16", "px": 3},
    }
    with pytest.raises(ConfigError, match=r"holds bags of other settings") as told:
        claim_settings(tmp_path / "out", other)
    for word in (
        "encoder.precision is 'fp32' there, 'bf16' here",
        "encoder.px is None there",
        "mpp is 0.5 there",
    ):
        assert word in str(told.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["extraction.json"]


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.h5").write_bytes(b"features of TRIDENT")
    with pytest.raises(
        SlideError,
        match=r"holds feature files of another program.* \(s\.h5\)",
    ):
        claim_settings(tmp_path, SETTINGS)
    (tmp_path / "extraction.json").write_text('{"format": "other"}')
    with pytest.raises(
        ConfigError,
        match="not the settings of an extraction of this version",
    ):
        claim_settings(tmp_path, SETTINGS)


def test_many_first_writers_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert (
            list(pool.map(claim_settings, [tmp_path] * 8, [SETTINGS] * 8)) == [None] * 8
        )
    assert [path.name for path in tmp_path.iterdir()] == ["extraction.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"attempts": "x"},
        {"slide": None},
        {"tiles": 1.5},
        {"final": 1},
        {"reason": []},
        {"key": None},
    ],
)
def test_a_record_of_other_types_is_none(
    tmp_path: Path,
    change: dict[str, Any],
) -> None:
    places = Places(tmp_path, "a")
    write_record(places, Record("a", "P"))
    assert read_record(places) == Record("a", "P")
    places.state.write_text(
        json.dumps({**json.loads(places.state.read_text()), **change}),
    )
    assert read_record(places) is None


def test_a_path_that_is_no_utf_8_is_kept(tmp_path: Path) -> None:
    record = Record("a", "P", slide={"path": os.fsdecode(b"/M\xfcller/a.svs")})
    record.fail(os.fsdecode(b"/M\xfcller/a.svs: damaged"))
    assert record.reason == r"/M\udcfcller/a.svs: damaged"
    write_record(Places(tmp_path, "a"), record)
    assert read_record(Places(tmp_path, "a")) == record


def test_settings_with_another_encoder_entry_are_told_not_stumbled_over(
    tmp_path: Path,
) -> None:
    claim_settings(tmp_path, SETTINGS)
    whole = json.loads((tmp_path / "extraction.json").read_text())
    (tmp_path / "extraction.json").write_text(json.dumps({**whole, "encoder": "x"}))
    with pytest.raises(ConfigError, match=r"is 'x' there"):
        claim_settings(tmp_path, SETTINGS)
