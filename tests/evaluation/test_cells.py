from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time as clock
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from running import Stopped, fails_with, loaded, quick, small
from survfuse import metrics
from survfuse._digests import write_cached_json
from survfuse._errors import CohortError, CrashError, InputError, LeakageError
from survfuse._storage import read_json, write_json
from survfuse.cohort import Cohort
from survfuse.evaluation import Result, Watcher, cross_validate, crossval_plan
from survfuse.evaluation.candidates import Candidate
from survfuse.executors import Executor, InlineExecutor, ProcessExecutor

FILES = (
    "predictions.csv",
    "comparators.csv",
    "external.csv",
    "metrics.json",
    "performance.json",
    "checks.json",
)


def elsewhere(root: Path, **fields: Any) -> CohortFiles:
    """Other patients of another hospital."""
    files = small(root, modalities=("clinical",), seed=5, **fields)
    files.patients["patient_id"] = "X" + files.patients["patient_id"]
    files.spec["name"] = "elsewhere"
    return files


def crossed(cohort: Cohort, out: Path | None = None, **how: Any) -> Result:
    fixed: dict[str, Any] = {
        "folds": 2,
        "horizons": (400.0, 900.0),
        "networks": False,
        "controls": False,
    }
    return cross_validate(
        quick(epochs=2),
        cohort,
        out=out,
        bootstrap=0,
        **{**fixed, **how},
    )


class Cells(Watcher):
    """Hears of cells; ends the run after some."""

    def __init__(self, stop: int | None = None) -> None:
        self.heard: list[tuple[str, bool]] = []
        self.stop = stop

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        self.heard.append((name, resumed))
        if len(self.heard) == self.stop:
            raise Stopped


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), modalities=("clinical",)))


