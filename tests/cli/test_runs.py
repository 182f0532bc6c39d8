from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survfuse
from running import FOLDS, SETTINGS, Command, small
from survfuse._places import held
from survfuse.readers.priors import Prior, write_prior
from survfuse.results.folder import begun_record
from survfuse.training import Hook

HORIZONS = "--set=horizons=[400, 900]"
FEWER = (
    "--set=crossval.networks=false",
    "--set=model.inputs.modalities=[clinical, slides]",
)
KAPLAN_MEIER = (
    "--set=model.fusion=kaplan_meier",
    "--set=model.calibration.method=km",
    "--halves=1",
)
QUICK_RUN = (*SETTINGS, *FOLDS, "--set=crossval.networks=false", HORIZONS)


@pytest.mark.slow
def test_a_prior_is_cross_validated_trained_on_and_carried_by_the_bundle(
    command: Command,
    tmp_path: Path,
) -> None:
    own = small(tmp_path / "own", modalities=("clinical", "expression")).write()
    others = small(tmp_path / "new", modalities=("clinical", "expression"), seed=1)
    others.patients["patient_id"] = "N" + others.patients["patient_id"]
    assert others.expression is not None
    others.expression.index = "N" + others.expression.index
    new = others.write()
    prior = Prior("pan", "symbol", ("GENE1", "GENE2"), np.array([1.0, -1.0]))
    folder = write_prior(prior, tmp_path / "pan")
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    how = ("--prior", folder, "-q", *SETTINGS)
    whole = (*FOLDS, "--set=crossval.networks=false", "--set=crossval.controls=false")
    ended = command("crossval", own, "-o", run, "--test", new, *how, *whole, HORIZONS)
    assert ended.code == 0, ended.err
    for text in ("ridge:pan", "late:-pan"):
        assert text in ended.out
    modalities = json.loads((run / "cohort.json").read_text())["modalities"]
    assert [one["kind"] for one in modalities] == ["clinical", "expression", "prior"]
    assert command("train", own, "-o", bundle, *how).code == 0
    ended = command("predict", bundle, new, "-o", tmp_path / "p.csv")
    assert ended.code == 0
    assert "pan: absent" not in ended.err
    first = pd.read_csv(tmp_path / "p.csv")
    assert "drift_pan" in first
    others.spec["priors"] = {"pan": {"prior": str(folder)}}
    ended = command("predict", bundle, others.write(), "-o", tmp_path / "again.csv")
    assert ended.code == 0
    pd.testing.assert_frame_equal(first, pd.read_csv(tmp_path / "again.csv"))


def test_a_prior_that_nobody_has_exits_2(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    for verb in (["crossval", "-o", tmp_path / "r"], ["train", "-o", tmp_path / "b"]):
        ended = command(verb[0], cohort, *verb[1:], "--prior", "nowhere")
        assert ended.code == 2
        assert "nowhere: no prior; expected a folder that" in ended.err


@pytest.mark.slow
def test_crossval_writes_a_run_and_a_report(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    ended = command("crossval", cohort, "-o", tmp_path / "run", "-q", *QUICK_RUN)
    assert ended.code == 0
    assert ended.err == ""
    assert "default:concat" in ended.out
    assert "ridge:clinical" in ended.out
    assert ended.out.endswith(f"report: {tmp_path / 'run' / 'report.html'}\n")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["command"].startswith(f"survfuse crossval {cohort} -o ")
    page = (tmp_path / "run" / "report.html").read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    ended = command("report", tmp_path / "run")
    assert ended.code == 0
    assert (tmp_path / "run" / "report.html").read_bytes() == page


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (
            ("--learning-curve", "--curve-sizes", "50,abc"),
            "--curve-sizes 50,abc: expected whole numbers with commas between, such as "
            "50,100,200, got 'abc'",
        ),
        (("--learning-curve", "--curve-sizes", "12,"), "got ''"),
        (
            ("--learning-curve", "--curve-sizes", "9"),
            "crossval.curve_sizes.0: Input should be greater than or equal to 10, got 9",
        ),
        (
            ("--learning-curve", "--curve-sizes", "12"),
            "crossval.curve_sizes: 12 must be smaller than the smallest training set, which has "
            "12 patients",
        ),
        (("--curve-sizes", "12"), "also set learning_curve to true (--learning-curve)"),
        (
            ("--curve-repeats", "3"),
            "also set learning_curve to true (--learning-curve)",
        ),
    ],
)
def test_wrong_sizes_of_a_learning_curve_are_refused(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    match: str,
) -> None:
    out = tmp_path / "run"
    ended = command("crossval", cohort, "-o", out, "-q", *QUICK_RUN, *words)
    assert ended.code == 2
    assert match in ended.err
    assert not (out / "cells").exists()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "ray"])
