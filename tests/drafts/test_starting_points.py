"""Every starting point becomes a cohort that validates, by the commands that are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from layouts import PATIENTS
from running import Command, commander
from starting_points import POINTS, StartingPoint
from survfuse.cli.init_command import FORMAT_NAMES
from survfuse.drafts import FORMATS


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command line in this process."""
    return commander(monkeypatch, capsys)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_it_validates(point: StartingPoint, command: Command, tmp_path: Path) -> None:
    def run(*words: Any) -> int:
        return command(*words).code

    file = point.prepare(tmp_path, run)
    report = tmp_path / "report.json"
    ended = command("validate", file, *point.choice(), "--json", report)
    assert ended.code == 0, ended.out
    *_, last = json.loads(report.read_text())["tables"]["flow"]
    assert last["patients"] == PATIENTS - ("CHIMERA" in point.name)  # one has two ids
    assert point.lines <= 5


def test_every_format_is_a_starting_point() -> None:
    drafted = {point.init[1] for point in POINTS if point.init[:1] == ("--format",)}
    assert drafted == set(FORMATS) == set(FORMAT_NAMES)


def test_the_cards_say_what_to_name() -> None:
    for name, card in FORMATS.items():
        assert card.name == name
        assert card.needs.startswith("--outcome ")
        assert card.what
