from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from missing_patterns import partly_missing
from running import loaded, quick, small
from survfuse._errors import ConfigError, InputError
from survfuse.cohort import Cohort
from survfuse.decomposition.readings import term_name, term_of
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, explain

PAIRS = ["clinical*expression", "clinical*slides", "expression*slides"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return partly_missing(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def gated(cohort: Cohort) -> Explanation:
    """Terms that are sampled, of two members."""
    return explain(quick(fusion="gated", members=2).fit(cohort), cohort)


def test_names_of_terms_are_their_modalities() -> None:
    for term in ((), ("slides",), ("slides", "clinical", "expression")):
        assert term_of(term_name(term)) == term


def test_a_row_adds_up_to_the_log_risk(gated: Explanation) -> None:
    assert list(gated.terms)[:4] == ["constant", "clinical", "expression", "slides"]
    assert list(gated.terms)[4:7] == PAIRS
    assert gated.terms.index.name == "patient_id"
    total = gated.terms.sum(axis=1)
    np.testing.assert_allclose(total, gated.prediction.log_risk, rtol=0, atol=1e-6)
    assert gated.largest_difference < 1e-6
    assert gated.terms["constant"].nunique() == 1


def test_errors_and_spread_have_the_columns_of_the_terms(gated: Explanation) -> None:
    for frame in (gated.errors, gated.spread):
        assert list(frame) == list(gated.terms)
        assert frame.index.equals(gated.terms.index)
        assert (frame["clinical"] > 0).all()


def test_exact_terms_of_one_member_have_neither_error_nor_spread(
    cohort: Cohort,
) -> None:
    found = explain(quick(fusion="late").fit(cohort), cohort, cohort.patients[:5])
    assert (found.errors == 0).all(axis=None)
    assert (found.spread == 0).all(axis=None)
    assert list(found.terms) == ["constant", "clinical", "expression", "slides"]


def test_shapley_values_add_up_above_the_constant(gated: Explanation) -> None:
    assert list(gated.shapley) == ["clinical", "expression", "slides"]
    total = gated.shapley.sum(axis=1) + gated.terms["constant"]
    np.testing.assert_allclose(total, gated.terms.sum(axis=1), rtol=0, atol=1e-12)
    three = ("clinical", "expression", "slides")
    half = gated.terms[[pair for pair in PAIRS if "slides" in pair]].sum(axis=1) / 2
    expected = gated.terms["slides"] + half + gated.terms["*".join(three)] / 3
    np.testing.assert_allclose(gated.shapley["slides"], expected, rtol=0, atol=1e-12)


def test_a_patient_has_the_same_terms_whoever_else_is_explained(
    cohort: Cohort,
    gated: Explanation,
) -> None:
    assert gated.explained.fitted.reference is not None
    model = quick(fusion="gated", members=2).fit(cohort)
    some = list(cohort.patients[7:3:-1])
    found = explain(model, cohort, some)
    pd.testing.assert_frame_equal(found.terms, gated.terms.loc[some], rtol=0, atol=1e-6)


def test_the_reference_may_be_other_patients(cohort: Cohort) -> None:
    model = quick(fusion="late_cox").fit(cohort)
    own, other = explain(model, cohort), explain(model, cohort, reference=cohort)
    pd.testing.assert_frame_equal(own.terms, other.terms, rtol=0, atol=1e-12)
    half = cohort.subset(cohort.patients[:30])
    shifted = explain(model, cohort, reference=half).terms
    difference = shifted["clinical"] - own.terms["clinical"]
    np.testing.assert_allclose(difference, difference.iloc[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(shifted["clinical"].iloc[:30].mean(), 0, atol=1e-12)
    total = shifted.sum(axis=1)
    np.testing.assert_allclose(total, own.prediction.log_risk, rtol=0, atol=1e-6)


def test_what_cannot_be_explained_says_why(cohort: Cohort) -> None:
    with pytest.raises(
        ConfigError, match=r"^everyone has the same risk; there is nothing"
    ):
        explain(quick(fusion="kaplan_meier", calibration="km").fit(cohort), cohort)
    mcat = quick(fusion="coattention", query_tokens=2).fit(cohort)
    with pytest.raises(ConfigError, match=r"holds no tiles of its training patients"):
        explain(mcat, cohort)
    found = explain(mcat, cohort, cohort.patients[:4], reference=cohort)
    assert found.largest_difference < 1e-6
    assert (found.errors["slides"] > 0).all()
    late = quick(fusion="late_cox").fit(cohort)
    with pytest.raises(InputError, match=r"^no patient to explain$"):
        explain(late, cohort, [])
    with pytest.raises(InputError, match=r"^patients named twice: "):
        explain(late, cohort, [cohort.patients[0]] * 2)


@pytest.mark.parametrize("patients", ["004", b"004", 4, [4], [None], [["004"]]])
def test_patients_are_a_list_of_ids(gated: Explanation, patients: Any) -> None:
    model = SurvivalFusion.from_config(gated.explained.fitted.config)
    model.fitted = gated.explained.fitted
    with pytest.raises(InputError, match=r"^patients: expected "):
        explain(model, gated.explained.cohort, patients)


def test_ids_may_be_those_of_numpy(cohort: Cohort) -> None:
    model = quick(fusion="late_cox").fit(cohort)
    found = explain(model, cohort, np.array(cohort.patients[:3]))
    assert found.patients == tuple(cohort.patients[:3])
    assert {type(one) for one in found.patients} == {str}


def test_other_arguments_are_refused(cohort: Cohort) -> None:
    model: Any = quick(fusion="late_cox").fit(cohort)
    wrong: Any = "cohort.yaml"
    with pytest.raises(InputError, match=r"^model: expected a SurvivalFusion, got Fit"):
        explain(model.fitted, cohort)
    with pytest.raises(InputError, match=r"^cohort: expected a Cohort, got str$"):
        explain(model, wrong)
    with pytest.raises(InputError, match=r"^reference: expected a Cohort, got str$"):
        explain(model, cohort, reference=wrong)
    with pytest.raises(InputError, match=r"^reference: cohort 'tiny' has no patient$"):
        explain(model, cohort, reference=cohort.subset([]))


@pytest.mark.parametrize("name", ["constant", "risk", "reference", "patient_id", "bin"])
def test_a_modality_cannot_have_the_name_of_another_column(
    tmp_path: Path,
    name: str,
) -> None:
    files = small(tmp_path)
    files.spec["modalities"] = {name: files.spec.pop("clinical")}
    cohort = loaded(files)
    model = quick(fusion="late_cox").fit(cohort)
    with pytest.raises(
        ConfigError, match=f"^a modality is called {name}, as is another"
    ):
        explain(model, cohort)
