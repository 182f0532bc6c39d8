from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times

from survfuse._errors import NotComputableError
from survfuse.survival.median_time import median_time

MAINTAINED = (
    [9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161],
    [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0],
)


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_lifelines_on_untied_times(seed: int) -> None:
    rng = np.random.default_rng(seed)
    event_time, censoring = rng.exponential(10, 61), rng.exponential(25, 61)
    time, event = np.minimum(event_time, censoring), event_time <= censoring
    found = median_time(time, event)
    oracle = KaplanMeierFitter().fit(time, event)
    limits = median_survival_times(oracle.confidence_interval_).to_numpy()[0]
    assert found.value == pytest.approx(oracle.median_survival_time_)
    ends = [np.inf if end is None else end for end in (found.low, found.high)]
    assert ends == pytest.approx(limits)
    assert (found.n, found.events) == (61, event.sum())


def test_median_of_the_leukaemia_trial_is_that_of_r() -> None:
    """R's survfit of the maintained group of `aml`: median 31."""
    found = median_time(*MAINTAINED)
    assert found.value == 31
    assert found.high is None
    assert "no upper end" in found.note


def test_a_curve_flat_at_one_half_gives_the_middle_of_that_time() -> None:
    assert median_time([1, 2, 3, 4], [1, 1, 1, 1]).value == 2.5
    assert median_time([1, 2, 3, 6], [1, 1, 0, 0]).value == 4.0


def test_a_median_that_is_not_reached_has_no_value() -> None:
    found = median_time([1, 2, 3, 4, 5], [1, 0, 0, 0, 0])
    assert found.value is None
    assert "not reached" in found.note


def test_times_scale_the_median_and_its_interval() -> None:
    time, event = np.array(MAINTAINED[0]), MAINTAINED[1]
    weeks, days = median_time(time, event), median_time(time * 7, event)
    assert days.value == pytest.approx(7 * weeks.value)
    assert days.low == pytest.approx(7 * weeks.low)


def test_nobody_has_no_median() -> None:
    with pytest.raises(NotComputableError, match="at least one patient"):
        median_time([], [])
