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
    (row,) = sizes({"m": [{"parameters": 3, "effective_parameters": None}]}, ["m"])
    assert row["note"] == "it keeps nothing"
    assert row["parameters"] == pytest.approx(3)
