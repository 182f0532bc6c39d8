from __future__ import annotations

from pathlib import Path

import pytest

from builders import CohortFiles, cohort_files


@pytest.fixture
def files(tmp_path: Path) -> CohortFiles:
    """A small complete cohort, not yet written."""
    return cohort_files(tmp_path)


@pytest.fixture
def clinical(tmp_path: Path) -> CohortFiles:
    """A small cohort of clinical variables only, not yet written."""
    return cohort_files(tmp_path, modalities=("clinical",))
