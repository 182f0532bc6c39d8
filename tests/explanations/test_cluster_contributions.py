from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bagged
import survfuse
from bagged import ABSENT
from survfuse._errors import InputError
from survfuse.cohort import Cohort
from survfuse.cohort.tile_clusters import fit_clusters
from survfuse.estimator import SurvivalFusion
from survfuse.explanations.cluster_contributions import COLUMNS, cluster_rows, clusters
from survfuse.explanations.tile_tables import tile_tables


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return bagged.tiled_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def model(cohort: Cohort) -> SurvivalFusion:
    return bagged.fit(cohort, {"anchor_bags": "best"})


def test_clusters_add_up_to_the_tiles_of_each_patient(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    explanation = bagged.explained(model, cohort, cohort, cohort.patients)
    frame = explanation.clusters
    assert tuple(frame) == COLUMNS
    assert frame.attrs["notes"] == []
    with_tiles = [one for one in cohort.patients if one != ABSENT]
    assert list(frame["patient_id"].unique()) == with_tiles
    summed = frame.groupby("patient_id")[["share", "contribution"]].sum()
    np.testing.assert_allclose(summed["share"], 1)
    for patient in with_tiles:
        own = explanation.tiles(patient)
        total = summed.loc[patient, "contribution"] + own.attrs["presence"]
        value = explanation.terms.loc[patient, "slides"]
        assert total == pytest.approx(value, abs=1e-6)
        rows = frame[frame["patient_id"] == patient]
        for row in rows.itertuples():
            tiles = own[own["cluster"] == row.cluster]
            assert row.share == pytest.approx(len(tiles) / len(own))
            assert row.tile_risk == pytest.approx(tiles["tile_risk"].mean())
    assert frame["cluster"].nunique() > 3


def test_tiles_belong_to_clusters_of_their_scaled_features(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    assert model.fitted is not None
    explanation = bagged.explained(model, cohort, cohort)
    data = cohort.modalities["slides"]
    scaler = model.fitted.transforms.bag_scaler["slides"]
    scaled = scaler.scale(data.store.features[data.rows("002")])
    expected = model.fitted.clusters["slides"].assign(scaled)
    assert explanation.tiles("002")["cluster"].tolist() == expected.tolist()


def test_rows_come_from_tables_that_were_streamed(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    explained = bagged.explained(model, cohort, cohort).explained
    rows = [cluster_rows(who, frame) for who, frame in tile_tables(explained)]
    whole = clusters(explained)
    assert [len(own) for own in rows] == whole.groupby("patient_id").size().tolist()
    assert rows[0].equals(whole[whole["patient_id"] == rows[0]["patient_id"].iloc[0]])


def test_a_fit_learns_clusters_of_its_training_tiles(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    training = cohort.patients[:18]
    model = bagged.quick().fit(cohort, training)
    assert model.fitted is not None
    scalers = model.fitted.transforms.bag_scaler
    found, again = model.fitted.clusters, fit_clusters(cohort, training, scalers)
    np.testing.assert_array_equal(found["slides"].centres, again["slides"].centres)
    everyone = fit_clusters(cohort, cohort.patients, scalers)["slides"]
    assert everyone.centres.shape != found["slides"].centres.shape or np.any(
        everyone.centres != found["slides"].centres
    )
    loaded = survfuse.load(model.save(tmp_path / "bundle"))
    assert loaded.fitted is not None
    kept = loaded.fitted.clusters["slides"]
    np.testing.assert_array_equal(kept.centres, found["slides"].centres)


def test_a_model_without_clusters_says_so(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    assert model.fitted is not None
    old = SurvivalFusion.from_config(model.config)
    old.fitted = replace(model.fitted, clusters={})
    explanation = bagged.explained(old, cohort, cohort)
    with pytest.raises(InputError, match=r"slides: this model holds no clusters of ti"):
        _ = explanation.clusters
    frame = explanation.tiles("002")
    assert frame["cluster"].isna().all()
    assert cluster_rows("002", frame).empty
    with pytest.raises(InputError, match="train again with `survfuse train`"):
        explanation.tile_examples()


def test_a_model_without_bags_has_no_clusters(cohort: Cohort) -> None:
    model = bagged.fit(cohort, {"fusion": "ridge_cox", "modalities": ("clinical",)})
    with pytest.raises(InputError, match="the model reads no bag"):
        _ = bagged.explained(model, cohort, cohort).clusters


def test_a_left_out_bag_says_why(cohort: Cohort) -> None:
    weights = np.array([1.0, 0.8, 0.0, 0.6, 0.0, 0.0])
    model = bagged.fit(cohort, {}, lambda _: weights)
    with pytest.raises(InputError, match="slides: not part of this model's predict"):
        _ = bagged.explained(model, cohort, cohort).clusters


def test_patients_without_tiles_make_an_empty_table(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    frame = bagged.explained(model, cohort, cohort, [ABSENT]).clusters
    assert frame.empty
    assert tuple(frame) == COLUMNS
