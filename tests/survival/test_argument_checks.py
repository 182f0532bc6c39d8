"""One gate for every metric: the same malformed input is refused with the same words, every kind is read."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from survfuse import metrics
from survfuse._errors import InputError
from survfuse.metrics import Estimate

RNG = np.random.default_rng(8)
N = 60
RISK = RNG.normal(size=N)
TIME = np.ceil(RNG.exponential(10 * np.exp(-0.7 * RISK)))
EVENT = RNG.random(N) < 0.7
TIMES = [4.0, 8.0, 12.0]
SURVIVAL = np.exp(-np.outer(np.exp(0.7 * RISK), TIMES) / 10)
HAZARD = np.exp(0.7 * RISK) * TIME / 10

RANKING: dict[str, Callable] = {
    "harrell_c": metrics.harrell_c,
    "uno_c": metrics.uno_c,
    "compare_c": lambda time, event, risk, **k: metrics.compare_c(
        time,
        event,
        RISK,
        risk,
        **k,
    ),
    "calibration_slope": metrics.calibration_slope,
    "royston_r2": metrics.royston_r2,
    "kent_oquigley_r2": metrics.kent_oquigley_r2,
    "auc": lambda time, event, risk, times=TIMES, **k: metrics.auc(
        time,
        event,
        risk,
        times,
        **k,
    ),
}
CURVES: dict[str, Callable] = {
    "brier": metrics.brier,
    "ipa": metrics.ipa,
    "integrated_brier": metrics.integrated_brier,
    "integrated_ipa": metrics.integrated_ipa,
    "log_likelihood": metrics.log_likelihood,
    "ici": metrics.ici,
    "e50": metrics.e50,
    "e90": metrics.e90,
}
AT_ONE: dict[str, Callable] = {
    "observed_expected_at": metrics.observed_expected_at,
    "net_benefit": lambda *args: metrics.net_benefit(*args, [0.2, 0.4]),
    "calibration_curve": lambda *args: metrics.calibration_curve(*args, bootstrap=0),
    "rmst": lambda time, event, _, horizon: metrics.rmst(time, event, horizon),
    "rmst_difference": lambda time, event, _, horizon: metrics.rmst_difference(
        time,
        event,
        np.arange(N) % 2,
        horizon,
    ),
}
ALL = (
    [(name, lambda t, e, f=f: f(t, e, RISK)) for name, f in RANKING.items()]
    + [(name, lambda t, e, f=f: f(t, e, SURVIVAL, TIMES)) for name, f in CURVES.items()]
    + [
        (name, lambda t, e, f=f: f(t, e, SURVIVAL[:, 1], 8))
        for name, f in AT_ONE.items()
    ]
    + [
        ("observed_expected", lambda t, e: metrics.observed_expected(t, e, HAZARD)),
        ("d_calibration", lambda t, e: metrics.d_calibration(t, e, np.exp(-HAZARD))),
    ]
)
each_metric = pytest.mark.parametrize(
    "metric",
    [f for _, f in ALL],
    ids=[name for name, _ in ALL],
)
LISTED = {
    **CURVES,
    "auc": lambda time, event, survival, times: metrics.auc(time, event, RISK, times),
}
TRAINED = [
    "uno_c",
    "compare_c",
    "auc",
    "brier",
    "ipa",
    "integrated_brier",
    "integrated_ipa",
]


def plain(found: object) -> object:
    """What a metric found, comparable by ==."""
    return found if isinstance(found, Estimate | list) else found.observed.tolist()  # type: ignore[attr-defined]


def test_every_metric_of_the_door_is_tried():
    tried = {name for name, _ in ALL} | {
        "net_benefit_all",
        "calibration_errors",
    }  # which others stand for
    rest = {
        name
        for name in metrics.__all__
        if name.endswith("_influence") or name[0].isupper()
    }
    curves = {"kaplan_meier", "kaplan_meier_table", "follow_up_median", "log_rank"}
    assert tried | rest | curves == set(metrics.__all__)


@each_metric
def test_every_kind_of_column_is_read_alike(metric):
    expected = plain(metric(TIME, EVENT))
    for kind in (
        list,
        pd.Series,
        lambda x: pd.Series(x, index=range(100, 100 + N)),
        tuple,
    ):
        for flags in (
            EVENT,
            EVENT.astype(int),
            EVENT.astype(float),
            EVENT.astype(np.uint8),
        ):
            assert plain(metric(kind(TIME.astype(int)), kind(flags))) == expected


@each_metric
@pytest.mark.parametrize(
    ("time", "event", "message"),
    [
        (
            np.r_[np.nan, TIME[1:]],
            EVENT,
            "time must be a finite number > 0; row 0 holds nan",
        ),
        (
            np.r_[0.0, TIME[1:]],
            EVENT,
            "time must be a finite number > 0; row 0 holds 0.0",
        ),
        (TIME, np.r_[2, EVENT[1:]], "event must be 1 (event seen) or 0"),
        (TIME, EVENT[1:], "time and event must be of one length, got 60 and 59 rows"),
        (TIME[:, None], EVENT, "time must be one column"),
        (["soon"] * N, EVENT, "time must be a column of numbers"),
    ],
)
def test_a_wrong_outcome_is_refused_with_the_same_words(metric, time, event, message):
    with pytest.raises(InputError, match=re.escape(message)):
        metric(time, event)


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([4, -1, 12], "times must be finite numbers > 0; place 1 holds -1"),
        ([4, np.nan, 12], "times must be finite numbers > 0; place 1 holds nan"),
        (["a", "b", "c"], "times must be numbers"),
        ([[4, 8, 12]], "times must be one column"),
        ([], "times must be one column of at least one horizon"),
    ],
)
def test_wrong_times_are_refused_with_the_same_words(name, times, message):
    with pytest.raises(InputError, match=message):
        LISTED[name](TIME, EVENT, SURVIVAL, times)


@pytest.mark.parametrize("name", AT_ONE)
@pytest.mark.parametrize("horizon", [0, -3.0, np.nan, np.inf, "soon", [4.0, 8.0], None])
def test_a_wrong_horizon_is_refused_with_the_same_words(name, horizon):
    with pytest.raises(
        InputError,
        match=r"^horizon must be (a finite number > 0, got|numbers)",
    ):
        AT_ONE[name](TIME, EVENT, SURVIVAL[:, 1], horizon)


@pytest.mark.parametrize("name", [*CURVES, *list(AT_ONE)[:3]])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda s: s + 1,
            r"survival must lie within \[0, 1\]; row 0.* holds 1\.\d+ \(rows 0, 1,",
        ),
        (
            lambda s: np.where(s == s, np.nan, s),
            r"holds nan .*not known beyond its training follow-up",
        ),
        (
            lambda s: s[1:],
            r"survival must be \(patients, times\): expected \(60, [13]\), got \(59,",
        ),
        (lambda s: np.full(s.shape, "high"), "survival must be numbers"),
    ],
)
def test_wrong_survival_is_refused_with_the_same_words(name, wrong, message):
    one = name in AT_ONE
    metric, survival = (
        (AT_ONE[name], SURVIVAL[:, 1]) if one else (CURVES[name], SURVIVAL)
    )
    with pytest.raises(InputError, match=message):
        metric(TIME, EVENT, wrong(survival), 8 if one else TIMES)


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize(
    ("risk", "message"),
    [
        (np.r_[RISK[1:], np.nan], "must be finite; row 59 holds nan"),
        (RISK[1:], "must have one row per patient: expected 60, got 59"),
        (["high"] * N, "must be a column of numbers"),
    ],
)
def test_a_wrong_log_risk_is_refused_with_the_same_words(name, risk, message):
    with pytest.raises(InputError, match=message):
        RANKING[name](TIME, EVENT, risk)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize(
    ("train", "message"),
    [
        (TIME, r"^train must be \(time, event\)"),
        ((TIME, EVENT, RISK), r"^train must be \(time, event\)"),
        (
            (np.r_[-1, TIME], np.r_[1, EVENT]),
            "^train: time must be a finite number > 0; row 0 holds -1",
        ),
        (([], []), "^train must hold at least one patient"),
    ],
)
def test_wrong_training_patients_are_refused_with_the_same_words(name, train, message):
    if name in CURVES:
        metric, predicted = CURVES[name], (SURVIVAL, TIMES)
    else:
        metric, predicted = RANKING[name], (RISK,)
    with pytest.raises(InputError, match=message):
        metric(TIME, EVENT, *predicted, train=train)


@pytest.mark.parametrize("name", ["auc", "brier", "ipa", "ici", "e50", "e90"])
def test_horizons_are_answered_in_the_order_asked(name):
    rows = [2, 0, 1, 0]
    asked = [TIMES[k] for k in rows]
    risen, turned = (
        LISTED[name](TIME, EVENT, SURVIVAL, TIMES),
        LISTED[name](TIME, EVENT, SURVIVAL[:, rows], asked),
    )
    for ours, k in zip(turned, rows, strict=True):
        assert ours.value == pytest.approx(risen[k].value, abs=1e-12)
        assert ours.se == pytest.approx(risen[k].se, abs=1e-12)
        assert ours.events == risen[k].events


@pytest.mark.parametrize(
    "name",
    ["integrated_brier", "integrated_ipa", "log_likelihood"],
)
def test_an_integral_refuses_times_out_of_order(name):
    with pytest.raises(InputError, match="times must increase strictly"):
        CURVES[name](TIME, EVENT, SURVIVAL[:, ::-1], TIMES[::-1])
