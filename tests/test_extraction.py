from __future__ import annotations

from pathlib import Path

import pytest

import survfuse as sf
from survfuse._errors import ConfigError


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tifffile")
    out = tmp_path_factory.mktemp("study") / "s"
    return sf.simulate(
        out, patients=8, images=True, slide_px=256, genes=20, event_rate=0.5
    )


def test_slides_become_features_that_load(study: Path) -> None:
    summary = sf.extract(study, tissue="everything", max_unreadable=0.5)
    assert summary.counts["done"] == len(summary.records) == 8
    assert not summary.failed
    cohort = sf.load_cohort(study)
    assert len(cohort.modalities["slides"].patients) == 8
    again = sf.extract(study, tissue="everything", max_unreadable=0.5)
    assert again.to_dict() == summary.to_dict()


def test_a_wrong_setting_is_named(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^extract\.tile_size: unknown field"):
        sf.extract(study, tmp_path / "bags", tile_size=3)
    with pytest.raises(ConfigError, match="declares `encoder: "):
        sf.extract(study, encoder="uni", random_weights=1)
