from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from predicted import TIMES, crossed, fold_of, predicted
from survfuse import metrics
from survfuse.evaluation.assessment import assess
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.comparisons import delta_isbs
from survfuse.evaluation.fold_calibration import expected_events, slope
from survfuse.evaluation.folds import Fold, Tabulated, folds_of
from survfuse.evaluation.training_variance import chance_share
from survfuse.metrics import Estimate
from survfuse.survival.curves import SurvivalCurves
from survfuse.survival.right_censored import Outcome

SCALE = Scale((10.0, 30.0), 30.0, draws=0, times=TIMES)
GRID = np.array([10.0, 20.0, 30.0])
FOLD = fold_of(predicted())
OUTCOME = (FOLD.time, FOLD.event)
AT = FOLD.survival(GRID)
OWN = FOLD.known_curves.own(FOLD.time)
LINE = np.log(-np.log(AT[:, 2]))
PUBLIC: dict[str, Any] = {
    "uno_c": lambda: metrics.uno_c(*OUTCOME, FOLD.risk, tau=30.0),
    "harrell_c": lambda: metrics.harrell_c(*OUTCOME, FOLD.risk),
    "auc_10": lambda: metrics.auc(*OUTCOME, FOLD.risk, [10.0])[0],
    "auc_30": lambda: metrics.auc(*OUTCOME, FOLD.risk, [30.0])[0],
    "brier_10": lambda: metrics.brier(*OUTCOME, AT[:, [0]], [10.0])[0],
    "ipa_30": lambda: metrics.ipa(*OUTCOME, AT[:, [2]], [30.0])[0],
    "isbs": lambda: metrics.integrated_brier(*OUTCOME, AT, GRID),
    "integrated_ipa": lambda: metrics.integrated_ipa(*OUTCOME, AT, GRID),
    "log_likelihood": lambda: metrics.log_likelihood(*OUTCOME, AT, GRID),
    "observed_expected": lambda: metrics.observed_expected(*OUTCOME, -np.log(OWN)),
    "calibration_slope": lambda: metrics.calibration_slope(*OUTCOME, LINE),
    "ici_10": lambda: metrics.ici(*OUTCOME, AT[:, [0]], [10.0])[0],
    "e50_30": lambda: metrics.e50(*OUTCOME, AT[:, [2]], [30.0])[0],
    "e90_30": lambda: metrics.e90(*OUTCOME, AT[:, [2]], [30.0])[0],
    "d_calibration": lambda: metrics.d_calibration(*OUTCOME, OWN),
    "royston_r2": lambda: metrics.royston_r2(*OUTCOME, LINE),
    "kent_oquigley_r2": lambda: metrics.kent_oquigley_r2(*OUTCOME, LINE),
}


def finite(estimate: Estimate) -> bool:
    known = [
        v
        for v in (estimate.value, estimate.se, estimate.low, estimate.high)
        if v is not None
    ]
    return all(math.isfinite(v) for v in known) and (
        estimate.value is not None or bool(estimate.note)
    )


@pytest.fixture(scope="module")
def once() -> dict[str, Estimate]:
    return assess([FOLD], SCALE)


@pytest.mark.parametrize("metric", PUBLIC)
def test_one_fold_is_judged_by_the_public_metric(
    once: dict[str, Estimate],
    metric: str,
) -> None:
    expected = PUBLIC[metric]()
    assert once[metric].value == pytest.approx(expected.value, rel=1e-12)
    for part in ("se", "low", "high"):
        if getattr(expected, part) is None:
            assert getattr(once[metric], part) is None
        else:
            assert getattr(once[metric], part) == pytest.approx(
                getattr(expected, part),
                rel=1e-9,
            )


@pytest.mark.parametrize(
    "metric",
    ["uno_c", "harrell_c", "auc_10", "auc_30", "brier_10", "ipa_30"],
)
def test_events_are_those_that_enter(once: dict[str, Estimate], metric: str) -> None:
    assert once[metric].events == PUBLIC[metric]().events


def test_a_censoring_curve_that_ends_before_tau_is_told() -> None:
    short = (np.array([5.0, 12.0, 12.0]), np.array([True, False, False]))
    fold = replace(FOLD, train=short)
    expected = metrics.uno_c(*OUTCOME, FOLD.risk, tau=30.0, train=short)
    found = assess([fold], SCALE)["uno_c"]
    assert found.value == expected.value
    assert found.note == expected.note
    assert found.note.startswith(
        "restricted to t <= 12, where the training censoring curve ends",
    )
    several = assess([fold, replace(fold, repeat=1)], SCALE)["uno_c"]
    assert several.note.startswith("repeat 0 fold 0 restricted to t <= 12")


