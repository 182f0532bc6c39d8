from __future__ import annotations

from pathlib import Path

import pytest

import viewed
from running import small
from survfuse._errors import InputError
from survfuse.viewer.open_study import open_study


def test_a_bundle_is_opened() -> None:
    study, damaged = open_study(viewed.bundle(), viewed.cohort_file())
    assert (study.kind, len(study.patients), damaged) == ("bundle", 20, {})


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected the folder of a bundle .* or of a run"
    ):
        open_study(tmp_path, viewed.cohort_file())


def test_a_run_of_other_patients_is_refused(tmp_path: Path) -> None:
    files = small(tmp_path / "other")
    names = {name: f"X{name}" for name in files.patients["patient_id"]}
    files.patients["patient_id"] = files.patients["patient_id"].map(names)
    assert files.slides is not None
    assert files.expression is not None
    files.slides["patient_id"] = files.slides["patient_id"].map(names)
    files.expression.index = files.expression.index.map(names)
    with pytest.raises(InputError, match="none of its patients is in"):
        open_study(viewed.run(), files.write())
