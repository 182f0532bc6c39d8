from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import survfuse as sf
from builders import CohortFiles, cohort_files
from split_models import toy_cohort, toy_explanation
from survfuse._errors import ConfigError
from survfuse.datasets import tcga_luad
from survfuse.explanations import Explanation, explain
from survfuse.readers.priors import Prior

ONE_TABLE = {"fusion": "ridge_cox", "modalities": ("clinical",)}


def hospital(root: Path, **changes: object) -> CohortFiles:
    """80 patients, some of whose cells are missing, far out, or rare."""
    files = cohort_files(root, patients=80, modalities=("clinical",), seed=3)
    smoker = np.where(np.arange(80) % 5 == 0, "yes", "no").astype(object)
    smoker[1:49:4] = ["pipe", "snuff", "cigar", "chew", "hookah", "vape"] * 2
    smoker[50:66] = ""
    files.patients["smoker"] = smoker
    files.patients["height"] = np.linspace(150, 190, 80).round()
    files.patients.loc[[7, 8], "height"] = [np.nan, 17_800]
    columns = files.spec["clinical"]["columns"]
    columns |= {"smoker": {"kind": "nominal"}, "height": {"kind": "numeric"}}
    files.spec["clinical"]["missing"] = [""]
    for (patient, column), value in changes.items():
        files.set(patient, column, value)
    return files


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> sf.SurvivalFusion:
    cohort = sf.load_cohort(hospital(tmp_path_factory.mktemp("train")).write())
    return sf.SurvivalFusion(**ONE_TABLE).fit(cohort)


@pytest.fixture(scope="module")
def explanation(
    trained: sf.SurvivalFusion,
    tmp_path_factory: pytest.TempPathFactory,
) -> Explanation:
    cohort = sf.load_cohort(hospital(tmp_path_factory.mktemp("same")).write())
    return explain(trained, cohort)


def cell(frame: pd.DataFrame, patient: str, column: str) -> pd.Series:
    rows = frame[(frame["patient_id"] == patient) & (frame["column"] == column)]
    assert len(rows) == 1
    return rows.iloc[0]


def risk_with(
    trained: sf.SurvivalFusion,
    folder: Path,
    column: str,
    value: object,
    patient: str = "001",
) -> float:
    """Log-risk of a patient one of whose cells was changed."""
    folder.mkdir()
    files = hospital(folder)
    files.set(patient, column, value)
    cohort = sf.load_cohort(files.write())
    return float(trained.predict(cohort, [patient]).log_risk[0])


@pytest.mark.parametrize(
    "fusion", ["anchored", "late_cox", "concat", "pairwise", "tensor"]
)
def test_rows_of_a_patient_add_up_to_the_term(fusion: str) -> None:
    explanation = toy_explanation(fusion)
    rows = explanation.variables.groupby(["patient_id", "modality"])[
        "contribution"
    ].sum()
    sums = rows.unstack().loc[list(explanation.patients)]
    for name in sums:
        term = explanation.terms.get(name, 0 * sums[name])
        np.testing.assert_allclose(sums[name], term, rtol=0, atol=1e-6)


def test_rows_of_sampled_terms_add_up_with_what_is_not_attributed() -> None:
    explanation = toy_explanation("gated", clinical_hidden=(6,))
    frame = explanation.variables
    sums = (
        frame.groupby("patient_id")["contribution"]
        .sum()
        .loc[list(explanation.patients)]
    )
    np.testing.assert_allclose(sums, explanation.terms["clinical"], rtol=0, atol=1e-6)
    left = frame[frame["column"] == "(not attributed)"]
    assert len(left)
    assert all(value is None for value in left["value"])


def test_patients_come_in_order_with_all_columns() -> None:
    frame, cohort = toy_explanation("anchored").variables, toy_cohort()
    assert list(frame["patient_id"].unique()) == list(cohort.patients)
    table = cohort.modalities["clinical"]
    for patient in cohort.patients[:10]:
        own = frame[frame["patient_id"] == patient]
        if patient in table.patients:
            assert own["column"].iloc[-1] == "(presence)"
            assert set(own["column"].iloc[:-1]) <= set(table.columns)
            assert (own["column"] == "age").sum() == 1
        else:
            assert own["column"].tolist() == ["(presence)"]
            assert own["value"].tolist() == ["absent"]


def test_values_are_those_of_the_cohort(explanation: Explanation) -> None:
    frame = explanation.variables
    first = explanation.explained.cohort.modalities["clinical"].frame.loc["001"]
    assert cell(frame, "001", "age")["value"] == float(first["age"])
    assert cell(frame, "001", "stage")["value"] == first["stage"]
    assert cell(frame, "001", "sex")["value"] == first["sex"]
    assert frame["known"].dtype == bool


