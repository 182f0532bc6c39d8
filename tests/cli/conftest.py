from __future__ import annotations

import pytest

from running import Command, commander


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command line in this process: ``command("validate", path)`` gives code, out and err."""
    return commander(monkeypatch, capsys)
