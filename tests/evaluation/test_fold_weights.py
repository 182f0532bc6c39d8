from __future__ import annotations

from typing import Any

from survfuse.cohort.splits import Split
from survfuse.evaluation.fold_weights import term_weights

SPLITS = (Split(0, 0, ("a",), ("b",)), Split(0, 1, ("b",), ("a",)))


def summary(**weights: float) -> dict[str, Any]:
    records = {
        term: {"value": value, "start": 1.0, "low": 0.0, "high": 2.0}
        for term, value in weights.items()
    }
    return {"anchored": {"weights": records, "notes": {"slides": "as said"}}}


def test_every_fit_gives_its_weights_in_the_order_of_the_modalities() -> None:
    pair = {"rna*slides": 0.0, "mine": 1.0}
    fits = [summary(slides=0.0, rna=1.2, **pair), summary(rna=0.8, slides=0.5, **pair)]
    table = term_weights(SPLITS, fits, ("rna", "slides"))
    assert table is not None
    terms = ["rna", "slides", "rna*slides", "mine"]
    assert table["term"].tolist() == 2 * terms
    assert table["fold"].tolist() == 4 * [0] + 4 * [1]
    assert table["value"].tolist() == [1.2, 0.0, 0.0, 1.0, 0.8, 0.5, 0.0, 1.0]
    assert table["note"].tolist()[:2] == ["", "as said"]


def test_a_network_has_no_weights() -> None:
    assert term_weights(SPLITS, [{"epochs": [3]}] * 2, ("rna",)) is None