def test_what_is_missing_or_implausible_is_not_known(explanation: Explanation) -> None:
    frame = explanation.variables
    blank, far = cell(frame, "008", "height"), cell(frame, "009", "height")
    assert (blank["value"], blank["known"]) == (None, False)
    assert (far["value"], far["known"]) == (17_800.0, False)
    # two are too few for a feature of their own: the average says nothing
    assert blank["contribution"] == far["contribution"] == pytest.approx(0, abs=1e-9)
    smoker = cell(frame, "055", "smoker")
    assert (smoker["value"], smoker["known"]) == (None, False)
    assert cell(frame, "001", "smoker")["known"]


def test_an_unseen_category_is_not_known(
    trained: sf.SurvivalFusion, tmp_path: Path
) -> None:
    files = hospital(tmp_path)
    files.set("001", "sex", "X")
    rows = explain(trained, sf.load_cohort(files.write()), ["001"]).variables
    sex = cell(rows, "001", "sex")
    assert (sex["value"], sex["known"]) == ("X", False)


def test_a_contribution_is_the_coefficient_times_the_distance(
    explanation: Explanation,
) -> None:
    model, frame = explanation.explained.fitted.model, explanation.variables
    names = explanation.explained.fitted.transforms.feature_names["clinical"]
    weight = model.cox.coef["clinical"][names.index("age")]
    ages = explanation.explained.cohort.modalities["clinical"].numbers("age")
    expected = weight * (ages - ages.mean()) / ages.std()
    own = frame[frame["column"] == "age"]["contribution"]
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-8)


def test_a_prior_has_one_row(tmp_path: Path) -> None:
    files = cohort_files(tmp_path, patients=60, modalities=("clinical", "expression"))
    cohort = sf.load_cohort(files.write())
    genes = cohort.modalities["expression"].expression.genes[:6]
    prior = Prior("six", "symbol", tuple(genes), np.linspace(-1, 1, 6))
    with_prior = cohort.with_prior(prior)
    model = sf.SurvivalFusion(fusion="anchored").fit(with_prior)
    explanation = explain(model, with_prior)
    rows = explanation.variables.query("modality == 'six'")
    assert set(rows["column"]) == {"risk", "(presence)"}
    sums = rows.groupby("patient_id")["contribution"].sum()
    np.testing.assert_allclose(sums, explanation.terms.get("six", 0 * sums), atol=1e-6)
    ratios = explanation.hazard_ratios.query("modality == 'six'")
    assert ratios["contrast"].str.startswith("per").all()


def test_hazard_ratios_are_differences_of_predictions(
    trained: sf.SurvivalFusion,
    explanation: Explanation,
    tmp_path: Path,
) -> None:
    ratios = explanation.hazard_ratios.set_index(["column", "level", "contrast"])
    ratios = ratios["log_hazard_ratio"]
    older = risk_with(trained, tmp_path / "a", "age", 61)
    younger = risk_with(trained, tmp_path / "b", "age", 60)
    assert ratios["age", "", "per unit"] == pytest.approx(older - younger, rel=1e-4)
    third = risk_with(trained, tmp_path / "c", "stage", "III")
    second = risk_with(trained, tmp_path / "d", "stage", "II")
    assert ratios["stage", "", "per level"] == pytest.approx(third - second, rel=1e-4)
    man = risk_with(trained, tmp_path / "e", "sex", "M")
    woman = risk_with(trained, tmp_path / "f", "sex", "F")
    assert ratios["sex", "F", "against M"] == pytest.approx(woman - man, rel=1e-4)
    unknown = risk_with(trained, tmp_path / "g", "smoker", "")
    no = risk_with(trained, tmp_path / "h", "smoker", "no")
    own = ratios["smoker", "(missing)", "against no"]
    assert own == pytest.approx(unknown - no, rel=1e-3, abs=1e-6)


def test_hazard_ratios_against_the_mean_are_contributions(
    explanation: Explanation,
) -> None:
    frame, ratios = explanation.variables, explanation.hazard_ratios
    level = cell(frame, "001", "sex")
    row = ratios.query("column == 'sex' and contrast == 'against the mean'")
    own = row.set_index("level")["log_hazard_ratio"][level["value"]]
    assert own == pytest.approx(level["contribution"], abs=1e-12)
    np.testing.assert_allclose(
        ratios["hazard_ratio"], np.exp(ratios["log_hazard_ratio"])
    )


