from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from running import loaded, quick, small
from survfuse._errors import NotComputableError
from survfuse.cohort import BatchSource, Cohort, Transforms
from survfuse.config import FitConfig
from survfuse.evaluation.learners import (
    NetworkLearner,
    RidgeLearner,
    comparators,
    mean_tiles,
    principal_components,
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), patients=40))


def names(cohort: Cohort, networks: bool = True, **fields: object) -> list[str]:
    return [one.name for one in comparators(cohort, FitConfig(**fields), networks=networks, seed=0)]


def test_no_baseline_may_be_left_out(cohort: Cohort) -> None:
    ridges = ["ridge:clinical", "ridge:expression", "ridge:slides"]
    assert names(cohort) == [*ridges, "network:clinical", "network:expression", "network:slides"]
    assert names(cohort, networks=False) == ridges
    assert names(cohort, modalities=("slides",)) == ["ridge:clinical", "ridge:slides"]
    assert names(cohort, modalities=("slides", "expression"))[0] == "ridge:clinical"


@pytest.mark.parametrize("modality", ["clinical", "expression", "slides"])
def test_a_ridge_learns_from_its_training_patients_alone(tmp_path: Path, modality: str) -> None:
    risks = []
    for changed in (False, True):
        files = small(tmp_path / str(changed), patients=40)
        ids = list(files.patients["patient_id"])
        if changed:
            for patient in ids[30:]:
                files.set(patient, "os_days", 7)
                files.set(patient, "os_event", 1)
        prediction, summary = RidgeLearner("r", modality).fit_predict(
            loaded(files), ids[:30], ids[30:], [], None
        )
        assert prediction.patient_id == tuple(ids[30:])
        assert set(summary) == {"penalty", "calibration_note"}
        risks.append(prediction.frame((365,)))
    assert risks[0].equals(risks[1])


def test_a_ridge_finds_a_planted_effect(tmp_path: Path) -> None:
    files = small(tmp_path, patients=60, modalities=("clinical",))
    age = files.patients["age"].to_numpy(float)
    files.patients["os_days"] = np.exp(9 - age / 20).round() + 1
    files.patients["os_event"] = 1
    cohort = loaded(files)
    prediction, _ = RidgeLearner("r", "clinical").fit_predict(
        cohort, cohort.patients[:40], cohort.patients[40:], [], None
    )
    assert np.corrcoef(prediction.log_risk, age[40:])[0, 1] > 0.9


def test_a_ridge_makes_do_with_four_events(tmp_path: Path) -> None:
    """A baseline that nobody may leave out must not need more events than the model beside it."""
    files = small(tmp_path, modalities=("clinical",))
    files.patients["os_event"] = [1] * 4 + [0] * 20
    cohort = loaded(files)
    prediction, _ = RidgeLearner("r", "clinical").fit_predict(
        cohort, cohort.patients[:20], cohort.patients[20:], [], None
    )
    assert np.isfinite(prediction.log_risk).all()


def test_who_lacks_the_modality_gets_the_mean_risk(tmp_path: Path) -> None:
    files = small(tmp_path, patients=40)
    assert files.expression is not None
    files.expression = files.expression.drop(index=["004", "039"])
    cohort = loaded(files)
    prediction, _ = RidgeLearner("r", "expression").fit_predict(
        cohort, cohort.patients[:30], cohort.patients[30:], [], None
    )
    risk = dict(zip(prediction.patient_id, prediction.log_risk, strict=True))
    assert risk["039"] == 0
    assert risk["038"] != 0


def test_a_network_learner_is_the_estimator(cohort: Cohort) -> None:
    learner = NetworkLearner("n", quick().config)
    prediction, summary = learner.fit_predict(cohort, cohort.patients[:30], cohort.patients[30:], [], None)
    expected = quick().fit(cohort, cohort.patients[:30]).predict(cohort, cohort.patients[30:])
    np.testing.assert_array_equal(prediction.log_risk, expected.log_risk)
    assert summary["patients"] == 30


def test_mean_tiles_are_means_whatever_the_part_size(cohort: Cohort) -> None:
    config = FitConfig(bag_components=None)
    source = BatchSource(cohort, Transforms.fit(cohort, cohort.patients, config), cohort.patients)
    means, present = mean_tiles(source, "slides", patients=7)
    assert present.all()
    for row in (0, 8, 39):
        tiles = source.batch(np.array([row])).bags["slides"].numpy()
        np.testing.assert_allclose(means[row], tiles.mean(axis=0), atol=1e-6)


def test_principal_components_are_those_of_the_training_rows() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(30, 6)) * np.arange(1, 7)
    rows = np.arange(20)
    scores = principal_components(x, rows, 3)
    assert scores.shape == (30, 3)
    np.testing.assert_allclose(scores[rows].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scores[rows].T @ scores[rows] / 20, np.eye(3), atol=1e-10)
    x[25:] += 100
    np.testing.assert_allclose(principal_components(x, rows, 3)[:25], scores[:25])
    assert principal_components(x, np.arange(4), 10).shape == (30, 3), "no more than the rows give"


def test_equal_tiles_teach_nothing() -> None:
    with pytest.raises(NotComputableError, match=r"mean tiles are all equal; nothing to learn from$"):
        principal_components(np.ones((5, 3)), np.arange(5), 2)
