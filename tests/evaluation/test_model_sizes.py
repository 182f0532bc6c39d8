from __future__ import annotations

from typing import Any

import pytest

from survfuse.evaluation.model_sizes import Size, sizes


def fit(effective: float | None, events: int = 20, **more: Any) -> dict[str, Any]:
    return {
        "parameters": 10,
        "effective_parameters": effective,
        "events": events,
        **more,
    }


def test_all_events_stand_behind_all_parameters() -> None:
    """The mean of the fits' own ratios, 183.6 here, would be that of the fit with next to no parameter."""
    fits = [
        fit(0.025, 18),
        fit(5.0, 20),
        fit(7.0, 22),
        {**fit(6.0, 20), "parameters": 20},
    ]
    assert sizes({"m": fits, "km": [{"patients": 3}]}, ["km", "m", "absent"]) == [
        {
            "model": "m",
            "fits": 4,
            "parameters": 12.5,
            "effective": pytest.approx(18.025 / 4),
        }
        | {
            "events": 20.0,
            "events_per_effective": pytest.approx(80 / 18.025),
            "note": "",
        },
    ]


def test_the_number_is_that_of_the_columns_beside_it() -> None:
    """Whatever the fits: effective parameters and events are means over the same fits as their ratio."""
    fits = [
        fit(3.0, 31),
        fit(0.0, 29),
        fit(None, 500, effective_note="not computable: why"),
        fit(8.5, 33),
    ]
    (row,) = sizes({"m": fits}, ["m"])
    assert row["events_per_effective"] == pytest.approx(
        row["events"] / row["effective"],
    )


def test_what_is_not_computable_in_some_fits_or_in_all_is_told() -> None:
    bad = fit(None, effective_note="not computable: why")
    (row,) = sizes({"m": [fit(4.0), bad, bad]}, ["m"])
    assert (row["effective"], row["note"]) == (
        4.0,
        "in 2 of 3 fits: not computable: why",
    )
    (row,) = sizes({"m": [bad]}, ["m"])
    assert (row["effective"], row["events"], row["events_per_effective"]) == (
        None,
        None,
        None,
    )
    assert row["note"] == "not computable: why"
    (row,) = sizes({"m": [{"parameters": 3}]}, ["m"])
    assert row["note"] == "not recorded"
    assert row["parameters"] == pytest.approx(3)


def test_a_fit_that_tells_nobody_apart_has_no_parameter_and_no_events_for_it() -> None:
    (row,) = sizes({"m": [fit(4.0), fit(0.0)]}, ["m"])
    assert (row["effective"], row["events_per_effective"], row["note"]) == (
        2.0,
        10.0,
        "",
    )
    (row,) = sizes({"m": [fit(0.0)]}, ["m"])
    assert (row["effective"], row["events_per_effective"], row["note"]) == (
        0.0,
        None,
        "",
    )


def test_shrinkage_is_that_of_all_fits_together() -> None:
    size = Size.of(
        [fit(4.0, likelihood_ratio=16.0), fit(8.0, likelihood_ratio=32.0), fit(None)],
    )
    assert size is not None
    assert size.shrinkage == pytest.approx(1 - 12 / 48)
    assert size.too_many == 0
    for fits in (
        [fit(4.0), fit(8.0, likelihood_ratio=32.0)],
        [fit(None)],
        [fit(4.0, likelihood_ratio=0.0)],
    ):
        size = Size.of(fits)
        assert size is not None
        assert size.shrinkage is None
    size = Size.of([fit(None, effective_too_many=True), fit(4.0)])
    assert size is not None
    assert size.too_many == 1