def test_pooled_levels_are_named(explanation: Explanation) -> None:
    levels = set(explanation.hazard_ratios.query("column == 'smoker'")["level"])
    assert any(level.startswith("other: ") and "hookah" in level for level in levels)
    assert {"no", "(missing)"} <= levels


def test_ratios_of_an_sd_are_those_of_a_unit_to_its_power(
    explanation: Explanation,
) -> None:
    ages = explanation.explained.cohort.modalities["clinical"].numbers("age")
    rows = explanation.hazard_ratios.query("column == 'age'")[
        "log_hazard_ratio"
    ].tolist()
    assert rows[1] == pytest.approx(rows[0] * ages.std(), rel=1e-6)


def test_curved_tables_have_no_hazard_ratio() -> None:
    explanation = toy_explanation("pairwise", clinical_hidden=(6,))
    with pytest.raises(ConfigError, match="does not read clinical linearly"):
        _ = explanation.hazard_ratios


def test_a_ratio_beyond_a_double_is_infinite() -> None:
    known = toy_explanation("late_cox").explained
    steep = []
    for part in known.parts.products:
        steep.append(replace(part, weights=1e6 * part.weights))
    parts = replace(known.parts, products=tuple(steep))
    ratios = Explanation(replace(known, parts=parts)).hazard_ratios
    far = ratios["log_hazard_ratio"] > 710
    assert far.any()
    assert np.isinf(ratios.loc[far, "hazard_ratio"]).all()
    assert np.isfinite(ratios["log_hazard_ratio"]).all()


def test_a_model_without_tables_has_empty_frames() -> None:
    explanation = toy_explanation("concat", modalities=("expression",))
    assert explanation.variables.empty
    assert explanation.hazard_ratios.empty
    assert list(explanation.variables)[:3] == ["patient_id", "modality", "column"]


@pytest.mark.slow
def test_columns_of_a_patient_by_hand(shared_data: Path, tmp_path: Path) -> None:
    cohort = sf.load_cohort(
        tcga_luad(tmp_path / "os", source=shared_data / "tcga_luad")
    )
    model = sf.SurvivalFusion(**ONE_TABLE).fit(cohort)
    patient = "TCGA-05-4250"
    frame = explain(model, cohort, [patient]).variables
    table = pd.read_csv(tmp_path / "os" / "patients.csv", index_col="case_id")
    table = table.loc[[p for p in cohort.patients if p in table.index]]
    ages = pd.to_numeric(table["age"], errors="coerce")
    stages = table["stage"].map(
        {"Stage I": 0, "Stage II": 1, "Stage III": 2, "Stage IV": 3}
    )
    male = (table["gender"] == "MALE").astype(float)
    weights = dict(
        zip(
            model.need_fitted().transforms.feature_names["clinical"],
            model.need_fitted().model.cox.coef["clinical"],
            strict=True,
        ),
    )
    for name, column in (("age", ages), ("stage", stages)):
        z = (column[patient] - column.mean()) / column.std(ddof=0)
        own = cell(frame, patient, name)["contribution"]
        assert own == pytest.approx(weights[name] * z, rel=1e-4, abs=1e-6)
    is_male = male[patient] - male.mean()
    expected = is_male * (weights["gender=MALE"] - weights["gender=FEMALE"])
    assert cell(frame, patient, "gender")["contribution"] == pytest.approx(
        expected, abs=1e-6
    )
    assert cell(frame, patient, "age")["value"] == ages[patient]


def test_words_of_the_cohort_file_stand_beside_the_names(
    trained: sf.SurvivalFusion,
    explanation: Explanation,
    tmp_path: Path,
) -> None:
    files = hospital(tmp_path)
    columns = files.spec["clinical"]["columns"]
    columns["height"]["label"] = "Height (cm)"
    columns["smoker"]["labels"] = {"yes": "smokes now"}
    labelled = explain(trained, sf.load_cohort(files.write()))
    frame = labelled.variables
    assert set(frame["label"]) >= {"Height (cm)", "smoker", "(presence)"}
    assert cell(frame, "001", "smoker")["value"] == "yes"
    assert cell(frame, "001", "smoker")["value_label"] == "smokes now"
    assert pd.isna(cell(frame, "008", "height")["value_label"])
    plain = frame.drop(columns=["label", "value_label"])
    pd.testing.assert_frame_equal(plain, explanation.variables)
    ratios = labelled.hazard_ratios
    assert "Height (cm)" in set(ratios["label"])
    assert "label" not in explanation.hazard_ratios
