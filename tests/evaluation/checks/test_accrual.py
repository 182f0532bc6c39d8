"""The rule for columns that accrue: its laws, and its rates on simulated columns."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from survfuse._errors import NotComputableError
from survfuse.evaluation.checks.accrual import Signs, _places, signs_of_accrual
from survfuse.survival.cox import fit_cox

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


@pytest.mark.parametrize(
    "name",
    ["doses", "cumulative dose to month 24", "visits without end"],
)
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


ACCRUES = Signs(
    patients=150,
    tau_events=0.5,
    tau_censored=0.1,
    early=-1.0,
    late=-0.1,
    z_early=-4.0,
    z_difference=-1.0,
    rises=0.6,
    place=0.3,
    ceiling=True,
    landmark=24.0,
)


@pytest.mark.parametrize(
    ("change", "accrues"),
    [
        ({}, True),
        ({"ceiling": False}, False),
        ({"z_early": -1.9}, False),
        ({"late": -0.7}, True),
        ({"late": -0.71}, False),
        ({"late": 0.71}, False),
        ({"late": -0.9, "z_difference": -2.0}, True),
        ({"late": float("nan"), "z_difference": float("nan")}, True),
        ({"ceiling": False, "tau_events": 0.6, "tau_censored": 0.6}, True),
        ({"ceiling": False, "tau_events": 0.6, "tau_censored": 0.59}, False),
        ({"ceiling": False, "tau_events": 0.6, "tau_censored": float("nan")}, False),
        ({"z_early": -1.9, "tau_events": 0.9, "tau_censored": 0.9}, False),
    ],
)
def test_every_part_of_the_rule_is_needed(
    change: dict[str, Any],
    accrues: bool,
) -> None:
    assert replace(ACCRUES, **change).accrues is accrues


def test_the_late_effect_is_a_cox_fit_past_the_landmark(study: ModuleType) -> None:
    value, time, event = (
        each[:150]
        for each in study.doses(study.World("both", 400, 0.4, np.random.default_rng(3)))
    )
    known = np.isfinite(value)
    value, time, event = value[known], time[known], event[known]
    signs = signs_of_accrual(value, time, event)
    landmark = np.quantile(time[event], 0.75)
    ranks = stats.zscore(stats.rankdata(value))
    stay = time > landmark
    late = fit_cox(ranks[stay], time[stay] - landmark, event[stay])
    early = fit_cox(ranks, np.minimum(time, landmark), event & (time <= landmark))
    assert signs.landmark == landmark
    assert signs.late == pytest.approx(
        late.coef[0],
        rel=0.05,
    )  # but for the slight ridge
    assert signs.early == pytest.approx(early.coef[0], rel=0.05)


def test_ties_count_half() -> None:
    assert _places(
        np.array([0.0, 1.0, 2.0, 3.0]),
        np.array([1.0, 1.0, 2.0, 2.0]),
    ).tolist() == [
        0,
        0.25,
        0.75,
        1,
    ]


def test_only_the_order_of_values_counts_and_no_order_of_patients(
    study: ModuleType,
) -> None:
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
        signs_of_accrual(*each)
        for each in ((value, time, event), (value[known], time[known], event[known]))
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
    with pytest.raises(
        NotComputableError,
        match="events among known values; 20 are needed",
    ):
        signs_of_accrual(value, time, few)
    with pytest.raises(NotComputableError, match="all known values are the same"):
        signs_of_accrual(np.ones(len(time)), time, event)


def test_everyone_with_the_event_has_no_censored_tau(study: ModuleType) -> None:
    value, time, event = doses(study)
    signs = signs_of_accrual(value, time, np.ones(len(event), bool))
    assert np.isnan(signs.tau_censored)
    assert not signs.rides_along


@pytest.mark.parametrize(
    ("changes", "clear"),
    [
        ({}, True),
        ({"patients": 99}, False),
        ({"rises": 0.5}, False),
        ({"place": 0.4}, False),
        ({"tau_censored": 1.0}, False),
        ({"place": 0.4, "tau_events": 0.7, "tau_censored": 0.7}, True),
        ({"z_early": -1.0}, False),
    ],
)
def test_only_steep_signs_in_enough_patients_are_clear(
    changes: dict[str, float],
    clear: bool,
) -> None:
    assert replace(ACCRUES, **changes).clear == clear
