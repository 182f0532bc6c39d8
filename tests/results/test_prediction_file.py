"""The file of predictions: rounded where that helps, and exact enough where it matters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survfuse.prediction import Prediction
from survfuse.results.prediction_file import prediction_table
from survfuse.survival.calibration import fit_calibrator

RISK = np.array([-1.23456789012345, 0.0, 2.353833646998348])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    time = np.round(rng.exponential(30, 200), 4) + 0.01
    calibrator = fit_calibrator(
        "breslow", time, rng.random(200) < 0.9, rng.normal(size=200)
    )
    prediction = Prediction(
        patient_id=("a", "b", "c"),
        log_risk=RISK,
        predicted_time=calibrator.predicted_time(RISK),
        risk_group=np.array([0, 1, 2]),
        unit="months",
        calibrator=calibrator,
        in_training=np.array([True, False, False]),
    )
    return prediction_table(prediction, (12.0, 36.0))


def test_columns_keep_their_names_and_gain_unit_and_words(table: pd.DataFrame) -> None:
    assert list(table) == [
        "patient_id",
        "log_risk",
        "predicted_time",
        "time_low",
        "time_high",
        "unit",
        "survival_12",
        "survival_36",
        "rmst_36",
        "risk_group",
        "risk_group_name",
        "in_training",
    ]
    assert table["unit"].tolist() == ["months"] * 3
    assert table["risk_group_name"].tolist() == ["low", "intermediate", "high"]
    assert table["risk_group"].tolist() == [0, 1, 2]


def test_numbers_have_as_many_digits_as_help(table: pd.DataFrame) -> None:
    assert table["log_risk"].tolist() == [-1.23456789, 0.0, 2.353833647]
    for name in ("predicted_time", "time_low", "time_high", "rmst_36"):
        for value in table[name].dropna():
            assert value == float(f"{value:.5g}")
    for name in ("survival_12", "survival_36"):
        for value in table[name]:
            assert value == round(value, 6)
    text = table.to_csv(index=False)
    assert max(map(len, text.splitlines()[1].split(","))) <= 12
