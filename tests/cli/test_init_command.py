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


@pytest.mark.parametrize(
    ("words", "patterns"),
    [
        (("--outcome", "hancock/patients.csv"), "clinical"),
        (
            (
                *("--outcome", "hancock/features/targets.csv"),
                *("--clinical", "hancock/features/clinical.csv"),
                *("--table", "hancock/features/blood.csv"),
            ),
            "clinical + blood",
        ),
    ],
)
def test_several_endpoints_of_real_tables(
    command: Command,
    shared_data: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    patterns: str,
) -> None:
    study = tmp_path / "study"
    paths = [word if word.startswith("--") else shared_data / word for word in words]
    ended = command("init", study, *paths)
    assert ended.code == 0, ended.err
    file = study / "cohort.yaml"
    assert ended.out.endswith(f"next: survfuse validate {file} --endpoint os\n")
    ended = command("validate", file, "--endpoint", "os")
    assert ended.code == 0, ended.out
    assert f" {patterns} " in ended.out
    assert "\n0 errors" in ended.out


def test_luad_with_three_kinds_of_molecules(
    command: Command,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    data = shared_data / "tcga_luad"
    words = (
        "--outcome",
        data / "patients.csv",
        "--expression",
        data / "omics_z.csv.gz",
    )
    ended = command("init", tmp_path / "s", *words)
    assert ended.code == 0, ended.err
    cohort = load_cohort(tmp_path / "s" / "cohort.yaml", endpoint="pfi")
    assert cohort.outcome is not None
    assert (len(cohort.outcome), int(cohort.outcome["event"].sum())) == (422, 171)
    assert list(cohort.modalities) == ["clinical", "expression", "cnv", "mut"]
    assert cohort.modalities["expression"].features == 1555


def test_hancock_columns_of_hindsight_are_no_inputs(
    command: Command,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    command(
        "init", tmp_path / "s", "--outcome", shared_data / "hancock" / "patients.csv"
    )
    spec = load_spec(tmp_path / "s" / "cohort.yaml")
    assert spec.clinical is not None
    columns = spec.clinical.columns or {}
    later = {name for name, column in columns.items() if column.known == "followup"}
    assert later == {
        "recurrence",
        "days_to_recurrence",
        "survival_status",
        "survival_status_with_cause",
        "days_to_last_information",
    }
    assert not any(columns[name].use for name in later)
    assert columns["age_at_initial_diagnosis"].kind == "numeric"


def test_gdc_tables_with_barcodes(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    ids = [f"TCGA-05-{i:04d}" for i in range(40)]
    died = rng.random(40) < 0.5
    days = rng.integers(20, 3000, 40).astype(str)
    pd.DataFrame(
        {
            "case_submitter_id": ids,
            "vital_status": np.where(died, "Dead", "Alive"),
            "days_to_death": np.where(died, days, "'--"),
            "days_to_last_follow_up": np.where(died, "'--", days),
            "age_at_index": rng.integers(40, 80, 40),
        },
    ).to_csv(tmp_path / "clinical.tsv", sep="\t", index=False)
    counts = rng.negative_binomial(2, 0.01, (6000, 40))
    genes = [f"ENSG{i:011d}.1" for i in range(6000)]
    frame = pd.DataFrame(counts, index=genes, columns=[f"{one}-01A" for one in ids])
    frame.to_csv(tmp_path / "counts.tsv", sep="\t", index_label="gene_id")
    study = tmp_path / "study"
    words = (
        "--outcome",
        tmp_path / "clinical.tsv",
        "--expression",
        tmp_path / "counts.tsv",
    )
    ended = command("init", study, *words)
    assert ended.code == 0, ended.err
    text = (study / "cohort.yaml").read_text()
    assert "match: tcga" in text
    assert "time: {first_of: [days_to_death, days_to_last_follow_up]}" in text
    ended = command("validate", study / "cohort.yaml")
    assert ended.code == 0, ended.out
    cohort = load_cohort(study / "cohort.yaml")
    assert cohort.outcome is not None
    assert int(cohort.outcome["event"].sum()) == int(died.sum())
    assert cohort.patterns()["patients"].tolist() == [40]


def test_a_workbook_of_a_hospital_with_dates(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    start = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 900, 40), "D")
    end = start + pd.to_timedelta(rng.integers(20, 3000, 40), "D")
    ids = [f"{i:03d}" for i in range(40)]
    follow_up = pd.DataFrame(
        {
            "PatientID": ids,
            "Date of diagnosis": start.strftime("%d.%m.%Y"),
            "Last contact": end.strftime("%d.%m.%Y"),
            "Status": np.where(rng.random(40) < 0.5, "dead", "alive"),
        },
    )
    clinic = pd.DataFrame(
        {"PatientID": ids, "pT": rng.choice(["pT1", "pT2a", "pT3"], 40)}
    )
    book = tmp_path / "hospital.xlsx"
    with pd.ExcelWriter(book) as writer:
        follow_up.to_excel(writer, sheet_name="Follow-up", index=False)
        clinic.to_excel(writer, sheet_name="Clinic", index=False)
    ended = command("init", tmp_path / "s", "--outcome", book, "--clinical", book)
    assert ended.code == 0, ended.err
    ended = command("validate", tmp_path / "s" / "cohort.yaml")
    assert ended.code == 0, ended.out
    assert ended.out.endswith("0 errors, 0 warnings\n")


def test_a_row_per_slide_with_genes_beside(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "case_id": [f"P{i}" for i in range(40)],
            "slide_id": [f"P{i}-DX1.svs" for i in range(40)],
            "survival_months": rng.uniform(1, 90, 40).round(2),
            "censorship": rng.integers(0, 2, 40),
            "age": rng.integers(40, 80, 40),
        },
    )
    genes = rng.normal(size=(40, 60))
    frame[[f"GENE{i}_rnaseq" for i in range(60)]] = genes
    frame[[f"GENE{i}_cnv" for i in range(30)]] = rng.integers(-2, 3, (40, 30))
    frame = pd.concat(
        [frame, frame.iloc[:2].assign(slide_id=["P0-DX2.svs", "P1-DX2.svs"])]
    )
    frame.to_csv(tmp_path / "all.csv", index=False)
    folder = tmp_path / "features"
    folder.mkdir()
    for slide in frame["slide_id"]:
        np.save(
            folder / slide.replace(".svs", ".npy"), rng.normal(size=(5, 4)).astype("f2")
        )
    study = tmp_path / "study"
    ended = command(
        "init", study, "--outcome", tmp_path / "all.csv", "--features", folder
    )
    assert ended.code == 0, ended.err
    ended = command("validate", study / "cohort.yaml")
    assert ended.code == 0, ended.out
    cohort = load_cohort(study / "cohort.yaml")
    assert set(cohort.modalities) == {"clinical", "expression", "cnv", "slides"}
    assert cohort.spec.outcome is not None
    assert cohort.spec.outcome.censored == "censorship"
    assert not (study / "slides.csv").exists()


def test_a_table_of_slides_may_be_named(
    command: Command, table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    names = [f"scan{i}" for i in range(40)]
    for place, name in enumerate(names):
        np.save(folder / f"{name}.npy", np.full((5, 4), place + 1, np.float16))
    slides = pd.DataFrame({"slide_id": names, "patient": [f"P{i}" for i in range(40)]})
    slides.to_csv(tmp_path / "slides.csv", index=False)
    words = (
        "--outcome",
        table,
        "--features",
        folder,
        "--slides",
        tmp_path / "slides.csv",
    )
    command("init", tmp_path / "study", *words)
    text = (tmp_path / "study" / "cohort.yaml").read_text()
    assert "table: ../slides.csv" in text
    assert "slide: slide_id" in text
