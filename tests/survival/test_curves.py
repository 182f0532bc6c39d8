from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.curves import (
    StepFunction,
    SurvivalCurves,
    breslow,
    censoring_survival,
    follow_up_median,
    kaplan_meier,
    kaplan_meier_table,
)


def _one_curve(km: StepFunction) -> SurvivalCurves:
    return SurvivalCurves(km.x, km.y[None], km.x[-1])


def test_kaplan_meier_median_and_mean_are_those_of_r(reference):
    time, event, _ = reference.arrays
    median, rmean = (
        reference.numbers("KM median")[0],
        reference.numbers("KM median")[-1],
    )
    curve = _one_curve(kaplan_meier(time, event))
    assert curve.median()[0] == pytest.approx(median, abs=1e-8)
    assert curve.rmst(8)[0] == pytest.approx(rmean, abs=1e-8)


def test_breslow_is_that_of_r(reference):
    train = reference.train
    hazard = breslow(train["time"], train["event"], train["risk"])
    assert hazard([2, 5, 8]) == pytest.approx(
        reference.numbers("basehaz breslow beta=1 at t=2,5,8:"),
        abs=1e-8,
    )


def test_kaplan_meier_and_its_interval_agree_with_lifelines(monthly):
    lifelines = pytest.importorskip("lifelines")
    time, event, _ = monthly
    fitter = lifelines.KaplanMeierFitter().fit(time, event)
    table = kaplan_meier_table(time, event)
    assert table.time.tolist() == fitter.timeline.tolist()
    assert table.survival == pytest.approx(
        fitter.survival_function_.iloc[:, 0].to_numpy(),
    )
    inside = (table.survival > 0) & (table.survival < 1)
    theirs = fitter.confidence_interval_.to_numpy()[inside]
    assert np.c_[table.low, table.high][inside] == pytest.approx(theirs)


def test_kaplan_meier_by_hand():
    km = kaplan_meier([1, 2, 2, 3, 4], [1, 1, 0, 0, 1])
    assert km.x.tolist() == [1, 2, 3, 4]
    assert km.y == pytest.approx([0.8, 0.6, 0.6, 0.0])
    assert km(0) == 1
    assert km.left(2) == pytest.approx(0.8)


def test_events_come_before_censorings_in_the_censoring_curve():
    # at 2: one event, one censoring; three patients followed to 2, of whom the event leaves first
    g = censoring_survival([1, 2, 2, 5], [1, 1, 0, 0])
    assert g(2) == pytest.approx(1 / 2)
    assert g.left(2) == 1
    assert g(5) == 0


def test_the_censoring_curve_agrees_with_sksurv_where_no_time_is_shared():
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    rng = np.random.default_rng(0)
    time, event = rng.exponential(size=80), rng.random(80) < 0.5
    y = np.array(
        list(zip(event, time, strict=True)),
        dtype=[("event", bool), ("time", float)],
    )
    theirs = nonparametric.CensoringDistributionEstimator().fit(y)
    assert censoring_survival(time, event)(time) == pytest.approx(
        theirs.predict_proba(time),
    )


def test_median_follow_up():
    assert follow_up_median([1, 2, 3, 4], [0, 0, 0, 0]) == 2
    assert follow_up_median([1, 2, 3], [1, 1, 1]) is None


@pytest.mark.parametrize("make", [kaplan_meier, censoring_survival, kaplan_meier_table])
def test_no_patients_no_curve(make):
    with pytest.raises(NotComputableError, match="at least one patient"):
        make([], [])


def test_the_interval_before_the_first_event_and_at_zero():
    table = kaplan_meier_table([1, 2, 3], [0, 1, 1])
    assert table.time.tolist() == [0, 1, 2, 3]
    assert table.low[:2].tolist() == [1, 1]
    assert np.isnan(table.low[-1])
    assert np.isnan(table.high[-1])
    assert 0 < table.low[2] < table.survival[2] < table.high[2] < 1


