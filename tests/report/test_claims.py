from __future__ import annotations

from typing import Any

import pytest

from survfuse.report.names import order
from survfuse.report.verdict import direction, increments_say, says


def row(
    value: float | None,
    low: Any,
    high: Any,
    holm: Any = None,
    **more: Any,
) -> dict[str, Any]:
    named = {"modality": "rna", "kind": "network"}
    return {"value": value, "low": low, "high": high, "p_holm": holm, **named, **more}


@pytest.mark.parametrize(
    ("given", "shows", "sentence"),
    [
        (row(0.05, 0.01, 0.09, 0.02), "better", "ranked better with it"),
        (row(-0.05, -0.09, -0.01, 0.02), "worse", "ranked worse with it"),
        (row(0.05, 0.01, 0.09, 0.05), "", "not shown after the correction of Holm"),
        (
            row(0.05, 0.01, 0.09),
            "better",
            "ranked better with it; not corrected for the number of comparisons",
        ),
        (row(0.05, 0.0, 0.10, 0.01), "", "not shown: the interval includes 0"),
        (row(0.05, -0.02, 0.12, 0.01), "", "not shown: the interval includes 0"),
        (row(0.05, None, None, 0.01), "", "nothing: there is no interval"),
        (row(None, None, None), "", "nothing: not computable"),
    ],
)
def test_words_never_claim_more_than_the_interval(
    given: dict[str, Any],
    shows: str,
    sentence: str,
) -> None:
    assert direction(given) == shows
    assert says(given) == sentence


def test_the_sentence_names_what_is_shown_alone() -> None:
    rows = [
        row(0.05, 0.01, 0.09, 0.02, modality="slides"),
        row(0.05, 0.01, 0.09, 0.3, modality="rna"),
        row(-0.05, -0.09, -0.01, 0.02, modality="blood", kind="late fusion"),
    ]
    told = increments_say(rows)
    assert (
        "ranked better with slides (network) than without, after the correction of Holm."
        in told
    )
    assert "ranked worse with blood (late fusion) than without" in told
    assert "rna" not in told
    assert "does not prove that a modality adds nothing" in told


def test_nothing_shown_is_said() -> None:
    assert increments_say([row(0.05, -0.01, 0.09, 0.5)]).startswith(
        "No modality is shown",
    )
    assert "better with" not in increments_say([row(0.05, -0.01, 0.09, 0.5)])
    uncorrected = increments_say([row(0.05, 0.01, 0.09)])
    assert uncorrected.endswith("(not corrected for the number of comparisons).")


def test_metrics_stand_in_families_and_horizons_rise() -> None:
    keys = [
        "mine",
        "e90_36",
        "brier_120",
        "brier_36",
        "harrell_c",
        "kent_oquigley_r2",
        "isbs",
        "auc_12",
    ]
    expected = [
        "harrell_c",
        "auc_12",
        "isbs",
        "brier_36",
        "brier_120",
        "e90_36",
        "kent_oquigley_r2",
        "mine",
    ]
    assert sorted(keys, key=order) == expected


def test_what_a_model_leans_on_is_not_what_a_modality_adds() -> None:
    leaning = row(0.2, 0.1, 0.3, 0.001, kind="permuted at prediction")
    assert "not known" in increments_say([leaning])
    assert increments_say([leaning, row(0.05, -0.01, 0.09, 0.5)]).startswith(
        "No modality is shown",
    )
