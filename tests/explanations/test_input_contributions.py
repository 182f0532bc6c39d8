from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import survfuse as sf
from split_models import (
    OTHERS,
    PRODUCTS,
    STACKS,
    toy_cohort,
    toy_explanation,
    toy_model,
)
from survfuse._errors import ConfigError, InputError
from survfuse.decomposition import Readings, Reference, decompose
from survfuse.explanations import explain
from survfuse.explanations import input_contributions as module
from survfuse.explanations.column_contributions import variables
from survfuse.explanations.explained import Explained
from survfuse.explanations.input_contributions import (
    input_contributions,
    is_constant,
    mean_inputs_of,
    read_contributions,
    start_of,
)

PAIR = ("clinical", "expression")
HIDDEN = {"vector_hidden": (7, 5), "members": 2}


def left_over(explained: Explained, modality: str, term: tuple[str, ...]) -> float:
    """Largest remainder of a patient, in standard deviations of the term."""
    split = input_contributions(explained, modality, term=term)
    whole = explained.terms.effects.get(term)
    if whole is None:
        assert not split.features.any()
        return float(np.abs(split.presence).max())
    parts = split.features.sum(axis=1) + split.presence + split.remainder
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-12)
    return float(np.abs(split.remainder).max() / max(whole.std(), 1e-3))


@pytest.mark.parametrize("modality", PAIR)
@pytest.mark.parametrize("fusion", STACKS)
def test_features_and_presence_are_the_whole_term_of_a_stack(
    fusion: str, modality: str
) -> None:
    explained = toy_explanation(fusion).explained
    assert left_over(explained, modality, (modality,)) < 1e-9
    assert left_over(explained, modality, PAIR) < 1e-9


@pytest.mark.parametrize("modality", PAIR)
@pytest.mark.parametrize("fusion", PRODUCTS)
def test_features_and_presence_are_the_whole_term_of_products(
    fusion: str,
    modality: str,
) -> None:
    # float32 embeddings are what is predicted from, and double ones are split
    explained = toy_explanation(fusion, **HIDDEN).explained
    assert left_over(explained, modality, (modality,)) < 1e-5
    assert left_over(explained, modality, PAIR) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("fusion", OTHERS)
def test_little_is_left_of_terms_that_are_no_products(fusion: str) -> None:
    explained = toy_explanation(fusion, **HIDDEN).explained
    limit = 2e-3 if explained.parts.exact else 0.15
    assert left_over(explained, "expression", ("expression",)) < limit


def test_absent_patients_have_a_presence_alone() -> None:
    explained = toy_explanation("concat", **HIDDEN).explained
    split = input_contributions(explained, "expression")
    term = explained.terms.effects["expression",]
    assert (~split.present).sum() > 5
    assert not split.features[~split.present].any()
    np.testing.assert_allclose(
        split.presence[~split.present], term[~split.present], atol=1e-9
    )
    assert len(set(split.presence[split.present])) == 1


def test_presence_is_what_the_mean_vector_would_have() -> None:
    # (p - pi) (b_p + b_x . c), of the product itself
    explained = toy_explanation("anchored").explained
    slope = explained.gradient("clinical")[0]
    mean = explained.reference.mean["clinical"]
    alone = slope[1] + slope[2:] @ (mean[2:] / mean[1])
    split = input_contributions(explained, "clinical")
    expected = (split.present - mean[1]) * alone
    np.testing.assert_allclose(split.presence, expected, rtol=0, atol=1e-12)


def test_rows_are_those_patients() -> None:
    explained = toy_explanation("pairwise", **HIDDEN).explained
    everyone = input_contributions(explained, "expression", term=PAIR)
    some = input_contributions(
        explained, "expression", term=PAIR, rows=np.array([40, 3])
    )
    np.testing.assert_allclose(some.features, everyone.features[[40, 3]], atol=1e-12)
    np.testing.assert_allclose(some.presence, everyone.presence[[40, 3]], atol=1e-12)


