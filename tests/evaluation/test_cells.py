from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from running import Stopped, loaded, quick, small
from survfuse import metrics
from survfuse._errors import CohortError, LeakageError
from survfuse.cohort import Cohort
from survfuse.evaluation import Result, Watcher, cross_validate

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
    assert set(told) == {"cohort", "metrics", "calibration", "time_curves", "subgroups", "comparisons"}
    assert told["cohort"]["name"] == "elsewhere"
    assert set(frame["model"]) == set(told["metrics"]) == set(result.models)
    for model, part in frame.groupby("model"):
        assert sorted(part["patient_id"]) == sorted(test.patients)
        expected = metrics.harrell_c(part["time"], part["event"], part["log_risk"])
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
    learners = [name for name in result.models if not name.startswith("permuted:")]
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
        assert told["harrell_c"]["value"] is None, model
        assert told["harrell_c"]["note"], model
        assert all(v["value"] is None or np.isfinite(v["value"]) for v in told.values()), model
