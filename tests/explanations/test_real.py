"""The default on real cohorts: terms add up, and average to 0 over the training patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import survfuse as sf
from survfuse.cohort import Cohort
from survfuse.datasets import card
from survfuse.decomposition import Readings, decompose
from survfuse.explanations import Explanation, explain

COHORTS = ("hancock", "tcga_luad")


@pytest.fixture(scope="module", params=COHORTS)
def explained(
    request: pytest.FixtureRequest,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Cohort, Explanation]:
    """Of everyone by a bundle that was trained on two of three patients."""
    folder = tmp_path_factory.mktemp(request.param)
    path = card(request.param).convert(folder / "c", source=shared_data / request.param)
    cohort = sf.load_cohort(path)
    train = [who for row, who in enumerate(cohort.patients) if row % 3]
    bundle = sf.SurvivalFusion(device="cpu").fit(cohort, train).save(folder / "bundle")
    return cohort.subset(train), explain(sf.load(bundle), cohort)


@pytest.mark.slow
def test_terms_add_up_to_the_log_risk(explained: tuple[Cohort, Explanation]) -> None:
    _, found = explained
    assert found.largest_difference < 1e-6
    assert found.prediction.log_risk.std() > 0.1
    assert np.isclose(found.shares["share"].sum(), 1)
    horizon = 0.5 * found.explained.fitted.summary["longest_time"]
    points = found.points(horizon)
    total = points.drop(columns="risk").sum(axis=1)
    np.testing.assert_allclose(total, points["risk"], rtol=0, atol=1e-9)


@pytest.mark.slow
def test_every_term_averages_to_0_over_the_training_patients(
    explained: tuple[Cohort, Explanation],
) -> None:
    """Its other modality at anyone's value, whether they were trained on or not."""
    trained, found = explained
    whole = found.explained
    rows = np.flatnonzero(np.isin(whole.ids, trained.patients))
    training = whole.readings.take(rows)
    for term in whole.terms.effects:
        for averaged in term:
            kept = tuple(name for name in whole.modalities if name != averaged)
            for row in range(0, len(whole.ids), 97):
                own = whole.readings.take(np.full(len(training), row))
                mixed: Readings = own.mixed(training, kept)
                effects = decompose(whole.parts.members, mixed, whole.reference).effects
                assert abs(effects[term].mean()) <= 1e-9
