from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

import bagged
from bagged import ABSENT, MODELS, NOT_LINEAR, ONE_TILE, PATIENTS, TWO_SLIDES
from survfuse._errors import InputError, NotComputableError
from survfuse._types import AnyArray
from survfuse.cohort import Cohort
from survfuse.estimator import SurvivalFusion
from survfuse.estimators.stack_terms import TermRisks
from survfuse.explain import Explanation, bag_terms
from survfuse.explain.bag_terms import BagTerm
from survfuse.explain.tile_sums import TileSums
from survfuse.explain.tiles import slides_of, tile_sums, tile_tables, tiles

Fitted = Callable[[str], tuple[SurvivalFusion, Explanation]]
REMOVABLE = sorted({*MODELS} - {"coattention"})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return bagged.tiled_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def fitted(cohort: Cohort) -> Fitted:
    """A model of the name, and its explanation of a few patients; each is fitted once."""

    @cache
    def fit(name: str) -> tuple[SurvivalFusion, Explanation]:
        model = bagged.fit(cohort, MODELS[name])
        return model, bagged.explained(model, cohort, cohort)

    return fit


def terms_of_slides(explanation: Explanation) -> list[str]:
    return [name for name in explanation.terms if "slides" in name.split("*")]


@pytest.mark.parametrize("name", MODELS)
def test_tiles_and_presence_add_up_to_every_term(name: str, fitted: Fitted) -> None:
    _, explanation = fitted(name)
    names = terms_of_slides(explanation)
    assert names
    for term in names:
        spread = np.ptp(explanation.terms[term])
        # kinks of a ReLU between the points of the path
        most = 1e-6 + 0.1 * spread * (name in NOT_LINEAR)
        for patient in PATIENTS:
            frame = explanation.tiles(patient, term=term)
            said = frame.attrs
            assert said["value"] == explanation.terms.loc[patient, term]
            total = said["presence"] + frame["contribution"].sum()
            assert total == pytest.approx(said["value"], abs=most)
            assert said["remainder"] == pytest.approx(said["value"] - total, abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_shares_add_up_to_one(name: str, fitted: Fitted) -> None:
    _, explanation = fitted(name)
    frame = explanation.tiles("002")
    assert frame["share"].sum() == pytest.approx(1)
    if name in ("mean", "discrete", "ridge_cox"):  # one pooling
        np.testing.assert_allclose(
            frame["contribution"], frame["share"] * frame["tile_risk"], atol=1e-12
        )
    if name in ("mean", "mean pooling", "ridge_cox"):
        np.testing.assert_allclose(frame["share"], 1 / len(frame))


@pytest.mark.parametrize("name", REMOVABLE)
def test_removal_is_what_happens_without_the_tile(
    name: str,
    cohort: Cohort,
    fitted: Fitted,
) -> None:
    model, explanation = fitted(name)
    slide, place = "001_20", 1  # the second slide of the first patient

    def less(one: str, own: AnyArray) -> AnyArray:
        return np.delete(own, place, axis=0) if one == slide else own

    _, names = bagged.with_tiles, terms_of_slides(explanation)
    frame = explanation.tiles(TWO_SLIDES)
    slide = frame["slide"].iloc[-1]
    without = bagged.with_tiles(cohort, less)
    again = bagged.explained(model, without, cohort, PATIENTS)
    total = 0.0
    for term in names:
        frame = explanation.tiles(TWO_SLIDES, term=term)
        (row,) = np.flatnonzero((frame["slide"] == slide) & (frame["tile"] == place))
        change = again.terms.loc[TWO_SLIDES, term] - frame.attrs["value"]
        assert frame["removal"].iloc[row] == pytest.approx(change, abs=1e-6)
        total += frame["removal"].iloc[row]
    risks = again.prediction.log_risk - explanation.prediction.log_risk
    assert total == pytest.approx(risks[0], abs=1e-6)
    assert abs(total) > 1e-6
    np.testing.assert_array_equal(risks[1:], 0)


@pytest.mark.parametrize("name", REMOVABLE)
def test_without_the_only_tile_a_patient_has_no_bag(
    name: str,
    cohort: Cohort,
    fitted: Fitted,
) -> None:
    model, explanation = fitted(name)
    frame = explanation.tiles(ONE_TILE)
    assert len(frame) == 1
    nothing = bagged.with_tiles(
        cohort, lambda one, own: own[: len(own) * (not one.startswith(ONE_TILE))]
    )
    again = bagged.explained(model, nothing, cohort, PATIENTS)
    change = again.terms.loc[ONE_TILE, "slides"] - frame.attrs["value"]
    assert frame["removal"].item() == pytest.approx(change, abs=1e-6)


def test_a_fusion_of_single_tiles_says_what_it_cannot_split(fitted: Fitted) -> None:
    _, explanation = fitted("coattention")
    frame = explanation.tiles("002")
    assert frame["removal"].isna().all()
    assert "the fusion also reads single tiles" in frame.attrs["notes"][0]
    assert frame.attrs["notes"][1].startswith("removal: not computed: the term is not")


@pytest.mark.parametrize("term", ["slides", "clinical*slides", "slides*clinical"])
def test_another_tile_changes_a_term_by_its_risk(
    term: str,
    cohort: Cohort,
    fitted: Fitted,
) -> None:
    model, explanation = fitted("mean")
    frame = explanation.tiles("002", term=term)
    slide = frame["slide"].iloc[0]

    def copied(one: str, own: AnyArray) -> AnyArray:
        changed = own.copy()
        if one == slide:
            changed[0] = own[3]
        return changed

    other = bagged.with_tiles(cohort, copied)
    again = bagged.explained(model, other, cohort).tiles("002", term=term)
    step = frame["tile_risk"].iloc[3] - frame["tile_risk"].iloc[0]
    change = again.attrs["value"] - frame.attrs["value"]
    assert change == pytest.approx(step / len(frame), abs=1e-10)
    assert abs(change) > 1e-4
    assert frame.attrs["term"] == "*".join(
        name for name in explanation.explained.modalities if name in term.split("*")
    )


def test_poolings_share_by_what_they_add() -> None:
    scores = np.array([[0.0, 5.0], [0.0, 0.0]])
    alone = TileSums(np.array([[2.0, 0.0], [-2.0, 0.0]]), scores, None, 0.0, 0.0)
    np.testing.assert_allclose(alone.share, [0.5, 0.5])
    both = TileSums(np.array([[2.0, 2.0], [2.0, 2.0]]), scores, None, 0.0, 0.0)
    np.testing.assert_allclose(both.share, both.weights.mean(axis=1))
    nothing = TileSums(np.zeros((2, 2)), scores, None, 0.0, 0.0)
    np.testing.assert_allclose(nothing.share, both.share)


def test_a_tile_with_all_the_attention_is_removed_exactly() -> None:
    scores = np.array([[900.0], [0.0], [-np.log(3)]])
    without = TileSums.pooled_without(np.array([[5.0], [1.0], [2.0]]), scores)
    np.testing.assert_allclose(without[:, 0], [0.75 * 1 + 0.25 * 2, 5.0, 5.0])


def test_training_patients_average_to_the_reference(
    cohort: Cohort,
    fitted: Fitted,
) -> None:
    model, _ = fitted("mean")
    everyone = bagged.explained(model, cohort, cohort, cohort.patients)
    sums = [f["contribution"].sum() for _, f in tile_tables(everyone.explained)]
    assert len(sums) == len(cohort.patients) - 1
    assert np.mean(sums) == pytest.approx(0, abs=1e-10)
    assert np.std(sums) > 0.01


def test_tiles_of_two_slides(cohort: Cohort, fitted: Fitted) -> None:
    _, explanation = fitted("attention")
    frame = explanation.tiles(TWO_SLIDES)
    data = cohort.modalities["slides"]
    assert frame["slide"].tolist() == data.store.slide_of(TWO_SLIDES).tolist()
    first, second = frame["slide"].unique()
    counts = frame.groupby("slide").size()
    assert frame["tile"].tolist() == [*range(counts[first]), *range(counts[second])]
    slides = explanation.slides(TWO_SLIDES)
    assert slides["contribution"].sum() == pytest.approx(frame["contribution"].sum())
    assert slides["share"].sum() == pytest.approx(1)
    assert slides["contribution"].abs().is_monotonic_decreasing
    own = frame[frame["slide"] == slides["slide"].iloc[0]]
    assert slides["tiles"].iloc[0] == len(own)
    assert slides["tile_risk"].iloc[0] == pytest.approx(own["tile_risk"].mean())
    assert frame[["x", "y"]].isna().all(axis=None)
    assert frame.attrs["coord_units"] == {first: None, second: None}


def test_a_patient_without_tiles_has_the_term_of_absence(fitted: Fitted) -> None:
    _, explanation = fitted("mean")
    frame = explanation.tiles(ABSENT)
    assert len(frame) == 0
    assert list(frame) == list(explanation.tiles("002"))
    assert frame.dtypes.equals(explanation.tiles("002").dtypes)
    assert frame.attrs["presence"] == explanation.terms.loc[ABSENT, "slides"]
    assert frame.attrs["notes"] == [
        f"{ABSENT} has no tiles: the term is that of their absence"
    ]
    assert explanation.slides(ABSENT).empty
    assert ABSENT not in dict(tile_tables(explanation.explained))


@pytest.mark.parametrize("name", ["components", "attention", "pairwise"])
def test_chunks_change_nothing(
    name: str,
    fitted: Fitted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, explanation = fitted(name)
    whole = explanation.tiles(TWO_SLIDES)
    monkeypatch.setattr(bag_terms, "TILES_AT_ONCE", 3)
    parts = explanation.tiles(TWO_SLIDES)
    numbers = ["tile_risk", "share", "contribution", "removal"]
    np.testing.assert_allclose(parts[numbers], whole[numbers], atol=1e-7)
    assert parts["cluster"].equals(whole["cluster"])


def test_streamed_tables_are_those_of_each_patient(fitted: Fitted) -> None:
    _, explanation = fitted("attention")
    for term in terms_of_slides(explanation):
        for patient, frame in tile_tables(explanation.explained, term=term):
            assert frame.equals(explanation.tiles(patient, term=term))


def test_streams_do_not_evaluate_a_term_for_every_tile(fitted: Fitted) -> None:
    _, explanation = fitted("gated")
    _, frame = next(iter(tile_tables(explanation.explained)))
    assert frame["removal"].isna().all()
    assert "`tiles(patient)` does so for up to 2,000 tiles" in frame.attrs["notes"][0]
    assert explanation.tiles(TWO_SLIDES)["removal"].notna().all()


@pytest.mark.parametrize("name", ["mean", "attention", "nested", "concat"])
def test_deletion_curve_is_the_term_of_the_tiles_that_are_left(
    name: str,
    cohort: Cohort,
    fitted: Fitted,
) -> None:
    model, explanation = fitted(name)
    frame = explanation.tiles("002")
    sums = tile_sums(explanation.explained, "002")
    order = np.argsort(-frame["contribution"].to_numpy())
    curve = sums.removed(order)
    assert len(curve) == len(frame)
    assert curve[0] == pytest.approx(frame.attrs["value"], abs=1e-6)
    assert curve[1] - curve[0] == pytest.approx(frame["removal"].iloc[order[0]])
    slide, gone = frame["slide"].iloc[0], order[:3]
    left = bagged.with_tiles(
        cohort,
        lambda one, own: np.delete(own, gone, axis=0) if one == slide else own,
    )
    again = bagged.explained(model, left, cohort)
    assert curve[3] == pytest.approx(again.terms.loc["002", "slides"], abs=1e-6)


def test_deletion_curves_are_of_linear_terms(fitted: Fitted) -> None:
    _, explanation = fitted("gated")
    sums = tile_sums(explanation.explained, "002")
    with pytest.raises(
        NotComputableError, match="not linear in what is read of the bag"
    ):
        sums.removed(np.arange(len(sums)))


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


def test_wrong_questions(cohort: Cohort, fitted: Fitted) -> None:
    _, explanation = fitted("mean")
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


def test_a_bag_is_named_where_there_are_several(fitted: Fitted) -> None:
    _, explanation = fitted("mean")
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
    fitted: Fitted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tracemalloc

    model, _ = fitted("mean")
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
