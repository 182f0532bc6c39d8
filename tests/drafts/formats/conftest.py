"""Drafting a study from files in a maker's layout, as `init --format` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from survfuse.drafts import Given, format_card, write_draft

Study = Callable[..., Path]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Draft a study of a format; returns its cohort file, in which no blank may be left."""

    def make(name: str, **given: Path) -> Path:
        folder = tmp_path / "study"
        draft = format_card(name).draft(Given(**given, study=folder).absolute())
        assert draft.blanks() == {}
        return write_draft(draft, folder)[0]

    return make
