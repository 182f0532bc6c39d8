from __future__ import annotations

import pytest

from survfuse.evaluation.combine import holm, mean_of
from survfuse.metrics import Estimate


def test_holm_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, None, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, None, 0.02],
    )
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_mean_over_repeats_is_no_more_certain_than_one() -> None:
    one = Estimate(1.0, 0.1, 0.8, 1.2, 10, 5, "a")
    two = Estimate(2.0, 0.1, 1.8, 2.2, 10, 5, "b")
    found = mean_of([one, two, Estimate(None, None, None, None, 10, 5, "why")])
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.3, 1.7))
    assert found.se == pytest.approx(0.1)
    assert found.note == "a; b; why"
    assert mean_of([Estimate(None, None, None, None, 10, 5, "why")]).note == "why"
