from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from report.conftest import Builder
from survfuse.results import Result
from survfuse.results.prognosis import compute, observed_at
from survfuse.survival.curves import kaplan_meier
from survfuse.survival.groups import log_rank


def rewrite(out: Path, **columns: object) -> Path:
    """Overwrite columns of predictions.csv."""
    frame = pd.read_csv(out / "predictions.csv").assign(**columns)
    frame.to_csv(out / "predictions.csv", index=False)
    return out


def test_curves_are_kaplan_meier_of_the_groups(run_folder: Path) -> None:
    run = Result.read(run_folder)
    frames = compute(run).frames
    for group, part in run.first_repeat.groupby("risk_group"):
        curve = frames["risk_curves"][frames["risk_curves"]["group"] == group]
        expected = kaplan_meier(part["time"], part["event"])
        assert curve["survival"].to_numpy() == pytest.approx(
            expected(curve["time"].to_numpy()),
        )
        assert curve["time"].iloc[0] == 0
        assert curve["survival"].iloc[0] == 1
        assert curve["time"].iloc[-1] == part["time"].max()


def test_groups_at_risk_and_test(run_folder: Path) -> None:
    run = Result.read(run_folder)
    found = compute(run)
    groups, frame = found.frames["risk_groups"], run.first_repeat
    assert groups["patients"].sum() == len(frame)
    assert groups["events"].sum() == frame["event"].sum()
    at_risk = found.frames["at_risk"]
    late = at_risk[at_risk["time"] == 24]
    assert late["at_risk"].sum() == (frame["time"] >= 24).sum()
    test = log_rank(frame["time"], frame["event"], frame["risk_group"])
    assert found.log_rank["statistic"] == pytest.approx(test.chi2)
    assert found.log_rank["p_value"] == pytest.approx(test.p)


def test_only_the_first_repeat_is_drawn(make_run: Builder) -> None:
    found = compute(Result.read(make_run(repeats=3)))
    assert found.frames["risk_groups"]["patients"].sum() == 150
    assert found.frames["calibration"]["patients"].sum() == 150


def test_calibration_sets_predicted_against_observed(run_folder: Path) -> None:
    run = Result.read(run_folder)
    table = compute(run).frames["calibration"]
    frame = run.first_repeat.sort_values("survival_36")
    assert table["patients"].tolist() == [30] * 5
    first = frame.head(30)
    assert table["predicted"][0] == pytest.approx(first["survival_36"].mean())
    assert table["observed"][0] == pytest.approx(
        float(kaplan_meier(first["time"], first["event"])(36)),
    )
    assert (table["low"] <= table["observed"]).all()
    assert (table["observed"] <= table["high"]).all()


def test_calibration_without_curves_says_why(make_run: Builder) -> None:
    found = compute(Result.read(make_run(curves=False)))
    assert found.frames["calibration"].empty
    assert (
        found.reasons["calibration"]
        == "not computable: the calibration method gives no curve"
    )
    none = compute(Result.read(make_run("none", horizons=())))
    assert none.reasons["calibration"] == "not computable: the run has no horizon"


def test_equal_predictions_stay_in_one_group(make_run: Builder) -> None:
    out = make_run()
    rewrite(out, survival_36=np.where(np.arange(150) < 100, 0.5, 0.25))
    table = compute(Result.read(out)).frames["calibration"]
    assert table["patients"].sum() == 150
    assert table["predicted"].is_unique
    rewrite(out, survival_36=0.5)
    assert compute(Result.read(out)).frames["calibration"]["patients"].tolist() == [150]


def test_patients_without_a_prediction_are_counted(make_run: Builder) -> None:
    out = make_run()
    rewrite(
        out,
        survival_36=np.where(np.arange(150) < 7, np.nan, np.linspace(0.1, 0.9, 150)),
    )
    found = compute(Result.read(out))
    assert found.frames["calibration"]["patients"].sum() == 143
    assert found.reasons["calibration"].startswith("7 of 150 patients")


def test_observed_survival_beyond_follow_up_is_not_computable() -> None:
    time, event = pd.Series([3.0, 5.0, 8.0]), pd.Series([True, False, False])
    told = observed_at(time, event, 12.0, "months")
    assert np.isnan(told["survival"])
    assert told["note"] == "not computable: follow-up ends at 8 months"
    everyone_died = observed_at(time, pd.Series([True, True, True]), 12.0, "months")
    assert everyone_died["survival"] == 0
    nobody = observed_at(time, pd.Series([False, False, False]), 4.0, "months")
    assert nobody["survival"] == 1
    assert nobody["note"] == "no event yet: no interval"
    assert np.isnan(nobody["low"])


def test_a_group_without_events_is_flat(make_run: Builder) -> None:
    out = make_run()
    frame = pd.read_csv(out / "predictions.csv")
    rewrite(out, event=np.where(frame["risk_group"] == 0, 0, frame["event"]))
    found = compute(Result.read(out))
    curve = found.frames["risk_curves"].query("group == 0")
    assert (curve["survival"] == 1).all()
    assert found.frames["risk_groups"]["events"][0] == 0
    assert np.isnan(found.frames["risk_groups"]["median"][0])


def test_no_groups_one_group(make_run: Builder) -> None:
    out = make_run()
    rewrite(out, risk_group=np.nan)
    none = compute(Result.read(out))
    assert none.frames["risk_curves"].empty
    assert "no patient" in none.reasons["risk_curves"]
    assert none.log_rank["p_value"] is None
    rewrite(out, risk_group=1)
    one = compute(Result.read(out))
    assert one.log_rank["p_value"] is None
    assert "two groups" in one.log_rank["note"]


def test_share_of_the_most_common_time(make_run: Builder) -> None:
    out = make_run()
    times = np.where(np.arange(150) < 90, 84.0, np.arange(150) / 2)
    rewrite(out, predicted_time=np.where(np.arange(150) < 10, np.nan, times))
    row = compute(Result.read(out)).frames["times"].iloc[0]
    assert (row["with_time"], row["not_reached"]) == (140, 10)
    assert row["most_common"] == 84.0
    assert row["share"] == pytest.approx(80 / 150)
    bins = compute(Result.read(out)).frames["time_bins"]
    assert bins["patients"].sum() == 140


def test_no_predicted_times(make_run: Builder) -> None:
    out = make_run()
    rewrite(out, predicted_time=np.nan)
    found = compute(Result.read(out))
    assert found.frames["time_bins"].empty
    assert "no predicted median" in found.reasons["time_bins"]
