from __future__ import annotations

import numpy as np
import pytest

from survfuse.estimators.stack_summary import carried_by_few, weight_records, why_out
from survfuse.estimators.stack_terms import BAG_MUST_ADD, StackWeights


def test_features_of_few_carriers_are_told_with_what_they_weigh() -> None:
    x = np.zeros((100, 4))
    x[:5, 0] = 1  # five carriers
    x[:30, 1] = 1  # thirty, of whom two have the event
    x[:60, 2] = 1  # most carry it; forty do not
    x[:, 3] = np.arange(100)  # all differ
    event = np.zeros(100, bool)
    event[[0, 29, *range(60, 100)]] = True
    x[-1] = 99
    has = np.arange(100) < 99  # the last patient has no such table
    rows = carried_by_few(
        ("a", "b", "c", "d"),
        (x, has),
        np.array([-1.5, 1, 1, 1]),
        event,
    )
    assert rows == [
        {"feature": "a", "coefficient": -1.5, "patients": 5, "events": 1},
        {"feature": "b", "coefficient": 1.0, "patients": 30, "events": 2},
    ]


def test_a_standardised_flag_is_told_by_carrier() -> None:
    flag = np.zeros(50)
    flag[:12] = 1
    z = (flag - flag.mean()) / flag.std()
    (row,) = carried_by_few(
        ("flag",),
        (z[:, None], np.ones(50, bool)),
        np.array([0.2]),
        flag > 0,
    )
    assert row["coefficient"] == pytest.approx(0.2 / flag.std())


def test_a_weight_has_an_interval_where_its_error_is_known() -> None:
    told = weight_records(
        ("a", "b", "c"),
        StackWeights(
            np.array([1.2, 0.1, 0.0]),
            np.array([1.0, 0.0, 1.0]),
            np.array([0.5, 0.2, 0.0]),
            left_out={2: -0.3},
        ),
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
        "needed": BAG_MUST_ADD,
    }


def test_why_a_bag_is_out_is_said_with_numbers() -> None:
    assert why_out({"value": 0.0, "gain": -0.3, "needed": 1.92}) == (
        "out of fold it adds −0.30 to the log-likelihood of the other terms; 1.92 is needed"
    )
