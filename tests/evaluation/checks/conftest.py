"""One small cohort for the checks that only look at a run."""

from __future__ import annotations

import pytest

from running import loaded, small
from survfuse.cohort.cohort import Cohort


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """24 patients with all modalities, half of them with the event."""
    return loaded(small(tmp_path_factory.mktemp("checks")))
