"""Any estimator can be a term of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import Diary, loaded, quick, small
from survfuse._errors import ConfigError, InputError, NotComputableError
from survfuse.cohort import Cohort
from survfuse.cohort.ablation import lose_modalities
from survfuse.cohort.batch_source import BatchSource
from survfuse.config import FitConfig
from survfuse.estimators import (
    ESTIMATORS,
    Fit,
    FoldContext,
    RidgeCox,
    StackedCox,
    foreign_code,
    make_estimator,
)
from survfuse.estimators.base import StoredModel
from survfuse.estimators.model_terms import fit_model_term
from survfuse.estimators.stack_terms import StackWeights, TermRisks
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.evaluation.controls import PermutedSource
from survfuse.evaluation.missing_inputs import LessSource, Loss

PATIENTS = 60
OWN_NAMES = {"network", "anchored", "kaplan_meier"}
"""A network is named by its fusion; the other two can be no term."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), PATIENTS))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimators that a test registers are forgotten after it."""
    monkeypatch.setattr(ESTIMATORS, "_cards", dict(ESTIMATORS._cards))


@pytest.fixture
def all_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every term has a weight of its own, so that no exchange of two goes unseen."""

    def weights(self: TermRisks) -> StackWeights:
        value = np.linspace(0.5, 1.5, self.risks.shape[2])
        return StackWeights(value, self.start, value, 1.0)

    monkeypatch.setattr(TermRisks, "weights", weights)


def stack(terms: Mapping[str, Any] | list[str], **fields: Any) -> FitConfig:
    return quick(
        fusion="anchored",
        anchor_bags="mean",
        stack_terms=terms,
        bag_components=3,
        selection_folds=3,
        **fields,
    ).config


def fitted(cohort: Cohort, config: FitConfig) -> tuple[Fit, StackedRisk]:
    fit = make_estimator(config).fit(FoldContext.of(cohort))
    assert isinstance(fit.model, StackedRisk)
    return fit, fit.model


@pytest.mark.usefixtures("all_weights")
@pytest.mark.parametrize("name", sorted({*ESTIMATORS, "concat"} - OWN_NAMES))
def test_every_estimator_is_a_term(cohort: Cohort, name: str) -> None:
    config = stack([name], modalities=("clinical", "expression"))
    fold = FoldContext.of(cohort)
    estimator = StackedCox(config)
    fit = estimator.fit(fold)
    alone = replace(fold, inner=estimator.inner(fold))
    own = make_estimator(config.term_configs()[name]).fit(alone)
    # the third of four terms: two modalities, the model, one pair
    summary = fit.details["anchored"]
    assert list(summary["weights"]) == [
        "clinical",
        "expression",
        name,
        "clinical*expression",
    ]
    model = fit.model
    assert isinstance(model, StackedRisk)
    terms = model.terms.risks(fit.source.blocks())
    risk = own.in_sample - own.in_sample.mean()
    wanted = np.insert(terms, 2, risk, axis=1) @ np.linspace(0.5, 1.5, 4)
    np.testing.assert_allclose(fit.in_sample, wanted, atol=1e-6)
    again = StackedRisk.from_state(
        StoredModel(*model.state(), fit.transforms, config),
    )
    np.testing.assert_array_equal(again.log_risk(fit.source), fit.in_sample)


def test_out_of_fold_risks_come_from_the_inner_folds_of_the_stack(
    cohort: Cohort,
) -> None:
    fold, config = FoldContext.of(cohort), stack(["ridge_cox"])
    inner = np.random.default_rng(3).permutation(np.arange(PATIENTS) % 4)
    term_config = config.term_configs()["ridge_cox"]
    term_config = term_config.model_copy(update={"modalities": ("clinical",)})
    term = fit_model_term(fold, "ridge_cox", term_config, inner)
    for number in range(4):
        held = inner == number
        part = RidgeCox(term_config).fit(fold.subset(~held, ""))
        source = BatchSource(cohort, part.transforms, fold.patients(held))
        risk = part.model.log_risk(source)
        np.testing.assert_allclose(term.out_of_fold[held], risk - risk.mean())
    assert fit_model_term(fold, "again", term_config, inner) is term


@pytest.mark.usefixtures("all_weights")
def test_a_term_with_transforms_of_its_own_follows_what_patients_lose(
    cohort: Cohort,
) -> None:
    terms = {"few": {"fusion": "sparse_cox", "modalities": ["expression"]}}
    config = stack(terms, modalities=("clinical", "expression"))
    fit, model = fitted(cohort, config)
    term = model.models["few"]
    assert term.own == ("expression",)
    assert term.transforms.dims == {"expression": 12}  # the genes; the stack has 4
    assert fit.transforms.dims["expression"] == 4
    source = fit.source
    risk = term.risk(source, source.blocks())
    less = LessSource(
        source,
        Loss("removed", "expression").of(cohort, cohort.patients, 1),
    )
    assert not term.risk(less, less.blocks()).any()
    rows = np.roll(np.arange(PATIENTS), 1)
    permuted = PermutedSource(source, "expression", rows)
    np.testing.assert_array_equal(term.risk(permuted, permuted.blocks()), risk[rows])
    kept = PermutedSource(source, "clinical", rows)
    np.testing.assert_array_equal(term.risk(kept, kept.blocks()), risk)


@pytest.mark.usefixtures("all_weights")
def test_several_terms_are_saved_and_loaded_in_order(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    terms = {
        "zeta": {"fusion": "ridge_cox", "modalities": ["clinical"]},
        "few": {"fusion": "sparse_cox", "modalities": ["expression"]},
        "alpha": {"fusion": "concat", "network": {"rank": 2}, "members": 2},
    }
    config = stack(terms)
    model = quick(**config.parameters()).fit(cohort)
    again = type(model).load(model.save(tmp_path / "bundle"))
    np.testing.assert_array_equal(
        again.predict(cohort).log_risk,
        model.predict(cohort).log_risk,
    )
    assert again.config.stack.terms == config.stack.terms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modalities": []}, "modalities: expected at least one"),
        ({"modalities": 5}, "modalities: expected a list of texts"),
        (
            {"model": {"means": {"clinical": "x"}, "deviations": {"clinical": 1.0}}},
            "means: clinical: expected a finite number, got 'x'",
        ),
        (
            {"model": {"means": {"clinical": 0.0}, "deviations": {"clinical": None}}},
            "deviations: clinical: expected a finite number, got None",
        ),
    ],
)
def test_a_damaged_term_is_refused(
    cohort: Cohort, change: dict[str, object], message: str
) -> None:
    config = stack({"late_cox": {"modalities": ["clinical"]}})
    fit, model = fitted(cohort, config)
    state, arrays = model.state()
    damaged = {**state, "models": [{**state["models"][0], **change}]}
    with pytest.raises(InputError, match=message):
        StackedRisk.from_state(StoredModel(damaged, arrays, fit.transforms, config))


def test_tiles_are_held_once_for_the_stack_and_its_terms(cohort: Cohort) -> None:
    fit, model = fitted(cohort, stack({"deep": {"fusion": "concat"}}))
    other = fit.source.read_by(model.models["deep"].transforms)
    assert model.models["deep"].own == ()
    assert other._bags["slides"] is fit.source._bags["slides"]
    assert fit.source.read_by(model.models["deep"].transforms) is other


def test_who_lacks_the_modalities_has_risk_0(tmp_path: Path) -> None:
    files = small(tmp_path, PATIENTS)
    assert files.expression is not None
    lacking = files.expression.index[:7]
    files.expression = files.expression.iloc[7:]
    cohort = loaded(files)
    terms = {"few": {"fusion": "late_cox", "modalities": ["expression"]}}
    fit, model = fitted(cohort, stack(terms, modalities=("clinical", "expression")))
    risk = model.models["few"].risk(fit.source, fit.source.blocks())
    assert not risk[cohort.present.index.isin(lacking)].any()
    assert abs(risk.mean()) < 1e-9


def test_a_fold_without_an_event_leaves_the_term_out(tmp_path: Path) -> None:
    files = small(tmp_path, PATIENTS)
    assert files.expression is not None
    files.expression = files.expression.iloc[:3]  # one event
    cohort = loaded(files)
    config = stack(
        {"few": {"fusion": "ridge_cox", "modalities": ["expression"]}},
        expression_components=None,
    )
    fit, model = fitted(cohort, config)
    assert not model.models
    about = fit.details["anchored"]
    assert about["weights"]["few"]["value"] == 0
    assert "has no event among the patients with expression" in about["notes"]["few"]


def test_a_term_reads_what_is_left_of_its_modalities(cohort: Cohort) -> None:
    terms = {
        "both": {"fusion": "ridge_cox", "modalities": ["clinical", "slides"]},
        "deep": {"fusion": "concat", "modalities": ["slides"]},
    }
    config = stack(terms).model_copy(
        update={"modalities": ("clinical", "expression")},
    )
    fit, model = fitted(cohort, config)
    assert model.models["both"].transforms.modalities == ("clinical",)
    note = fit.details["anchored"]["notes"]["deep"]
    assert note == "not fitted: the model reads none of its modalities"
    weight = fit.details["anchored"]["weights"]["deep"]
    assert (weight["value"], weight["start"]) == (0, 1)


def test_training_of_a_term_is_labelled_by_its_name(cohort: Cohort) -> None:
    diary = Diary()
    config = stack({"deep": {"fusion": "concat", "modalities": ["clinical"]}})
    StackedCox(config).fit(FoldContext.of(cohort, hooks=[diary]))
    assert {label for label, _ in diary.epochs} == {
        "deep, member 1, inner fold 1",
        "deep, member 1, inner fold 2",
        "deep, member 1, inner fold 3",
        "deep, member 1, refit",
    }


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (["anchored"], r"stack\.terms: anchored: a stack cannot be a term of a stack"),
        (
            {"me": {"fusion": "anchored"}},
            r"stack\.terms: me: a stack cannot be a term of a stack",
        ),
        (["kaplan_meier"], r"stack\.terms: kaplan_meier: everyone has the same risk"),
        (["forest"], r"stack\.terms: forest: unknown fusion 'forest'; known: anch.*"),
        (["late_cox", "late_cox"], r"terms: a name is listed twice"),
        ({"a*b": {}}, r"terms: a name consists of letters.*got 'a\*b'"),
        ({"late_cox": {"seeds": 3}}, r"late_cox\.seeds: unknown field; did you mean"),
        (
            {"late_cox": {"modalities": []}},
            r"stack\.terms: late_cox: modalities: expected at least one, got an empty",
        ),
        (
            {"late_cox": {"search": "grid"}},
            r"terms: late_cox: a term has the search of its stack; leave it out",
        ),
        (
            {"late_cox": {"head": "discrete"}},
            r"stack\.terms: late_cox: fusion: 'late_cox' is a Cox model with head 'cox'",
        ),
    ],
)
def test_what_can_be_no_term_is_refused(terms: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make_estimator(FitConfig.of(stack_terms=terms))


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (
            {"deep": {"fusion": "concat", "modalities": ["blood"]}},
            r"stack\.terms: deep: cohort 'tiny' has the modalities .* got blood",
        ),
        (
            {"clinical": {"fusion": "ridge_cox"}},
            r"stack\.terms: clinical: .* a name of its own .* got clinical",
        ),
    ],
)
def test_terms_that_do_not_fit_the_cohort_are_refused(
    cohort: Cohort,
    terms: Any,
    why: str,
) -> None:
    with pytest.raises(ConfigError, match=why):
        fitted(cohort, stack(terms))


class OwnFolds(RidgeCox):
    """An estimator that ignores the inner folds it is given."""

    def fit(self, fold: FoldContext) -> Fit:
        return super().fit(replace(fold, inner=None))


class NoFolds(RidgeCox):
    """An estimator without out-of-fold risks."""

    def fit(self, fold: FoldContext) -> Fit:
        return replace(super().fit(fold), out_of_fold=None)


class AllModalities(RidgeCox):
    """An estimator that reads everything, whatever its configuration says."""

    def fit(self, fold: FoldContext) -> Fit:
        config = self.config.model_copy(update={"modalities": None})
        return RidgeCox(config).fit(fold)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("build", "why"),
    [
        (OwnFolds, "foreign: its out-of-fold risks come from other inner folds"),
        (NoFolds, "foreign: gives no out-of-fold risks, which a term of a stack needs"),
        (AllModalities, "foreign: reads expression, but its configuration has the mod"),
    ],
)
def test_an_estimator_that_breaks_the_contract_is_refused(
    cohort: Cohort,
    build: type[RidgeCox],
    why: str,
) -> None:
    ESTIMATORS.register("foreign", summary="a ridge", source="this test")(build)
    without_slides = lose_modalities(cohort, ["slides"])
    fold = FoldContext.of(without_slides)
    config = FitConfig.of(fusion="foreign", modalities=("clinical",))
    inner = np.arange(PATIENTS) // 2 % 3
    with pytest.raises(ConfigError, match=why):
        fit_model_term(fold, "foreign", config, inner)


def test_no_event_in_an_inner_fold_is_said(cohort: Cohort) -> None:
    fold = FoldContext.of(cohort)
    config = FitConfig.of(fusion="ridge_cox", modalities=("clinical",))
    inner = np.where(fold.event, 0, np.arange(PATIENTS) % 3)
    with pytest.raises(NotComputableError, match=r"^inner fold 2 has no event among"):
        fit_model_term(fold, "ridge_cox", config, inner)


def test_what_a_term_is_made_of_is_part_of_the_identity(tmp_path: Path) -> None:
    sets = tmp_path / "sets.gmt"
    sets.write_text("A\tx\tGENE1\tGENE2\n")
    terms = {
        "sets": {
            "fusion": "ridge_cox",
            "expression_gene_sets": str(sets),
            "expression_components": None,
        },
    }
    config = FitConfig.of(stack_terms=terms)
    before = config.identity()
    sets.write_text("A\tx\tGENE1\tGENE3\n")
    assert config.identity()["files"] != before["files"]
    assert config.identity()["stack_terms"] == before["stack_terms"] == terms


@pytest.mark.usefixtures("registry")
def test_code_of_a_foreign_term_is_part_of_the_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ESTIMATORS.register("foreign", summary="a ridge", source="this test")(OwnFolds)
    config = FitConfig.of(stack_terms=["foreign", "late_cox"])
    assert foreign_code(config) == foreign_code(FitConfig.of(fusion="foreign"))
    assert foreign_code(FitConfig.of(stack_terms=["late_cox"])) == ""
