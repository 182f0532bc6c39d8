from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from survfuse.readers.priors import read_prior

STUDY = Path(__file__).resolve().parents[2] / "studies" / "shipped_prior.py"


@pytest.mark.slow
def test_the_shipped_prior_is_what_its_study_makes(shared_data: Path) -> None:
    """Write it again with the study after a change of how priors are fitted."""
    spec = importlib.util.spec_from_file_location("shipped_prior", STUDY)
    assert spec is not None
    assert spec.loader is not None
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    again, shipped = study.fit(shared_data), read_prior(study.NAME)
    assert again.genes == shipped.genes
    assert again.patients == shipped.patients
    assert again.limit == shipped.limit
    np.testing.assert_allclose(again.weights, shipped.weights, atol=1e-4)
    np.testing.assert_allclose(again.errors, shipped.errors, rtol=1e-3)
    assert again.slope == pytest.approx(shipped.slope, abs=1e-3)
    assert again.slope_spread == pytest.approx(shipped.slope_spread, abs=1e-3)


def test_no_cancer_was_judged_by_its_own_patients() -> None:
    card = read_prior("tcga_pancancer").card
    assert card["judged_by"] == "leaving one cohort out"
    assert len(card["held_out"]) == len(card["cohorts"]) == 9
    assert card["patients"] == sum(own["patients"] for own in card["cohorts"])
    assert card["endpoints"] == ["overall survival"]
    for own in card["cohorts"]:
        assert {name.partition("=")[0] for name in own["offset"]} <= {
            "age",
            "is_female",
            "gender",
        }
