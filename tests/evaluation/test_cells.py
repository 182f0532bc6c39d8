from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time as clock
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from running import Stopped, loaded, quick, small
from survfuse import metrics
from survfuse._errors import CohortError, CrashError, LeakageError
from survfuse.cohort import Cohort
from survfuse.evaluation import Result, Watcher, cross_validate, crossval
from survfuse.evaluation.networks import NetworkLearner
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
    fixed: dict[str, Any] = {"folds": 2, "horizons": (400.0, 900.0), "networks": False, "controls": False}
    return cross_validate(quick(epochs=2), cohort, out=out, bootstrap=0, **{**fixed, **how})


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
def result(cohort: Cohort, test: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return crossed(cohort, tmp_path_factory.mktemp("run"), test=test)


def test_every_model_is_tested_on_the_other_cohort(result: Result, test: Cohort) -> None:
    assert result.out is not None
    frame = pd.read_csv(result.out / "external.csv", dtype={"patient_id": str}, float_precision="round_trip")
    told = json.loads((result.out / "performance.json").read_text())["external"]
    judged = {"cohort", "metrics", "calibration", "time_curves", "subgroups", "comparisons"}
    assert set(told) == {*judged, "availability", "robustness"}
    assert told["cohort"]["name"] == "elsewhere"
    assert set(frame["model"]) == set(told["metrics"]) == set(result.models)
    for model, part in frame.groupby("model"):
        assert sorted(part["patient_id"]) == sorted(test.patients)
        expected = metrics.harrell_c(part["time"], part["event"], part["log_risk"])
        if not model.startswith("missing:"):  # the model with less: its table has no Harrell C
            assert told["metrics"][model]["harrell_c"]["value"] == expected.value
            assert told["metrics"][model]["harrell_c"]["se"] == expected.se  # one model, tested once


def test_the_other_cohort_changes_nothing_inside(result: Result, cohort: Cohort, tmp_path: Path) -> None:
    assert result.out is not None
    alone = crossed(cohort, tmp_path / "alone")
    for name in ("predictions.csv", "comparators.csv", "metrics.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (result.out / name).read_bytes()
    assert alone.performance["external"] is None


def test_a_run_killed_outside_goes_on(result: Result, cohort: Cohort, test: Cohort, tmp_path: Path) -> None:
    assert result.out is not None
    learners = [name for name in result.models if not name.startswith(("permuted:", "missing:"))]
    inside = 2 * len(learners)
    with pytest.raises(Stopped, match=r"^$"):
        crossed(cohort, tmp_path / "run", test=test, watcher=Cells(inside + 1))
    again = Cells()
    crossed(cohort, tmp_path / "run", test=test, watcher=again)
    resumed = [known for _, known in again.heard]
    assert resumed == [True] * (inside + 1) + [False] * (len(learners) - 1)
    assert again.heard[-1][0].endswith(", on elsewhere")
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (result.out / name).read_bytes()


def test_shared_patients_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    files.patients.loc[:1, "patient_id"] = ["001", "002"]
    with pytest.raises(
        LeakageError, match="'elsewhere' shares 2 patient ids with the training cohort: 001, 002"
    ):
        crossed(cohort, test=loaded(files))


def test_another_unit_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    files.spec["outcome"]["unit"] = "months"
    with pytest.raises(CohortError, match="'elsewhere' counts time in months, the training cohort in days"):
        crossed(cohort, test=loaded(files))


def test_a_cohort_without_outcome_tests_nothing(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    del files.spec["outcome"]
    with pytest.raises(CohortError, match="'elsewhere' has no outcome; nothing can be scored there"):
        crossed(cohort, test=loaded(files, need_outcome=False))


def test_hardly_any_patients_elsewhere_are_no_crash(cohort: Cohort, tmp_path: Path) -> None:
    files = elsewhere(tmp_path)
    files.patients = files.patients.iloc[:2].assign(os_event=[0, 1], os_days=[300, 3000])  # no pair
    found = crossed(cohort, test=loaded(files)).performance["external"]
    for model, told in found["metrics"].items():
        ranked = told["uno_c" if model.startswith("missing:") else "harrell_c"]
        assert ranked["value"] is None, model
        assert ranked["note"], model
        assert all(v["value"] is None or np.isfinite(v["value"]) for v in told.values()), model


# -- whoever computes them


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def inline(whole: Cohort, test: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with networks and controls, computed here."""
    out = tmp_path_factory.mktemp("inline")
    crossed(whole, out, networks=True, controls=True)
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of all result files and cells by name; the record tells the time, the page is drawn later."""
    found = [*folder.glob("*.csv"), *folder.glob("*.json"), *(folder / "cells").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.name != "run.json"}


def test_processes_give_the_same_bytes(whole: Cohort, inline: Path, tmp_path: Path) -> None:
    heard, out = Cells(), tmp_path / "run"
    two = ProcessExecutor(workers=2)
    crossed(whole, out, networks=True, controls=True, watcher=heard, executor=two)
    expected = content(inline)
    assert content(out) == expected
    assert len([name for name in expected if name.startswith("cells")]) == len(heard.heard)
    assert len(set(heard.heard)) == len(heard.heard)
    records = [json.loads((folder / "run.json").read_text()) for folder in (inline, out)]
    assert [record["executor"] for record in records] == ["inline", "process"]
    assert records[0]["notes"] == records[1]["notes"]


def test_patients_elsewhere_go_through_processes_too_and_nothing_need_be_kept(
    result: Result, cohort: Cohort, test: Cohort
) -> None:
    found = crossed(cohort, test=test, executor=ProcessExecutor(workers=2))
    assert found.out is None
    for name, table in result.models.items():
        pd.testing.assert_frame_equal(found.models[name], table, check_exact=True)
    tables = [each.performance["external"]["predictions"] for each in (found, result)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_run_begun_by_processes_is_ended_by_another_executor(
    whole: Cohort, inline: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"networks": True, "controls": True}
    with pytest.raises(Stopped, match=r"^$"):
        crossed(whole, tmp_path / "run", watcher=Cells(5), executor=ProcessExecutor(workers=2), **how)
    finished = len(list((tmp_path / "run" / "cells").glob("*.json")))
    assert finished >= 5
    again = Cells()
    crossed(whole, tmp_path / "run", watcher=again, executor=InlineExecutor(threads=1), **how)
    assert sum(resumed for _, resumed in again.heard) == finished
    assert content(tmp_path / "run") == content(inline)


@dataclass(frozen=True)
class Bad:
    """A learner that fails as told, on the second fold."""

    how: str
    name: str = "bad"
    role: str = "baseline"
    modalities: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        return {"learner": "bad", "how": self.how}

    def fit_predict(self, cohort: Cohort, train: Any, test: Any, *rest: Any, **named: Any) -> Any:
        if "001" in test:
            return NetworkLearner("good", quick(epochs=1).config).fit_predict(cohort, train, test)
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        raise CohortError("no patient has the event") if self.how == "data" else ZeroDivisionError("0/0")


NO_EVENT = r"^bad, repeat 0, fold \d: no patient has the event"
DIED = r"^bad, repeat 0, fold \d: worker died twice \(signal SIGKILL"


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
    monkeypatch.setattr(crossval, "comparators", lambda *_, **__: [Bad(how)])
    with pytest.raises(error, match=message):
        crossed(cohort, tmp_path / "run", executor=executor)
    kept = {path.name for path in (tmp_path / "run" / "cells").glob("*.json")}
    assert "default-concat-r0-f0.json" in kept  # what was finished before is kept


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
def test_a_run_killed_with_its_workers_goes_on(whole: Cohort, inline: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    script = [sys.executable, tmp_path / "script.py", whole.root / "cohort.yaml", tmp_path / "run"]
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
