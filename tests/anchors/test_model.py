from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from running import bits, loaded, quick, small
from survfuse._errors import ConfigError
from survfuse.anchors.blocks import outcomes, read_blocks
from survfuse.anchors.model import (
    AttentionAnchor,
    as_network,
    effective_parameters,
    fit_anchored,
)
from survfuse.anchors.stack import Terms
from survfuse.cohort import Cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.models.network import build_network, network_config
from survfuse.survival._partial import RiskSets
from survfuse.survival.degrees_of_freedom import Effective
from survfuse.survival.right_censored import Outcome
from survfuse.training import predict

PATIENTS = 60
CPU = torch.device("cpu")
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
    transforms = Transforms.fit(cohort, cohort.patients, CONFIG)
    source = BatchSource(cohort, transforms, cohort.patients)
    time, event = outcomes(cohort, cohort.patients)
    return (
        Terms.fit(
            read_blocks(source),
            time,
            event,
            bags=frozenset(transforms.bag_scaler),
        ),
        transforms,
        source,
    )


def told(network: torch.nn.Module, source: BatchSource) -> np.ndarray:
    return predict(network, source, np.arange(len(source)), CPU)  # type: ignore[arg-type]


def test_the_network_says_what_the_terms_say(cohort: Cohort) -> None:
    terms, transforms, source = terms_of(cohort)
    trust = np.linspace(0.2, 1.5, len(terms.names))
    network = as_network(terms, trust, transforms, {})
    wanted = terms.risks(read_blocks(source)) @ trust
    np.testing.assert_allclose(told(network, source), wanted, atol=1e-5)
    assert set(network.fusion.parts) == set(terms.names)


def test_one_modality_alone_is_its_anchor(cohort: Cohort) -> None:
    terms, transforms, _ = terms_of(cohort)
    for name in terms.anchors:
        one = Terms({name: terms.anchors[name]}, {})
        kept = Transforms({name: transforms.fitted[name]}, transforms.unseen)
        alone = BatchSource(cohort, kept, cohort.patients)
        network = as_network(one, np.array([0.7]), kept, {})
        wanted = 0.7 * one.risks(read_blocks(alone))[:, 0]
        np.testing.assert_allclose(told(network, alone), wanted, atol=1e-5)


def attention(
    cohort: Cohort,
    transforms: Transforms,
    worth: float,
    size: float | None = 3.0,
) -> AttentionAnchor:
    """An attention network with arbitrary weights whose out-of-fold risks are said to be worth this much."""
    alone = CONFIG.model_copy(update={"fusion": "concat"})
    shape = network_config(
        alone,
        {"slides": transforms.dims["slides"]},
        {"slides": "bag"},
    )
    time, _ = outcomes(cohort, cohort.patients)
    network = build_network(shape, seed=3).eval()
    return AttentionAnchor(
        network,
        -worth * np.log(time),
        0.25,
        Effective(size, "as said"),
    )


def test_attention_stands_before_the_mean_and_pairs_keep_the_mean(
    cohort: Cohort,
) -> None:
    terms, transforms, source = terms_of(cohort)
    offered = attention(cohort, transforms, 1.0)
    trust = np.linspace(0.2, 1.5, len(terms.names))
    network = as_network(terms, trust, transforms, {"slides": offered})
    only = Transforms({"slides": transforms.fitted["slides"]}, {})
    alone = told(offered.network, BatchSource(cohort, only, cohort.patients)) - 0.25
    columns = terms.risks(read_blocks(source))
    has = cohort.present.loc[list(cohort.patients), "slides"].to_numpy()
    columns[:, terms.names.index("slides")] = np.where(has, alone, 0.0)
    np.testing.assert_allclose(told(network, source), columns @ trust, atol=1e-5)


@pytest.mark.parametrize(("worth", "pooling"), [(1.0, "attention"), (-1.0, "mean")])
def test_inner_folds_choose_between_mean_and_attention(
    cohort: Cohort,
    worth: float,
    pooling: str,
) -> None:
    ids = cohort.patients
    time, event = outcomes(cohort, ids)
    inner = inner_folds(event, 3, 0)
    transforms = Transforms.fit(cohort, ids, CONFIG)
    model = fit_anchored(
        cohort,
        ids,
        time,
        event,
        inner,
        CONFIG,
        attention=lambda bag: attention(cohort, transforms, worth),
    )
    assert model.about["pooling"] == {"slides": pooling}
    assert len(model.out_of_fold) == len(ids)


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
        "trust",
        "penalty",
        "pooling",
        "kept",
        "carried_by_few",
        "notes",
        "effective",
    }
    assert set(about["penalty"]) == set(cohort.modalities)
    assert min(about["trust"].values()) >= 0
    assert again.fitted.summary["epochs"] == []


def test_effective_parameters_are_those_of_the_terms_by_trust_and_of_the_trusts(
    cohort: Cohort,
) -> None:
    terms, transforms, source = terms_of(cohort)
    trust = np.linspace(0.0, 1.5, len(terms.names))
    told = effective_parameters(terms, trust, 1.25, {})
    blocks = read_blocks(source)
    time, event = outcomes(cohort, cohort.patients)
    x, has = blocks["clinical"]
    anchor = terms.anchors["clinical"]
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
    offered = attention(cohort, transforms, 1.0, size=7.0)
    more = effective_parameters(terms, trust, 1.25, {"slides": offered})
    assert more["terms"]["slides"] == 7.0


def test_a_network_whose_size_is_not_known_leaves_the_sum_open(cohort: Cohort) -> None:
    terms, transforms, _ = terms_of(cohort)
    offered = {"slides": attention(cohort, transforms, 1.0, size=None)}
    trust = np.ones(len(terms.names))
    told = effective_parameters(terms, trust, 1.0, offered)
    assert told["total"] is None
    assert told["note"] == "not computable: slides: as said"
    trust[terms.names.index("slides")] = 0
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
