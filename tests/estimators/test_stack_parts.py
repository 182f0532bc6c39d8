"""Stacks and Cox baselines taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brute_force import agree, enumerated_terms, mean_with
from missing_patterns import partly_missing
from running import quick
from survfuse._errors import ConfigError
from survfuse.cohort import Cohort
from survfuse.cohort.ablation import lose_modalities
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.modalities import BagData
from survfuse.decomposition import Readings, Reference, decompose
from survfuse.decomposition.readings import subsets
from survfuse.estimators import Fit, FoldContext, make_estimator
from survfuse.estimators.stack_terms import StackWeights, TermRisks

NESTED: Mapping[str, Any] = {
    "late_cox": {},
    "deep": {"fusion": "pairwise", "expression_components": 3},
    "residual": {"fusion": "pairwise_residual", "modalities": ["clinical", "slides"]},
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """60 patients, with every pattern of missing modalities but none at all."""
    return partly_missing(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def _all_weights() -> Any:
    """Every term has a weight of its own, so that no exchange of two goes unseen."""

    def weights(self: TermRisks) -> StackWeights:
        value = np.linspace(0.5, 1.5, self.risks.shape[2])
        return StackWeights(value, self.start, value, 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TermRisks, "weights", weights)
        patch.setattr("survfuse.estimators.stacked_cox.is_better", lambda *_: True)
        yield


KINDS: dict[str, Mapping[str, Any]] = {
    "ridge": {"fusion": "ridge_cox"},
    "sparse": {"fusion": "sparse_cox"},
    "late": {"fusion": "late_cox"},
    "stack": {"fusion": "anchored", "anchor_bags": "mean"},
    "attention": {"fusion": "anchored", "anchor_bags": "best"},
    "nested": {"fusion": "anchored", "anchor_bags": "mean", "stack_terms": NESTED},
    "gated": {"fusion": "anchored", "anchor_bags": "mean", "stack_terms": ["gated"]},
}


@pytest.fixture(scope="module", params=KINDS)
def fit(request: pytest.FixtureRequest, cohort: Cohort, _all_weights: None) -> Fit:
    fields: dict[str, Any] = {"selection_folds": 3, "bag_components": 3}
    config = quick(**fields, **KINDS[request.param]).config
    return make_estimator(config).fit(FoldContext.of(cohort))


def taken_apart(fit: Fit) -> tuple[Any, Readings, Reference]:
    parts = fit.model.parts(fit.transforms)
    readings = parts.read(fit.source)
    reference = Reference.of(readings, from_background=parts.from_background)
    return parts, readings, reference


def test_terms_add_up_to_the_log_risk(cohort: Cohort, fit: Fit) -> None:
    """For every pattern of missing modalities."""
    parts, readings, reference = taken_apart(fit)
    present = np.stack([value[:, 1] for value in readings.values.values()], axis=1)
    patterns = {tuple(row) for row in present.astype(int).tolist()}
    assert patterns == set(product((0, 1), repeat=3)) - {(0, 0, 0)}
    found = decompose(parts.members, readings, reference)
    total = np.sum(list(found.effects.values()), axis=0)
    risks = fit.model.log_risk(BatchSource(cohort, fit.transforms, cohort.patients))
    np.testing.assert_allclose(total, risks, rtol=0, atol=1e-6)
    assert risks.std() > 0.1


def test_patients_without_any_modality_have_terms_too(cohort: Cohort, fit: Fit) -> None:
    parts, _, reference = taken_apart(fit)
    less = lose_modalities(cohort, ["slides", "expression"])
    source = BatchSource(less, fit.transforms, cohort.patients)
    readings = parts.read(source)
    nothing = sum(value[:, 1] for value in readings.values.values()) == 0
    assert nothing.sum() == 3
    effects = decompose(parts.members, readings, reference).effects
    total = np.sum(list(effects.values()), axis=0)
    np.testing.assert_allclose(total, fit.model.log_risk(source), rtol=0, atol=1e-6)


def test_terms_are_those_of_enumeration(fit: Fit) -> None:
    parts, readings, _ = taken_apart(fit)
    background = readings.take(np.arange(30))
    reference = Reference.of(background, from_background=True)
    some = readings.take(np.array([3, 4, 6, 20, 40]))
    found = decompose(parts.members, some, reference)
    expected = enumerated_terms(parts.log_risk, some, background)
    if parts.exact:
        agree(dict(found.effects), expected, 1e-10)
        return
    for term, error in found.errors.items():
        distance = np.abs(found.effects[term] - expected[term])
        assert (distance <= 4 * error + 1e-10).all()


def test_every_term_averages_to_0_over_all_training_patients(fit: Fit) -> None:
    parts, readings, reference = taken_apart(fit)
    if not parts.exact:
        pytest.skip("terms that are averages over draws are pure up to their errors")
    some = readings.take(np.array([3, 4, 20]))
    background = reference.background.take(np.arange(len(readings)))
    for term in subsets(tuple(readings.values)):
        if not term:
            continue

        def value(mixed: Readings, term: tuple[str, ...] = term) -> np.ndarray:
            effects = decompose(parts.members, mixed, reference).effects
            return np.asarray(effects.get(term, np.zeros(len(mixed))))

        averaged = term[-1]
        others = tuple(name for name in readings.values if name != averaged)
        means = mean_with(value, some, background, others)
        np.testing.assert_allclose(means, 0, rtol=0, atol=1e-9)


def test_what_is_read_of_a_vector_is_what_its_encoder_reads(fit: Fit) -> None:
    parts, readings, _ = taken_apart(fit)
    values, present = fit.source.blocks()["clinical"]
    encoded = parts.encode("clinical", values[present])
    found = readings.values["clinical"][present, 2:]
    np.testing.assert_allclose(encoded, found, rtol=0, atol=1e-6)


def test_the_mean_over_tiles_is_what_is_read_of_a_bag(cohort: Cohort, fit: Fit) -> None:
    parts, readings, _ = taken_apart(fit)
    patient = cohort.patients[0]  # has two slides
    slides = cohort.modalities["slides"]
    assert isinstance(slides, BagData)
    tiles, _ = slides.store.gather([patient])
    read = parts.read_tiles("slides", tiles)
    weights = np.exp(read.scores - read.scores.max(axis=0))
    shares = weights / weights.sum(axis=0)
    found = (shares[:, read.pooling] * read.values).sum(axis=0)
    np.testing.assert_allclose(
        found, readings.values["slides"][0, 2:], rtol=0, atol=1e-5
    )


@pytest.mark.usefixtures("_all_weights")
def test_a_term_that_reads_tiles_cannot_be_explained(
    cohort: Cohort, tmp_path: Path
) -> None:
    terms = {"mcat": {"fusion": "coattention", "query_tokens": 2}}
    config = quick(fusion="anchored", anchor_bags="mean", stack_terms=terms).config
    fit = make_estimator(config).fit(FoldContext.of(cohort))
    with pytest.raises(ConfigError, match=r"^the term 'mcat' reads single tiles"):
        fit.model.parts(fit.transforms)
