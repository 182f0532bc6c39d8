"""The demo: every step in order, from slides or from bags, and only what is not there yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from running import Command
from survfuse.cli import (
    cohorts,
    explain_command,
    extract_command,
    predict_command,
    runs,
)

STEPS = (
    "simulate",
    "extract",
    "extract",
    "validate",
    "crossval",
    "train",
    "predict",
    "explain",
)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Replace the long steps by notes of their first argument."""
    taken: list[tuple[str, Any]] = []

    def noted(name: str) -> Any:
        def step(first: Path, *others: Any, **options: Any) -> None:
            taken.append((name, first))
            if name == "predict":
                others[1].write_text("patient_id,log_risk\nN001,0.5\nN002,-0.5\n")

        return step

    monkeypatch.setattr(cohorts, "validate", noted("validate"))
    monkeypatch.setattr(extract_command, "extract", noted("extract"))
    monkeypatch.setattr(explain_command, "explain", noted("explain"))
    monkeypatch.setattr(predict_command, "predict", noted("predict"))
    for name in ("crossval", "train"):
        monkeypatch.setattr(runs, name, noted(name))
    return taken


def test_from_slides_to_predictions(
    command: Command,
    tmp_path: Path,
    steps: list[tuple[str, Any]],
) -> None:
    options = ("--patients", "8", "--new", "2", "--genes", "20", "--slide-px", "256")
    ended = command("demo", "-o", tmp_path / "d", *options)
    assert ended.code == 0, ended.err
    said = [
        line.split()[2]
        for line in ended.out.splitlines()
        if line.startswith("$ survfuse ")
    ]
    assert tuple(said) == STEPS
    cohort = tmp_path / "d" / "cohort"
    assert steps == [
        ("extract", cohort / "cohort.yaml"),
        ("extract", cohort / "new" / "cohort.yaml"),
        ("validate", cohort / "cohort.yaml"),
        ("crossval", cohort / "cohort.yaml"),
        ("train", cohort / "cohort.yaml"),
        ("predict", tmp_path / "d" / "bundle"),
        ("explain", tmp_path / "d" / "bundle"),
    ]
    assert "--signal composition" in ended.out
    assert "immune_share" in (cohort / "truth.csv").read_text()
    assert len(list((cohort / "slides").iterdir())) == 8
    assert len(list((cohort / "new" / "slides").iterdir())) == 2
    assert "patient_id,log_risk\nN001,0.5\nN002,-0.5\n" in ended.out
    before = (cohort / "simulation.json").stat().st_mtime_ns
    assert command("demo", "-o", tmp_path / "d", *options).code == 0
    assert (cohort / "simulation.json").stat().st_mtime_ns == before, (
        "the cohort is kept"
    )
    assert command("demo", "-o", tmp_path / "d", *options, "--fresh").code == 0
    assert (cohort / "simulation.json").stat().st_mtime_ns != before


def test_bags_need_no_extraction(
    command: Command,
    tmp_path: Path,
    steps: list[tuple[str, Any]],
) -> None:
    options = (
        "--no-slides",
        "--patients",
        "8",
        "--new",
        "2",
        "--genes",
        "20",
        "--tiles",
        "4",
    )
    ended = command("demo", "-o", tmp_path / "d", *options)
    assert ended.code == 0, ended.err
    assert [name for name, _ in steps] == [*STEPS[3:]]
    assert (tmp_path / "d" / "cohort" / "slides.bags").is_dir()
    assert "--tiles 4 --hold-out 2" in ended.out


def test_a_folder_that_is_no_demo_is_refused(
    command: Command,
    tmp_path: Path,
    steps: list[Any],
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    for fresh in ((), ("--fresh",)):
        ended = command("demo", "-o", tmp_path / "mine", *fresh)
        assert ended.code == 2
        assert ended.err.endswith(
            "mine: holds files and is no demo; choose another folder\n",
        )
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert steps == []


def test_fresh_deletes_nothing_that_the_demo_did_not_make(
    command: Command,
    tmp_path: Path,
    steps: list[Any],
) -> None:
    options = (
        "--no-slides",
        "--patients",
        "8",
        "--new",
        "2",
        "--genes",
        "20",
        "--tiles",
        "4",
    )
    assert command("demo", "-o", tmp_path / "d", *options).code == 0
    before = (tmp_path / "d" / "cohort" / "simulation.json").stat().st_mtime_ns
    (tmp_path / "d" / "thesis.txt").write_text("precious")
    assert command("demo", "-o", tmp_path / "d", *options, "--fresh").code == 0
    assert (tmp_path / "d" / "thesis.txt").read_text() == "precious"
    assert (tmp_path / "d" / "cohort" / "simulation.json").stat().st_mtime_ns != before
