from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from running import fails_with
from survfuse._errors import InputError
from survfuse._storage import read_json, sha256_file, write_json
from survfuse.evaluation import Result
from survfuse.results.folder import FILES, begun_record, try_metrics, try_run_folder


def made(risk: float = 0.5, *, beside: bool = True, **hashes: str) -> Result:
    """A result of one patient, as far as it is written."""
    columns: dict[str, Any] = {
        "patient_id": ["a"],
        "repeat": 0,
        "fold": 0,
        "log_risk": risk,
    }
    names = ["model", "km"] if beside else ["model"]
    return Result(
        name="model",
        models={name: pd.DataFrame(columns) for name in names},
        estimates={},
        checks=[],
        cohort={},
        record={"model": "model", "hashes": hashes},
        folds={},
        performance={"external": None},
    )


def test_the_record_knows_every_file(tmp_path: Path) -> None:
    made().write(tmp_path)
    record = read_json(tmp_path / "run.json")
    assert "state" not in record
    assert record["files"] == {
        path.name: sha256_file(path)
        for path in tmp_path.iterdir()
        if path.name != "run.json"
    }


def test_files_that_an_earlier_run_had_and_this_one_has_not_are_removed(
    tmp_path: Path,
) -> None:
    made().write(tmp_path)
    assert (tmp_path / "comparators.csv").exists()
    made(beside=False).write(tmp_path)
    assert not (tmp_path / "comparators.csv").exists()


@pytest.mark.parametrize("after", range(6))
def test_a_run_that_was_cut_off_while_it_was_written_says_so_and_is_written_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    made(0.5).write(tmp_path / "run")
    made(0.7).write(tmp_path / "straight")
    replace, done = os.replace, []

    def cut(source: Any, target: Any) -> None:
        if len(done) == after:
            raise OSError(errno.ENOSPC, "x")
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as full:
        full.setattr(Path, "replace", cut)
        with pytest.raises(InputError, match=r"run: the disk is full; free some space"):
            made(0.7).write(tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))
    assert ("state" in read_json(tmp_path / "run" / "run.json")) == (after > 0)
    made(0.7).write(tmp_path / "run")
    for path in (tmp_path / "straight").iterdir():
        assert path.read_bytes() == (tmp_path / "run" / path.name).read_bytes()


@pytest.mark.parametrize("name", [*FILES, "run.json"])
def test_files_of_others_are_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    try_run_folder(tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(
        InputError,
        match=f"holds {name}, not written by a cross-validation of survfuse",
    ):
        made().write(tmp_path)
    assert (tmp_path / name).read_text() == "{}"
    (tmp_path / name).unlink()  # as the message advises
    made().write(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "record",
    [[], {"hashes": 3}, {"format": "survfuse-run"}, {"hashes": {}, "versions": 3}],
)
def test_what_is_no_record_claims_nothing(tmp_path: Path, record: Any) -> None:
    write_json(tmp_path / "run.json", record)
    with pytest.raises(InputError, match=r"holds run\.json, not written by"):
        try_run_folder(tmp_path)


def test_records_of_earlier_versions_are_known(tmp_path: Path) -> None:
    write_json(
        tmp_path / "run.json",
        {"hashes": {"cohort": "ab"}, "versions": {"survfuse": "0.1.0"}},
    )
    (tmp_path / "predictions.csv").touch()
    assert try_run_folder(tmp_path) == tmp_path


def test_an_evaluation_does_not_replace_a_cross_validation_nor_the_reverse(
    tmp_path: Path,
) -> None:
    made().write(tmp_path / "own")
    made(input="ab").write(tmp_path / "foreign")
    made(input="cd").write(tmp_path / "foreign")
    with pytest.raises(InputError, match="not written by an evaluation of survfuse"):
        made(input="ab").write(tmp_path / "own")
    with pytest.raises(
        InputError,
        match="not written by a cross-validation of survfuse",
    ):
        made().write(tmp_path / "foreign")


def test_a_run_that_begins_claims_its_folder_and_keeps_a_finished_record(
    tmp_path: Path,
) -> None:
    with begun_record(tmp_path, {"model": "model"}):
        assert read_json(tmp_path / "run.json")["state"] == "unfinished"
    made().write(tmp_path)
    with begun_record(tmp_path, {"model": "another"}):
        assert read_json(tmp_path / "run.json")["model"] == "model"


def test_a_run_that_fails_leaves_its_claim_where_it_kept_a_cell(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="early"),
        begun_record(tmp_path, {"model": "model"}),
    ):
        raise InputError("early")
    assert not list(tmp_path.iterdir())
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "one.json").touch()
    with (
        pytest.raises(InputError, match="late"),
        begun_record(tmp_path, {"model": "model"}),
    ):
        raise InputError("late")
    assert read_json(tmp_path / "run.json")["state"] == "unfinished"


def test_pipes_folders_and_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    for number, (make, kind) in enumerate(
        [
            (os.mkfifo, "pipe"),
            (os.mkdir, "folder"),
            (lambda place: os.symlink("nowhere", place), "link"),
        ],
    ):
        out = tmp_path / str(number)
        made().write(out)
        (out / "metrics.json").unlink()
        make(out / "metrics.json")
        with pytest.raises(InputError, match=rf"metrics\.json: a {kind}"):
            try_run_folder(out)
    (tmp_path / "blind").symlink_to("nowhere")
    with pytest.raises(InputError, match="is no folder; choose another place"):
        try_run_folder(tmp_path / "blind")


def test_a_full_disk_is_known_before_work_begins(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", fails_with(errno.ENOSPC))
    with pytest.raises(InputError, match="the disk is full"):
        try_run_folder(tmp_path / "run")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"a": 3}', '{"model": {"uno_c": 0.6}}'],
)
def test_metrics_replace_metrics_alone(tmp_path: Path, text: str) -> None:
    place = tmp_path / "m.json"
    assert try_metrics(place) == place
    place.write_text('{"model": {"uno_c": {"value": 0.6}}}')
    assert try_metrics(place) == place
    place.write_text(text)
    with pytest.raises(
        InputError,
        match="a file that holds no metrics is there; choose another name",
    ):
        try_metrics(place)
