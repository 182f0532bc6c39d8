from __future__ import annotations

from pathlib import Path

import pytest

import survfuse
from running import Command, commander, small


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command line in this process: ``command("validate", path)`` gives code, out and err."""
    return commander(monkeypatch, capsys)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small cohort, which no test changes."""
    return small(tmp_path_factory.mktemp("cohort")).write()


@pytest.fixture(scope="module")
def bundle(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a bundle on it, which no test changes."""
    model = survfuse.SurvivalFusion(
        epochs=2,
        selection="last",
        calibration="breslow",
        device="cpu",
    )
    return model.fit(survfuse.load_cohort(cohort)).save(
        tmp_path_factory.mktemp("bundle") / "b",
    )
