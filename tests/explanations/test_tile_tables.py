from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import bagged
from bagged import ABSENT, MODELS, NOT_LINEAR, ONE_TILE, PATIENTS, TWO_SLIDES
from running import loaded, small
from survfuse._errors import NotComputableError
from survfuse._types import AnyArray
from survfuse.cohort import Cohort
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, bag_terms
from survfuse.explanations.tile_tables import tile_sums, tile_tables

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
    assert frame.attrs["notes"][1].startswith("removal: not computed: the fusion reads")


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


def test_planted_classes_of_tiles_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = small(tmp_path, 120, dim=4, modalities=("clinical", "slides"))
    share = dict(zip(files.patients["patient_id"], rng.uniform(0, 1, 120), strict=True))
    harm = {}
    for slide, tiles in files.bags.items():
        harm[slide] = rng.uniform(size=len(tiles)) < share[slide.split("_")[0]]
        tiles[:, 1] += 5 * harm[slide]
    hazard = np.exp(4 * files.patients["patient_id"].map(share))
    files.patients["os_days"] = 1 + (1000 * rng.exponential(size=120) / hazard).round()
    cohort = loaded(files)
    model = bagged.fit(cohort, {})
    explanation = bagged.explained(model, cohort, cohort, cohort.patients)
    risks, classes = [], []
    for _, frame in tile_tables(explanation.explained):
        risks.append(frame["tile_risk"])
        for slide in frame["slide"].unique():
            classes.append(harm[slide])
    assert roc_auc_score(np.concatenate(classes), np.concatenate(risks)) > 0.9


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
