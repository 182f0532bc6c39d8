"""The rule for columns that accrue: its laws, and its rates on simulated columns."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from survfuse._errors import NotComputableError
from survfuse.evaluation.checks.accrual import signs_of_accrual

STUDY = Path(__file__).resolve().parents[3] / "studies" / "followup_columns.py"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    """The study that prints the rates: the same simulated columns."""
    spec = importlib.util.spec_from_file_location("followup_columns", STUDY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def doses(study: ModuleType, seed: int = 0) -> Any:
    return study.doses(study.World("both", 176, 0.36, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", ["doses", "cumulative dose to month 24", "visits without end"])
def test_columns_that_accrue_are_flagged(study: ModuleType, name: str) -> None:
    assert study.rate(study.ACCRUING[name], "both", 176, 30, 3) >= 0.9


@pytest.mark.parametrize(
    "name",
    [
        "noise",
        "harmful, HR 3 per sd",
        "protective, HR 1/5 per sd",
        "protective in year 1 only",
        "protective, binary",
        "year of entry",
        "era and prognosis",
    ],
)
@pytest.mark.parametrize("censoring", ["both", "open"])
def test_honest_columns_are_not(study: ModuleType, name: str, censoring: str) -> None:
    assert study.rate(study.HONEST[name], censoring, 176, 15, 4) == 0


def test_the_signs_are_those_of_doses(study: ModuleType) -> None:
    signs = signs_of_accrual(*doses(study))
    assert signs.z_early < -4
    assert signs.ceiling
    assert signs.rises > 0.45
    assert signs.place < 0.5
    assert abs(signs.late) < abs(signs.early) / 2
    assert signs.accrues
    assert not signs.rides_along


def test_only_the_order_of_values_counts_and_no_order_of_patients(study: ModuleType) -> None:
    value, time, event = doses(study)
    signs = asdict(signs_of_accrual(value, time, event))
    order = np.random.default_rng(1).permutation(len(value))
    for other in (
        signs_of_accrual(np.exp(value), time, event),
        signs_of_accrual(*(a[order] for a in (value, time, event))),
    ):
        assert asdict(other) == pytest.approx(signs, nan_ok=True)


def test_the_unit_of_time_changes_the_landmark_alone(study: ModuleType) -> None:
    value, time, event = doses(study)
    months, days = (
        asdict(signs_of_accrual(value, time, event)),
        asdict(signs_of_accrual(value, time * 30, event)),
    )
    assert days.pop("landmark") == pytest.approx(30 * months.pop("landmark"))
    assert days == pytest.approx(months, nan_ok=True)


def test_turned_round_it_is_no_accrual(study: ModuleType) -> None:
    value, time, event = doses(study)
    turned = signs_of_accrual(-value, time, event)
    assert turned.z_early > 4
    assert not turned.accrues


def test_unknown_values_are_left_out(study: ModuleType) -> None:
    value, time, event = doses(study)
    known = np.isfinite(value)
    assert not known.all()
    whole, part = (
        signs_of_accrual(*each) for each in ((value, time, event), (value[known], time[known], event[known]))
    )
    assert asdict(whole) == pytest.approx(asdict(part), nan_ok=True)


def test_time_itself_rides_along_and_is_finite(study: ModuleType) -> None:
    _, time, event = doses(study)
    signs = signs_of_accrual(time, time, event)
    assert signs.tau_events == signs.tau_censored == 1
    assert np.isfinite(signs.z_early)
    assert signs.rides_along
    assert signs.accrues


def test_few_events_or_one_value_are_said(study: ModuleType) -> None:
    value, time, event = doses(study)
    few = event & (np.cumsum(event) <= 19)
    with pytest.raises(NotComputableError, match="events among known values; 20 are needed"):
        signs_of_accrual(value, time, few)
    with pytest.raises(NotComputableError, match="all known values are the same"):
        signs_of_accrual(np.ones(len(time)), time, event)


def test_everyone_with_the_event_has_no_censored_tau(study: ModuleType) -> None:
    value, time, event = doses(study)
    signs = signs_of_accrual(value, time, np.ones(len(event), bool))
    assert np.isnan(signs.tau_censored)
    assert not signs.rides_along
