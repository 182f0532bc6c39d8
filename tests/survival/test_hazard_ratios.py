from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from survfuse._errors import NotComputableError
from survfuse.survival.hazard_ratios import hazard_ratios


def simulated(
    patients: int = 120, seed: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(60, 9, patients), rng.integers(0, 2, patients)])
    hazard = np.exp(0.05 * (x[:, 0] - 60) + 0.6 * x[:, 1])
    event_time, censoring = rng.exponential(24 / hazard), rng.uniform(6, 60, patients)
    return x, np.minimum(event_time, censoring).round(2), event_time <= censoring


def test_agrees_with_lifelines() -> None:
    x, time, event = simulated()
    found = hazard_ratios(x, time, event)
    table = pd.DataFrame({"age": x[:, 0], "arm": x[:, 1], "time": time, "event": event})
    oracle = CoxPHFitter().fit(table, "time", "event").summary
    for estimate, name in zip(found, ("age", "arm"), strict=True):
        row = oracle.loc[name]
        assert estimate.value == pytest.approx(row["exp(coef)"], rel=1e-5)
        assert estimate.low == pytest.approx(row["exp(coef) lower 95%"], rel=1e-5)
        assert estimate.high == pytest.approx(row["exp(coef) upper 95%"], rel=1e-5)
        assert estimate.se == pytest.approx(row["se(coef)"], rel=1e-5)


def test_a_unit_ten_times_as_large_takes_the_ratio_to_its_tenth_power() -> None:
    x, time, event = simulated()
    per_year = hazard_ratios(x, time, event)[0]
    per_decade = hazard_ratios(x / [10, 1], time, event)[0]
    assert per_decade.value == pytest.approx(per_year.value**10, rel=1e-6)
    assert per_decade.high == pytest.approx(per_year.high**10, rel=1e-6)


def test_the_other_level_as_reference_turns_the_ratio_over() -> None:
    x, time, event = simulated()
    one, other = (
        hazard_ratios(x, time, event)[1],
        hazard_ratios([1, -1] * x, time, event)[1],
    )
    assert other.value == pytest.approx(1 / one.value, rel=1e-6)
    assert other.low == pytest.approx(1 / one.high, rel=1e-6)


def test_too_few_events_are_refused() -> None:
    x, time, event = simulated()
    few = np.zeros(len(event), bool)
    few[np.flatnonzero(event)[:9]] = True
    with pytest.raises(
        NotComputableError, match="9 events for 2 parameters, fewer than 5"
    ):
        hazard_ratios(x, time, few)
    assert len(hazard_ratios(x, time, few, fewest=4)) == 2


def test_features_that_separate_the_events_are_refused() -> None:
    x, time, event = simulated()
    with pytest.raises(NotComputableError, match=r"separate the events$"):
        hazard_ratios(np.column_stack([x[:, 0], event & (time > 0)]), time, event)


def test_collinear_features_are_refused() -> None:
    x, time, event = simulated()
    with pytest.raises(
        NotComputableError, match=r"vary in only 2 independent ways.*determined$"
    ):
        hazard_ratios(np.column_stack([x, x[:, 0] * 2]), time, event)


def test_a_feature_without_variation_is_refused() -> None:
    x, time, event = simulated()
    with pytest.raises(NotComputableError, match="1 of 2 parameters do not vary"):
        hazard_ratios(x * [1, 0], time, event)


def test_a_feature_that_another_nearly_determines_has_no_ratio() -> None:
    x, time, event = simulated()
    near = x[:, 0] + 1e-4 * np.random.default_rng(0).normal(size=len(x))
    age, _, other = hazard_ratios(np.column_stack([x, near]), time, event)
    assert age.value is None
    assert "hardly determine" in other.note
