from __future__ import annotations

import json

import numpy as np
import pytest

from survfuse._errors import BundleError, ConfigError, InputError, NotComputableError
from survfuse.survival.calibration import (
    CALIBRATORS,
    BreslowCalibrator,
    KmRankCalibrator,
    calibrator_from_dict,
    fit_calibrator,
    km_rank_time,
)
from survfuse.survival.cox import fit_cox
from survfuse.survival.curves import breslow, kaplan_meier

KINDS = ["km", "breslow", "breslow_cal", "breslow_oof", "isotonic_oof", "km_rank"]
HELD_OUT = ["breslow_oof", "isotonic_oof"]


def fit(kind, monthly, **changes):
    time, event, risk = monthly
    fold = np.arange(len(time)) % 5
    given = (
        {"out_of_fold": risk / 2 + fold * 10.0, "fold": fold}
        if kind in HELD_OUT
        else {}
    )
    return fit_calibrator(kind, time, event, risk, **(given | changes))


def slow_km_rank(query, risk, time, event):
    """The paper's map, patient by patient."""
    km = kaplan_meier(time, event)
    times, survival = np.append(0.0, km.x), np.append(1.0, km.y)
    found = []
    for r in query:
        everyone = np.append(risk, r)
        rank = (everyone >= r).sum()
        p = 1 - (rank - 1) / len(everyone)
        found.append(times[np.abs(survival - p).argmin()])
    return np.array(found)


def test_every_kind_is_tried_here():
    assert sorted(CALIBRATORS) == sorted(KINDS)
    assert all(CALIBRATORS[kind].summary and CALIBRATORS[kind].source for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_of_a_calibrator(kind, monthly):
    calibrator = fit(kind, monthly)
    risk = np.linspace(-3, 3, 7)
    assert calibrator.name == kind
    assert calibrator.note == ""
    assert calibrator.predicted_time(risk).shape == (7,)
    earlier = np.nan_to_num(calibrator.predicted_time(risk), nan=np.inf)
    assert (earlier[1:] <= earlier[:-1]).all()  # more risk is never a later time
    back = calibrator_from_dict(
        json.loads(json.dumps(calibrator.to_dict(), allow_nan=False)),
    )
    assert back.to_dict() == calibrator.to_dict()
    assert np.array_equal(
        back.predicted_time(risk),
        calibrator.predicted_time(risk),
        equal_nan=True,
    )
    with pytest.raises(InputError, match="row 1 holds nan"):
        calibrator.predicted_time([0.0, np.nan])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "km_rank"])
def test_curves_start_at_one_fall_and_end_with_follow_up(kind, monthly):
    calibrator = fit(kind, monthly)
    assert calibrator.has_curves
    curves = calibrator.curves([-1000.0, 0.0, 1000.0])
    assert curves.at(0).tolist() == [[1]] * 3
    assert curves.last == monthly[0].max()
    assert np.isfinite(curves.survival).all()
    assert (curves.survival[0] >= curves.survival[2]).all()


def test_km_gives_everyone_the_same_curve(monthly):
    time, event, _ = monthly
    curves = fit("km", monthly).curves([0.0, 5.0])
    assert (curves.survival[0] == curves.survival[1]).all()
    assert curves.at([3, 9])[0] == pytest.approx(kaplan_meier(time, event)([3, 9]))


def test_breslow_in_sample_is_breslow(monthly):
    time, event, risk = monthly
    calibrator = fit("breslow", monthly)
    assert (calibrator.slope, calibrator.center) == (1, pytest.approx(risk.mean()))
    expected = np.exp(
        -breslow(time, event, risk)([3, 9])[None] * np.exp([[-0.5], [1.0]]),
    )
    assert calibrator.curves([-0.5, 1.0]).at([3, 9]) == pytest.approx(expected)


def test_breslow_does_not_mind_where_risks_lie(monthly):
    time, event, risk = monthly
    near, far = (
        fit("breslow", monthly),
        fit_calibrator("breslow", time, event, risk + 5000),
    )
    assert far.curves(risk + 5000).survival == pytest.approx(near.curves(risk).survival)


def test_out_of_fold_risks_give_slope_and_baseline(monthly):
    time, event, risk = monthly
    fold = np.arange(len(time)) % 5
    held_out = risk / 2 + fold * 10.0
    centred = held_out - np.array([held_out[fold == k].mean() for k in range(5)])[fold]
    calibrator = fit("breslow_oof", monthly)
    slope = fit_cox(centred, time, event).coef[0]
    assert calibrator.slope == pytest.approx(slope)
    assert calibrator.center == pytest.approx(risk.mean())
    assert calibrator.baseline.y == pytest.approx(
        breslow(time, event, slope * centred).y,
    )


def test_a_slope_that_is_not_positive_becomes_zero_and_is_noted(monthly):
    _, _, risk = monthly
    calibrator = fit("breslow_oof", monthly, out_of_fold=-risk)
    assert calibrator.slope == 0
    assert "not shown to carry information" in calibrator.note
    assert np.ptp(calibrator.curves([-9.0, 9.0]).survival, axis=0).max() == 0
    flat = fit("breslow_oof", monthly, out_of_fold=np.zeros(len(risk)))
    assert (flat.slope, flat.note) == (
        0,
        "slope 0: the out-of-fold risks do not differ",
    )


