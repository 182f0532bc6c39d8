from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from running import QUICK, bits, loaded, members, quick, small
from survfuse._errors import (
    BundleError,
    CohortError,
    ConfigError,
    InputError,
    LeakageError,
    NotComputableError,
    TransformError,
)
from survfuse.cohort import Cohort
from survfuse.config import PARAMETERS, FitConfig
from survfuse.estimator import Prediction, SurvivalFusion
from survfuse.estimators.neural_network import NetworkEnsemble
from survfuse.models import FUSIONS
from survfuse.survival.curves import kaplan_meier


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def model(cohort: Cohort) -> SurvivalFusion:
    return quick().fit(cohort)


# -- scikit-learn's conventions


def test_parameters_are_all_fields_with_their_values() -> None:
    model = SurvivalFusion(fusion="pairwise", rank=64)
    parameters = model.get_params()
    assert set(parameters) == {"preset", "fusion", *PARAMETERS}
    assert (parameters["fusion"], parameters["rank"], parameters["preset"]) == (
        "pairwise",
        64,
        "default",
    )
    assert SurvivalFusion(preset="paper").get_params()["vector_hidden"] == (
        2048,
        512,
        128,
    )
    assert repr(model) == "SurvivalFusion(fusion='pairwise', rank=64)"


def test_a_clone_has_the_parameters_and_nothing_learned(model: SurvivalFusion) -> None:
    twin = clone(model)
    assert twin is not model
    assert twin.config == model.config
    assert twin.fitted is None
    assert clone(clone(twin)).get_params() == model.get_params()


def test_a_clone_of_a_list_parameter_is_allowed() -> None:
    assert clone(SurvivalFusion(vector_hidden=[8, 4])).config.network.vector_hidden == (
        8,
        4,
    )


def test_set_params_forgets_what_was_learned(cohort: Cohort) -> None:
    model = quick().fit(cohort)
    assert model.set_params(rank=3, dropout=0.1) is model
    assert model.fitted is None
    assert (
        model.config.network.rank,
        model.config.network.dropout,
        model.config.training.epochs,
    ) == (
        3,
        0.1,
        QUICK["epochs"],
    )
    assert SurvivalFusion(**model.get_params()).config == model.config


def test_wrong_parameters_are_named_and_change_nothing(cohort: Cohort) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^model\.rnak: unknown field; did you mean 'network\.rank'\?$",
    ):
        SurvivalFusion(rnak=3)
    model = quick().fit(cohort)
    before = model.get_params()
    with pytest.raises(
        ConfigError,
        match=r"^model\.network\.rank: .*greater than or equal to 1, got 0$",
    ):
        model.set_params(rank=0)
    assert model.get_params() == before
    assert model.fitted is not None


def test_set_params_to_a_preset_brings_its_values() -> None:
    assert SurvivalFusion().set_params(preset="paper").config == FitConfig.of("paper")


def test_set_params_to_a_preset_brings_its_values_on_a_clone_too() -> None:
    assert (
        clone(SurvivalFusion()).set_params(preset="paper").config.fusion == "pairwise"
    )


def test_the_signature_shows_the_parameters() -> None:
    assert set(SurvivalFusion.__signature__.parameters) == {
        "preset",
        "fusion",
        *PARAMETERS,
    }


def test_fitting_leaves_the_parameters_alone(cohort: Cohort) -> None:
    model = quick()
    before = copy.deepcopy(model.get_params())
    assert model.fit(cohort) is model
    assert model.get_params() == before


# -- predictions


