"""The figure of a prediction; what a prediction says is tested with the estimator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.drawn import line, new_axes
from survfuse._errors import InputError, NotComputableError
from survfuse.prediction import AVERAGE, Prediction
from survfuse.survival.calibration import fit_calibrator


def prediction(kind: str = "breslow") -> Prediction:
    rng = np.random.default_rng(3)
    risk = rng.normal(size=80)
    time = np.ceil(rng.exponential(30 / np.exp(risk)))
    event = rng.random(80) < 0.7
    calibrator = fit_calibrator(kind, time, event, risk)
    ids = ("a", "b", "c")
    log_risk = np.array([-0.5, 0.0, 1.5])
    zero = np.zeros(3)
    return Prediction(ids, log_risk, zero, zero.astype(int), "months", calibrator)


def test_a_curve_is_drawn_beside_that_of_the_average_patient() -> None:
    one = prediction()
    ax = new_axes()
    assert one.plot_survival("c", ax) is ax
    steps = one.survival_steps("c")
    x, y = line(ax, "c")
    np.testing.assert_array_equal(x, steps["time"])
    np.testing.assert_array_equal(y, steps["survival"])
    np.testing.assert_allclose(y, one.survival(x)[2])
    x, y = line(ax, AVERAGE)
    center: Any = one.calibrator
    np.testing.assert_allclose(y, one.calibrator.curves([center.center]).at(x)[0])


def test_curves_go_from_1_to_the_end_of_follow_up() -> None:
    one = prediction()
    steps = one.survival_steps(["b", "a"])
    assert list(dict.fromkeys(steps["patient_id"])) == ["b", "a"]
    for _, own in steps.groupby("patient_id"):
        assert own["time"].iloc[0] == 0
        assert own["survival"].iloc[0] == 1
        assert own["time"].iloc[-1] == one.curves.last
        assert (np.diff(own["survival"]) <= 0).all()


def test_a_population_that_is_given_is_drawn_instead() -> None:
    curve = pd.DataFrame({"time": [0.0, 10.0], "survival": [1.0, 0.4]})
    ax = prediction().plot_survival(
        ["a", "b"], new_axes(), population=curve, population_name="training patients"
    )
    np.testing.assert_array_equal(line(ax, "training patients")[1], curve["survival"])
    labels = [one.get_label() for one in ax.lines]
    assert AVERAGE not in labels
    assert {"a", "b"} <= set(labels)


def test_the_bar_below_is_the_interval_of_times() -> None:
    one = prediction()
    low, high = one.time_interval(0.5)
    ax = one.plot_survival("c", new_axes(), level=0.5)
    (bar,) = [each for each in ax.lines if max(each.get_ydata()) < 0]
    assert list(bar.get_xdata()) == [low[2], high[2]]


@pytest.mark.parametrize("patients", ["x", ["a", "x"]])
def test_unknown_patients_are_refused(patients: Any) -> None:
    with pytest.raises(
        InputError,
        match=r"patients: expected some of the 3 predicted \(a, b, c\), got x",
    ):
        prediction().plot_survival(patients)


def test_nobody_is_refused() -> None:
    with pytest.raises(InputError, match=r"got none"):
        prediction().plot_survival([])


def test_a_calibration_without_curves_has_nothing_to_draw() -> None:
    with pytest.raises(NotComputableError, match=r"km_rank gives a time and no surviv"):
        prediction("km_rank").plot_survival("a")


def test_a_prediction_is_written_into_obs_by_patient(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    one = prediction()
    data = anndata.AnnData(np.zeros((3, 1)), obs=pd.DataFrame(index=["c", "x", "a"]))
    names = one.to_anndata(data, [12])
    assert names[:2] == ("survfuse_log_risk", "survfuse_predicted_time")
    np.testing.assert_array_equal(data.obs["survfuse_log_risk"], [1.5, np.nan, -0.5])
    survival = one.survival([12])[:, 0]
    np.testing.assert_allclose(
        data.obs["survfuse_survival_12"],
        [survival[2], np.nan, survival[0]],
    )
    data.write_h5ad(tmp_path / "written.h5ad")
    with pytest.raises(InputError, match="obs has the columns survfuse_log_risk"):
        one.to_anndata(data)
    one.to_anndata(data, force=True)


def test_a_prediction_of_nobody_in_obs_is_refused() -> None:
    anndata = pytest.importorskip("anndata")
    obs = pd.DataFrame({"case": ["a", "a", "b"]}, index=["s1", "s2", "s3"])
    data = anndata.AnnData(np.zeros((3, 1)), obs=obs)
    with pytest.raises(
        InputError, match=r"none of the 3 predicted patients.*say which column"
    ):
        prediction().to_anndata(data)
    prediction().to_anndata(data, patient="case", prefix="m_")
    np.testing.assert_array_equal(data.obs["m_log_risk"], [-0.5, -0.5, 0.0])
    with pytest.raises(
        InputError, match="expected an AnnData or a MuData, got DataFrame"
    ):
        prediction().to_anndata(obs)


# -- shown in short


def test_a_prediction_is_shown_in_a_line() -> None:
    one = prediction()
    assert repr(one) == (
        "Prediction(3 patients, log-risk -0.500 to 1.500, risk groups 3 low, 0 middle, 0 high, "
        "times in months)"
    )
    noted = dataclasses.replace(one, notes=(("a", "slides: absent"),))
    assert repr(noted).endswith("times in months, 1 note(s))")
    nobody = np.array([])
    none = dataclasses.replace(
        one, patient_id=(), log_risk=nobody, predicted_time=nobody, risk_group=nobody
    )
    assert repr(none) == "Prediction(no patients)"


def test_a_large_prediction_stays_short() -> None:
    one = prediction()
    many = np.zeros(20_000)
    ids = tuple(f"P{number}" for number in range(len(many)))
    notes = tuple((patient, "drift") for patient in ids)
    large = Prediction(ids, many, many, many.astype(int), "days", one.calibrator, notes)
    assert len(repr(large)) < 200
    assert len(large._repr_html_()) < 6000
    assert "and 19995 more patients" in large._repr_html_()


def test_the_page_of_a_prediction_is_escaped() -> None:
    bad = dataclasses.replace(
        prediction(),
        patient_id=("<b>a", "b", "c"),
        predicted_time=np.array([np.nan, 3.0, 4.0]),
        notes=(("", "<script>"),),
    )
    page = bad._repr_html_()
    assert "<b>" not in page
    assert "<script>" not in page
    assert "not reached" in page


def test_a_prediction_is_its_log_risks_to_numpy() -> None:
    one = prediction()
    assert len(one) == 3
    np.testing.assert_array_equal(np.asarray(one), one.log_risk)
    assert np.asarray(one, dtype=np.float32).dtype == np.float32
    copied = np.array(one)
    copied[0] = 9
    assert one.log_risk[0] == -0.5
