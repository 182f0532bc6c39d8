from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from running import Diary, bits, loaded, quick, small
from survfuse._errors import ConfigError, InputError
from survfuse.cohort import Cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators import FoldContext, StackedCox, outcomes, stacked_cox
from survfuse.estimators.base import StoredModel
from survfuse.estimators.model_terms import ModelRisk, ModelTerm
from survfuse.estimators.neural_network import NetworkEnsemble
from survfuse.estimators.stack_summary import effective_parameters
from survfuse.estimators.stack_terms import Terms
from survfuse.estimators.stacked_cox import fit_terms
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.models.network import build_network
from survfuse.models.network_config import network_config
from survfuse.survival._partial import RiskSets
from survfuse.survival.degrees_of_freedom import Effective
from survfuse.survival.right_censored import Outcome

PATIENTS = 60
CONFIG = FitConfig.of(
    expression_components=4,
    bag_components=3,
    selection_folds=3,
    device="cpu",
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), PATIENTS))


def terms_of(cohort: Cohort) -> tuple[Terms, Transforms, BatchSource]:
    fold = FoldContext.of(cohort)
    everyone = np.ones(PATIENTS, dtype=bool)
    transforms, source, terms = fit_terms(fold, CONFIG, everyone)
    return terms, transforms, source


def attention(
    cohort: Cohort,
    transforms: Transforms,
    quality: float,
) -> ModelTerm:
    """An attention network with arbitrary weights, and out-of-fold risks of a given quality."""
    alone = CONFIG.model_copy(update={"fusion": "concat"})
    shape = network_config(
        alone,
        {"slides": transforms.dims["slides"]},
        {"slides": "bag"},
    )
    time, _ = outcomes(cohort, cohort.patients)
    ensemble = NetworkEnsemble((build_network(shape, seed=3).eval(),), "cpu")
    bag = Transforms({"slides": transforms.fitted["slides"]})
    return ModelTerm(
        ModelRisk(ensemble, 0.25, bag),
        -quality * np.log(time),
        Effective(3.0, "as said"),
        7,
    )


def test_the_stack_is_the_weighted_sum_of_its_terms(cohort: Cohort) -> None:
    terms, _, source = terms_of(cohort)
    weights = np.linspace(0.2, 1.5, len(terms.names))
    wanted = terms.risks(source.blocks()) @ weights
    stack = StackedRisk(terms, weights, {})
    np.testing.assert_array_equal(stack.log_risk(source), wanted)


def test_attention_takes_the_place_of_the_mean_and_pairs_keep_the_mean(
    cohort: Cohort,
) -> None:
    terms, transforms, source = terms_of(cohort)
    trained = attention(cohort, transforms, 1.0).risk
    weights = np.linspace(0.2, 1.5, len(terms.names))
    stack = StackedRisk(terms, weights, {"slides": trained})
    only = Transforms({"slides": transforms.fitted["slides"]}, {})
    alone = trained.model.log_risk(BatchSource(cohort, only, cohort.patients)) - 0.25
    columns = terms.risks(source.blocks())
    has = cohort.present.loc[list(cohort.patients), "slides"].to_numpy()
    columns[:, terms.names.index("slides")] = np.where(has, alone, 0.0)
    np.testing.assert_allclose(stack.log_risk(source), columns @ weights, atol=1e-12)


def test_a_stack_is_read_as_it_was_written(cohort: Cohort) -> None:
    terms, transforms, source = terms_of(cohort)
    trained = attention(cohort, transforms, 1.0).risk
    weights = np.linspace(0.2, 1.5, len(terms.names))
    stack = StackedRisk(terms, weights, {"slides": trained})
    again = StackedRisk.from_state(StoredModel(*stack.state(), transforms, CONFIG))
    np.testing.assert_array_equal(again.log_risk(source), stack.log_risk(source))


def test_an_attention_network_is_read_as_older_versions_wrote_it(
    cohort: Cohort,
) -> None:
    terms, transforms, source = terms_of(cohort)
    trained = attention(cohort, transforms, 1.0).risk
    stack = StackedRisk(terms, np.ones(len(terms.names)), {"slides": trained})
    state, arrays = stack.state()
    entry = {"network": trained.model.state()[0], "centre": 0.25}
    old_state = {"pairs": state["pairs"], "attention": {"slides": entry}}
    old = {}
    for name, array in arrays.items():
        old[name.replace("models/slides/model/", "attention/slides/")] = array
    stored = StoredModel(old_state, old, transforms, CONFIG)
    again = StackedRisk.from_state(stored)
    np.testing.assert_array_equal(again.log_risk(source), stack.log_risk(source))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [["clinical", "blood"]]}, "'clinical' and 'blood' are not modal"),
        ({"attention": {"clinical": {}}}, "'clinical' is no bag of the transforms"),
        (
            {"models": [{"name": "blood"}]},
            r"models: 'blood' is neither a bag nor in stack\.terms",
        ),
    ],
)
def test_a_stack_of_other_modalities_is_refused(
    cohort: Cohort,
    change: dict[str, object],
    message: str,
) -> None:
    terms, transforms, _ = terms_of(cohort)
    stack = StackedRisk(terms, np.ones(len(terms.names)), {})
    state, arrays = stack.state()
    with pytest.raises(InputError, match=message):
        StackedRisk.from_state(
            StoredModel({**state, **change}, arrays, transforms, CONFIG),
        )
    other = {**arrays, "weights": np.ones(2)}
    with pytest.raises(InputError, match="array 'weights': expected 6 floats"):
        StackedRisk.from_state(StoredModel(state, other, transforms, CONFIG))