def test_one_hidden_layer_is_split_exactly() -> None:
    # 20,000 points of the gradient itself on the way from the mean to the patient
    explained = toy_explanation("late", vector_hidden=(6,)).explained
    row = int(np.flatnonzero(explained.present("expression"))[0])
    split = input_contributions(explained, "expression", rows=np.array([row]))
    start = start_of(explained, "expression")
    way = split.values - start
    at = (np.arange(20_000) + 0.5)[:, None] / 20_000
    weights = explained.gradient("expression", readings=explained.readings.take([row]))
    slopes = explained.parts.pull_back(
        "expression",
        start + at * way,
        np.repeat(weights[:, 2:], len(at), axis=0),
    )
    np.testing.assert_allclose(
        split.slopes[0], slopes.mean(axis=0), rtol=1e-3, atol=1e-6
    )


def test_more_intervals_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    explained = toy_explanation("pairwise", vector_hidden=(64, 32, 16)).explained
    some = np.flatnonzero(explained.present("expression"))[:6]
    usual = input_contributions(explained, "expression", rows=some).features
    monkeypatch.setattr(module, "INTERVALS", 2048)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 16_384)
    fine = input_contributions(explained, "expression", rows=some).features
    assert np.abs(usual - fine).max() < 5e-3 * np.abs(fine).max()


def test_the_papers_encoder_is_complete() -> None:
    explained = toy_explanation("pairwise", vector_hidden=(2048, 512, 128)).explained
    assert left_over(explained, "expression", ("expression",)) < 1e-3


def test_linear_encoders_have_one_slope_for_everyone() -> None:
    explained = toy_explanation("concat", expression_encoder="linear").explained
    assert is_constant(explained, "expression")
    split = input_contributions(explained, "expression")
    assert split.slopes.shape == (1, split.values.shape[1])
    assert not is_constant(toy_explanation("concat", **HIDDEN).explained, "expression")
    assert not is_constant(
        toy_explanation("pairwise_residual", **HIDDEN).explained, "clinical"
    )


def test_numbers_that_are_read_make_up_the_same_sum() -> None:
    explained = toy_explanation("pairwise", expression_encoder="linear").explained
    split = input_contributions(explained, "expression")
    read = read_contributions(explained, "expression")
    features = split.features[split.present]
    np.testing.assert_allclose(read.sum(axis=1), features.sum(axis=1), atol=1e-9)


def test_models_with_other_transforms_in_a_stack_are_not_attributed() -> None:
    explained = toy_explanation_of_nested(expression_components=4)
    split = input_contributions(explained, "expression")
    whole = explained.terms.effects["expression",]
    assert np.abs(split.remainder).max() > 1e-6
    total = split.features.sum(axis=1) + split.presence + split.remainder
    np.testing.assert_allclose(total, whole, atol=1e-12)


def test_models_in_a_stack_are_split_by_the_features_that_they_share() -> None:
    explained = toy_explanation_of_nested()
    split = input_contributions(explained, "expression")
    assert explained.parts.encoded("expression").all()
    assert split.features.any()
    assert np.abs(split.remainder).max() < 1e-6


def toy_explanation_of_nested(**inputs: object) -> Explained:
    """A stack in which a network of expression has all the weight."""
    network = {
        "fusion": "concat",
        "modalities": ["expression"],
        "epochs": 1,
        "vector_hidden": [5],
        **inputs,
    }
    model = sf.SurvivalFusion(
        fusion="anchored",
        modalities=("clinical", "expression"),
        stack_terms={"network": network},
    )
    fitted = model.fit(toy_cohort()).need_fitted()
    names = list(fitted.summary["anchored"]["weights"])
    weights = np.where(np.array(names) == "network", 1.0, 0.0)
    risk = dataclasses.replace(fitted.model, weights=weights)
    return Explained.of(
        dataclasses.replace(fitted, model=risk),
        toy_cohort(),
        toy_cohort().patients,
        toy_cohort(),
    )


