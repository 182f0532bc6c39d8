from __future__ import annotations

from dataclasses import replace

import pytest

from predicted import crossed, fold_of, predicted
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import holm
from survfuse.evaluation.comparisons import (
    Increment,
    comparisons,
    delta_isbs,
    delta_uno_c,
    increments,
)
from survfuse.evaluation.folds import Folds

SCALE = Scale((10.0, 30.0), 30.0, draws=0)
MODELS: dict[str, Folds] = {
    "best": crossed(predicted(noise=0.1)),
    "good": crossed(predicted(seed=1, noise=0.8)),
    "bad": crossed(predicted(seed=2, noise=4)),
    "ranks": tuple(replace(fold, curves=None) for fold in crossed(predicted(seed=3))),
}


def test_the_model_stands_beside_every_other_but_those_skipped() -> None:
    rows = comparisons(MODELS, "best", SCALE, skip=["ranks"])
    assert [(row["model"], row["reference"]) for row in rows] == [
        ("best", "good"),
        ("best", "bad"),
    ]
    assert set(rows[0]) == {
        "model",
        "reference",
        "delta_uno_c",
        "p",
        "p_holm",
        "delta_isbs",
    }


def test_p_values_are_adjusted_over_the_models() -> None:
    rows = comparisons(MODELS, "best", SCALE)
    expected = [
        delta_uno_c(MODELS["best"], MODELS[row["reference"]], SCALE).p_value()
        for row in rows
    ]
    assert [row["p"] for row in rows] == expected
    assert [row["p_holm"] for row in rows] == holm(expected)
    assert rows[0]["p_holm"] > rows[0]["p"]


def test_differences_turn_over() -> None:
    for difference in (delta_uno_c, delta_isbs):
        there = difference(MODELS["best"], MODELS["bad"], SCALE)
        back = difference(MODELS["bad"], MODELS["best"], SCALE)
        assert there.value == pytest.approx(-back.value)  # type: ignore[operator]
        assert there.p_value() == pytest.approx(back.p_value())
    assert delta_uno_c(MODELS["best"], MODELS["bad"], SCALE).value > 0.05  # type: ignore[operator]
    assert delta_isbs(MODELS["best"], MODELS["bad"], SCALE).value < 0  # type: ignore[operator]


def test_models_without_curves_are_compared_by_rank_alone() -> None:
    found = {row["reference"]: row for row in comparisons(MODELS, "best", SCALE)}[
        "ranks"
    ]
    assert found["delta_uno_c"]["value"] is not None
    assert found["delta_isbs"]["value"] is None
    assert "hold no survival curves" in found["delta_isbs"]["note"]


def test_other_patients_are_said_to_be_others() -> None:
    models = {"a": (fold_of(predicted(40)),), "b": (fold_of(predicted(41)),)}
    (row,) = comparisons(models, "a", SCALE)
    for key in ("delta_uno_c", "delta_isbs"):
        assert row[key]["value"] is None
        assert "do not hold the same patients" in row[key]["note"]
    assert row["p"] is row["p_holm"] is None


def test_a_model_beside_itself_differs_by_nothing_and_has_no_p() -> None:
    (row,) = comparisons({"a": MODELS["good"], "b": MODELS["good"]}, "a", SCALE)
    assert (row["delta_uno_c"]["value"], row["delta_isbs"]["value"]) == (0.0, 0.0)
    assert row["p"] is None


def test_increments_are_adjusted_within_their_kind() -> None:
    wanted = [
        Increment("slides", "network", "best", "good"),
        Increment("genes", "network", "best", "bad"),
        Increment("slides", "late fusion", "good", "bad"),
        Increment("age", "network", "best", "not run"),
    ]
    rows = increments(MODELS, wanted, SCALE)
    assert [(row["modality"], row["kind"]) for row in rows] == [
        ("slides", "network"),
        ("genes", "network"),
        ("slides", "late fusion"),
    ]
    keys = {
        "modality",
        "kind",
        "with",
        "without",
        "delta_uno_c",
        "p",
        "p_holm",
        "delta_isbs",
    }
    assert all(set(row) == keys for row in rows)
    assert [rows[0]["p_holm"], rows[1]["p_holm"]] == holm([rows[0]["p"], rows[1]["p"]])
    assert rows[2]["p_holm"] == rows[2]["p"]
    assert increments(MODELS, [], SCALE) == []
