"""Slope and O/E before and after recalibration, on an overfitted model of other patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from survfuse.evaluation.calibration_change import IN_SAMPLE, calibration_change
from survfuse.prediction import Prediction
from survfuse.survival.calibration import BreslowCalibrator, fit_calibrator
from survfuse.survival.curves import StepFunction

N = 600


def predicted(hazard: float = 0.02) -> tuple[Prediction, np.ndarray, np.ndarray]:
    """Risks twice as far apart as they should be, with a baseline hazard of 0.01."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=N)
    time = np.clip(rng.exponential(1 / (hazard * np.exp(truth))), 0.01, 120.0)
    event = time < 120.0
    grid = np.linspace(0.5, 120, 240)
    calibrator = BreslowCalibrator(0.0, 1.0, StepFunction(grid, 0.01 * grid, 0.0))
    risk = 2 * truth
    prediction = Prediction(
        patient_id=tuple(f"{i:03d}" for i in range(N)),
        log_risk=risk,
        predicted_time=calibrator.predicted_time(risk),
        risk_group=np.ones(N, dtype=np.int64),
        unit="months",
        calibrator=calibrator,
    )
    return prediction, time, event


def test_an_overfitted_model_is_seen_before_and_mended_after() -> None:
    before, time, event = predicted()
    calibrator = fit_calibrator("breslow_cal", time, event, before.log_risk)
    after = replace(before, calibrator=calibrator)
    change = calibration_change(before, after, time, event, 60.0)
    slope, ratio = change["calibration_slope"], change["observed_expected"]
    assert slope.before.value == pytest.approx(0.5, abs=0.05)
    assert slope.after.value == pytest.approx(1.0, abs=1e-3)
    assert ratio.after.value == pytest.approx(1.0, abs=0.01)
    assert ratio.before.value is not None
    assert abs(np.log(ratio.before.value)) > 0.1
    for one in (slope, ratio):
        assert one.before.events == int(event.sum())
        assert one.before.low < one.before.value < one.before.high  # type: ignore[operator]
        assert IN_SAMPLE not in one.before.note
        assert IN_SAMPLE in one.after.note


def test_a_calibration_without_curves_has_no_expected_events() -> None:
    before, time, event = predicted()
    ranked = fit_calibrator("km_rank", time, event, before.log_risk)
    calibrator = fit_calibrator("breslow_cal", time, event, before.log_risk)
    change = calibration_change(
        replace(before, calibrator=ranked),
        replace(before, calibrator=calibrator),
        time,
        event,
        60.0,
    )
    ratio = change["observed_expected"].before
    assert ratio.value is None
    assert "no survival curves" in ratio.note
    assert change["calibration_slope"].before.value == pytest.approx(0.5, abs=0.05)
