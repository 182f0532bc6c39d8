from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import golden

ARCHIVE = Path(__file__).parent / "archives" / "golden"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return golden.small_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", golden.RECIPES)
def test_a_recipe_gives_the_frozen_numbers(
    recipe: str,
    cohort: Any,
    tmp_path: Path,
) -> None:
    golden.run(cohort, recipe, tmp_path)
    frozen = pd.read_csv(ARCHIVE / recipe / "predictions.csv")
    new = pd.read_csv(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(new, frozen, rtol=1e-5, atol=1e-7)
    metrics = json.loads((tmp_path / "metrics.json").read_text())[recipe]
    old = json.loads((ARCHIVE / recipe / "metrics.json").read_text())
    assert metrics.keys() >= old.keys()
    for key in old:
        for number in ("value", "low", "high"):
            one, other = metrics[key].get(number), old[key].get(number)
            assert (one is None) == (other is None), (key, number)
            if one is not None:
                assert np.isclose(one, other, rtol=1e-4, atol=1e-6), (
                    key,
                    number,
                    one,
                    other,
                )
    checks = json.loads((tmp_path / "checks.json").read_text())
    frozen_checks = json.loads((ARCHIVE / recipe / "checks.json").read_text())
    assert golden.verdicts(checks).items() >= golden.verdicts(frozen_checks).items()


def test_a_difference_is_measured_and_named(tmp_path: Path) -> None:
    for name, risk in (("a", 0.5), ("b", 0.75)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictions.csv").write_text(
            f"patient_id,log_risk\nP1,{risk}\n",
        )
    assert golden.compare(tmp_path / "a", tmp_path / "a") == []
    assert golden.compare(tmp_path / "a", tmp_path / "b") == [
        "predictions.csv: largest difference 0.25",
    ]
