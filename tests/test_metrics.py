from __future__ import annotations

import pytest

from survfuse import metrics


def test_the_door_shows_what_it_says():
    public = {
        name
        for name, value in vars(metrics).items()
        if not name.startswith("_") and callable(value)
    }
    assert public == set(metrics.__all__)


def test_a_metric_through_the_door():
    estimate = metrics.harrell_c([1, 2, 3, 4], [1, 1, 1, 0], [4.0, 2.0, 3.0, 1.0])
    assert estimate.value == pytest.approx(5 / 6)
