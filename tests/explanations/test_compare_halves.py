from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from halved import pair_of_halves
from survfuse.decomposition.coefficients import compared
from survfuse.explanations import compare_halves
from survfuse.explanations.compare_halves import (
    TOP,
    compare_columns,
    compare_genes,
    compare_terms,
)
from survfuse.explanations.half_models import Pair


def test_the_prediction_and_each_term_are_compared_over_patients() -> None:
    pair = pair_of_halves()
    found = dict(compare_terms(pair))
    assert list(found) == [
        ("prediction", "", "log-risk"),
        ("term", "", "clinical"),
        ("term", "", "expression"),
        ("term", "", "slides"),
    ]
    a, b = (one.terms.effects["slides",] for one in pair.both)
    expected = np.corrcoef(a, b)[0, 1]
    assert found["term", "", "slides"] == pytest.approx(expected)


def test_a_term_that_one_model_lacks_is_not_compared() -> None:
    first, second = pair_of_halves().both
    effects = {
        term: own for term, own in second.terms.effects.items() if term != ("slides",)
    }
    without = replace(second, terms=replace(second.terms, effects=effects))
    for pair in (Pair(first, without), Pair(without, first)):
        found = dict(compare_terms(pair))
        assert found["term", "", "slides"] is None


def test_a_model_that_gives_everyone_one_risk_agrees_with_no_other() -> None:
    first, second = pair_of_halves().both
    flat = replace(
        second,
        prediction=replace(second.prediction, log_risk=np.ones(len(second.ids))),
    )
    for pair, value in ((Pair(first, flat), 0.0), (Pair(flat, flat), None)):
        assert dict(compare_terms(pair))["prediction", "", "log-risk"] == value


def shown(monkeypatch: pytest.MonkeyPatch, name: str, *tables: pd.DataFrame) -> None:
    """Let the two models show these tables."""
    pair = pair_of_halves()
    by_model = dict(zip(map(id, pair.both), tables, strict=True))
    monkeypatch.setattr(compare_halves, name, lambda explained: by_model[id(explained)])


def contributions(age: np.ndarray, stage: np.ndarray | None) -> pd.DataFrame:
    """A long table as `variables` gives it, patients in another order for each column."""
    ids = list(pair_of_halves().first.ids)
    parts = []
    for column, values in (("age", age), ("stage", stage), ("(presence)", age)):
        if values is not None:
            rows: dict[str, Any] = {"patient_id": ids, "modality": "clinical"}
            parts.append(
                pd.DataFrame({**rows, "column": column, "contribution": values})
            )
    return pd.concat(parts).sample(frac=1, random_state=0)


def test_columns_are_compared_one_by_one_and_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = pair_of_halves()
    rng = np.random.default_rng(0)
    age, stage, other = rng.normal(size=(3, len(pair.first.ids)))
    shown(
        monkeypatch, "variables", contributions(age, stage), contributions(other, None)
    )
    found = dict(compare_columns(pair))
    own = compared(age, other)
    assert found["column", "clinical", "age"] == pytest.approx(own.correlation)
    assert found["column", "clinical", "stage"] is None
    alone = compared(stage, 0 * stage)
    together = found["columns", "clinical", ""]
    assert together == pytest.approx((own + alone).correlation)
    assert len(found) == 3  # what belongs to no column is left out


def test_a_column_that_few_patients_have_is_not_compared_with_a_model_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = pair_of_halves()
    age, log = np.random.default_rng(0).normal(size=(2, len(pair.first.ids)))
    both = contributions(age, log).replace("stage", "(log) CEA")
    few = both[both["patient_id"].isin(pair.first.ids[:9])]
    shown(monkeypatch, "variables", few, few[few["column"] != "(log) CEA"])
    found = dict(compare_columns(pair))
    assert found["column", "clinical", "age"] == pytest.approx(1)
    assert found["column", "clinical", "(log) CEA"] is None


def weights(values: dict[str, float]) -> pd.DataFrame:
    rows = {
        "modality": "expression",
        "gene": list(values),
        "weight": list(values.values()),
    }
    return pd.DataFrame(rows).sort_values("weight", key=abs, ascending=False)


def test_genes_are_compared_by_weight_and_by_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    names = [f"G{number}" for number in range(200)]
    first, second = rng.normal(size=(2, 200))
    second[:100] = 0.0  # the second model reads half of the genes, and names no others
    shown(
        monkeypatch,
        "genes",
        weights(dict(zip(names, first, strict=True))),
        weights(dict(zip(names[100:], second[100:], strict=True))),
    )
    selected: dict[str, dict[str, int]] = defaultdict(dict)
    found = dict(compare_genes(pair_of_halves(), selected))
    assert found["genes", "expression", ""] == pytest.approx(
        compared(first, second).correlation
    )
    lists = [{names[i] for i in np.argsort(-abs(one))[:TOP]} for one in (first, second)]
    common = len(lists[0] & lists[1])
    by_chance = TOP**2 / 200
    assert found["top genes", "expression", ""] == pytest.approx(
        (common - by_chance) / (TOP - by_chance),
    )
    counts = selected["expression"]
    assert {gene for gene, count in counts.items() if count == 2} == lists[0] & lists[1]
    assert sum(counts.values()) == 2 * TOP


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({f"G{number}": 1.0 for number in range(TOP)}, {"G1": 1.0}),
        ({f"G{number}": 0.0 for number in range(90)}, {"G1": 1.0}),
    ],
    ids=["no more genes than a list holds", "a model without genes"],
)
def test_there_is_no_list_where_none_can_be_compared(
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, float],
    second: dict[str, float],
) -> None:
    shown(monkeypatch, "genes", weights(first), weights(second))
    selected: dict[str, dict[str, int]] = defaultdict(dict)
    found = [key for key, _ in compare_genes(pair_of_halves(), selected)]
    assert found == [("genes", "expression", "")]
    assert not selected


def test_genes_are_asked_for_only_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compare_halves, "modalities_of", lambda pair, kind: [])
    monkeypatch.setattr(compare_halves, "genes", lambda explained: pytest.fail("asked"))
    assert list(compare_genes(pair_of_halves(), defaultdict(dict))) == []


def test_genes_without_a_weight_are_in_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse models give few genes a weight: all others are alike, and agree in nothing."""
    first = {f"G{number}": float(number < 9) for number in range(90)}
    second = {f"G{number}": float(number > 75) for number in range(90)}
    shown(monkeypatch, "genes", weights(first), weights(second))
    selected: dict[str, dict[str, int]] = defaultdict(dict)
    found = dict(compare_genes(pair_of_halves(), selected))
    assert len(selected["expression"]) == 2 * 9
    by_chance = 9**2 / 90
    assert found["top genes", "expression", ""] == pytest.approx(
        -by_chance / (9 - by_chance),
    )


def test_weights_that_are_not_known_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Networks have none where nobody who is held out has the genes."""
    unknown = {f"G{number}": np.nan for number in range(90)}
    shown(monkeypatch, "genes", weights(unknown), weights(unknown))
    selected: dict[str, dict[str, int]] = defaultdict(dict)
    assert list(compare_genes(pair_of_halves(), selected)) == []
    assert not selected
