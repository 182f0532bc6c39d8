from __future__ import annotations

import numpy as np
import pytest

from survfuse.estimators.stack_weights import Gain, weight_records


def test_a_weight_has_an_interval_where_its_error_is_known() -> None:
    told = weight_records(
        ("a", "b", "c"),
        np.array([1.2, 0.1, 0.0]),
        np.array([1.0, 0.0, 1.0]),
        np.array([0.5, 0.2, np.nan]),
        {"c": Gain(-0.3, 1.92)},
    )
    assert told["a"] == pytest.approx(
        {"value": 1.2, "start": 1.0, "low": 0.22, "high": 2.18},
        abs=1e-4,
    )
    assert (told["b"]["low"], told["b"]["high"]) == (
        0.0,
        pytest.approx(0.492, abs=1e-4),
    )
    assert told["c"] == {
        "value": 0.0,
        "start": 1.0,
        "low": None,
        "high": None,
        "gain": -0.3,
        "needed": 1.92,
    }


def test_why_a_bag_is_out_is_said_with_numbers() -> None:
    assert str(Gain(-0.3, 1.92)) == (
        "out of fold it adds −0.30 to the log-likelihood of the other terms; 1.92 is needed"
    )
