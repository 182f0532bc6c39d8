"""Python of pages that are no tutorials runs as it stands, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import survfuse as sf
from docs_pages import DOCS, blocks, run_page


def run_python(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """Run a page whose blocks are all Python; gives their names."""
    page = DOCS / name
    assert {language for language, _ in blocks(page)} == {"python"}
    monkeypatch.chdir(folder)
    return run_page(page, folder)


@pytest.mark.slow
def test_moving_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A structured `y` goes in; a risk and a curve for each patient come out."""
    scope = run_python("moving.md", tmp_path, monkeypatch)
    assert np.shape(scope["risk"]) == (60,)
    assert np.shape(scope["curves"]) == (60,)


def test_paper_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rank map gives the one patient a time of the training patients."""
    run_python("paper.md", tmp_path, monkeypatch)
    assert float(capsys.readouterr().out.strip(" []\n")) in (10, 20, 30)


def test_paper_page_names_what_a_checkpoint_can_do() -> None:
    """Its line on checkpoints cannot run without one; the names are there."""
    text = (DOCS / "paper.md").read_text(encoding="utf-8")
    assert 'sf.paper.load_checkpoint(path, variant="pg").log_risk(' in text
    assert callable(sf.paper.load_checkpoint)
    assert "pg" in sf.paper.VARIANTS
