"""Every wrong unit is doubted where its length or calendar says so, and no right one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._types import FloatArray
from survfuse.cohort.time_units import DAYS, doubted_unit, far_times, on_calendar

RNG = np.random.default_rng(0)
DAYS_LIVED = np.unique(RNG.integers(20, 3800, 200)).astype(float)


def in_unit(days: FloatArray, unit: str, decimals: int) -> FloatArray:
    return np.maximum(np.round(days / DAYS[unit], decimals), 10.0**-decimals)


@pytest.mark.parametrize(
    ("true", "declared", "decimals"),
    [
        ("years", "months", 1),
        ("years", "months", 3),
        ("years", "days", 2),
        ("months", "days", 0),
        ("months", "days", 2),
        ("months", "years", 0),
        ("months", "years", 1),
        ("days", "months", 0),
        ("days", "years", 0),
        ("weeks", "days", 2),
        ("weeks", "months", 0),
        ("weeks", "years", 1),
    ],
)
def test_a_wrong_unit_is_doubted_in_every_direction(
    true: str,
    declared: str,
    decimals: int,
) -> None:
    time = in_unit(DAYS_LIVED, true, decimals)
    assert doubted_unit(in_unit(DAYS_LIVED, declared, 2), declared) == ""
    doubt = doubted_unit(time, declared)
    assert doubt.startswith(f"unit is declared as {declared}, but ")
    assert true in doubt.partition("looks like ")[2].split(" or ")


def test_long_follow_up_in_years_is_known_by_the_calendar() -> None:
    years = in_unit(
        DAYS_LIVED * 2,
        "years",
        4,
    )  # up to 20: as many months would be possible
    assert "whole days only if counted in years" in doubted_unit(years, "months")
    assert doubted_unit(in_unit(DAYS_LIVED / 4, "months", 2), "months") == ""
    assert on_calendar(years, "years")
    assert not on_calendar(years, "months")


def test_early_deaths_written_in_months_are_believed() -> None:
    days = np.unique(RNG.integers(3, 400, 90)).astype(
        float,
    )  # half of them dead within two months
    days[:60] /= 7
    months = in_unit(np.ceil(np.append(days, 900)), "months", 2)
    assert np.median(months) < 2.5
    assert doubted_unit(months, "months") == ""
    rare = np.ceil(np.append(RNG.exponential(900, 200), 8000))
    assert "looks like years" in doubted_unit(in_unit(rare, "years", 1), "months")


@pytest.mark.parametrize(
    ("median", "longest"),
    [(14, 127), (6, 40), (10, 36), (29, 283), (60, 250), (116, 355)],
    ids=["glioblastoma", "pancreas", "a trial", "breast", "prostate", "thirty years"],
)
def test_months_of_real_diseases_are_not_doubted(median: float, longest: float) -> None:
    time = np.sort(np.minimum(RNG.exponential(median / np.log(2), 200), longest))
    time[-1] = longest
    for decimals in (0, 1, 2):
        assert doubted_unit(np.maximum(time.round(decimals), 0.03), "months") == ""
    assert doubted_unit(np.ceil(time * DAYS["months"]), "days") == ""


@pytest.mark.parametrize("mistyped", [[480.0], [99999.0, 88888.0, 70000.0]])
def test_mistyped_times_are_no_doubt_of_the_unit(mistyped: list[float]) -> None:
    time = np.array([*np.linspace(0.5, 90, 60).round(1), *mistyped])
    assert time[far_times(time)].tolist() == mistyped
    assert doubted_unit(time, "months") == ""
    assert "looks like months" in doubted_unit(time, "days")


def test_a_long_tail_is_not_mistyped() -> None:
    for sd in (0.5, 1.0):
        time = np.minimum(np.exp(RNG.normal(2.5, sd, 80)), RNG.uniform(6, 90, 80))
        assert not far_times(time).any()
    assert not far_times(np.array([1.0, 2.0, 300.0])).any()


@pytest.mark.parametrize(
    ("time", "unit", "says"),
    [
        (
            np.linspace(0.01, 1, 50),
            "years",
            "no unit that is known here (scaled to 0 to 1?",
        ),
        (
            DAYS_LIVED * 86400e9,
            "days",
            "nanoseconds or seconds (a pandas Timedelta as a number?)",
        ),
        (np.full(30, 200.0), "months", "half of the times are beyond 200: looks like"),
        (np.arange(1.0, 29), "years", "whole numbers up to 28: looks like months"),
        (np.arange(1.0, 17), "years", ""),
        (np.array([3.0]), "days", "the longest time is 3: looks like years"),
        (np.array([365.0]), "days", ""),
    ],
)
def test_what_else_is_said(time: FloatArray, unit: str, says: str) -> None:
    doubt = doubted_unit(time, unit)
    assert bool(doubt) == bool(says)
    assert says in doubt


def test_real_cohorts_are_not_doubted_in_their_unit_and_are_in_others(
    shared_data: Path,
) -> None:
    cohorts = {
        path.parent.name: (path, "os_months", "months")
        for path in shared_data.glob("tcga_omics/*/patients.csv")
    }
    cohorts["hancock"] = (shared_data / "hancock/patients.csv", "os_days", "days")
    cohorts["luad"] = (shared_data / "tcga_luad/patients.csv", "os_days", "days")
    assert len(cohorts) == 10
    for name, (path, column, unit) in cohorts.items():
        time = pd.read_csv(path)[column].dropna().to_numpy(float)
        time = time[time > 0]
        assert doubted_unit(time, unit) == "", name
        for true in ("days", "months", "years"):
            wrong = in_unit(time * DAYS[unit], true, 0 if true == "days" else 2)
            for declared in {"days", "months", "years"} - {true}:
                assert true in doubted_unit(wrong, declared), (name, true, declared)
