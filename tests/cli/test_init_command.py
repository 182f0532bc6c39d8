"""`init` on the files that are there: what it writes, `validate` reads."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from running import Command
from survfuse.cli.init_command import FORMAT_NAMES
from survfuse.cohort import load_cohort, load_spec
from survfuse.drafts import FORMATS

CANCERS = ("brca", "coadread", "gbmlgg", "hnsc", "kirp", "lusc", "paad", "skcm")


class Terminal(io.StringIO):
    """Standard input of a person who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    days = rng.integers(10, 3000, 40)
    frame = pd.DataFrame(
        {
            "patient": [f"P{i}" for i in range(40)],
            "OS.time": days,
            "OS": rng.integers(0, 2, 40),
            "age": rng.integers(40, 90, 40),
            "T": rng.choice(["T1", "T2", "TX"], 40),
            "site": rng.choice(["A", "B"], 40),
        },
    )
    path = tmp_path / "data" / "p.csv"
    path.parent.mkdir()
    frame.to_csv(path, index=False)
    return path


def test_help_lists_every_format() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES


@pytest.mark.parametrize("cancer", ["paad", "skcm"])
def test_real_tables_validate_without_an_edit(
    command: Command,
    shared_data: Path,
    tmp_path: Path,
    cancer: str,
) -> None:
    data = shared_data / "tcga_omics" / cancer
    study = tmp_path / cancer
    words = ("--outcome", data / "patients.csv", "--expression", data / "rna_z.parquet")
    ended = command("init", study, *words)
    assert ended.code == 0, ended.err
    assert ended.out.endswith(f"next: survfuse validate {study / 'cohort.yaml'}\n")
    ended = command("validate", study / "cohort.yaml")
    assert ended.code == 0
    assert "\n0 errors" in ended.out


@pytest.mark.parametrize("cancer", CANCERS)
def test_outcomes_of_real_tables_need_no_blank(
    command: Command,
    shared_data: Path,
    tmp_path: Path,
    cancer: str,
) -> None:
    outcome = shared_data / "tcga_omics" / cancer / "patients.csv"
    assert command("init", tmp_path / "s", "--outcome", outcome).code == 0
    cohort = load_cohort(tmp_path / "s" / "cohort.yaml")
    assert cohort.outcome is not None
    assert len(cohort.outcome) == len(pd.read_csv(outcome))
    assert cohort.outcome["event"].sum() == pd.read_csv(outcome)["os_event"].sum()
    assert set(cohort.spec.groups) == {"site"}
    assert cohort.spec.folds is not None


def test_a_polarity_that_both_readings_allow_is_a_blank(
    command: Command,
    table: Path,
    tmp_path: Path,
) -> None:
    study = tmp_path / "study"
    ended = command("init", study, "--outcome", table)
    assert ended.code == 3
    assert "fill in: outcome.event: OS if 1 means that the event happened" in ended.out
    file = study / "cohort.yaml"
    ended = command("validate", file)
    assert ended.code == 2
    assert "1 blank to fill:\n  - outcome.event: OS if 1 means" in ended.out
    lines = file.read_text().splitlines()
    place = next(
        i for i, line in enumerate(lines) if "???" in line and "event:" in line
    )
    file.write_text("\n".join([*lines[:place], "  event: OS", *lines[place + 1 :]]))
    assert command("validate", file).code == 0


def test_a_person_at_a_terminal_is_asked(
    command: Command,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("2\n"))
    ended = command("init", tmp_path / "study", "--outcome", table)
    assert ended.code == 0
    assert "outcome.event (0: " in ended.out
    assert "  2  1 means censored" in ended.out
    outcome = load_spec(tmp_path / "study" / "cohort.yaml").outcome
    assert outcome is not None
    assert (outcome.censored, outcome.event) == ("OS", None)


def test_an_empty_answer_leaves_the_blank(
    command: Command,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert command("init", tmp_path / "study", "--outcome", table).code == 3


def test_evidence_and_paths_are_written(
    command: Command, table: Path, tmp_path: Path
) -> None:
    command("init", tmp_path / "study", "--outcome", table)
    text = (tmp_path / "study" / "cohort.yaml").read_text()
    assert "table: ../data/p.csv " in text
    assert "unit: days" in text
    assert "T: {kind: ordinal, levels: [T1, T2], missing: [TX]}" in text
    assert "# levels of T, in order; TX: not known" in text


def test_slides_are_paired_and_validated(
    command: Command, table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    for patient in range(40):
        np.save(folder / f"P{patient}_1.npy", np.full((5, 4), patient + 1, np.float16))
    frame = pd.read_csv(table).rename(columns={"OS": "event"})
    frame.to_csv(table, index=False)
    study = tmp_path / "study"
    ended = command("init", study, "--outcome", table, "--features", folder)
    assert ended.code == 0, ended.err
    assert (
        (study / "slides.csv").read_text().startswith("slide_id,patient_id\nP0_1,P0\n")
    )
    ended = command("validate", study / "cohort.yaml")
    assert ended.code == 0
    assert "clinical + slides" in ended.out


def test_a_study_is_never_overwritten(
    command: Command, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "cohort.yaml").write_text("mine")
    ended = command("init", tmp_path, "--outcome", table)
    assert ended.code == 2
    assert "already holds cohort.yaml; choose a new folder" in ended.err
    assert (tmp_path / "cohort.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--outcome", "nowhere.csv"], "--outcome nowhere.csv: no such file or folder"),
        (
            ["--clinical", __file__],
            "--outcome FILE: name the table with follow-up times",
        ),
        (
            ["--outcome", __file__, "--format", "exotic"],
            "--format exotic: unknown; known are:",
        ),
        (["--outcome", __file__], "expected a table"),
    ],
)
def test_what_cannot_be_drafted_says_why(
    command: Command,
    tmp_path: Path,
    words: list[str],
    error: str,
) -> None:
    ended = command("init", tmp_path / "study", *words)
    assert ended.code == 2
    assert error in ended.err
    assert not (tmp_path / "study").exists()