def test_every_executor_gives_the_same_bytes(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    executor: str,
) -> None:
    words = ["crossval", cohort, "-q", *QUICK_RUN, "--threads", "1"]
    assert command(*words, "-o", tmp_path / "inline").code == 0
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("RAY_")
    }
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "survfuse",
            *words,
            "-o",
            "out",
            "--executor",
            executor,
            "--workers",
            "2",
        ],
        cwd=tmp_path,  # a relative folder means the same to every worker
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    names = [
        f.relative_to(tmp_path / "inline")
        for f in (tmp_path / "inline").rglob("*")
        if f.is_file()
    ]
    assert len(names) > 30
    for name in set(names) - {Path("run.json"), Path("report.html")}:
        assert (tmp_path / "out" / name).read_bytes() == (
            tmp_path / "inline" / name
        ).read_bytes(), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--executor", "slurm"],
            "unknown executor 'slurm'; known: inline, process, ray",
        ),
        (
            ["--workers", "2"],
            "workers=2: inline computes in one process; choose process or ray",
        ),
        (
            ["--executor", "process", "--address", "auto"],
            "address 'auto' is for the ray executor",
        ),
    ],
)
def test_an_executor_that_does_not_fit_is_refused(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    ended = command("crossval", cohort, "-o", tmp_path / "run", "-q", *words)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_options_reach_the_run(command: Command, cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "crossval: {networks: false}\nmodel: {dropout: 0.5, rank: 3}\n",
    )
    ended = command(
        "crossval", cohort, "-o", tmp_path / "run", "-c", tmp_path / "run.yaml", "-q", *SETTINGS,
        "--folds", "3", "--repeats", "2", "--name", "mine", "--set", "model.rank=2", HORIZONS,
        "--set=model.inputs.modalities=[clinical]",
    )  # fmt: skip
    assert ended.code == 0
    config = survfuse.config.load_config(tmp_path / "run" / "config.yaml")  # type: ignore[attr-defined]
    assert (
        config.crossval.folds,
        config.crossval.repeats,
        config.crossval.networks,
    ) == (3, 2, False)
    assert (config.model.network.dropout, config.model.network.rank) == (0.5, 2)
    assert config.horizons == (400.0, 900.0)
    assert "mine" in json.loads((tmp_path / "run" / "metrics.json").read_text())


@pytest.mark.parametrize("option", ["--folds", "--repeats"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_number_that_makes_no_folds_is_refused(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    option: str,
    value: str,
) -> None:
    ended = command("crossval", cohort, "-o", tmp_path / "run", "-q", option, value)
    assert ended.code == 2
    assert (
        f"config.crossval.{option[2:]}: Input should be greater than or equal to"
        in ended.err
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--set", "model.rnak=3"],
            "config.model.rnak: unknown field; did you mean 'network.rank'?",
        ),
        (
            ["--set", "model.rank=0"],
            "config.model.network.rank: Input should be greater than or equal to 1, got 0",
        ),
        (
            ["--set", "model.rank"],
            "--set model.rank: expected KEY=VALUE, such as model.network.rank=32",
        ),
        (
            ["--preset", "papr"],
            "config.model.preset: Input should be 'default' or 'paper', got 'papr'",
        ),
        (["-c", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (
            ["--set", "model.fusion=concatt"],
            "--set model.fusion=concatt: model.fusion is given twice; give it once",
        ),
        (
            ["--set", "model.inputs.modalities=[blood]"],
            "has clinical, expression, slides, got blood",
        ),
        (
            ["--set", "model.inputs.allow_followup=[dosis]"],
            "allow_followup: no input is called 'dosis'",
        ),
        (
            ["--set", "model.inputs.expression_genes=nowhere.txt"],
            "nowhere.txt: no such file",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["crossval", "train"])
def test_a_wrong_setting_exits_2_and_leaves_nothing(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    verb: str,
    words: list[str],
    message: str,
) -> None:
    ended = command(verb, cohort, "-o", tmp_path / "out", "-q", *SETTINGS, *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_of_another_run_is_refused(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    few = (*QUICK_RUN, "--set=model.inputs.modalities=[clinical]")
    assert command("crossval", cohort, "-o", out, "-q", *few).code == 0
    ended = command("crossval", cohort, "-o", out, "-q", *few, "--set=model.rank=3")
    assert ended.code == 2
    assert (
        "a result of another run (configuration, data or version differ); "
        "choose a new output folder, or delete this one"
    ) in ended.err


def test_an_output_that_cannot_be_a_folder_is_the_users_to_mend(
    command: Command,
    cohort: Path,
    bundle: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for words in (
        ["crossval", cohort, "-o", tmp_path / "file", "-q", *QUICK_RUN],
        ["train", cohort, "-o", tmp_path / "file", "-q", *SETTINGS],
        ["predict", bundle, cohort, "-o", tmp_path / "folder"],
        ["simulate", "-o", tmp_path / "file", "--patients", "8", "--genes", "20"],
        ["init", tmp_path / "file"],
        ["validate", cohort, "--json", tmp_path / "folder"],
    ):
        ended = command(*words)
        assert ended.code == 2, (words[0], ended.err[-300:])
    assert (tmp_path / "file").read_text() == "mine"


def test_train_prints_the_weights_of_a_stack(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    fusion = "--set=model.fusion="
    options = [word for word in SETTINGS if not word.startswith(fusion)]
    options += [f"{fusion}anchored", "--set=model.stack.bags=mean"]
    options += ["--halves", "0"]
    ended = command("train", cohort, "-o", tmp_path / "b", "-q", *options)
    assert ended.code == 0
    first, title, *rest = ended.out.splitlines()
    assert first == "trained on 24 patients, 12 events"
    assert title.startswith("Weights: never negative")
    rows = [line.split("│")[1:4] for line in rest if line.startswith("│ ")]
    starts = {term.strip(): start.strip() for term, start, _ in rows if term.strip()}
    assert set(starts.items()) >= {("clinical", "1"), ("expression", "1")}


def test_train_measures_whether_explanations_reproduce(
    command: Command,
    tmp_path: Path,
) -> None:
    cohort = small(tmp_path, 60, modalities=("clinical",)).write()
    options = ["--set=model.fusion=ridge_cox", "--set=model.selection.folds=2"]
    ended = command("train", cohort, "-o", tmp_path / "b", *options, "--halves", "1")
    assert ended.code == 0, ended.err
    halves = [
        json.loads(line) for line in ended.err.splitlines() if '"agreement"' in line
    ]
    assert [line["fit"] for line in halves] == ["half 1 of 2", "half 2 of 2"]
    assert "Agreement of models of halves (24 patients each, 1 pairs)" in ended.out
    kept = survfuse.load(tmp_path / "b").need_fitted().agreement
    assert kept is not None
    assert (kept.patients, kept.half, kept.splits) == (60, 24, 1)
    assert {row.level for row in kept.rows} >= {"prediction", "term"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([*SETTINGS, "--halves", "0"], "not measured (--halves 0)"),
        (
            SETTINGS,
            "not measured, for that takes 8 fits of networks; ask with --halves 4",
        ),
        (KAPLAN_MEIER, "not measured: "),
    ],
    ids=["none", "network", "impossible"],
)
def test_train_says_where_it_does_not_measure(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    options: Sequence[str],
    says: str,
) -> None:
    ended = command("train", cohort, "-o", tmp_path / "b", "-q", *options)
    assert ended.code == 0, ended.err
    assert f"agreement of its explanations: {says}" in ended.out
    assert survfuse.load(tmp_path / "b").need_fitted().agreement is None


def test_train_then_predict(command: Command, cohort: Path, tmp_path: Path) -> None:
    ended = command("train", cohort, "-o", tmp_path / "b", "-q", *SETTINGS)
    assert ended.code == 0
    assert ended.out.startswith("trained on 24 patients, 12 events; epochs [")
    assert ended.out.endswith(f"bundle: {tmp_path / 'b'}\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b"], (
        "no checkpoint is left"
    )
    out = tmp_path / "p" / "new.csv"
    ended = command(
        "predict",
        tmp_path / "b",
        cohort,
        "-o",
        out,
        "--horizon",
        "400",
        "--horizon",
        "912.5",
    )
    assert ended.code == 0
    said = "times in days; 24 were trained on: in sample, not to be scored"
    assert ended.out == f"24 patients predicted ({said}): {out}\n"
    told = "24 of 24 patients were trained on (in_training: 001, 002, 003, 004, 005 and 19 more): "
    assert ended.err.startswith(f"note: all: {told}")
    frame = pd.read_csv(out, dtype={"patient_id": str}, float_precision="round_trip")
    assert list(frame) == [
        "patient_id",
        "log_risk",
        "predicted_time",
        "time_low",
        "time_high",
        "unit",
        "survival_400",
        "survival_912.5",
        "rmst_912.5",
        "risk_group",
        "risk_group_name",
        "in_training",
        "drift",
        "drift_clinical",
        "drift_expression",
        "drift_slides",
    ]
    model = survfuse.load(tmp_path / "b")
    np.testing.assert_allclose(
        frame["log_risk"],
        model.predict(survfuse.load_cohort(cohort)).log_risk,
        rtol=1e-9,
    )
    record = json.loads((tmp_path / "p" / "new.json").read_text())
    assert set(record) == {
        "bundle",
        "unit",
        "patients",
        "in_training",
        "notes",
        "trained_on",
    }
    assert record["in_training"] == 24
    assert record["notes"][0]["message"].startswith(told)
    assert (frame["in_training"] == 1).all()
    assert (
        frame[["drift", "drift_clinical", "drift_expression", "drift_slides"]]
        .isna()
        .all(axis=None)
    )
    assert record["trained_on"]["patients"] == 24


def halves(root: Path) -> tuple[Path, Path]:
    """Two cohorts of the same hospital, without a patient in common."""
    paths = []
    for name, rows in (("a", slice(0, 14)), ("b", slice(14, 24))):
        files = small(root / name)
        files.patients = files.patients.iloc[rows]
        files.spec["name"] = name
        paths.append(files.write())
    return paths[0], paths[1]


def test_train_with_a_calibration_cohort(command: Command, tmp_path: Path) -> None:
    first, second = halves(tmp_path)
    ended = command(
        "train",
        first,
        "-o",
        tmp_path / "m",
        "-q",
        "--calibrate",
        second,
        *SETTINGS,
    )
    assert ended.code == 0, ended.err
    assert ended.out.startswith("trained on 14 patients, 7 events; epochs [")
    assert "calibrated on 10 patients, 5 events of b\n" in ended.out
    assert "5 events; slope and baseline are uncertain with fewer than 50" in ended.out
    model = survfuse.load(tmp_path / "m")
    assert model.fitted is not None
    assert model.fitted.calibrator.name == "breslow_cal"
    assert (
        command("predict", tmp_path / "m", second, "-o", tmp_path / "p.csv").code == 0
    )


def test_a_calibration_cohort_of_the_same_patients_is_refused_before_training(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any) -> None:
        pytest.fail("trained first")

    monkeypatch.setattr(Hook, "on_epoch_start", never)
    ended = command(
        "train",
        cohort,
        "-o",
        tmp_path / "m",
        "-q",
        "--calibrate",
        cohort,
        *SETTINGS,
    )
    assert ended.code == 2
    assert (
        "calibration cohort 'tiny': 24 patient(s) were trained on: 001, 002"
        in ended.err
    )
    assert not (tmp_path / "m").exists()


def test_train_refuses_its_output_before_it_trains(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")

    def never(*_: Any) -> None:
        pytest.fail("trained first")

    monkeypatch.setattr(Hook, "on_epoch_start", never)
    ended = command("train", cohort, "-o", tmp_path / "thesis", "-q", *SETTINGS)
    assert ended.code == 2
    assert (
        "thesis: exists and is not a survfuse bundle; choose another folder"
        in ended.err
    )
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test fail as soon as anything is trained."""

    def never(*_: Any) -> None:
        pytest.fail("trained first")

    monkeypatch.setattr(Hook, "on_epoch_start", never)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "file: exists and is not a survfuse bundle; choose another folder"),
        ("file/b", "file is no folder; choose another place"),
        ("empty", "empty: exists and is not a survfuse bundle; choose another folder"),
        (
            "nowhere",
            "nowhere: exists and is not a survfuse bundle; choose another folder",
        ),
        ("n" * 250, ": the name is too long; choose a shorter one"),
        (".", "exists and is not a survfuse bundle; choose another folder"),
    ],
)
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_train_tests_its_place_before_it_trains(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    place: str,
    message: str,
    force: list[str],
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    before = sorted(tmp_path.iterdir())
    ended = command("train", cohort, "-o", tmp_path / place, "-q", *SETTINGS, *force)
    assert ended.code == 2
    assert message in ended.err
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("untrained")
def test_train_refuses_a_folder_without_the_right_to_write(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("survfuse._places.tempfile.TemporaryFile", denied)
    ended = command("train", cohort, "-o", tmp_path / "new" / "b", "-q", *SETTINGS)
    assert ended.code == 2
    assert (
        "b: you may not write there; choose another place, or fix its permissions"
        in ended.err
    )
    assert list(tmp_path.iterdir()) == []


def test_train_replaces_a_bundle_only_when_told_to(
    command: Command,
    cohort: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import shutil

    old = Path(shutil.copytree(bundle, tmp_path / "b"))
    before = (old / "bundle.json").read_bytes()
    started = []
    monkeypatch.setattr(Hook, "on_epoch_start", lambda *_: started.append(1))
    ended = command("train", cohort, "-o", old, "-q", *SETTINGS)
    assert (ended.code, started) == (2, [])
    assert (
        "b: a bundle is there already; choose another folder, or replace it with --force"
        in ended.err
    )
    (old / "notes.txt").write_text("years of work")
    ended = command("train", cohort, "-o", old, "-q", *SETTINGS, "--force")
    assert (ended.code, started) == (2, [])
    assert "b: holds more than a bundle (notes.txt), which would be lost" in ended.err
    assert (old / "bundle.json").read_bytes() == before
    (old / "notes.txt").unlink()
    assert command("train", cohort, "-o", old, "-q", *SETTINGS, "--force").code == 0
    assert (old / "bundle.json").read_bytes() != before
    assert [file.name for file in tmp_path.iterdir()] == ["b"]


def test_a_place_that_is_taken_while_training_costs_no_training(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, elsewhere = tmp_path / "b", tmp_path / "elsewhere"

    def taken(*_: Any) -> None:
        out.mkdir(exist_ok=True)

    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setattr(Hook, "on_epoch_start", taken)
    ended = command("train", cohort, "-o", out, "-q", *SETTINGS)
    assert ended.code == 3
    (kept,) = elsewhere.glob("*/b")
    assert (
        f"choose another folder; the trained model is kept in {kept}: move it"
        in ended.err
    )
    assert survfuse.load(kept).fitted is not None
    assert list(out.iterdir()) == []


def test_a_followup_column_exits_2(command: Command, tmp_path: Path) -> None:
    files = small(tmp_path)
    files.patients["doses"] = range(24)
    files.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
    }
    path = files.write()
    for verb in ("crossval", "train"):
        ended = command(verb, path, "-o", tmp_path / "out", "-q", *SETTINGS, HORIZONS)
        assert ended.code == 2
        assert "clinical: 'doses' accrue during follow-up" in ended.err
        assert not (tmp_path / "out").exists(), "refused before the first fit"
    ended = command(
        "crossval",
        path,
        "-o",
        tmp_path / "out",
        "-q",
        *SETTINGS,
        "--set",
        "model.inputs.modalities=[slides]",
    )
    assert ended.code == 2, (
        "the clinical baseline would read it, whatever the model reads"
    )
    assert not (tmp_path / "out").exists()


def test_a_followup_column_allowed_by_name_is_doubted_and_not_said_to_be_refused(
    command: Command,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.patients["doses"] = range(24)
    files.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
    }
    path, model = files.write(), tmp_path / "model"
    allow = ("--set", "model.inputs.allow_followup=[doses]")
    ended = command("train", path, "-o", model, "-q", *SETTINGS, *allow)
    assert ended.code == 0
    assert "refuse it as an input" not in ended.err
    ended = command("predict", model, path, "-o", tmp_path / "new.csv")
    assert ended.code == 0
    assert "refuse it as an input" not in ended.err


def test_report_of_no_run_exits_2(command: Command, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        ended = command("report", place)
        assert ended.code == 2
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", ["config.yaml", "predictions.csv", "report.html"])
def test_crossval_replaces_nothing_of_others_and_says_so_first(
    command: Command,
    tmp_path: Path,
    name: str,
) -> None:
    (tmp_path / name).write_text("model:\n")
    ended = command("crossval", "no-such-cohort.yaml", "-o", tmp_path, "-q", *QUICK_RUN)
    assert ended.code == 2
    assert name in ended.err
    assert "no-such-cohort" not in ended.err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        (name, "model:\n"),
    ]


def test_a_folder_in_which_another_run_works_is_refused_at_once(
    command: Command,
    tmp_path: Path,
) -> None:
    with held(tmp_path):
        ended = command(
            "crossval",
            "no-such-cohort.yaml",
            "-o",
            tmp_path,
            "-q",
            *QUICK_RUN,
        )
    assert ended.code == 2
    assert "works in this folder; wait for it, or choose another" in ended.err
    ended = command("crossval", "no-such-cohort.yaml", "-o", tmp_path, "-q", *QUICK_RUN)
    assert "no-such-cohort" in ended.err
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_killed_has_no_report_yet(
    command: Command,
    tmp_path: Path,
) -> None:
    with begun_record(
        tmp_path,
        {"model": "m", "command": "survfuse crossval c.yaml -o run"},
    ):
        pass  # its record stays, as after a kill
    ended = command("report", tmp_path)
    assert ended.code == 2
    assert (
        "this run has not ended; wait for it, or go on with it: survfuse crossval c.yaml"
        in ended.err
    )


def start(words: list[str | Path], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "survfuse", *map(str, words)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def words(out: str) -> list[str | Path]:
        return ["crossval", cohort, "-o", out, *SETTINGS, "--folds=2", HORIZONS, *FEWER]

    killed = start(words("killed"), tmp_path)
    cells = tmp_path / "killed" / "cells"
    deadline = clock.monotonic() + 60
    while not list(cells.glob("*.json")) and clock.monotonic() < deadline:
        clock.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    kept = len(list(cells.glob("*.json")))
    assert kept >= 1
    assert (tmp_path / "killed" / ".lock").exists(), (
        "the lock of the killed run holds nobody up"
    )
    assert not (tmp_path / "killed" / "predictions.csv").exists()

    monkeypatch.chdir(tmp_path)
    resumed, straight = command(*words("killed")), command(*words("straight"))
    assert (resumed.code, straight.code) == (0, 0)
    lines = [json.loads(line) for line in resumed.err.splitlines()]
    recalled = [line["resumed"] for line in lines if line["event"] == "cell"]
    assert 0 < kept < len(recalled)
    assert recalled == [True] * kept + [False] * (len(recalled) - kept)
    for name in (
        "predictions.csv",
        "comparators.csv",
        "metrics.json",
        "checks.json",
        "config.yaml",
    ):
        first, second = (
            (tmp_path / out / name).read_bytes() for out in ("killed", "straight")
        )
        assert first == second, name
    assert not [file.name for file in cells.iterdir() if file.suffix != ".json"], (
        "no litter is left"
    )
    assert not list((tmp_path / "killed").glob(".*"))


def unread(place: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written, but not when it is looked at."""
    status = place.lstat()
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


def test_a_model_that_fits_on_no_disk_is_said_to_be_lost(
    command: Command,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("survfuse.bundle.write_tensors", full)
    ended = command("train", cohort, "-o", tmp_path / "out" / "b", "-q", *SETTINGS)
    assert ended.code == 2
    assert (
        "b: the disk is full; free some space, or choose another place; there is no room"
        in ended.err
    )
    assert ended.err.endswith("so it is lost: free some space and train again\n")
    assert list(elsewhere.iterdir()) == []
    assert list((tmp_path / "out").iterdir()) == []


def two_endpoints(folder: Path) -> Path:
    """A cohort file of two endpoints."""
    files = small(folder, modalities=("clinical",))
    files.patients["pfs_days"] = files.patients["os_days"] - 100
    overall = files.spec.pop("outcome")
    progression = {**overall, "time": "pfs_days", "endpoint": "progression"}
    files.spec["outcomes"] = {"os": overall, "pfs": progression}
    return files.write()


@pytest.mark.slow
def test_a_run_records_its_endpoint(command: Command, tmp_path: Path) -> None:
    cohort, out = two_endpoints(tmp_path / "cohort"), tmp_path / "run"
    refused = command("crossval", cohort, "-o", out)
    assert refused.code == 2
    assert "choose one: `--endpoint os`" in refused.err
    ended = command(
        "crossval", cohort, "-o", out, "-q", "--endpoint", "pfs", "--halves=0", *QUICK_RUN,
        "--set=crossval.repeats=1",
    )  # fmt: skip
    assert ended.code == 0
    assert json.loads((out / "run.json").read_text())["endpoint"] == "pfs"
    assert json.loads((out / "cohort.json").read_text())["endpoint"] == "progression"


def test_a_bundle_is_trained_on_its_endpoint(command: Command, tmp_path: Path) -> None:
    cohort, out = two_endpoints(tmp_path / "cohort"), tmp_path / "bundle"
    assert command("train", cohort, "-o", out, "-q", *KAPLAN_MEIER).code == 2
    ended = command(
        "train", cohort, "-o", out, "-q", "--endpoint", "pfs", *KAPLAN_MEIER
    )
    assert ended.code == 0
    assert survfuse.SurvivalFusion.load(out).fitted.summary["endpoint"] == "progression"
    table = tmp_path / "predictions.csv"
    assert command("predict", out, cohort, "-o", table).code == 0


def test_a_quick_crossval_runs_little_and_says_what_is_left_out(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    how = ("--quick", "-q", *SETTINGS, *FOLDS, HORIZONS)
    ended = command("crossval", cohort, "-o", tmp_path / "r", *how)
    assert ended.code == 0, ended.err
    rows = [line for line in ended.out.splitlines() if line.startswith("│ ")]
    models = [line.split("│")[1].strip() for line in rows[:4]]
    assert models[:3] == ["default:concat", "ridge:clinical", "late:all"]
    note = "a quick look (crossval.quick): the model, the clinical baseline and the late fusion alone"
    assert f"note: {note}" in ended.out
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert record["notes"][0].startswith(note)
    assert (
        "a quick look (crossval.quick)" in (tmp_path / "r" / "report.html").read_text()
    )
    performance = json.loads((tmp_path / "r" / "performance.json").read_text())
    for part in (
        "seeds",
        "permuted_outcome",
        "optimism",
        "robustness",
        "learning_curve",
    ):
        assert performance[part] is None, part


def test_train_says_that_nothing_was_learned(command: Command, tmp_path: Path) -> None:
    files = small(tmp_path / "c", patients=40)
    outcome = ["os_days", "os_event"]
    shuffled = files.patients[outcome].sample(frac=1, random_state=1)
    files.patients[outcome] = shuffled.to_numpy()
    only = ["--set=model.fusion=ridge_cox", "--set=model.inputs.modalities=[slides]"]
    done = command("train", files.write(), "-o", tmp_path / "b", *only, "--halves", 0)
    assert done.code == 0, done.err
    assert "warning: nothing was learned: the log-risks of the training" in done.out
    assert "NothingLearnedWarning" not in done.err
