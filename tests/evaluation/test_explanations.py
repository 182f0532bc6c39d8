"""Terms of out-of-fold log-risks, and shares of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import loaded, quick, small
from survfuse.evaluation.explanations import terms_of_fold


@pytest.mark.parametrize("name", ["blood", "patient_id", "repeat", "fold", "constant"])
def test_a_modality_with_the_name_of_a_column_has_no_terms(
    tmp_path: Path,
    name: str,
) -> None:
    files = small(tmp_path)
    files.spec["modalities"] = {name: files.spec.pop("clinical")}
    cohort = loaded(files)
    fitted = quick(fusion="late_cox").fit(cohort).need_fitted()
    found = terms_of_fold(fitted, fitted.source(cohort, cohort.patients[:4]))
    assert (found is not None) == (name == "blood")