def test_every_metric_is_told(once: dict[str, Estimate]) -> None:
    names = {
        f"{m}_{h}"
        for m in ("auc", "brier", "ipa", "ici", "e50", "e90")
        for h in (10, 30)
    }
    assert set(once) >= names | {
        name for name in PUBLIC if not name[-1].isdigit() or name.endswith("r2")
    }
    assert all(
        finite(estimate) and estimate.value is not None for estimate in once.values()
    )


@pytest.mark.parametrize(
    "metric",
    ["harrell_c", "uno_c", "auc_30", "brier_10", "isbs", "ipa_30"],
)
def test_folds_are_averaged_within_repeats(metric: str) -> None:
    folds = crossed(predicted())
    each = [assess([fold], SCALE)[metric].value for fold in folds]
    assert None not in each
    assert assess(folds, SCALE)[metric].value == pytest.approx(np.mean(each), rel=1e-12)  # type: ignore[arg-type]


def test_weights_come_from_the_training_patients() -> None:
    fold = crossed(predicted(), repeats=1)[0]
    expected = metrics.uno_c(
        fold.time,
        fold.event,
        fold.risk,
        tau=30.0,
        train=fold.train,
    )
    own = metrics.uno_c(fold.time, fold.event, fold.risk, tau=30.0)
    assert assess([fold], SCALE)["uno_c"].value == expected.value != own.value


def test_a_single_model_is_not_widened_and_one_repeat_is_doubled() -> None:
    single = [replace(FOLD, train=None)]
    folds = crossed(predicted(), repeats=1)
    assert (chance_share(single), chance_share(folds)) == (0.0, 1.0)
    plain = metrics.brier(*OUTCOME, AT[:, [0]], [10.0])[0]
    assert assess(single, SCALE)["brier_10"].se == pytest.approx(plain.se)


@pytest.mark.parametrize("kind", ["nadeau_bengio", "bootstrap"])
def test_the_way_of_intervals_changes_no_value(
    once: dict[str, Estimate],
    kind: Any,
) -> None:
    other = assess([FOLD], replace(SCALE, interval=Interval(kind, 60)))
    for metric in ("harrell_c", "auc_30", "brier_10", "isbs"):
        assert other[metric].value == once[metric].value
        assert other[metric].se == pytest.approx(
            once[metric].se,
            rel=1e-9 if kind != "bootstrap" else 0.4,
        )


# -- what cannot be told


def test_without_curves_the_errors_say_so() -> None:
    found = assess([replace(FOLD, curves=None)], SCALE)
    for metric, estimate in found.items():
        if metric.startswith(
            (
                "brier",
                "ipa",
                "isbs",
                "integrated",
                "log_l",
                "observed",
                "ici",
                "e50",
                "d_cal",
            ),
        ):
            assert estimate.value is None
            assert "hold no survival curves" in estimate.note, metric
    assert found["harrell_c"].value is not None
    assert (
        "of the log-risk itself: there are no curves" in found["calibration_slope"].note
    )
    plain = metrics.calibration_slope(*OUTCOME, FOLD.risk)
    assert found["calibration_slope"].value == pytest.approx(plain.value)


def test_without_risks_only_ranking_is_lost() -> None:
    found = assess([replace(FOLD, log_risk=None)], SCALE)
    for metric in ("uno_c", "harrell_c"):
        assert found[metric].value is None
        assert found[metric].note == "the predictions hold no log_risk"
    assert found["auc_30"].value == metrics.auc(*OUTCOME, -AT[:, 2], [30.0])[0].value
    assert found["brier_10"].value is not None


def test_risks_of_several_models_are_not_pooled() -> None:
    folds = [replace(fold, curves=None) for fold in crossed(predicted())]
    found = assess(folds, SCALE)["royston_r2"]
    assert found.value is None
    assert (
        found.note == "risks of different models cannot be pooled without their curves"
    )


def test_a_fold_without_curves_is_left_out_and_named() -> None:
    first, *rest = crossed(predicted(), repeats=1)
    found = assess([replace(first, curves=None), *rest], SCALE)
    expected = np.mean([assess([fold], SCALE)["brier_10"].value for fold in rest])  # type: ignore[misc]
    assert found["brier_10"].value == pytest.approx(expected)
    assert (
        "repeat 0 fold 0 left out: the predictions hold no survival curves"
        in found["brier_10"].note
    )


