from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.test_planning import pilot
from running import Command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pilot().write(tmp_path_factory.mktemp("pilot"))


def test_it_prints_what_a_study_needs_and_writes_it(
    command: Command,
    run: Path,
    tmp_path: Path,
):
    file, figure = tmp_path / "plan.json", tmp_path / "plan.png"
    arguments = [
        "--delta",
        "0.05",
        "--patients",
        "500",
        "--json",
        file,
        "--figure",
        figure,
    ]
    ended = command("plan", run, *arguments)
    assert ended.code == 0
    out = ended.out
    assert "Pilot: 80 patients" in out
    assert "an increment of 0.05 in Uno C with a power of 80 %" in out
    for word in ("rna", "the whole model", "calibration slope 1", "500", "Assumed:"):
        assert word in out
    assert "What to buy next: rna (late fusion) needs the fewest patients" in out
    content = json.loads(file.read_text())
    assert {row["patients"] for row in content["widths"]} == {80, 160, 320, 500, 640}
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delta", "0"], "delta 0.0: expected the increment"),
        (["--power", "80"], "80.0 % is 0.8"),
        (["--metric", "auc"], "expected one of uno_c, isbs"),
        (["--figure", "plan.txt"], "ends in .png, .svg or .pdf"),
    ],
)
def test_it_refuses_what_cannot_be(
    command: Command,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    ended = command("plan", run, *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_a_folder_that_is_no_run_is_refused(command: Command, tmp_path: Path):
    ended = command("plan", tmp_path / "none")
    assert ended.code == 2
    assert "found no such folder" in ended.err
