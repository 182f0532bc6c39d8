from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from predicted import crossed, fold_of, predicted
from survfuse import metrics
from survfuse.evaluation import performance
from survfuse.evaluation.assessment import cards
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import Interval, estimate
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.metric_registry import ModelFolds
from survfuse.results.run_tables import LISTS, SCHEMA
from survfuse.survival.curves import kaplan_meier

SCALE = Scale((10.0, 30.0), 30.0, draws=20)
TABLE = predicted()
FOLDS = crossed(TABLE)
MODELS = {"a": FOLDS, "b": crossed(predicted(seed=1, noise=2))}
NULL = performance.null_folds(FOLDS)


def schema(rows: list[dict[str, Any]], key: str) -> None:
    """The columns that the report reads, and no number that is none."""
    assert rows
    for row in rows:
        assert set(row) == set(SCHEMA[LISTS[key]])
        assert all(
            np.isfinite(value) for value in row.values() if isinstance(value, float)
        )


def test_the_null_model_is_the_kaplan_meier_curve_of_the_training_patients() -> None:
    times = np.array([1.0, 7.0, 10.0, 22.5])
    for fold, null in zip(FOLDS, NULL, strict=True):
        assert fold.train is not None
        expected = kaplan_meier(*fold.train)(times)
        np.testing.assert_allclose(
            null.survival(times),
            np.tile(expected, (len(fold), 1)),
            rtol=1e-12,
        )
        assert set(null.risk) == {0.0}
    (alone,) = performance.null_folds([replace(FOLDS[0], train=None)])
    own = kaplan_meier(FOLDS[0].time, FOLDS[0].event)(times)
    np.testing.assert_allclose(alone.survival(times)[0], own, rtol=1e-12)


def test_a_null_model_of_censored_patients_never_falls() -> None:
    fold = replace(FOLDS[0], train=(np.array([3.0, 50.0]), np.array([False, False])))
    (null,) = performance.null_folds([fold])
    np.testing.assert_array_equal(null.survival([10.0, 50.0]), np.ones((len(fold), 2)))


def test_curves_over_time() -> None:
    rows = performance.over_time(MODELS, NULL, SCALE)
    schema(rows, "time_curves")
    frame = pd.DataFrame(rows)
    assert {(m, k) for m, k in zip(frame["model"], frame["metric"], strict=True)} == {
        ("a", "auc"), ("a", "brier"), ("b", "auc"), ("b", "brier"), ("km", "brier"),
    }  # fmt: skip
    km = frame[(frame["model"] == "km") & (frame["time"] == 30.0)]["value"].item()
    (brier,) = cards(["brier"])
    assert km == estimate(brier, ModelFolds(NULL, SCALE, chance=0.0), 30.0).value
    assert sorted(set(frame["time"])) == pytest.approx(list(np.linspace(1.5, 30, 20)))


def test_curves_over_time_without_survival_have_no_error() -> None:
    bare = [replace(fold, curves=None) for fold in FOLDS]
    found = {
        (row["model"], row["metric"])
        for row in performance.over_time({"a": bare}, NULL, SCALE)
    }
    assert found == {("a", "auc"), ("km", "brier")}


def test_calibration_is_drawn_from_the_first_repeat() -> None:
    curves, histogram = performance.calibration_tables(MODELS, SCALE)
    schema(curves, "calibration")
    schema(histogram, "calibration_histogram")
    frame = pd.DataFrame(histogram)
    counts = frame.groupby(["model", "horizon"])["patients"].sum()
    assert counts.to_dict() == {
        (m, h): len(TABLE) for m in "ab" for h in SCALE.horizons
    }
    assert frame["left"].between(0, 1).all()
    first = [fold for fold in FOLDS if fold.repeat == 0]
    drawn = metrics.calibration_curve(
        np.concatenate([fold.time for fold in first]),
        np.concatenate([fold.event for fold in first]),
        np.concatenate([fold.survival([10.0])[:, 0] for fold in first]),
        10.0,
        bootstrap=20,
    )
    part = [row for row in curves if row["model"] == "a" and row["horizon"] == 10.0]
    np.testing.assert_array_equal([row["observed"] for row in part], drawn.observed)
    np.testing.assert_array_equal([row["low"] for row in part], drawn.low)


