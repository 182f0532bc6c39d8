from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survfuse as sf
from cross_validated import table
from survfuse._errors import ConfigError, InputError, NotComputableError
from survfuse.evaluation import Result, evaluate
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.comparisons import Increment, increments
from survfuse.figures.plotting import axes_of

SCALE = Scale((10.0, 20.0), 20.0)
PATIENTS = 80


def predictions(seed: int, spread: float) -> pd.DataFrame:
    frame = table(PATIENTS, seed=seed, spread=spread)
    risk = frame["log_risk"] - 10 * frame["fold"]
    for time in (10, 20):
        frame[f"survival_{time}"] = np.exp(-time / 20 * np.exp(0.5 * risk))
    return frame


@cache
def pilot(repeats: int = 2) -> Result:
    """A run of a model, clinical variables alone, and two models without a modality."""
    models = {"full": (0, 0.5), "ridge:clinical": (1, 2.0), "late:-rna": (2, 1.5)}
    frames = {name: predictions(*how) for name, how in models.items()}
    whole = pd.concat(frames, names=["model"]).reset_index("model")
    whole = whole[whole["repeat"] < repeats]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        whole.to_csv(path, index=False)
        run = evaluate(
            path,
            reference="ridge:clinical",
            name="full",
            horizons=SCALE.horizons,
            draws=0,
            unit="months",
        )
    wanted = [
        Increment("rna", "late fusion", "full", "late:-rna"),
        Increment("slides", "permuted at prediction", "full", "ridge:clinical"),
    ]
    rows = increments(run.folds, wanted, SCALE)
    return replace(run, performance={**run.performance, "increment": rows})


@cache
def plan_of(**how: Any) -> sf.Plan:
    return sf.plan(pilot(), **{"delta": 0.05, **how})


def test_at_the_size_of_the_pilot_widths_are_those_of_its_intervals():
    plan, run = plan_of(), pilot()
    known = run.estimates["full"]
    at = plan.widths_table.set_index(["patients", "metric"])
    for metric in ("uno_c", "isbs"):
        half = at.loc[(PATIENTS, metric), "half_width"]
        assert half == pytest.approx(1.959964 * known[metric].se, rel=1e-6)
    slope = at.loc[(PATIENTS, "calibration_slope")]
    assert slope["low"] == pytest.approx(1 - 1.959964 * known["calibration_slope"].se)
    events = known["observed_expected"].events
    ratio = at.loc[(PATIENTS, "observed_expected")]
    assert ratio["high"] == pytest.approx(np.exp(1.959964 * events**-0.5))


def test_more_patients_make_every_interval_narrower():
    table = plan_of().widths_table.pivot(
        index="patients", columns="metric", values="half_width"
    )
    assert (table.diff().dropna() < 0).all(axis=None)
    assert list(table.index) == [80, 160, 320, 640]


def test_increments_are_planned_for_modalities_and_for_the_model_over_clinical_variables():
    rows = plan_of().increments_table
    assert rows["what"].tolist() == ["rna", "the whole model"]
    assert rows["without"].tolist() == ["late:-rna", "ridge:clinical"]
    assert (rows["patients_low"] < rows["patients"]).all()
    assert (rows["patients"] < rows["patients_high"]).all()
    rate = pilot().cohort["events"] / PATIENTS
    assert rows["events"].tolist() == [int(np.ceil(n * rate)) for n in plan_exact()]


def plan_exact() -> list[float]:
    return [one.patients for one in plan_of().increments]  # type: ignore[misc]


def test_as_many_patients_as_needed_have_the_power():
    for one in plan_of(power=0.9).increments:
        assert one.precision is not None
        assert one.precision.power(0.05, one.patients or 0) == pytest.approx(
            0.9, abs=1e-4
        )


def test_smaller_increments_and_more_power_need_more_patients():
    assert plan_exact()[0] < plan_of(delta=0.04).increments[0].patients
    assert plan_exact()[0] < plan_of(power=0.9).increments[0].patients


def test_an_error_that_becomes_smaller_is_an_increment_above_0():
    run = pilot()
    row = run.performance["increment"][0]["delta_isbs"]
    one = plan_of(metric="isbs", delta=0.01).increments[0]
    assert one.estimate.value == pytest.approx(-row["value"])
    assert one.estimate.low == pytest.approx(-row["high"])


def test_a_folder_gives_the_plan_of_its_result(tmp_path: Path):
    pilot().write(tmp_path)
    read = sf.plan(tmp_path, delta=0.05, patients=[1000])
    pd.testing.assert_frame_equal(
        read.increments_table, plan_of().increments_table, check_exact=False
    )
    assert 1000 in read.sizes


def test_the_public_name_stays_the_function_after_its_first_call():
    sf.plan(pilot(), delta=0.05)
    assert callable(sf.plan)
    assert sf.Plan is type(plan_of())