def test_a_prediction_is_a_row_per_patient_in_the_order_asked(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    whole = model.predict(cohort)
    assert whole.patient_id == cohort.patients
    assert whole.unit == "days"
    some = model.predict(cohort, ["009", "002"])
    assert some.patient_id == ("009", "002")
    rows = [cohort.patients.index(patient) for patient in some.patient_id]
    np.testing.assert_allclose(some.log_risk, whole.log_risk[rows], rtol=0, atol=1e-6)
    assert set(whole.risk_group) <= {0, 1, 2}


def test_predicting_twice_is_the_same_bit_by_bit(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    np.testing.assert_array_equal(
        model.predict(cohort).log_risk,
        model.predict(cohort).log_risk,
    )


def test_prediction_never_reads_the_outcome(
    model: SurvivalFusion,
    tmp_path: Path,
    cohort: Cohort,
) -> None:
    files = small(tmp_path)
    expected = model.predict(cohort)
    files.patients["os_days"] = files.patients["os_days"].to_numpy()[::-1]
    files.patients["os_event"] = 1
    np.testing.assert_array_equal(
        model.predict(loaded(files)).log_risk,
        expected.log_risk,
    )
    del files.spec["outcome"]
    bare = loaded(files, need_outcome=False)
    assert bare.outcome is None
    np.testing.assert_array_equal(model.predict(bare).log_risk, expected.log_risk)


def test_the_frame_has_the_documented_columns(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    prediction = model.predict(cohort)
    frame = prediction.frame((365, 912.5))
    assert list(frame) == [
        "patient_id",
        "log_risk",
        "predicted_time",
        "survival_365",
        "survival_912.5",
        "risk_group",
    ]
    assert list(prediction.frame()) == [
        "patient_id",
        "log_risk",
        "predicted_time",
        "risk_group",
    ]
    np.testing.assert_array_equal(
        frame["survival_365"],
        prediction.survival([365])[:, 0],
    )


def test_the_detailed_frame_has_the_documented_columns(cohort: Cohort) -> None:
    prediction = quick(conformal=0.7).fit(cohort, cohort.patients[:14]).predict(cohort)
    frame = prediction.frame((365, 912.5), details=True)
    assert list(frame) == [
        "patient_id",
        "log_risk",
        "predicted_time",
        "time_low",
        "time_high",
        "survival_365",
        "survival_912.5",
        "rmst_912.5",
        "risk_group",
        "lower_bound",
        "in_training",
        "drift",
        "drift_clinical",
        "drift_expression",
        "drift_slides",
    ]
    np.testing.assert_array_equal(frame["rmst_912.5"], prediction.rmst(912.5))
    assert prediction.bound is not None
    np.testing.assert_array_equal(
        frame["lower_bound"],
        prediction.bound.lower(prediction.log_risk),
    )
    assert prediction.bound.level == 0.7
    assert frame["in_training"].tolist() == [1] * 14 + [0] * 10
    assert frame["drift_slides"][14:].between(0, 1).all()
    assert frame["drift_slides"][:14].isna().all()
    assert not any(
        name.startswith("rmst") for name in prediction.frame((1e9,), details=True)
    )
    assert not any(
        name.startswith("rmst") for name in prediction.frame((0.0,), details=True)
    )


def test_the_interval_of_a_time_holds_the_share_it_says(cohort: Cohort) -> None:
    prediction = quick(calibration="km").fit(cohort).predict(cohort)
    low, high = prediction.time_interval(0.5)
    assert cohort.outcome is not None
    curve = kaplan_meier(cohort.outcome["time"], cohort.outcome["event"])
    assert low[0] == curve.first_at_most(0.75)
    assert high[0] == curve.first_at_most(0.25) or np.isnan(high[0])
    low, high = prediction.time_interval()
    assert low[0] == curve.first_at_most(0.9)
    known = ~np.isnan(prediction.predicted_time)
    assert (low[known] <= prediction.predicted_time[known]).all()
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match=r"^level must lie between 0 and 1, got"):
            prediction.time_interval(level)


def test_curves_are_curves(cohort: Cohort) -> None:
    prediction = quick(calibration="breslow").fit(cohort).predict(cohort)
    times = np.array([0.0, 100, 500, 1000, 2000])
    survival = prediction.survival(times)  # (patients, times)
    np.testing.assert_array_equal(survival[:, 0], 1)
    assert (np.diff(survival, axis=1) <= 0).all()
    assert ((survival >= 0) & (survival <= 1)).all()
    order = np.argsort(prediction.log_risk)
    assert (np.diff(survival[order], axis=0) <= 1e-12).all(), (
        "a larger risk never survives longer"
    )
    assert (np.diff(prediction.rmst(1000)[order]) <= 1e-9).all()
    known = ~np.isnan(prediction.predicted_time)
    np.testing.assert_array_equal(
        prediction.predicted_time[known],
        prediction.median_time[known],
    )


@pytest.mark.parametrize("time", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("calibration", ["breslow", "km_rank"])
def test_a_time_that_is_none_gets_no_number(
    cohort: Cohort,
    calibration: str,
    time: float,
) -> None:
    prediction = quick(calibration=calibration).fit(cohort).predict(cohort)
    with pytest.raises(InputError, match=r"^times must be finite and >= 0, got \["):
        prediction.frame((365, time))


def test_a_time_after_the_last_follow_up_is_not_known(cohort: Cohort) -> None:
    survival = quick(calibration="breslow").fit(cohort).predict(cohort).survival([1e9])
    assert np.isnan(survival).all()


def test_a_patient_without_a_finite_risk_is_named(
    model: SurvivalFusion,
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    risks = np.zeros(len(cohort))
    risks[cohort.patients.index("007")] = np.inf
    monkeypatch.setattr(NetworkEnsemble, "log_risk", lambda *_: risks)
    with pytest.raises(
        TransformError,
        match=r"^no finite risk for 007; look for values far outside training$",
    ):
        model.predict(cohort)


def test_the_rank_map_gives_times_and_no_curve(cohort: Cohort) -> None:
    prediction = quick(calibration="km_rank").fit(cohort).predict(cohort)
    assert np.isfinite(prediction.predicted_time).all()
    assert prediction.frame((365,))["survival_365"].isna().all()
    with pytest.raises(NotComputableError, match=r"km_rank"):
        _ = prediction.curves
    with pytest.raises(NotComputableError, match=r"km_rank"):
        prediction.time_interval()
    frame = prediction.frame((365,), details=True)
    assert frame[["time_low", "time_high"]].isna().all(axis=None)
    assert "rmst_365" not in frame
    with pytest.raises(
        ConfigError,
        match=r"conformal: the bound is read from a curve, and km_rank has none",
    ):
        quick(calibration="km_rank", conformal=0.9)


def test_risk_groups_are_cut_at_the_training_tertiles(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    prediction = model.predict(cohort)
    assert model.fitted is not None
    low, high = model.fitted.risk_cuts
    assert low <= high
    expected = (prediction.log_risk > low).astype(int) + (prediction.log_risk > high)
    np.testing.assert_array_equal(prediction.risk_group, expected)


def test_the_mean_of_the_members_is_predicted(cohort: Cohort) -> None:
    pair = quick(members=2, selection="last").fit(cohort)
    assert pair.fitted is not None
    assert len(members(pair)) == 2
    each = [
        quick(seed=quick().config.training.seed + member, selection="last").fit(cohort)
        for member in range(2)
    ]
    # members differ from single fits in their inner folds only, which `last` does not train the refit on
    mean = np.mean([one.predict(cohort).log_risk for one in each], axis=0)
    np.testing.assert_allclose(pair.predict(cohort).log_risk, mean, rtol=0, atol=1e-6)


def test_a_discrete_head_goes_all_the_way(cohort: Cohort, tmp_path: Path) -> None:
    model = quick(head="discrete", bins=3).fit(cohort)
    prediction = model.predict(cohort)
    assert np.isfinite(prediction.log_risk).all()
    assert len(set(prediction.log_risk)) > 1
    survival = prediction.survival([365, 1000])
    assert ((survival >= 0) & (survival <= 1)).all()
    again = SurvivalFusion.load(model.save(tmp_path / "bundle")).predict(cohort)
    np.testing.assert_array_equal(again.log_risk, prediction.log_risk)


def test_an_unfitted_model_says_so(cohort: Cohort) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^this SurvivalFusion is not fitted yet; call fit\(cohort\) or load\(folder\)$",
    ):
        quick().predict(cohort)


# -- what a reader must know of a patient


def notes_of(prediction: Prediction, patient: str) -> list[str]:
    return [message for who, message in prediction.notes if who == patient]


def test_whole_patients_need_no_note(model: SurvivalFusion, cohort: Cohort) -> None:
    ((who, message),) = model.predict(cohort).notes
    assert (who, message[:39]) == ("", "24 of 24 patients were trained on (in_t")


def test_an_unknown_category_is_noted_and_treated_as_unknown(tmp_path: Path) -> None:
    files = small(tmp_path)
    for patient in ("001", "002", "003", "004", "005"):
        files.set(patient, "sex", "")  # training knows "unknown"
    model = quick().fit(loaded(files))
    found = []
    for word in ("divers", ""):
        files.set("007", "sex", word)
        found.append(model.predict(loaded(files), ["007"]))
    assert notes_of(found[0], "007") == [
        "clinical: sex: unseen category: 'divers'; treated as unknown",
    ]
    assert notes_of(found[1], "007") == []
    np.testing.assert_array_equal(found[0].log_risk, found[1].log_risk)


def test_a_missing_number_that_training_never_missed_is_noted(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.set("007", "age", "NA")
    (note,) = notes_of(model.predict(loaded(files)), "007")
    assert note.startswith("clinical: age: imputed: missing; training mean ")


def test_a_value_far_outside_training_is_noted(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.set("007", "age", 900)
    prediction = model.predict(loaded(files))
    first, second = notes_of(prediction, "007")
    assert first.startswith("clinical: age: out of range: 900; training ")
    assert (
        second
        == "clinical: drift: 0 of 24 training patients are as far from what is usual"
    )
    row = prediction.patient_id.index("007")
    assert prediction.drift is not None
    assert prediction.drift.marks[row] == "clinical"
    assert prediction.frame(details=True)["drift"][row] == "clinical"


@pytest.mark.parametrize(("missing", "refused"), [(2, False), (6, True)])
def test_too_few_genes_are_refused_and_the_patient_named(
    tmp_path: Path,
    missing: int,
    refused: bool,
) -> None:
    files = small(tmp_path, genes=10)
    model = quick().fit(loaded(files))
    assert files.expression is not None
    files.expression.loc["007", files.expression.columns[:missing]] = np.nan
    new = loaded(files)
    if refused:
        with pytest.raises(
            TransformError,
            match=r"^expression: 1 patient\(s\) have too few of the 10 training genes: 007 \(40\.0%\); "
            r"at least 80% are needed \(expression_min_coverage\)$",
        ):
            model.predict(new)
        assert len(model.predict(new, ["001", "002"]).log_risk) == 2
    else:
        assert notes_of(model.predict(new), "007") == [
            "expression: : missing genes: 2 of 10 genes; training means used",
        ]


def test_an_expression_file_with_few_of_the_genes_is_refused(tmp_path: Path) -> None:
    files = small(tmp_path, genes=10)
    model = quick().fit(loaded(files))
    assert files.expression is not None
    files.expression = files.expression.iloc[:, :4]
    with pytest.raises(
        TransformError,
        match=r"24 patient\(s\) have too few.*001 \(40\.0%\).*and 14 more",
    ):
        model.predict(loaded(files))


def test_features_of_another_width_are_refused(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    with pytest.raises(
        TransformError,
        match=r"^slides: trained on 4 features per tile \(uni\), this cohort has 6 \(uni\)$",
    ):
        model.predict(loaded(small(tmp_path, dim=6)))


def test_expression_of_another_unit_is_refused(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.spec["expression"]["unit"] = "vst"
    with pytest.raises(
        TransformError,
        match=r"^expression: trained on unit 'log2tpm', this cohort has 'vst'",
    ):
        model.predict(loaded(files))


def with_gaps(files: Any) -> Any:
    """Let the first patients lack something each: 001 slides, 002 expression, 003 both, 004 clinical."""
    files.expression = files.expression.drop(index=["002", "003"])
    files.slides = files.slides[~files.slides["patient_id"].isin(["001", "003"])]
    files.bags = {
        name: bag
        for name, bag in files.bags.items()
        if name in set(files.slides["slide_id"])
    }
    for column in ("age", "stage", "sex"):
        files.set("004", column, "")
    return files


@pytest.mark.parametrize("fusion", ["anchored", *FUSIONS])
@pytest.mark.parametrize("gaps_in", ["training", "prediction", "both"])
def test_any_modality_may_be_missing_for_any_patient(
    tmp_path: Path,
    fusion: str,
    gaps_in: str,
) -> None:
    whole = loaded(small(tmp_path / "whole"))
    gaps = loaded(with_gaps(small(tmp_path / "gaps")))
    model = quick(fusion=fusion, rank=2).fit(whole if gaps_in == "prediction" else gaps)
    prediction = model.predict(whole if gaps_in == "training" else gaps)
    assert np.isfinite(prediction.log_risk).all()
    if gaps_in != "training":
        assert notes_of(prediction, "001") == ["slides: absent"]
        assert notes_of(prediction, "002") == ["expression: absent"]
        assert notes_of(prediction, "003") == ["expression: absent", "slides: absent"]
        assert notes_of(prediction, "004") == ["clinical: absent"]
        assert notes_of(prediction, "005") == []
    if (
        gaps_in == "prediction"
    ):  # who has everything is predicted as if nobody lacked anything
        expected = model.predict(whole).log_risk
        np.testing.assert_allclose(
            prediction.log_risk[4:],
            expected[4:],
            rtol=0,
            atol=1e-6,
        )


def test_a_cohort_without_a_modality_is_predicted(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    del files.spec["slides"], files.spec["expression"]
    prediction = model.predict(loaded(files))
    assert np.isfinite(prediction.log_risk).all()
    assert notes_of(prediction, "001") == ["expression: absent", "slides: absent"]


def test_a_patient_with_nothing_is_noted(cohort: Cohort, tmp_path: Path) -> None:
    model = quick(modalities=("expression", "slides")).fit(cohort)
    gaps = loaded(with_gaps(small(tmp_path)))
    prediction = model.predict(gaps)
    assert notes_of(prediction, "003") == [
        "expression: absent",
        "slides: absent",
        "no modality at all: the risk is the network's constant, not this patient's",
    ]
    assert np.isfinite(prediction.log_risk).all()
    del gaps.modalities["expression"], gaps.modalities["slides"]  # type: ignore[attr-defined]
    constants = model.predict(gaps).log_risk
    assert len(set(constants)) == 1


def test_a_followup_column_is_refused_as_an_input(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.patients["doses"] = range(24)
    files.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
    }
    cohort = loaded(files)
    with pytest.raises(
        LeakageError,
        match=r"^clinical: 'doses' accrue during follow-up",
    ):
        quick().fit(cohort)
    assert quick(allow_followup=("doses",)).fit(cohort).fitted is not None
    assert quick(modalities=("slides",)).fit(cohort).fitted is not None


def test_what_is_learned_does_not_depend_on_absent_patients_fillers(
    tmp_path: Path,
) -> None:
    """A patient who lacks a modality brings no zeros into it: dropping the modality's row is all there is."""
    models = []
    for filler in ("", "NA"):
        files = small(tmp_path / (filler or "empty"))
        for column in ("age", "stage", "sex"):
            files.set("004", column, filler)
        models.append(bits(quick().fit(loaded(files))))
    assert models[0] == models[1]


def test_prediction_keeps_ids_as_text(model: SurvivalFusion, cohort: Cohort) -> None:
    frame = model.predict(cohort).frame()
    assert frame["patient_id"].tolist()[0] == "001"
    assert pd.api.types.is_float_dtype(frame["predicted_time"])


def test_the_rank_map_says_where_it_knows_no_time(cohort: Cohort) -> None:
    """On the last plateau of the training curve the time it tells is a bound."""
    model = quick(calibration="km_rank").fit(cohort)
    assert model.fitted is not None
    prediction = model.predict(cohort)
    beyond = model.fitted.calibrator.beyond(prediction.log_risk)  # type: ignore[attr-defined]
    noted = {
        patient
        for patient, message in prediction.notes
        if message.startswith("predicted_time: later than")
    }
    assert noted == {
        patient
        for patient, late in zip(prediction.patient_id, beyond, strict=True)
        if late
    }
    assert noted


# -- slope and baseline on other patients


@pytest.fixture(scope="module")
def half(cohort: Cohort) -> SurvivalFusion:
    return quick().fit(cohort, cohort.patients[:14])


def test_recalibration_changes_curves_and_nothing_else(
    half: SurvivalFusion,
    cohort: Cohort,
) -> None:
    before = bits(half)
    other = half.recalibrate(cohort, cohort.patients[14:])
    assert bits(half) == before
    after = bits(other)
    assert {name for name in before if before[name] != after[name]} == {"calibrator"}
    old, new = half.predict(cohort), other.predict(cohort)
    np.testing.assert_array_equal(old.log_risk, new.log_risk)
    np.testing.assert_array_equal(old.risk_group, new.risk_group)
    assert (old.calibrator.name, new.calibrator.name) == ("breslow_oof", "breslow_cal")
    assert other.fitted is not None
    assert cohort.outcome is not None
    others = cohort.outcome.iloc[14:]
    hazard = -np.log(np.maximum(new.survival(others["time"])[14:].diagonal(), 1e-300))
    assert hazard.sum() == pytest.approx(others["event"].sum())
    note = other.fitted.summary["calibration_note"]
    assert (
        "calibrated on 5 events; slope and baseline are uncertain with fewer than 50"
        in note
    )


def test_recalibration_refuses_who_was_trained_on(
    half: SurvivalFusion,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    for model in (half, SurvivalFusion.load(half.save(tmp_path / "bundle"))):
        with pytest.raises(
            LeakageError,
            match=r"14 patient\(s\) were trained on: 001, 002.* and 9 more; ",
        ):
            model.recalibrate(cohort)
        with pytest.raises(
            LeakageError,
            match=r"1 patient\(s\) were trained on: 014; calibrate on others",
        ):
            model.recalibrate(cohort, cohort.patients[13:])
    with pytest.raises(ConfigError, match=r"not fitted yet"):
        quick().recalibrate(cohort)


def test_recalibration_needs_an_outcome_of_the_same_unit(
    half: SurvivalFusion,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    bare = small(tmp_path / "bare")
    del bare.spec["outcome"]
    with pytest.raises(
        CohortError,
        match=r"^calibration cohort 'tiny' has no outcome to calibrate on",
    ):
        half.recalibrate(loaded(bare, need_outcome=False), cohort.patients[14:])
    months = small(tmp_path / "months")
    months.spec["outcome"]["unit"] = "months"
    with pytest.raises(
        CohortError,
        match=r"its time is in months, the model's in days; convert it to days$",
    ):
        half.recalibrate(loaded(months), cohort.patients[14:])
    with pytest.raises(CohortError, match=r"^cohort 'tiny' has no patient '099'"):
        half.recalibrate(cohort, ["099"])
    quiet = small(tmp_path / "quiet")
    for patient in cohort.patients[14:]:
        quiet.set(patient, "os_event", 0)
    with pytest.raises(
        CohortError,
        match=r"none of the 10 patients has an event; nothing can be calibrated",
    ):
        half.recalibrate(loaded(quiet), cohort.patients[14:])


def test_another_endpoint_is_noted(
    half: SurvivalFusion,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.spec["outcome"]["endpoint"] = "disease-free survival"
    other = half.recalibrate(loaded(files), cohort.patients[14:])
    assert other.fitted is not None
    assert other.fitted.summary["calibration_note"].endswith(
        "trained on 'overall survival', calibrated on 'disease-free survival': are they the same?",
    )


def test_another_laboratory_is_told(model: SurvivalFusion, tmp_path: Path) -> None:
    files = small(tmp_path)
    files.bags = {name: bag * 30 + 100 for name, bag in files.bags.items()}
    prediction = model.predict(loaded(files))
    assert (
        "",
        "24 of 24 patients are outside what all 24 training patients look like in modality slides: "
        "other units, another laboratory?",
    ) in prediction.notes
    assert set(prediction.frame(details=True)["drift"]) == {"slides"}


def test_patients_that_were_trained_on_are_said_to_be(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    model = quick().fit(cohort, cohort.patients[:20])
    for one in (model, SurvivalFusion.load(model.save(tmp_path / "bundle"))):
        prediction = one.predict(cohort, cohort.patients[18:])
        assert prediction.in_training is not None
        assert prediction.in_training.tolist() == [True] * 2 + [False] * 4
        assert prediction.notes[0] == (
            "",
            "2 of 6 patients were trained on (in_training: 019, 020): these predictions are in sample, fit "
            "better than they would for new patients, and must not be scored; drift is not judged for the 2 "
            "of them whose data were trained on",
        )
        assert prediction.drift is not None
        assert (
            np.isnan(prediction.drift.share["clinical"]).tolist()
            == [True] * 2 + [False] * 4
        )
        new = one.predict(cohort, cohort.patients[20:])
        assert new.in_training is not None
        assert not new.in_training.any()
        assert not [message for _, message in new.notes if "trained on" in message]


def test_other_people_under_the_ids_of_training_are_judged(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.set("007", "age", 900)
    prediction = model.predict(loaded(files), ["006", "007"])
    assert prediction.notes[0][1].endswith(
        "; drift is not judged for the 1 of them whose data were trained on; 007: other data than those "
        "trained on; other people under the same ids? then rename them",
    )
    assert prediction.drift is not None
    assert np.isnan(prediction.drift.share["clinical"]).tolist() == [True, False]


def test_a_folder_that_takes_no_bundle_is_refused_by_save(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        BundleError,
        match=r"b: .*file is no folder; choose another place$",
    ):
        model.save(tmp_path / "file" / "b")
    assert model.save(tmp_path / "new" / "parents" / "b").is_dir()