def test_calibration_without_resamples_has_no_band_and_without_curves_no_row() -> None:
    curves, _ = performance.calibration_tables({"a": FOLDS}, replace(SCALE, draws=0))
    assert {row["low"] for row in curves} == {None}
    bare = {"a": [replace(fold, curves=None) for fold in FOLDS]}
    assert performance.calibration_tables(bare, SCALE) == ([], [])


def test_decisions_are_told_at_the_same_thresholds_for_every_strategy() -> None:
    rows = performance.decision_curves(MODELS, 10.0)
    schema(rows, "decision")
    frame = pd.DataFrame(rows)
    by = frame.groupby("strategy", sort=False)["threshold"].apply(list)
    assert list(by.index) == ["a", "b", "treat all", "treat none"]
    assert all(each == by["a"] for each in by)
    assert by["a"][0] == 0.01
    assert 0.1 <= by["a"][-1] <= 0.95
    assert set(frame.loc[frame["strategy"] == "treat none", "value"]) == {0.0}


def test_decisions_are_the_public_net_benefit() -> None:
    fold = fold_of(TABLE)
    rows = performance.decision_curves({"a": [fold]}, 10.0)
    part = [row for row in rows if row["strategy"] == "a"]
    levels = [row["threshold"] for row in part]
    survival = fold.survival([10.0])[:, 0]
    expected = metrics.net_benefit(fold.time, fold.event, survival, 10.0, levels)
    assert [row["value"] for row in part] == [each.value for each in expected]
    everyone = metrics.net_benefit_all(fold.time, fold.event, 10.0, levels)
    assert [r["value"] for r in rows if r["strategy"] == "treat all"] == [
        each.value for each in everyone
    ]


def test_thresholds_reach_a_tenth_where_everyone_is_safe() -> None:
    safe = fold_of(TABLE.assign(survival_10=0.999))
    levels = [
        row["threshold"] for row in performance.decision_curves({"a": [safe]}, 10.0)
    ]
    assert max(levels) == pytest.approx(0.1)


def test_decisions_need_curves() -> None:
    bare: list[Fold] = [replace(fold, curves=None) for fold in FOLDS]
    assert performance.decision_curves({"a": bare}, 10.0) == []
    assert {r["strategy"] for r in performance.decision_curves({"a": bare, "b": FOLDS}, 10.0)} == {
        "b", "treat all", "treat none",
    }  # fmt: skip


def test_subgroups_too_small_say_why() -> None:
    ids = TABLE["patient_id"]
    sites = pd.DataFrame(
        {"site": np.where(np.arange(len(ids)) < 9, "few", "many")},
        index=list(ids),
    )
    sites.iloc[-1, 0] = None
    rows = performance.by_subgroup("a", FOLDS, sites, SCALE)
    schema(rows, "subgroups")
    found = {(row["level"], row["metric"]): row for row in rows}
    assert [row["group"] for row in rows[:2]] == ["everyone", "everyone"]
    assert {level for level, _ in found} == {"", "few", "many"}
    few = found["few", "uno_c"]
    assert (few["value"], few["patients"]) == (None, 9)
    assert few["note"].startswith("9 patients, ")
    assert "fewer than 10 patients" in few["note"]
    assert found["many", "uno_c"]["patients"] == len(ids) - 10
    assert found["many", "uno_c"]["value"] is not None
    assert found["", "observed_expected"]["value"] is not None


def test_a_subgroup_of_nobody_is_told() -> None:
    other = pd.DataFrame({"site": ["x"]}, index=["stranger"])
    rows = performance.by_subgroup(
        "a",
        FOLDS,
        other,
        replace(SCALE, interval=Interval("influence")),
    )
    assert [row["note"][:22] for row in rows if row["level"] == "x"] == [
        "0 patients, 0 events: ",
    ] * 2