def test_integrals_end_where_curves_do_and_say_so() -> None:
    short = Tabulated(np.array([10.0, 20.0]), FOLD.survival([10.0, 20.0]))
    found = assess([replace(FOLD, curves=short)], SCALE)
    expected = metrics.integrated_brier(*OUTCOME, AT[:, :2], GRID[:2])
    assert found["isbs"].value == pytest.approx(expected.value)
    assert "integrated to 20 instead of 30" in found["isbs"].note
    assert found["brier_30"].value is None
    assert "known up to 20 only, asked for 30" in found["brier_30"].note


def test_integrals_need_two_times() -> None:
    found = assess([FOLD], replace(SCALE, tau=15.0))["isbs"]
    assert (found.value, found.note) == (
        None,
        "integration needs two or more times within reach, got 1",
    )


def test_a_horizon_beyond_follow_up_is_told() -> None:
    found = assess([FOLD], Scale((60.0,), 60.0, draws=0))
    for metric in ("auc_60", "brier_60", "ipa_60", "ici_60"):
        assert found[metric].value is None
        assert found[metric].note
    assert all(finite(estimate) for estimate in found.values())


def ended(end: float) -> pd.DataFrame:
    """A study that ends: everyone who is still followed then is censored."""
    table = predicted()
    table["event"] = (table["event"].astype(bool) & (table["time"] <= end)).astype(int)
    table["time"] = table["time"].clip(upper=end)
    return table


def test_the_end_of_all_follow_up_is_a_horizon_by_every_door() -> None:
    fold = fold_of(ended(30.0))
    found = assess([fold], SCALE)
    public = {
        "auc_30": metrics.auc(fold.time, fold.event, fold.risk, [30.0])[0],
        "brier_30": metrics.brier(fold.time, fold.event, AT[:, [2]], [30.0])[0],
        "ipa_30": metrics.ipa(fold.time, fold.event, AT[:, [2]], [30.0])[0],
        "isbs": metrics.integrated_brier(fold.time, fold.event, AT, GRID),
        "integrated_ipa": metrics.integrated_ipa(fold.time, fold.event, AT, GRID),
    }
    for metric, right in public.items():
        assert right.value is not None
        assert right.note.startswith(
            "everyone's follow-up ends by t = 30: patients followed to it",
        )
        assert (found[metric].value, found[metric].se) == pytest.approx(
            (right.value, right.se),
        )
        assert (found[metric].note, found[metric].events) == (right.note, right.events)
    assert found["brier_10"].note == ""


def test_the_end_of_all_follow_up_is_told_once_for_all_folds() -> None:
    found = assess(crossed(ended(30.0)), SCALE)
    for metric in ("auc_30", "brier_30", "ipa_30", "isbs", "integrated_ipa"):
        assert found[metric].value is not None
        assert found[metric].note.count("everyone's follow-up ends by t = 30") == 1
    again = delta_isbs(crossed(ended(30.0)), crossed(ended(30.0)), SCALE)
    assert again.value == 0
    assert "everyone's follow-up ends by t = 30" in again.note


def test_an_integral_counts_the_events_up_to_where_it_ends() -> None:
    table = ended(30.0)
    found = assess([fold_of(table)], replace(SCALE, tau=60.0))
    public = metrics.integrated_brier(*fold_outcome(table), FOLD.survival(TIMES), TIMES)
    assert "integrated to 30 instead of 60" in found["isbs"].note
    assert public.note.startswith(
        "restricted to t <= 30: t = 60 lies beyond all follow-up",
    )
    assert found["isbs"].value == pytest.approx(public.value)
    late = assess([fold_of(predicted())], replace(SCALE, tau=10.5, times=(5.0, 10.0)))[
        "isbs"
    ]
    assert late.events == int((FOLD.event & (FOLD.time <= 10)).sum())


def fold_outcome(table: pd.DataFrame) -> tuple[Any, Any]:
    fold = fold_of(table)
    return fold.time, fold.event


def test_rounding_of_times_and_horizons_changes_nothing() -> None:
    table = ended(30.0)
    raw = table.assign(time=table["time"] + 1e-12 * (np.arange(len(table)) % 3))
    assert (raw["time"] != table["time"]).any()
    off = replace(SCALE, horizons=(10.0, 30 + 1e-9), tau=30 + 1e-9)
    ours, right = assess(crossed(raw), off), assess(crossed(table), SCALE)
    for metric, estimate in right.items():
        assert ours[metric].value == pytest.approx(estimate.value, abs=1e-7)
        assert (ours[metric].events, ours[metric].note) == (
            estimate.events,
            estimate.note,
        )


