from __future__ import annotations

from typing import Any

import pytest

from survfuse.results.prior_texts import learned_from, prior_sentences
from survfuse.results.term_weights import over_fits, weight_table

COLUMN: dict[str, Any] = {"modality": "nomogram", "prior": None, "reads": "points"}
COLUMN |= dict.fromkeys(("cohorts", "patients", "events", "endpoints"))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "what it was learned from is not recorded"),
        ({"patients": 120}, "learned from 120 patients"),
        (
            {"patients": 1200, "events": 40, "cohorts": ["luad"]},
            "learned from 1,200 patients with 40 events of luad",
        ),
        (
            {"patients": 9, "events": 3, "cohorts": list("abcdef")},
            "learned from 9 patients with 3 events of 6 cohorts (a, b, c, d and 2 more)",
        ),
    ],
)
def test_what_a_prior_was_learned_from(fields: dict[str, Any], text: str) -> None:
    assert learned_from({**COLUMN, **fields}) == text


def test_one_fit_says_its_weight_alone() -> None:
    fit = {"repeat": 0, "fold": 0, "term": "nomogram", "value": 0.8, "start": 1}
    terms = over_fits(weight_table([{**fit, "low": 0.1, "high": 1.5}]))
    assert prior_sentences([COLUMN], terms) == [
        "Prior nomogram (column points): what it was learned from is not recorded. "
        "Its weight is 0.80 (95% interval 0.10 to 1.50, start 1).",
    ]


def test_late_fusion_speaks_where_the_model_itself_cannot() -> None:
    rows = []
    for kind, value in (("late fusion", -0.01), ("anchored", None), ("network", 0.5)):
        delta = {"value": value, "low": None, "high": None}
        modality = "other" if kind == "network" else "nomogram"
        rows.append({"modality": modality, "kind": kind, "delta_uno_c": delta})
    (sentence,) = prior_sentences([COLUMN], None, rows)
    assert sentence.endswith("With it minus without it (late fusion): Uno C −0.010.")
    assert prior_sentences(None) == []