@pytest.fixture(scope="module")
def test(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(elsewhere(tmp_path_factory.mktemp("elsewhere")))


@pytest.fixture(scope="module")
def result(
    cohort: Cohort,
    test: Cohort,
    tmp_path_factory: pytest.TempPathFactory,
) -> Result:
    return crossed(cohort, tmp_path_factory.mktemp("run"), test=test)


def test_every_model_is_tested_on_the_other_cohort(
    result: Result,
    test: Cohort,
) -> None:
    assert result.out is not None
    frame = pd.read_csv(
        result.out / "external.csv",
        dtype={"patient_id": str},
        float_precision="round_trip",
    )
    told = json.loads((result.out / "performance.json").read_text())["external"]
    judged = {
        "cohort",
        "metrics",
        "calibration",
        "time_curves",
        "subgroups",
        "comparisons",
    }
    assert set(told) == {*judged, "availability", "robustness", "characteristics"}
    assert told["cohort"]["name"] == "elsewhere"
    assert set(frame["model"]) == set(told["metrics"]) == set(result.models)
    for model, part in frame.groupby("model"):
        assert sorted(part["patient_id"]) == sorted(test.patients)
        expected = metrics.harrell_c(part["time"], part["event"], part["log_risk"])
        if not model.startswith(
            "missing:",
        ):  # the model with less: its table has no Harrell C
            assert told["metrics"][model]["harrell_c"]["value"] == expected.value
            assert (
                told["metrics"][model]["harrell_c"]["se"] == expected.se
            )  # one model, tested once


def test_the_other_cohort_changes_nothing_inside(
    result: Result,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    assert result.out is not None
    alone = crossed(cohort, tmp_path / "alone")
    for name in ("predictions.csv", "comparators.csv", "metrics.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (
            result.out / name
        ).read_bytes()
    assert alone.performance["external"] is None


def test_a_run_killed_outside_goes_on(
    result: Result,
    cohort: Cohort,
    test: Cohort,
    tmp_path: Path,
) -> None:
    assert result.out is not None
    learners = [
        name for name in result.models if not name.startswith(("permuted:", "missing:"))
    ]
    inside = 2 * len(learners)
    with pytest.raises(Stopped, match=r"^$"):
        crossed(cohort, tmp_path / "run", test=test, watcher=Cells(inside + 1))
    again = Cells()
    crossed(cohort, tmp_path / "run", test=test, watcher=again)
    resumed = [known for _, known in again.heard]
    assert resumed == [True] * (inside + 1) + [False] * (len(learners) - 1)
    assert again.heard[-1][0].endswith(", on elsewhere")
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (
            result.out / name
        ).read_bytes()


def test_shared_patients_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    files.patients.loc[:1, "patient_id"] = ["001", "002"]
    with pytest.raises(
        LeakageError,
        match="'elsewhere' shares 2 patient ids with the training cohort: 001, 002",
    ):
        crossed(cohort, test=loaded(files))


def test_another_unit_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    files.spec["outcome"]["unit"] = "months"
    with pytest.raises(
        CohortError,
        match="'elsewhere' counts time in months, the training cohort in days",
    ):
        crossed(cohort, test=loaded(files))


def test_a_cohort_without_outcome_tests_nothing(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    del files.spec["outcome"]
    with pytest.raises(
        CohortError,
        match="'elsewhere' has no outcome; nothing can be scored there",
    ):
        crossed(cohort, test=loaded(files, need_outcome=False))


def test_hardly_any_patients_elsewhere_are_no_crash(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    files = elsewhere(tmp_path)
    files.patients = files.patients.iloc[:2].assign(
        os_event=[0, 1],
        os_days=[300, 3000],
    )  # no pair
    found = crossed(cohort, test=loaded(files)).performance["external"]
    for model, told in found["metrics"].items():
        ranked = told["uno_c" if model.startswith("missing:") else "harrell_c"]
        assert ranked["value"] is None, model
        assert ranked["note"], model
        assert all(
            v["value"] is None or np.isfinite(v["value"]) for v in told.values()
        ), model


# -- whoever computes them


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def inline(
    whole: Cohort,
    test: Cohort,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Folder of a run with networks and controls, computed here."""
    out = tmp_path_factory.mktemp("inline")
    crossed(whole, out, networks=True, controls=True)
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of all result files and cells by name; the record tells the time, the page is drawn later."""
    found = [
        *folder.glob("*.csv"),
        *folder.glob("*.json"),
        *(folder / "cells").iterdir(),
    ]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name != "run.json"
    }


@pytest.mark.slow
def test_processes_give_the_same_bytes(
    whole: Cohort,
    inline: Path,
    tmp_path: Path,
) -> None:
    heard, out = Cells(), tmp_path / "run"
    two = ProcessExecutor(workers=2)
    crossed(whole, out, networks=True, controls=True, watcher=heard, executor=two)
    expected = content(inline)
    assert content(out) == expected
    assert len([name for name in expected if name.startswith("cells")]) == len(
        heard.heard,
    )
    assert len(set(heard.heard)) == len(heard.heard)
    records = [
        json.loads((folder / "run.json").read_text()) for folder in (inline, out)
    ]
    assert [record["executor"] for record in records] == ["inline", "process"]
    assert records[0]["notes"] == records[1]["notes"]


@pytest.mark.slow
def test_patients_elsewhere_go_through_processes_too_and_nothing_need_be_kept(
    result: Result,
    cohort: Cohort,
    test: Cohort,
) -> None:
    found = crossed(cohort, test=test, executor=ProcessExecutor(workers=2))
    assert found.out is None
    for name, table in result.models.items():
        pd.testing.assert_frame_equal(found.models[name], table, check_exact=True)
    tables = [each.external for each in (found, result)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.slow
def test_a_run_begun_by_processes_is_ended_by_another_executor(
    whole: Cohort,
    inline: Path,
    tmp_path: Path,
) -> None:
    how: dict[str, Any] = {"networks": True, "controls": True}
    with pytest.raises(Stopped, match=r"^$"):
        crossed(
            whole,
            tmp_path / "run",
            watcher=Cells(5),
            executor=ProcessExecutor(workers=2),
            **how,
        )
    finished = len(list((tmp_path / "run" / "cells").glob("*.json")))
    assert finished >= 5
    again = Cells()
    crossed(
        whole,
        tmp_path / "run",
        watcher=again,
        executor=InlineExecutor(threads=1),
        **how,
    )
    assert sum(resumed for _, resumed in again.heard) == finished
    assert content(tmp_path / "run") == content(inline)


@dataclass(frozen=True)
class Bad(Candidate):
    """A candidate that fails in a given way, on the second fold."""

    how: str = ""

    def fit_predict(self, fold: Any, test: Any, target: Any = None) -> Any:
        if "001" in test:
            return super().fit_predict(fold, test, target)
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        raise (
            CohortError("no patient has the event")
            if self.how == "data"
            else ZeroDivisionError("0/0")
        )


NO_EVENT = r"^bad, repeat 0, fold \d: no patient has the event"
DIED = r"^bad, repeat 0, fold \d: worker died twice \(signal SIGKILL"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "how", "error", "message"),
    [
        (InlineExecutor(), "data", CohortError, NO_EVENT),
        (InlineExecutor(), "fault", ZeroDivisionError, "^0/0"),
        (ProcessExecutor(workers=1), "data", CohortError, NO_EVENT),
        (ProcessExecutor(workers=1), "dies", CrashError, DIED),
    ],
)
def test_a_cell_that_fails_is_told_as_if_it_had_failed_here(
    monkeypatch: pytest.MonkeyPatch,
    cohort: Cohort,
    tmp_path: Path,
    executor: Executor,
    how: str,
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr(
        crossval_plan,
        "comparators",
        lambda *_, **__: [Bad("bad", quick(epochs=1).config, "baseline", how=how)],
    )
    with pytest.raises(error, match=message):
        crossed(cohort, tmp_path / "run", executor=executor)
    kept = {path.name for path in (tmp_path / "run" / "cells").glob("*.json")}
    assert "default-concat-r0-f0.json" in kept  # what was finished before is kept


# -- kept cells that are not as they were written


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the baselines out; they take most of the time."""
    monkeypatch.setattr(crossval_plan, "comparators", lambda *_, **__: [])


def changed(cell: Path, change: Callable[[Any], None], *, signed: bool = False) -> None:
    kept = read_json(cell)
    change(kept)
    if signed:
        del kept["sha256"]
        write_cached_json(cell, {}, kept)
    else:
        write_json(cell, kept)


def last_digit(kept: Any) -> None:
    risks = kept["columns"]["log_risk"]
    risks[0] = float(np.nextafter(risks[0], 9))


def swapped(kept: Any) -> None:
    ids = kept["columns"]["patient_id"]
    ids[0], ids[1] = ids[1], ids[0]


def replaced(cell: Path, make: Callable[[Path], None]) -> None:
    cell.unlink()
    make(cell)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "one digit": (lambda cell: changed(cell, last_digit), "not what was written"),
    "two patients swapped": (
        lambda cell: changed(cell, swapped),
        "not what was written",
    ),
    "another version": (
        lambda cell: changed(cell, lambda kept: kept.update(version=7)),
        "not what was",
    ),
    "signed, patients swapped": (
        lambda cell: changed(cell, swapped, signed=True),
        "expected predictions of",
    ),
    "signed, a risk missing": (
        lambda cell: changed(
            cell,
            lambda kept: kept["columns"]["log_risk"].pop(),
            signed=True,
        ),
        "expected 12 numbers in column log_risk",
    ),
    "signed, a risk that is text": (
        lambda cell: changed(
            cell,
            lambda kept: kept["columns"].update(log_risk=["1"] * 12),
            signed=True,
        ),
        "expected 12 numbers in column log_risk",
    ),
    "signed, a part missing": (
        lambda cell: changed(cell, lambda kept: kept.pop("also"), signed=True),
        "not a cell of this version",
    ),
    "signed, no calibrator": (
        lambda cell: changed(
            cell,
            lambda kept: kept["calibrator"].update(name="x"),
            signed=True,
        ),
        "unknown calibrator 'x'",
    ),
    "cut": (lambda cell: os.truncate(cell, cell.stat().st_size // 2), "JSON"),
    "empty": (lambda cell: os.truncate(cell, 0), "JSON"),
    "a list": (lambda cell: write_json(cell, [1]), "expected a JSON object, got list"),
    "other JSON": (lambda cell: write_json(cell, {"key": 3}), "not what was written"),
    "no text": (lambda cell: cell.write_bytes(bytes(range(256))), "UTF-8"),
    "a folder": (
        lambda cell: replaced(cell, Path.mkdir),
        r"a folder .*moved to .*json\.aside-1",
    ),
    "a pipe": (
        lambda cell: replaced(cell, os.mkfifo),
        r"a pipe .*moved to .*json\.aside-1",
    ),
    "a link that leads nowhere": (
        lambda cell: replaced(cell, lambda place: place.symlink_to("nowhere")),
        "no such file",
    ),
}


@pytest.fixture(scope="module")
def finished(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of the model alone; to be copied."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossval_plan, "comparators", lambda *_, **__: [])
        crossed(cohort, out)
    return out


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cell_is_named_and_computed_anew(
    cohort: Cohort,
    finished: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    cell = out / "cells" / "default-concat-r0-f0.json"
    hurt, message = DAMAGES[damage]
    hurt(cell)
    heard = Cells()
    result = crossed(cohort, out, watcher=heard)
    assert dict(heard.heard) == {
        "default:concat, repeat 0, fold 1": True,
        "default:concat, repeat 0, fold 0": False,
    }
    (note,) = caplog.messages
    assert note.startswith("a kept result is damaged and is computed anew: ")
    assert str(cell) in note
    assert re.search(message, note)
    assert note in result.record["notes"]
    for aside in out.glob("cells/*.aside-*"):
        aside.rmdir() if aside.is_dir() else aside.unlink()
    assert content(out) == content(finished)


@pytest.mark.slow
def test_a_note_of_a_worker_reaches_the_record(
    cohort: Cohort,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker finds the damaged checkpoint of a killed fit; its process is not this one."""
    monkeypatch.setattr(crossval_plan, "comparators", lambda *_, **__: [])
    checkpoint = (
        tmp_path
        / "cells"
        / "default-concat-r0-f1"
        / "member-1-inner-fold-1.safetensors"
    )
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"cut")
    result = crossed(cohort, tmp_path, executor=ProcessExecutor(workers=1))
    (note,) = [note for note in result.record["notes"] if "damaged" in note]
    assert str(checkpoint) in note
    assert content(tmp_path) == content(finished)


@pytest.mark.usefixtures("alone")
def test_cells_of_an_earlier_version_are_another_run(
    cohort: Cohort,
    finished: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    cell = out / "cells" / "default-concat-r0-f1.json"
    kept = read_json(cell)
    del kept["sha256"]
    write_json(cell, {**kept, "version": 2, "key": "ab"})
    before = content(out)
    with pytest.raises(
        InputError,
        match=r"fold 1: .*f1\.json: a result of another run .*version differ\)",
    ):
        crossed(cohort, out)
    assert content(out) == before


# -- full disks, and two runs at once


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(words, capture_output=True, check=False).returncode
    ):
        pytest.skip("a disk cannot be mounted here: needs root on Linux")
    yield place
    subprocess.run(["umount", place], check=True)


class Filler(Cells):
    """Leaves no room on a disk once the first cell is there."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.file = disk / "filler"

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        super().on_cell(name, done, resumed)
        with suppress(OSError), self.file.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))


@pytest.mark.slow
@pytest.mark.parametrize(
    "executor",
    [InlineExecutor(), ProcessExecutor(workers=1)],
    ids=lambda one: one.name,
)
@pytest.mark.usefixtures("alone")
def test_a_disk_that_fills_ends_a_run_that_goes_on_when_there_is_room(
    cohort: Cohort,
    finished: Path,
    disk: Path,
    executor: Executor,
) -> None:
    filler, out = Filler(disk), disk / "run"
    with pytest.raises(
        InputError,
        match=r"the disk is full; free some space, or choose another place",
    ):
        crossed(cohort, out, watcher=filler, executor=executor)
    left = sorted(
        str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()
    )
    assert left == ["cells/default-concat-r0-f0.json", "run.json"]
    filler.file.unlink()
    again = Cells()
    crossed(cohort, out, watcher=again)
    assert [resumed for _, resumed in again.heard] == [True, False]
    assert content(out) == content(finished)


@pytest.mark.parametrize(
    "code",
    [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO],
)
@pytest.mark.usefixtures("alone")
def test_an_error_of_the_disk_is_an_answer_that_names_the_cell(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    monkeypatch.setattr("survfuse._digests.write_json", fails_with(code))
    with pytest.raises(
        InputError,
        match=r"default-concat-r0-f0\.json: (the disk|your quota|you may not)",
    ):
        crossed(cohort, tmp_path)


@pytest.mark.usefixtures("alone")
def test_the_second_of_two_runs_in_one_folder_is_refused_whatever_its_configuration(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    class Second(Cells):
        def on_cell(self, name: str, done: int, resumed: bool) -> None:
            with pytest.raises(
                InputError,
                match="another run of this process works in this folder",
            ):
                crossed(cohort, tmp_path, folds=3)
            super().on_cell(name, done, resumed)

    heard = Second()
    crossed(cohort, tmp_path, watcher=heard)
    assert len(heard.heard) == 2
    assert not [path.name for path in tmp_path.rglob(".*")], "no lock stays behind"


SCRIPT = """
    import sys

    from running import QUICK
    from survfuse import SurvivalFusion, load_cohort
    from survfuse.evaluation import cross_validate
    from survfuse.executors import ProcessExecutor

    if __name__ == "__main__":
        cross_validate(
            SurvivalFusion(**{**QUICK, "epochs": 2}), load_cohort(sys.argv[1]), out=sys.argv[2], folds=2,
            bootstrap=0, horizons=(400.0, 900.0), executor=ProcessExecutor(workers=2),
        )
"""


@pytest.mark.slow
def test_a_run_killed_with_its_workers_goes_on(
    whole: Cohort,
    inline: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    script = [
        sys.executable,
        tmp_path / "script.py",
        whole.root / "cohort.yaml",
        tmp_path / "run",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with subprocess.Popen(script, env=environment) as parent:
        end = clock.monotonic() + 60
        while len(list((tmp_path / "run" / "cells").glob("*.json"))) < 3:
            assert clock.monotonic() < end
            assert parent.poll() is None
            clock.sleep(0.02)
        parent.kill()
    again = Cells()
    crossed(whole, tmp_path / "run", networks=True, controls=True, watcher=again)
    assert sum(resumed for _, resumed in again.heard) >= 3
    assert content(tmp_path / "run") == content(inline)
