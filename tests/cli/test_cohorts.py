from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from running import CohortFiles, Command, small
from survfuse.cohort.spec import CohortSpec
from survfuse.config import RunConfig, load_config
from survfuse.readers.priors import Prior, write_prior


def test_init_writes_a_cohort_that_validates(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "my study ü"
    ended = command("init", folder)
    assert ended.code == 0
    assert f"next: survfuse validate {folder / 'cohort.yaml'}" in ended.out
    ended = command("validate", folder / "cohort.yaml", "--json", tmp_path / "v.json")
    assert ended.code == 0
    assert ended.out.endswith("0 errors, 0 warnings\n")
    told = json.loads((tmp_path / "v.json").read_text())
    assert told["problems"] == []
    assert [row["modality"] for row in told["tables"]["modalities"]] == [
        "clinical",
        "expression",
        "slides",
    ]


def test_validate_tells_doubts_about_the_data(command: Command, tmp_path: Path) -> None:
    files = small(tmp_path)
    ended = command("validate", files.write(), "--json", tmp_path / "v.json")
    assert ended.code == 0
    assert "SRV" not in ended.out
    rows = json.loads((tmp_path / "v.json").read_text())["checks"]
    assert {row["status"] for row in rows} == {"ok", "not applicable"}
    assert "SRV001" not in {row["id"] for row in rows}  # it needs a run
    files.patients["sex"] = "F"
    ended = command("validate", files.write(), "--json", tmp_path / "v.json")
    assert ended.code == 0  # a doubt is no problem of the files
    assert "SRV012 warning: clinical.sex: 24 of 24 are 'F' (" in ended.out
    assert "See docs/checks/SRV012.md.)" in ended.out
    assert ended.out.endswith("0 errors, 1 warnings\n")
    told = {
        row["id"]: row["status"]
        for row in json.loads((tmp_path / "v.json").read_text())["checks"]
    }
    assert told["SRV012"] == "warning"


def test_validate_tells_how_much_of_a_prior_a_cohort_has(
    command: Command,
    tmp_path: Path,
) -> None:
    cohort = small(tmp_path, modalities=("clinical", "expression")).write()
    prior = Prior("pan", "symbol", ("GENE1", "A", "B"), np.ones(3))
    folder = write_prior(prior, tmp_path / "pan")
    table = tmp_path / "v.json"
    ended = command("validate", cohort, "--prior", folder, "--json", table)
    assert ended.code == 0
    (row,) = json.loads(table.read_text())["tables"]["modalities"][2:]
    assert (row["modality"], row["kind"], row["features"]) == ("pan", "prior", 1)
    assert row["note"].endswith("1 of 3 genes, 33% of its squared weights")
    assert "warning: pan" in ended.out
    assert command("validate", cohort, "--prior", "nowhere").code == 2


def test_an_error_of_a_check_is_counted_and_ends_with_2(
    command: Command,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(6)
    files = small(tmp_path, patients=100, modalities=("clinical",))
    files.patients["os_days"] = 300 + 13 * rng.permutation(100)
    files.patients["again"] = files.patients["os_days"] * np.exp(
        0.04 * rng.standard_normal(100),
    )
    files.patients["vital"] = np.where(files.patients["os_event"] == 1, "dead", "alive")
    files.spec["clinical"]["columns"] |= {"again": {"kind": "numeric"}}
    path = files.write()
    ended = command("validate", path)
    assert ended.code == 2
    assert "SRV008 failed: clinical.again (hazard ratio" in ended.out
    assert (
        "clinical.again (has nearly the order of the times of all 100 patients"
        in ended.out
    )
    assert re.search(r"\n1 errors, \d warnings\n$", ended.out)
    ended = command("crossval", path, "-o", tmp_path / "run")
    assert ended.code == 2
    assert "SRV008: clinical.again (" in ended.err
    assert not (tmp_path / "run" / "cells").exists()
    ended = command("validate", path, "--allow-followup", "again")
    assert ended.code == 0
    mistyped = command("validate", path, "--allow-followup", "agian")
    assert (mistyped.code, mistyped.err) == (
        2,
        "error: allow_followup: no input is called 'agian'\n",
    )
    doubt = "SRV023 warning: allowed by name, and leaks: clinical.again"
    assert doubt in ended.out
    ended = command("train", path, "-o", tmp_path / "model", "-q")
    assert ended.code == 2
    assert "SRV008: clinical.again (" in ended.err
    ended = command(
        "train",
        path,
        "-o",
        tmp_path / "model",
        "-q",
        "--set",
        "model.allow_followup=[again]",
    )
    assert ended.code == 0
    assert doubt in ended.err
    files.spec["clinical"]["columns"] = {
        "age": {"kind": "numeric"},
        "vital": {"kind": "nominal"},
    }
    ended = command("validate", files.write())
    assert ended.code == 2
    assert (
        "error: clinical, file patients.csv, column 'vital': the outcome under another name"
        in ended.out
    )
    ended = command("train", path, "-o", tmp_path / "model", "--force")
    assert ended.code == 2
    assert "column 'vital': the outcome under another name" in ended.err


def test_validate_checks_no_data_that_cannot_be_read(
    command: Command,
    tmp_path: Path,
) -> None:
    (tmp_path / "cohort.yaml").write_text("name: [")
    ended = command("validate", tmp_path / "cohort.yaml", "--json", tmp_path / "v.json")
    assert ended.code == 2
    assert json.loads((tmp_path / "v.json").read_text())["checks"] == []


def test_init_overwrites_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text("mine")
    ended = command("init", tmp_path)
    assert ended.code == 2
    assert f"{tmp_path}: already holds patients.csv; choose a new folder" in ended.err
    assert (tmp_path / "patients.csv").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_init_ships_parses_and_fits_its_schema(
    command: Command,
    tmp_path: Path,
) -> None:
    command("init", tmp_path / "s")
    assert load_config(tmp_path / "s" / "run.yaml") == RunConfig()
    for name, cls in (("cohort", CohortSpec), ("run", RunConfig)):
        schema = json.loads((tmp_path / "s" / f"{name}.schema.json").read_text())
        assert set(schema["properties"]) == set(cls.model_fields)
        text = (tmp_path / "s" / f"{name}.yaml").read_text()
        assert text.startswith(f"# yaml-language-server: $schema={name}.schema.json\n")
        assert set(yaml.safe_load(text)) <= set(schema["properties"])
        for field in schema["properties"].values():
            assert "description" in field


def test_the_commented_lines_of_the_template_work_too(
    command: Command,
    tmp_path: Path,
) -> None:
    command("init", tmp_path / "s")
    path = tmp_path / "s" / "cohort.yaml"
    text = path.read_text()
    for line in (
        "horizons: [12, 36, 60]",
        "exclude_invalid: true",
        "doses: {kind: numeric, known: followup, use: false}",
    ):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    for line in (
        "groups: {site: site}",
        "folds: {table: patients.csv, column: fold}",
        "exclude: []",
    ):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    path.write_text(text)
    table = pd.read_csv(tmp_path / "s" / "patients.csv")
    table.assign(doses=3, site="a", fold=np.arange(60) % 3).to_csv(
        tmp_path / "s" / "patients.csv",
        index=False,
    )
    assert command("validate", path).code == 0


def test_the_schema_allows_the_documented_short_form_of_groups(
    command: Command,
    tmp_path: Path,
) -> None:
    command("init", tmp_path / "s")
    schema = json.loads((tmp_path / "s" / "cohort.schema.json").read_text())
    assert "string" in json.dumps(
        schema["properties"]["groups"]["additionalProperties"],
    )


# -- what validate refuses, each with its words


def twice(files: CohortFiles) -> None:
    files.patients = pd.concat([files.patients, files.patients[2:3]])


def same_expression(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression.loc["003"] = files.expression.loc["002"]


def same_slide(files: CohortFiles) -> None:
    files.bags["003_2"] = files.bags["002_1"]


def no_polarity(files: CohortFiles) -> None:
    del files.spec["outcome"]["event"]


def both_polarities(files: CohortFiles) -> None:
    files.spec["outcome"]["censored"] = "os_event"


def counts(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = (files.expression * 1000).astype(int)
    files.spec["expression"]["unit"] = "vst"


def wide_slide(files: CohortFiles) -> None:
    files.bags["004_3"] = np.ones((3, 7), np.float32)


def nan_slide(files: CohortFiles) -> None:
    files.bags["004_3"][1, 2] = np.nan


def strangers(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression.index = pd.Index([f"X{i}" for i in files.expression.index])


def outcome_as_input(files: CohortFiles) -> None:
    files.spec["clinical"]["columns"]["os_days"] = {"kind": "numeric"}


def unknown_level(files: CohortFiles) -> None:
    files.set("005", "stage", "IIIb")


def setter(column: str, value: Any) -> Callable[[CohortFiles], None]:
    return lambda files: files.set("004", column, value)


DAYS = "outcome, file patients.csv, column 'os_days', patient 004: "
TWINS = "patient 002, 003: identical {}: one patient under 2 ids?"
REFUSED: dict[str, tuple[Callable[[CohortFiles], None], str]] = {
    "patient twice": (
        twice,
        "patient 003: 2 rows (data rows 3, 25) have this id; expected one row per patient",
    ),
    "same expression": (
        same_expression,
        f"expression, {TWINS.format('expression values')}",
    ),
    "same slide": (same_slide, f"slides, {TWINS.format('tile features of a slide')}"),
    "time 0": (
        setter("os_days", 0),
        f"{DAYS}time must be > 0, got '0' for 1 patient(s)",
    ),
    "time -5": (
        setter("os_days", -5),
        f"{DAYS}time must be > 0, got '-5' for 1 patient(s)",
    ),
    "time inf": (
        setter("os_days", "inf"),
        f"{DAYS}time must be a number, got 'inf' for 1 patient(s)",
    ),
    "event 2": (
        setter("os_event", 2),
        "patient 004: status must be 0 or 1 (or true, false), got '2'",
    ),
    "no polarity": (no_polarity, "say exactly one of"),
    "both polarities": (both_polarities, "say exactly one of"),
    "counts": (counts, "counts"),
    "wide slide": (wide_slide, "004_3.npy: 7 features per tile, "),
    "NaN slide": (nan_slide, "004_3"),
    "strangers": (
        strangers,
        "none of its 24 patients ('X001', 'X002', 'X003' and 21 more) is in the outcome",
    ),
    "outcome as input": (
        outcome_as_input,
        "'os_days': this column is the outcome; it cannot be an input",
    ),
    "unknown level": (
        unknown_level,
        "patient 005: expected one of ['I', 'II', 'III'], got 'IIIb'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_named_and_exits_2(
    command: Command,
    tmp_path: Path,
    name: str,
) -> None:
    files = small(tmp_path)
    spoil, message = REFUSED[name]
    spoil(files)
    path = files.write()
    ended = command("validate", path, "--json", tmp_path / "v.json")
    assert ended.code == 2
    assert message in ended.out
    assert ended.out.endswith("1 errors, 0 warnings\n")
    (problem,) = json.loads((tmp_path / "v.json").read_text())["problems"]
    assert problem["severity"] == "error"
    assert message.split(": ")[-1] in problem["message"]
    for verb in ("crossval", "train"):
        ended = command(verb, path, "-o", tmp_path / "out", "-q")
        assert ended.code == 2
        assert message in ended.err
        assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


def test_an_empty_bag_is_a_warning_and_the_patient_is_without_slides(
    command: Command,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.bags["004_3"] = np.zeros((0, 4), np.float32)
    ended = command("validate", files.write())
    assert ended.code == 0
    assert "warning: slides: 1 slide(s) without tiles: 004_3" in ended.out
    assert ended.out.endswith("0 errors, 1 warnings\n")


def test_a_slide_table_without_slides_is_an_error(
    command: Command,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    assert files.slides is not None
    files.slides = files.slides[:0]
    assert command("validate", files.write()).code == 2


def test_a_file_nested_without_end_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "cohort.yaml").write_text("x: " + "[" * 2000)
    assert command("validate", tmp_path / "cohort.yaml").code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a mapping"),
        ("- 1\n", "expected a mapping"),
        ("name: [", "not YAML"),
        ("name: x\n", "no modality"),
        ("nmae: x\n", "nmae: unknown field; did you mean 'name'?"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_no_cohort_is_said(
    command: Command,
    tmp_path: Path,
    content: str | None,
    message: str,
) -> None:
    path = tmp_path / "cohort.yaml"
    if content is not None:
        path.write_text(content)
    ended = command("validate", path)
    assert ended.code == 2
    assert message in ended.out
    ended = command("crossval", path, "-o", tmp_path / "out")
    assert ended.code == 2
    assert message in ended.err


def test_tables_that_are_absent_or_empty_are_named(
    command: Command,
    tmp_path: Path,
) -> None:
    path = small(tmp_path).write()
    for content in ("", "patient_id,os_days,os_event,age,stage,sex\n", "\n\n"):
        (tmp_path / "patients.csv").write_text(content)
        ended = command("validate", path)
        assert ended.code == 2
        assert "Traceback" not in ended.err
        assert "patients.csv" in ended.out
    (tmp_path / "patients.csv").unlink()
    ended = command("validate", path)
    assert ended.code == 2
    assert "patients.csv: no such file" in ended.out


def test_pack_is_done_once(command: Command, tmp_path: Path) -> None:
    path = small(tmp_path).write()
    ended = command("pack", path, "-o", tmp_path / "tiles.bags")
    assert ended.code == 0
    assert "slides: 25 slides, " in ended.out
    assert "tiles x 4 (float32)" in ended.out
    before = os.stat(tmp_path / "tiles.bags" / "features.npy").st_mtime_ns
    assert command("pack", path, "-o", tmp_path / "tiles.bags").code == 0
    assert os.stat(tmp_path / "tiles.bags" / "features.npy").st_mtime_ns == before


def test_simulate_is_refused_for_impossible_numbers(
    command: Command,
    tmp_path: Path,
) -> None:
    for option, message in (
        (["--patients", "3"], "patients: at least 8, got 3"),
        (
            ["--event-rate", "1.5"],
            "event_rate: expected a share between 0 and 1, got 1.5",
        ),
        (
            ["--missing", "slides"],
            "--missing slides: expected MODALITY=SHARE, such as expression=0.3",
        ),
        (["--missing", "blood=0.1"], "blood"),
        (["--signal", "lots"], "lots"),
        (["--seed", "-1"], "seed"),
        (["--strength", "-1"], "strength: expected a finite number >= 0, got -1.0"),
        (["--slides", "--slide-px", "9"], "slide_px: at least 256, got 9"),
        (
            ["--defects"],
            "defects: belong to slides with pixels; ask for images (--slides) too",
        ),
    ):
        ended = command("simulate", "-o", tmp_path / "x", *option)
        assert ended.code == 2
        assert message in ended.err
        assert not (tmp_path / "x").exists()


def test_a_challenge_folder_becomes_a_cohort_by_three_commands(
    command: Command,
    tmp_path: Path,
) -> None:
    out, study = tmp_path / "train", tmp_path / "study"
    small = ("--patients", "30", "--genes", "60", "--tiles", "6", "--tile-dim", "8")
    ended = command("simulate", "-o", out, "--layout", "chimera", *small)
    assert ended.out.endswith(
        f"next: survfuse init STUDY --format chimera --outcome {out}\n"
    )
    assert command("init", study, "--format", "chimera", "--outcome", out).code == 0
    assert command("validate", study / "cohort.yaml").code == 0
    ended = command("simulate", "-o", tmp_path / "x", "--layout", "folders", *small)
    assert (ended.code, "expected one of cohort, chimera" in ended.err) == (2, True)


def test_simulate_paints_slides_and_says_what_comes_next(
    command: Command,
    tmp_path: Path,
) -> None:
    out = tmp_path / "c"
    options = (
        "--patients",
        "8",
        "--genes",
        "20",
        "--slide-px",
        "256",
        "--per-patient",
        "2",
        "--defects",
    )
    ended = command("simulate", "-o", out, "--slides", *options)
    assert ended.code == 0
    assert (
        ended.out
        == f"cohort: {out / 'cohort.yaml'}\nnext: survfuse extract {out / 'cohort.yaml'}\n"
    )
    planted = json.loads((out / "simulation.json").read_text())["planted"]
    assert len(planted) == len(list((out / "slides").iterdir())) > 8
    assert {about["defect"] for about in planted.values()} == {
        None,
        "no_mpp",
        "damaged",
    }
    ended = command("validate", out / "cohort.yaml")
    assert ended.code == 2
    assert "run `survfuse extract` on this cohort file first" in ended.out


def test_a_followup_column_is_refused_until_it_is_allowed(
    command: Command,
    tmp_path: Path,
) -> None:
    files = small(tmp_path, modalities=("clinical",))
    files.patients["doses"] = range(len(files.patients))
    files.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
    }
    path = files.write()
    ended = command("validate", path)
    assert ended.code == 2
    assert "column 'doses': known only during follow-up" in ended.out
    assert command("validate", path, "--allow-followup", "doses").code == 0


def test_init_writes_all_or_nothing(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("survfuse.cli.template._write_toy", full)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    for folder in ("new", "mine"):
        ended = command("init", tmp_path / folder)
        assert ended.code == 2
        assert f"{tmp_path / folder}: the disk is full; free some space" in ended.err
    assert [file.name for file in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_simulate_follows_a_link_and_refuses_what_is_taken(
    command: Command,
    tmp_path: Path,
) -> None:
    small = ("--patients", "8", "--tiles", "4", "--tile-dim", "2", "--genes", "20")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert command("simulate", "-o", tmp_path / "link", *small).code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "cohort.yaml").is_file()
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    for place, what in (
        ("link", "expected a new or empty folder"),
        ("file", "a file is"),
        ("pipe", "a pipe is"),
    ):
        ended = command("simulate", "-o", tmp_path / place, *small)
        assert ended.code == 2
        assert what in ended.err


def test_validate_chooses_one_of_several_endpoints(
    command: Command,
    tmp_path: Path,
) -> None:
    files = small(tmp_path, modalities=("clinical",))
    files.patients["pfs_days"] = files.patients["os_days"] // 2
    overall = files.spec.pop("outcome")
    progression = {**overall, "time": "pfs_days", "endpoint": "progression"}
    files.spec["outcomes"] = {"os": overall, "pfs": progression}
    path = files.write()
    ended = command("validate", path)
    assert ended.code == 2
    assert "has 2 endpoints, os, pfs; choose one: `--endpoint os`" in ended.out
    assert command("validate", path, "--endpoint", "pfs").code == 0
    files.spec["clinical"]["columns"]["os_days"] = "numeric"
    ended = command("validate", files.write(), "--endpoint", "pfs")
    assert ended.code == 2
    assert "column 'os_days': this column is the outcome" in ended.out