def test_a_slope_without_limit_becomes_one_and_is_noted():
    time, event = np.arange(1.0, 13), np.ones(12)
    calibrator = fit_calibrator(
        "breslow_oof",
        time,
        event,
        -time,
        out_of_fold=-time,
        fold=np.zeros(12),
    )
    assert calibrator.slope == 1
    assert "no finite slope" in calibrator.note


def test_calibration_repairs_an_overconfident_network():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=3000)
    time = rng.exponential(np.exp(-truth)) + 1e-9
    calibrator = fit_calibrator(
        "breslow_oof",
        time,
        np.ones(3000),
        4 * truth,
        out_of_fold=4 * truth,
        fold=np.arange(3000) % 5,
    )
    assert calibrator.slope == pytest.approx(0.25, abs=0.01)
    assert calibrator.curves([0.0]).at([1.0])[0, 0] == pytest.approx(
        np.exp(-1),
        abs=0.03,
    )


def test_the_median_is_not_invented_when_not_reached(monthly):
    assert np.isnan(fit("breslow", monthly).predicted_time([-20.0])).all()
    few = fit_calibrator("km", [1, 2, 3, 4], [1, 0, 0, 0], [0.0, 1, 2, 3])
    assert np.isnan(few.predicted_time([0.0])).all()


def test_km_rank_reproduces_the_paper(shared):
    golden = json.loads((shared / "parity" / "paper.json").read_text())["km_rank"]
    found = km_rank_time(
        golden["query_log_risk"],
        golden["train_log_risk"],
        golden["time"],
        golden["event"],
    )
    assert found.tolist() == golden["predicted_time"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_km_rank_is_the_slow_one(seed, share):
    rng = np.random.default_rng(seed)
    time, event = np.ceil(rng.exponential(12, 60)), rng.random(60) < share
    risk = np.round(rng.normal(size=60), 1)
    query = np.round(np.linspace(-3, 3, 61), 1)
    assert (
        km_rank_time(query, risk, time, event).tolist()
        == slow_km_rank(query, risk, time, event).tolist()
    )


def test_km_rank_tells_who_is_beyond_the_plateau():
    time, event = [1, 2, 3, 4, 5, 6], [1, 1, 0, 0, 0, 0]  # falls to 4/6 at 2 and stays
    calibrator = fit_calibrator("km_rank", time, event, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert isinstance(calibrator, KmRankCalibrator)
    query = [7.0, 5.5, 4.5, 3.5, 0.0]
    assert calibrator.predicted_time(query).tolist() == [0, 1, 2, 2, 2]
    assert calibrator.beyond(query).tolist() == [False, False, True, True, True]
    died = fit_calibrator("km_rank", [1, 2], [1, 1], [2.0, 1.0])
    assert not died.beyond(query).any()
    nobody = fit_calibrator("km_rank", [1, 2], [0, 0], [2.0, 1.0])
    assert nobody.predicted_time(query).tolist() == [0] * 5
    assert nobody.beyond(query).all()


def test_km_rank_has_no_curve(monthly):
    calibrator = fit("km_rank", monthly)
    assert not calibrator.has_curves
    with pytest.raises(NotComputableError, match="a time and no survival curve"):
        calibrator.curves([0.0])


@pytest.mark.parametrize(
    "kind",
    ["breslow", "breslow_oof", "isotonic_oof", "breslow_cal"],
)
def test_no_event_no_hazard(kind):
    with pytest.raises(NotComputableError, match="no training patient had the event"):
        fit_calibrator(
            kind,
            [1, 2],
            [0, 0],
            [0.0, 1.0],
            out_of_fold=[0.0, 1.0],
            fold=[0, 0],
        )


@pytest.mark.parametrize("kind", KINDS)
def test_no_patients_no_calibrator(kind):
    with pytest.raises(NotComputableError, match="no training patients"):
        fit_calibrator(kind, [], [], [], out_of_fold=[], fold=[])


def test_wrong_input_is_refused(monthly):
    time, event, risk = monthly
    with pytest.raises(ConfigError, match="unknown calibration 'platt'"):
        fit_calibrator("platt", time, event, risk)
    for kind in HELD_OUT:
        with pytest.raises(
            InputError,
            match=f"{kind} needs out_of_fold risks and the fold of each",
        ):
            fit_calibrator(kind, time, event, risk)
    with pytest.raises(InputError, match="out_of_fold must be finite; row 0"):
        fit("breslow_oof", monthly, out_of_fold=np.full(len(time), np.nan))
    with pytest.raises(InputError, match="fold must have one row per patient"):
        fit("breslow_oof", monthly, fold=np.zeros(3))
    with pytest.raises(
        InputError,
        match="train_log_risk must have one row per patient",
    ):
        km_rank_time([0.0], risk[:-1], time, event)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "platt"}, "unknown calibrator 'platt'"),
        (
            {"slope": "steep"},
            "calibrator 'breslow' is broken: InputError: slope: expected a number, got str",
        ),
        ({"baseline": {"x": [1.0], "y": []}}, "broken: KeyError"),
        ({"baseline": {"x": [1.0], "y": [], "before": 0}}, "broken: InputError"),
    ],
)
def test_a_broken_saved_calibrator_is_refused(change, message, monthly):
    saved = fit("breslow", monthly).to_dict() | change
    with pytest.raises(BundleError, match=message):
        calibrator_from_dict(saved)


def test_calibrators_are_frozen(monthly):
    calibrator = fit("breslow", monthly)
    assert isinstance(calibrator, BreslowCalibrator)
    with pytest.raises(AttributeError, match="cannot assign"):
        calibrator.slope = 2.0
