from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bagged
from survfuse._errors import InputError
from survfuse._types import AnyArray
from survfuse.cohort import Cohort
from survfuse.estimator import SurvivalFusion
from survfuse.estimators.stack_terms import TermRisks
from survfuse.explanations import bag_terms
from survfuse.explanations.bag_terms import BagTerm
from survfuse.explanations.tile_tables import slides_of, tiles


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return bagged.tiled_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def model(cohort: Cohort) -> SurvivalFusion:
    return bagged.fit(cohort, {})


def without_slides(pair: float) -> Callable[[TermRisks], AnyArray]:
    """Weights of clinical, expression, slides and their pairs; 0 of the slides."""

    def weights(risks: TermRisks) -> AnyArray:
        return np.array([1.0, 0.8, 0.0, 0.6, pair, 0.0])

    return weights


def test_a_bag_without_weight_is_refused_with_the_reason(cohort: Cohort) -> None:
    model = bagged.fit(cohort, {}, without_slides(0.0))
    explanation = bagged.explained(model, cohort, cohort)
    assert model.fitted is not None
    reason = model.fitted.summary["anchored"]["notes"]["slides"]
    with pytest.raises(InputError, match="slides: not part of this model") as error:
        explanation.tiles("002")
    assert f"({reason})" in str(error.value)
    assert str(error.value).endswith("by itself is in `Explanation.alone`")
    with pytest.raises(InputError, match=r"clinical\*slides: not part of this model"):
        explanation.tiles("002", term="slides*clinical")


def test_a_pair_keeps_its_tiles_where_the_bag_alone_has_no_weight(
    cohort: Cohort,
) -> None:
    model = bagged.fit(cohort, {}, without_slides(0.7))
    explanation = bagged.explained(model, cohort, cohort)
    frame = explanation.tiles("002", term="slides*clinical")
    total = frame.attrs["presence"] + frame["contribution"].sum()
    assert total == pytest.approx(explanation.terms.loc["002", "clinical*slides"])
    assert frame["tile_risk"].std() > 0
    with pytest.raises(InputError, match=r"tiles count in slides, clinical\*slides"):
        explanation.tiles("002", term="slides*expression")


def test_wrong_questions(cohort: Cohort, model: SurvivalFusion) -> None:
    explanation = bagged.explained(model, cohort, cohort)
    explained = explanation.explained
    with pytest.raises(InputError, match=r"a bag of the model \(slides\), got 'rna'"):
        tiles(explained, "002", "rna")
    with pytest.raises(InputError, match=r"'clinical' reads no bag; bags of the model"):
        tiles(explained, "002", term="clinical")
    with pytest.raises(InputError, match="expected 'slides' and other modalities"):
        tiles(explained, "002", term="slides*age")
    with pytest.raises(InputError, match="expected 'slides' and other modalities"):
        tiles(explained, "002", "slides", term="clinical*expression")
    with pytest.raises(InputError, match="no patient '999' among the 4 explained"):
        slides_of(explained, "999")
    blind = bagged.fit(cohort, {"fusion": "ridge_cox", "modalities": ("clinical",)})
    with pytest.raises(InputError, match="the model reads no tiles: its modalities"):
        bagged.explained(blind, cohort, cohort).tiles("002")


def test_a_bag_is_named_where_there_are_several(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    explanation = bagged.explained(model, cohort, cohort)
    known = explanation.explained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bag_terms, "bags", lambda _: ("slides", "margins"))
        with pytest.raises(
            InputError, match=r"reads 2 bags: give one as modality \(sl"
        ):
            tiles(known, "002")
        bag = BagTerm.of(known, term="slides*clinical")
    assert bag.term == ("clinical", "slides")


def test_memory_does_not_hold_the_features(
    cohort: Cohort,
    model: SurvivalFusion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = 200_000
    huge = bagged.with_tiles(
        cohort,
        lambda one, own: np.resize(own, (many, own.shape[1])) if "002" in one else own,
    )
    explanation = bagged.explained(model, huge, cohort, ["002"])
    bag = BagTerm.of(explanation.explained)
    monkeypatch.setattr(bag_terms, "TILES_AT_ONCE", 1024)
    bag.data.rows("002")
    tracemalloc.start()
    sums = bag.sums("002")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sums) == many
    # columns of one number a tile: rows, risks, scores, clusters, and a few of the removal
    assert peak < 16 * 8 * many


@pytest.mark.parametrize("term", [5, "slides*slides", "slides*clinical*slides"])
def test_a_term_is_a_name_with_each_modality_once(
    cohort: Cohort,
    model: SurvivalFusion,
    term: Any,
) -> None:
    explanation = bagged.explained(model, cohort, cohort)
    with pytest.raises(InputError, match=r"^term: expected "):
        explanation.tiles("002", term=term)


def test_what_all_patients_need_is_computed_once(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    explained = bagged.explained(model, cohort, cohort).explained
    first = BagTerm.of(explained, "slides")
    assert BagTerm.of(explained) is first
    assert BagTerm.of(explained, term="slides*clinical") is not first