@pytest.mark.parametrize(
    ("quality", "pooling"),
    [(1.0, "attention"), (-1.0, "mean")],
)
def test_inner_folds_choose_between_mean_and_attention(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
    quality: float,
    pooling: str,
) -> None:
    transforms = Transforms.fit(cohort, cohort.patients, CONFIG)
    trained = attention(cohort, transforms, quality)
    monkeypatch.setattr(stacked_cox, "fit_model_term", lambda *_: trained)
    fit = StackedCox(CONFIG).fit(FoldContext.of(cohort))
    assert fit.details["anchored"]["pooling"] == {"slides": pooling}
    assert fit.out_of_fold is not None
    assert len(fit.out_of_fold) == PATIENTS


def test_attention_is_trained_once_on_a_fold(cohort: Cohort) -> None:
    config = quick(fusion="anchored", selection_folds=2, anchor_bags="best").config
    diary = Diary()
    fold = FoldContext.of(cohort, hooks=[diary])
    for modalities in (None, ("slides",)):
        part = config.model_copy(update={"modalities": modalities})
        StackedCox(part).fit(fold)
    labels = {label for label, _ in diary.epochs}
    assert labels == {
        "slides, member 1, inner fold 1",
        "slides, member 1, inner fold 2",
        "slides, member 1, refit",
    }
    assert len(diary.epochs) == len(set(diary.epochs))


@pytest.mark.slow
def test_nothing_of_other_patients_is_learned(cohort: Cohort) -> None:
    train, other = cohort.patients[:40], cohort.patients[40:]
    assert cohort.outcome is not None
    outcome = cohort.outcome.copy()
    outcome.loc[list(other), "time"] *= 3
    outcome.loc[list(other), "event"] = ~outcome.loc[list(other), "event"]
    model = {"fusion": "anchored", "selection_folds": 3}
    assert bits(quick(**model).fit(cohort, train)) == bits(
        quick(**model).fit(replace(cohort, outcome=outcome), train),
    )
    assert bits(quick(**model).fit(cohort, train)) == bits(
        quick(**model).fit(cohort.subset(train)),
    )


def test_it_is_saved_loaded_and_told(cohort: Cohort, tmp_path: Path) -> None:
    model = quick(fusion="anchored", selection_folds=3).fit(cohort)
    again = type(model).load(model.save(tmp_path / "bundle"))
    assert bits(model) == bits(again)
    np.testing.assert_array_equal(
        model.predict(cohort).log_risk,
        again.predict(cohort).log_risk,
    )
    about = again.fitted.summary["anchored"]
    assert set(about) == {
        "weights",
        "penalty",
        "pooling",
        "kept",
        "carried_by_few",
        "notes",
        "effective",
    }
    assert set(about["penalty"]) == set(cohort.modalities)
    for term, weight in about["weights"].items():
        assert weight["value"] >= 0
        assert weight["start"] == ("*" not in term)
    assert again.fitted.summary["epochs"] == []


def test_effective_parameters_are_those_of_the_terms_by_trust_and_of_the_trusts(
    cohort: Cohort,
) -> None:
    terms, _, source = terms_of(cohort)
    trust = np.linspace(0.0, 1.5, len(terms.names))
    weights = dict(zip(terms.names, trust, strict=True))
    told = effective_parameters(terms, weights, 1.25, {})
    blocks = source.blocks()
    time, event = outcomes(cohort, cohort.patients)
    x, has = blocks["clinical"]
    anchor = terms.modalities["clinical"]
    x = (x - anchor.centre["clinical"])[has]
    information = RiskSets.of(Outcome.of(time[has], event[has]), "efron").derivatives(
        x,
        x @ anchor.coef["clinical"],
    )[1]
    ridge = anchor.penalty * event[has].sum() * np.eye(x.shape[1])
    wanted = np.trace(information @ np.linalg.inv(information + ridge))
    assert told["terms"]["clinical"] == pytest.approx(wanted, rel=1e-6)
    parts = np.array(list(told["terms"].values()))
    assert list(told["terms"]) == list(terms.names)
    assert told["total"] == pytest.approx(trust @ parts + 1.25)
    network = Effective(7.0, "as said")
    more = effective_parameters(terms, weights, 1.25, {"slides": network})
    assert more["terms"]["slides"] == 7.0


def test_a_network_whose_size_is_not_known_leaves_the_sum_open(cohort: Cohort) -> None:
    terms, _, _ = terms_of(cohort)
    offered = {"slides": Effective(None, "as said")}
    trust = dict.fromkeys(terms.names, 1.0)
    told = effective_parameters(terms, trust, 1.0, offered)
    assert told["total"] is None
    assert told["note"] == "not computable: slides: as said"
    trust["slides"] = 0.0
    assert effective_parameters(terms, trust, 1.0, offered)["total"] > 0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"head": "discrete"},
            "'anchored' is a Cox model with head 'cox'.*choose another fusion",
        ),
        ({"loss": "paper"}, "'anchored' is a Cox model.*got head 'cox', loss 'paper'"),
        (
            {"members": 2},
            "members: 'anchored' has one solution, nothing to average; got 2",
        ),
        (
            {"modality_dropout": 0.2},
            "modality_dropout: 'anchored' fits each modality alone.*got 0.2, set it to 0",
        ),
    ],
)
def test_what_it_cannot_be_is_refused(fields: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        FitConfig.of(**fields)