def test_a_plan_is_written_as_plain_values():
    content = json.loads(json.dumps(plan_of().to_dict(), allow_nan=False))
    assert content["format"] == "survfuse-plan"
    assert content["pilot"] == {
        "patients": 80,
        "events": pilot().cohort["events"],
        "repeats": 2,
    }
    assert (
        content["increments"][0]["patients"]
        == plan_of().increments_table["patients"][0]
    )
    assert content["assumptions"]


def test_one_repeat_is_said_to_leave_plans_on_the_safe_side():
    plan = sf.plan(pilot(1), delta=0.05)
    assert not plan.measured_share
    assert "one repeat" in plan.notes[0]
    assert "one repeat" not in " ".join(plan_of().notes)


def test_the_modality_to_buy_is_named_with_its_doubt():
    sentence = plan_of().buy_next
    assert sentence.startswith("rna (late fusion) needs the fewest patients")
    assert "[" in sentence


def test_a_modality_that_gained_nothing_is_not_bought():
    plan = plan_of()
    one = replace(plan.increments[0], for_estimate=None)
    nothing = replace(plan, increments=(one,))
    assert "no modality improved" in nothing.buy_next
    none = replace(plan, clinical=("rna",))
    assert "cannot be told" in none.buy_next


def test_an_interval_that_holds_0_is_too_wide_to_tell():
    plan = plan_of()
    wide = replace(plan.increments[0].estimate, value=0.02, low=-0.03)
    one = replace(plan.increments[0], estimate=wide, for_estimate=900.0)
    assert "too small to tell" in replace(plan, increments=(one,)).buy_next
    sure = replace(wide, low=0.01, se=0.005)
    first = replace(one, estimate=sure)
    second = replace(
        one, what="slides", estimate=replace(sure, value=0.015), for_estimate=1e3
    )
    close = replace(plan, increments=(first, second))
    assert "does not tell it from slides" in close.buy_next
    alone = replace(plan, increments=(first,))
    assert "No other modality comes close" in alone.buy_next


def test_a_learning_curve_is_told():
    curve = ((50.0, 0.01), (150.0, 0.025))
    sentence = replace(plan_of(), curve=curve).assumptions[-1]
    assert "+0.010 with 50, +0.025 with 150 training patients" in sentence


def test_figures_draw_every_increment_and_the_interval():
    plan = plan_of()
    ax = plan.plot_power(axes_of(None, (5, 3)))
    assert [line.get_label() for line in ax.get_lines()][:2] == [
        "rna, late fusion",
        "the whole model, over clinical variables",
    ]
    ax = plan.plot_width(axes_of(None, (5, 3)), metric="calibration_slope")
    assert ax.get_ylabel() == "Calibration slope"
    with pytest.raises(NotComputableError, match="metric 'ici': the plan has uno_c"):
        plan.plot_width(metric="ici")
    with pytest.raises(NotComputableError, match="no increment"):
        replace(plan, increments=()).plot_power()


@pytest.mark.parametrize("delta", [0.0, -0.1, float("nan"), float("inf"), 1.5])
def test_an_increment_that_cannot_be_is_refused(delta: float):
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        plan_of(delta=delta)


@pytest.mark.parametrize("power", [0.0, 1.0, -1.0, float("nan")])
def test_a_power_that_cannot_be_is_refused(power: float):
    with pytest.raises(ConfigError, match="a chance above 0 and below 1"):
        plan_of(power=power)


def test_a_power_in_per_cent_is_answered():
    with pytest.raises(ConfigError, match=r"80\.0 % is 0\.8"):
        plan_of(power=80.0)


def test_other_metrics_and_sizes_are_refused():
    with pytest.raises(ConfigError, match="expected one of uno_c, isbs"):
        plan_of(metric="auc")
    with pytest.raises(ConfigError, match="patients 0: expected a whole number"):
        plan_of(patients=(0,))


def test_too_few_events_are_refused():
    cohort: Any = {**pilot().cohort, "events": 19}
    with pytest.raises(
        InputError, match="19 events among 80 patients, and 20 are needed"
    ):
        sf.plan(replace(pilot(), cohort=cohort))


def test_a_run_without_increments_is_refused():
    run = replace(pilot(), performance={"increment": None, "comparisons": []})
    with pytest.raises(InputError, match="no increment to plan for"):
        sf.plan(run)


def test_a_run_without_the_risks_of_its_comparators_is_refused():
    run = pilot()
    models = {"full": run.models["full"]}
    with pytest.raises(
        InputError, match=r"no predictions of 'late:-rna'.*crossval COHORT"
    ):
        sf.plan(replace(run, models=models, folds={}))


def test_an_increment_without_a_standard_error_has_a_reason():
    run = pilot()
    row = {**run.performance["increment"][0], "delta_uno_c": None}
    rows: Any = {**run.performance, "increment": [row]}
    plan = sf.plan(replace(run, performance=rows))
    assert plan.increments[0].note == "no plan: the run does not hold it"
    assert plan.increments_table["patients"].isna()[0]