@pytest.mark.parametrize("events", [0, 1])
def test_hardly_an_event_is_no_crash(events: int) -> None:
    event = np.zeros(len(FOLD), dtype=bool)
    event[:events] = True
    found = assess([replace(FOLD, event=event)], replace(SCALE, draws=20))
    assert all(finite(estimate) for estimate in found.values())
    if not events:
        assert found["harrell_c"].value is None
        assert found["calibration_slope"].value is None


# -- calibration of repeats


def test_expected_events_are_averaged_over_repeats() -> None:
    other = replace(
        FOLD,
        repeat=1,
        curves=Tabulated(np.array(TIMES), FOLD.survival(TIMES) ** 2),
    )
    hazards = [-np.log(fold.known_curves.own(FOLD.time)) for fold in (FOLD, other)]
    found = expected_events([FOLD, other])
    assert found == metrics.observed_expected(*OUTCOME, np.mean(hazards, axis=0))
    assert found.value != expected_events([FOLD]).value


def test_events_after_the_curves_are_counted_once() -> None:
    short = replace(FOLD, curves=Tabulated(np.array([10.0]), FOLD.survival([10.0])))
    late = int((FOLD.event & (FOLD.time > 10)).sum())
    for folds in ([short], [short, replace(short, repeat=1)]):
        found = expected_events(folds)
        assert found.note.endswith(
            f"{late} events beyond the last time of the curves not counted",
        )
        assert found.events == int(FOLD.event.sum()) - late


def test_a_certain_death_expects_infinitely_many_events() -> None:
    dead = replace(
        FOLD,
        curves=Tabulated(np.array([1.0, 2.0]), np.tile([1.0, 0.0], (len(FOLD), 1))),
    )
    found = expected_events([dead])
    assert found.value is None
    assert "predicted survival of 0 at their follow-up" in found.note


def test_each_fold_has_a_baseline_of_its_own() -> None:
    def moved(fold: Fold) -> Fold:
        shifted = Tabulated(np.array(TIMES), fold.survival(TIMES) ** (1 + fold.fold))
        return replace(fold, curves=shifted)

    folds = crossed(predicted(), repeats=1)
    assert slope([moved(fold) for fold in folds], 30.0).value == pytest.approx(
        slope(folds, 30.0).value,
    )


def test_the_difference_of_errors_turns_over() -> None:
    a, b = crossed(predicted()), crossed(predicted(seed=1, noise=2))
    there, back = delta_isbs(a, b, SCALE), delta_isbs(b, a, SCALE)
    x, y = assess(a, SCALE)["isbs"].value, assess(b, SCALE)["isbs"].value
    assert x is not None
    assert y is not None
    assert there.value == pytest.approx(x - y)
    assert there.value == pytest.approx(-back.value)  # type: ignore[operator]
    assert there.se == pytest.approx(back.se)
    assert there.low == pytest.approx(-back.high)  # type: ignore[operator]


def test_a_fold_that_nobody_survives_counts_in_the_mean() -> None:
    """Were such folds left out, those with a survivor would stay, who weighs 1/G: too large a mean error."""
    generator = np.random.default_rng(5)
    n, horizon = 400, 3.0
    event_time, end = generator.exponential(2.0, n), generator.exponential(4.0, n)
    time, event = np.minimum(event_time, end), event_time <= end
    survival = np.full((n, 1), np.exp(-horizon / 2.0))
    pooled = metrics.brier(time, event, survival, [horizon])[0].value
    table = pd.DataFrame(
        {
            "patient_id": np.arange(n).astype(str),
            "repeat": 0,
            "fold": np.arange(n) % 100,
        },
    )
    table = table.assign(time=time, event=event, log_risk=0.0)
    rows = {(0, k): np.flatnonzero(table["fold"] == k) for k in range(100)}
    curves = {
        place: SurvivalCurves(np.array([horizon]), survival[at], 9.0)
        for place, at in rows.items()
    }
    assert any(time[at].max() < horizon for at in rows.values())
    found = assess(folds_of(table, curves), Scale((horizon,), horizon, draws=0))[
        "brier_3"
    ]
    assert found.note == ""
    assert found.value == pytest.approx(pooled, abs=0.01)


def test_outcomes_are_validated_once_per_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    validated = []
    validate = Outcome.of.__func__  # type: ignore[attr-defined]

    def of(cls: type[Outcome], time: Any, event: Any) -> Outcome:
        validated.append(time)
        return validate(cls, time, event)  # type: ignore[no-any-return]

    monkeypatch.setattr(Outcome, "of", classmethod(of))
    folds = crossed(predicted())
    assess(folds, SCALE)
    for fold in folds:
        assert fold.train is not None
        for column in (fold.time, fold.train[0]):
            assert sum(column is time for time in validated) == 1