def test_the_start_is_the_mean_of_the_training_patients_who_have_it() -> None:
    explained = toy_explanation("anchored").explained
    for name in ("clinical", "expression"):
        vectors = explained.prepared.vectors[name][explained.present(name)]
        np.testing.assert_allclose(
            start_of(explained, name), vectors.mean(axis=0), atol=1e-6
        )


def test_a_reference_without_the_modality_is_refused() -> None:
    cohort = toy_cohort()
    lacking = [p for p in cohort.patients if not cohort.present.loc[p, "expression"]]
    explanation = explain(
        toy_model("anchored"), cohort, reference=cohort.subset(lacking)
    )
    with pytest.raises(
        ConfigError, match="expression: no patient of the reference has it"
    ):
        mean_inputs_of(explanation.explained, "expression")


def test_memory_is_bounded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    explained = toy_explanation("late", **HIDDEN).explained
    whole = input_contributions(explained, "expression").features
    monkeypatch.setattr(module, "VALUES_AT_ONCE", 1)
    np.testing.assert_allclose(
        input_contributions(explained, "expression").features, whole
    )


def test_a_bundle_splits_as_the_fit_did(tmp_path: Path) -> None:
    explained = toy_explanation("late", **HIDDEN).explained
    model = toy_model("late", **HIDDEN)
    loaded = sf.load(model.save(tmp_path / "bundle"))
    again = explain(loaded, toy_cohort()).explained
    for name in PAIR:
        own, other = (
            input_contributions(explained, name),
            input_contributions(again, name),
        )
        np.testing.assert_array_equal(own.mean, other.mean)
        np.testing.assert_allclose(own.features, other.features, rtol=0, atol=1e-12)


def test_an_old_bundle_compares_with_its_average_patient() -> None:
    fitted = dataclasses.replace(toy_model("anchored").need_fitted(), reference=None)
    cohort = toy_cohort()
    explained = Explained.of(fitted, cohort, cohort.patients)
    assert explained.notes
    for name in PAIR:
        assert left_over(explained, name, (name,)) < 1e-9


def test_mean_inputs_of_another_model_are_refused() -> None:
    reference = toy_explanation("late", **HIDDEN).explained.reference
    state, arrays = reference.state()
    widths = {name: len(mean) - 2 for name, mean in reference.mean.items()}
    sizes = {name: len(mean) for name, mean in reference.inputs.items()}
    again = Reference.from_state(state, arrays, widths, sizes)
    np.testing.assert_array_equal(
        again.inputs["clinical"], reference.inputs["clinical"]
    )
    with pytest.raises(InputError, match="inputs: 'expression' is no vector"):
        Reference.from_state(state, arrays, widths, {"clinical": sizes["clinical"]})
    with pytest.raises(InputError, match="inputs/expression"):
        Reference.from_state(state, arrays, widths, {**sizes, "expression": 3})


def test_a_rare_modality_may_be_absent_from_the_background() -> None:
    """Of many training patients 500 are kept, and of sampled parts the mean is theirs."""
    known = toy_explanation("pairwise_residual").explained
    reference = known.reference
    values = dict(reference.background.values)
    values["clinical"] = np.zeros_like(values["clinical"])
    values["clinical"][:, 0] = 1.0
    mean = {name: own.mean(axis=0) for name, own in values.items()}
    rare = dataclasses.replace(reference, mean=mean, background=Readings(values))
    terms = decompose(known.parts.members, known.readings, rare)
    found = dataclasses.replace(known, reference=rare, terms=terms)
    rows = variables(found).groupby("patient_id")["contribution"].sum()
    np.testing.assert_allclose(
        rows.loc[list(found.ids)], terms.effects["clinical",], rtol=0, atol=1e-6
    )
