from __future__ import annotations

import numpy as np
import pytest
import torch

from missing_patterns import partly_missing
from running import members, quick
from survfuse._errors import ConfigError
from survfuse.cohort import Cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.explanations import explain


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return partly_missing(tmp_path_factory.mktemp("cohort"))


@pytest.mark.parametrize("fusion", ["pairwise_residual", "late"])
def test_a_row_adds_up_to_the_logit_of_its_bin(cohort: Cohort, fusion: str) -> None:
    model = quick(fusion=fusion, head="discrete", bins=3, members=2).fit(cohort)
    found = explain(model, cohort)
    assert found.logits.index.names == ["patient_id", "bin"]
    assert len(found.logits) == 3 * len(cohort.patients)
    batch = BatchSource(
        cohort, found.explained.fitted.transforms, cohort.patients
    ).batch()
    with torch.no_grad():
        outputs = [network(batch).output.double().numpy() for network in members(model)]
    expected = np.mean(outputs, axis=0)
    for number in (1, 2, 3):
        own = found.logits.xs(number, level="bin")
        assert list(own.index) == list(cohort.patients)
        total = own.sum(axis=1)
        np.testing.assert_allclose(total, expected[:, number - 1], rtol=0, atol=1e-6)
        np.testing.assert_allclose(own["clinical"].mean(), 0, rtol=0, atol=1e-9)
    assert (found.errors["clinical"] > 0).all()  # those of the log-risk are sampled
    assert found.largest_difference < 1e-6


def test_models_without_bins_or_exact_terms_say_so(cohort: Cohort) -> None:
    found = explain(quick(fusion="late_cox").fit(cohort), cohort)
    with pytest.raises(ConfigError, match=r"^only a network with head discrete"):
        _ = found.logits
    gated = quick(fusion="gated", head="discrete", bins=3).fit(cohort)
    with pytest.raises(
        ConfigError, match=r"^fusion 'gated': terms are averages over draws"
    ):
        _ = explain(gated, cohort).logits
