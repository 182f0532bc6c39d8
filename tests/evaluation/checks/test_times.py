from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import loaded, small
from survfuse.evaluation.checks import Evidence
from survfuse.evaluation.checks.times import coarser_grid, times_fit_their_unit

RNG = np.random.default_rng(
    7,
)  # another stream than the cohort files': ranks of one stream are a leak
MONTHS = RNG.integers(1, 90, 60)


def judged(root: Path, time: Any, unit: str, patients: int = 60) -> Any:
    files = small(root, patients=patients, modalities=("clinical",))
    files.patients["os_days"] = time
    files.spec["outcome"]["unit"] = unit
    return times_fit_their_unit(Evidence(cohort=loaded(files)))


def test_times_as_fine_as_their_unit_are_in_order(tmp_path: Path) -> None:
    found = judged(tmp_path, RNG.integers(20, 3000, 60), "days")
    assert found.status == "ok"
    assert found.evidence.startswith("times from ")


@pytest.mark.parametrize(
    ("time", "unit", "longest"),
    [
        (MONTHS / 1.0, "days", "looks like months"),
        (MONTHS * 30, "months", "looks like days"),
    ],
)
def test_another_unit_is_suspected(
    tmp_path: Path,
    time: Any,
    unit: str,
    longest: str,
) -> None:
    found = judged(tmp_path, time, unit)
    assert found.status == "warning"
    assert longest in found.evidence
    assert "Correct `outcome.unit`" in found.advice


@pytest.mark.parametrize(
    ("time", "unit", "grid"),
    [
        (np.round(MONTHS * 365.25 / 12), "days", "months"),
        (np.floor(MONTHS * 365.25 / 12), "days", "months"),
        (MONTHS * 30.0, "days", "months of 30 days"),
        (MONTHS * 7.0, "days", "weeks"),
        (np.round((MONTHS % 9 + 1) * 365.25), "days", "years"),
        ((MONTHS % 9 + 1) * 12.0, "months", "years"),
        (RNG.integers(1, 3000, 60), "days", None),
        (MONTHS, "months", None),
        ((MONTHS % 9 + 1), "years", None),
    ],
)
def test_coarse_times_are_told(
    tmp_path: Path,
    time: Any,
    unit: str,
    grid: str | None,
) -> None:
    assert coarser_grid(np.asarray(time, float), unit) == grid
    if grid is not None and unit == "days" and np.max(time) > 130:
        found = judged(tmp_path, np.asarray(time).astype(int), unit)
        assert found.status == "warning"
        assert f"whole {grid}, but they are declared as days" in found.evidence


def test_one_time_in_twenty_may_lie_off_the_grid() -> None:
    time = np.arange(1, 101) * 30.0
    time[:5] += 12
    assert coarser_grid(time, "days") == "months of 30 days"
    time[5] += 12
    assert coarser_grid(time, "days") is None


def test_few_patients_do_not_apply(tmp_path: Path) -> None:
    found = judged(tmp_path, np.arange(1, 20) * 30, "days", patients=19)
    assert found[:2] == ("not applicable", "19 times; 20 are needed")
    assert coarser_grid(np.full(30, 30.0), "days") is None