def test_breslow_refuses_what_a_double_cannot_hold():
    for shift in (-2000, 2000):
        with pytest.raises(NotComputableError, match="centre them"):
            breslow([1, 2, 3], [1, 1, 0], np.array([0.0, 1.0, 2.0]) + shift)


def test_breslow_without_risks_is_nelson_aalen(monthly):
    time, event, _ = monthly
    table = kaplan_meier_table(time, event)
    expected = np.cumsum(table.events[1:] / table.at_risk[1:])
    assert breslow(time, event, np.zeros(len(time))).y == pytest.approx(expected)


def test_row_order_never_matters(monthly):
    time, event, risk = monthly
    rows = np.random.default_rng(1).permutation(len(time))
    assert (
        kaplan_meier(time, event).y.tolist()
        == kaplan_meier(time[rows], event[rows]).y.tolist()
    )
    assert breslow(time, event, risk).y == pytest.approx(
        breslow(time[rows], event[rows], risk[rows]).y,
    )


def test_a_step_function_refuses_steps_out_of_order():
    with pytest.raises(InputError, match="increase strictly"):
        StepFunction(np.array([1.0, 1.0]), np.array([0.5, 0.2]), 1.0)
    with pytest.raises(InputError, match="as many x as y"):
        StepFunction(np.array([1.0]), np.array([0.5, 0.2]), 1.0)


CURVES = SurvivalCurves(
    np.array([1.0, 3.0, 4.0]),
    np.array([[0.9, 0.5, 0.2], [0.8, 0.1, 0.0], [1.0, 0.9, 0.8]]),
    5.0,
)


def test_survival_starts_at_one_and_is_unknown_beyond_the_last_time():
    at = CURVES.at([0, 0.99, 1, 3.5, 5, 6])
    assert at[0, :5].tolist() == [1, 1, 0.9, 0.5, 0.2]
    assert np.isnan(at[0, 5])
    assert at[1, 5] == 0  # zero stays zero
    assert (np.diff(at[:, :5]) <= 0).all()


def test_quantiles():
    assert CURVES.median()[:2].tolist() == [3, 3]
    assert np.isnan(CURVES.median()[2])
    assert CURVES.quantile(0.1).tolist() == [1, 1, 3]
    with pytest.raises(InputError, match="between 0 and 1"):
        CURVES.quantile(1.0)


def test_restricted_mean_is_the_area_under_the_steps():
    assert CURVES.rmst(3.5) == pytest.approx(
        [1 + 2 * 0.9 + 0.25, 1 + 1.6 + 0.05, 3 + 0.45],
    )
    assert CURVES.rmst(0.5) == pytest.approx([0.5] * 3)
    with pytest.raises(NotComputableError, match="known up to 5 only"):
        CURVES.rmst(5.1)
    assert CURVES.select([1]).rmst(50) == pytest.approx([1 + 1.6 + 0.1])
    with pytest.raises(InputError, match="finite number > 0"):
        CURVES.rmst(0)


def test_curves_are_selected_by_row():
    assert CURVES.select([2, 0]).survival[0].tolist() == [1.0, 0.9, 0.8]
    assert len(CURVES.select(np.array([True, False, False]))) == 1
    assert len(CURVES) == 3


@pytest.mark.parametrize(
    ("times", "survival", "message"),
    [
        ([1.0, 2.0], [[0.5]], "expected survival"),
        ([2.0, 1.0], [[0.5, 0.4]], "increase strictly"),
        ([1.0, 9.0], [[0.5, 0.4]], "at most last"),
        ([1.0, 2.0], [[0.5, 0.6]], "never rise"),
        ([1.0, 2.0], [[0.5, np.nan]], "never rise"),
    ],
)
def test_impossible_curves_are_refused(times, survival, message):
    with pytest.raises(InputError, match=message):
        SurvivalCurves(np.array(times), np.array(survival), 5.0)


def test_curves_without_any_step_stay_at_one():
    flat = SurvivalCurves(np.empty(0), np.empty((2, 0)), 4.0)
    assert flat.at([1, 4]).tolist() == [[1, 1], [1, 1]]
    assert np.isnan(flat.median()).all()
    assert flat.rmst(4).tolist() == [4, 4]
