from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import median_survival_times

from report.conftest import Builder
from survfuse.results import Result
from survfuse.results.prognosis import compute
from survfuse.results.risk_groups import HAZARD, hazard_cells, median_cells


def patients(seed: int = 0, count: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group = np.arange(count) % 3
    event_time = rng.exponential(30 / np.exp(0.7 * group))
    censoring = rng.uniform(5, 60, count)
    return pd.DataFrame(
        {
            "time": np.minimum(event_time, censoring),
            "event": event_time <= censoring,
            "risk_group": group,
        },
    )


def test_ratios_against_the_lowest_group_agree_with_lifelines() -> None:
    frame = patients()
    found = hazard_cells(frame)
    table = frame[["time", "event"]].assign(
        middle=(frame["risk_group"] == 1).astype(float),
        high=(frame["risk_group"] == 2).astype(float),
    )
    oracle = CoxPHFitter().fit(table, "time", "event").summary
    assert found[0]["hazard_ratio"] == 1
    for group, name in ((1, "middle"), (2, "high")):
        row = oracle.loc[name]
        assert found[group]["hazard_ratio"] == pytest.approx(row["exp(coef)"], rel=1e-4)
        low, high = row["exp(coef) lower 95%"], row["exp(coef) upper 95%"]
        assert found[group]["hazard_low"] == pytest.approx(low, rel=1e-4)
        assert found[group]["hazard_high"] == pytest.approx(high, rel=1e-4)


def test_medians_agree_with_lifelines() -> None:
    for _, part in patients(4, 123).groupby("risk_group"):
        found = median_cells(part)
        oracle = KaplanMeierFitter().fit(part["time"], part["event"])
        limits = median_survival_times(oracle.confidence_interval_).to_numpy()[0]
        ends = [found["median_low"], found["median_high"]]
        assert found["median"] == pytest.approx(oracle.median_survival_time_)
        assert np.nan_to_num(ends, nan=np.inf) == pytest.approx(limits)


def test_a_lowest_group_without_events_gives_no_ratio() -> None:
    frame = patients()
    frame.loc[frame["risk_group"] == 0, "event"] = False
    found = hazard_cells(frame)
    assert math.isnan(found[1]["hazard_ratio"])
    assert found[2]["hazard_note"] == "not computable: the lowest group has no event"


def test_few_events_give_no_ratio() -> None:
    frame = patients(count=30)
    frame["event"] = np.arange(30) < 6
    assert "6 events for 2 parameters" in hazard_cells(frame)[1]["hazard_note"]


def test_one_group_is_its_own_reference_and_none_has_nothing() -> None:
    frame = patients().query("risk_group == 1")
    assert list(hazard_cells(frame)) == [1]
    assert hazard_cells(frame.iloc[:0]) == {}


def test_the_table_of_a_run_has_them(make_run: Builder) -> None:
    groups = compute(Result.read(make_run())).frames["risk_groups"]
    assert groups["hazard_ratio"].is_monotonic_increasing
    assert set(HAZARD) <= set(groups.columns)
    known = groups.dropna(subset=["median", "median_low"])
    assert (known["median_low"] <= known["median"]).all()


def test_it_is_known_how_many_were_followed_as_long_as_the_median() -> None:
    part = pd.DataFrame(
        {"time": [1.0, 2.0, 3.0, 4.0], "event": [True, True, False, True]}
    )
    cells = median_cells(part)
    assert cells["median"] == 3.0
    assert cells["median_at_risk"] == 2
    never = median_cells(part.assign(event=False))
    assert math.isnan(never["median_at_risk"])
