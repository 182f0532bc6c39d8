from __future__ import annotations

import pytest

from survfuse.evaluation.sizes import sizes


def test_a_row_is_the_mean_over_fits() -> None:
    fits = [
        {"parameters": 10, "effective_parameters": 4.0, "events_per_effective_parameter": 5.0},
        {"parameters": 20, "effective_parameters": 6.0, "events_per_effective_parameter": 3.0},
    ]
    assert sizes({"m": fits, "km": [{"patients": 3}]}, ["km", "m", "absent"]) == [
        {"model": "m", "fits": 2, "parameters": 15.0, "effective": 5.0}
        | {"events_per_effective": 4.0, "note": ""}
    ]


def test_what_is_not_computable_in_some_fits_or_in_all_is_told() -> None:
    good = {"parameters": 10, "effective_parameters": 4.0, "events_per_effective_parameter": 5.0}
    bad = {"parameters": 10, "effective_parameters": None, "effective_note": "not computable: why"}
    (row,) = sizes({"m": [good, bad, bad]}, ["m"])
    assert (row["effective"], row["note"]) == (4.0, "in 2 of 3 fits: not computable: why")
    (row,) = sizes({"m": [bad]}, ["m"])
    assert (row["effective"], row["events_per_effective"], row["note"]) == (None, None, "not computable: why")
    (row,) = sizes({"m": [{"parameters": 3}]}, ["m"])
    assert row["note"] == "not recorded"
    assert row["parameters"] == pytest.approx(3)


def test_a_fit_that_tells_nobody_apart_has_no_parameter_and_no_events_for_it() -> None:
    good = {"parameters": 10, "effective_parameters": 4.0, "events_per_effective_parameter": 5.0}
    none = {"parameters": 10, "effective_parameters": 0.0, "events_per_effective_parameter": None}
    (row,) = sizes({"m": [good, none]}, ["m"])
    assert (row["effective"], row["events_per_effective"], row["note"]) == (2.0, 5.0, "")
    (row,) = sizes({"m": [none]}, ["m"])
    assert (row["effective"], row["events_per_effective"], row["note"]) == (0.0, None, "")
