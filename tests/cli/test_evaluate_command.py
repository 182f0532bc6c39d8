from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from predicted import predicted, written
from running import SETTINGS, Command, small

QUICK = ("--draws", "0")
RUN = (
    *SETTINGS,
    "--set=crossval.networks=false",
    "--set=crossval.controls=false",
    "--set=crossval.bootstrap=0",
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return written(predicted(40), tmp_path / "p.csv")


def test_evaluate_tells_every_metric(command: Command, table: Path) -> None:
    ended = command("evaluate", table, *QUICK, "--unit", "months")
    assert (ended.code, ended.err) == (0, "")
    assert "predictions: 40 patients" in ended.out
    assert "times in months" in ended.out
    for metric in ("uno_c", "isbs", "observed_expected", "ici_30"):
        assert metric in ended.out
    assert "note: censoring weights from the test patients themselves" in ended.out


def test_evaluate_says_what_it_cannot_compute_and_why(
    command: Command,
    tmp_path: Path,
) -> None:
    bare = written(
        predicted(40)[["patient_id", "time", "event", "log_risk"]].assign(event=0),
        tmp_path / "c.csv",
    )
    ended = command("evaluate", bare, *QUICK)
    assert ended.code == 0
    assert "not computable" in ended.out
    assert "] the predictions hold no survival curves" in ended.out
    assert "nan" not in ended.out.split("note:")[0].lower().replace("explained", "")


def test_evaluate_writes_the_metrics_and_the_report(
    command: Command,
    table: Path,
    tmp_path: Path,
) -> None:
    ended = command(
        "evaluate",
        table,
        *QUICK,
        "--json",
        tmp_path / "m.json",
        "-o",
        tmp_path / "out",
        "--name",
        "mine",
    )
    assert ended.code == 0
    told = json.loads((tmp_path / "m.json").read_text())
    assert told == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(told) == ["mine"]
    assert f"report: {tmp_path / 'out' / 'report.html'}" in ended.out
    assert "mine" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "run.json").read_text())[
        "command"
    ].startswith("survfuse evaluate ")


def test_evaluate_sets_models_beside_each_other(
    command: Command,
    table: Path,
    tmp_path: Path,
) -> None:
    other = written(predicted(40, seed=1), tmp_path / "other.csv")
    how = (
        "--against",
        f"clinic={other}",
        "--reference",
        "clinic",
        "--horizon",
        "20",
        "--horizon",
        "10",
        "--tau",
        "25",
    )
    ended = command(
        "evaluate",
        table,
        *QUICK,
        *how,
        "--train",
        other,
        "--json",
        tmp_path / "m.json",
    )
    assert ended.code == 0
    told = json.loads((tmp_path / "m.json").read_text())
    assert set(told) == {"predictions", "clinic"}
    assert told["predictions"]["delta_uno_c_vs_clinical"]["value"] is not None
    assert {name for name in told["clinic"] if name.startswith("auc")} == {
        "auc_10",
        "auc_20",
    }


def test_evaluate_prints_paired_differences_without_a_reference(
    command: Command,
    table: Path,
    tmp_path: Path,
) -> None:
    other = written(predicted(40, seed=1), tmp_path / "other.csv")
    fewer = written(predicted(40, seed=1).iloc[3:], tmp_path / "fewer.csv")
    ended = command(
        "evaluate",
        table,
        *QUICK,
        f"--against=all={other}",
        f"--against=some={fewer}",
    )
    assert ended.code == 0
    told = ended.out.split("predictions minus the others, on the same patients")[1]
    (uno,) = [line for line in told.splitlines() if "all" in line and "uno_c" in line]
    assert " to " in uno
    assert told.count("not computable") == 2
    assert "3 only in the first (P000, P001, P002)" in told
    assert "some: 37 patients" in ended.out


@pytest.mark.parametrize("name", ["[/b]x", "[bold]x"])
def test_a_name_is_no_markup(command: Command, table: Path, name: str) -> None:
    ended = command("evaluate", table, *QUICK, "--name", name)
    assert ended.code == 0
    assert f"{name}: 40 patients" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--interval", "guess"),
            "--interval guess: expected one of influence, nadeau_bengio, bootstrap",
        ),
        (("--against", "file.csv"), "--against file.csv: expected NAME=FILE"),
        (("--against", "=file.csv"), "--against =file.csv: expected NAME=FILE"),
        (("--against", "x=nowhere.csv"), "nowhere.csv: no such file"),
        (("--reference", "clinic"), "no predictions called 'clinic'"),
        (("--tau", "0"), "tau must be a finite number > 0"),
        (("--horizon", "-3"), "horizons must be finite and > 0"),
        (("--draws", "-1"), "greater than or equal to 0"),
        (
            ("--name", "a", "--against", "a={}"),
            "two sets of predictions are called 'a'",
        ),
    ],
)
def test_evaluate_refuses_what_is_wrong(
    command: Command,
    table: Path,
    words: tuple[str, ...],
    message: str,
) -> None:
    ended = command("evaluate", table, *(word.format(table) for word in words))
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_evaluate_names_the_place_of_a_wrong_cell(
    command: Command,
    tmp_path: Path,
) -> None:
    table = predicted(5).astype({"event": object})
    table.loc[3, "event"] = "dead"
    ended = command("evaluate", written(table, tmp_path / "p.csv"))
    assert (ended.code, ended.out) == (2, "")
    assert (
        "p.csv: column event, line 5: expected 1 (event) or 0 (censored), got 'dead'"
        in ended.err
    )


def test_evaluate_does_not_write_where_a_file_is(command: Command, table: Path) -> None:
    ended = command("evaluate", table, *QUICK, "-o", table)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert len(pd.read_csv(table)) == 40


@pytest.mark.parametrize(
    "name",
    ["metrics.json", "config.yaml", "report.html", "report.json"],
)
def test_evaluate_replaces_nothing_of_others(
    command: Command,
    table: Path,
    tmp_path: Path,
    name: str,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("{}")
    ended = command(
        "evaluate",
        "no-such-file.csv",
        *QUICK,
        "-o",
        out,
    )  # known before anything is read
    assert ended.code == 2
    assert name in ended.err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "{}")]
    (out / name).rename(tmp_path / name)  # as the message advises
    assert command("evaluate", table, *QUICK, "-o", out).code == 0
    assert command("evaluate", table, *QUICK, "-o", out).code == 0, (
        "what is ours is replaced"
    )


@pytest.mark.parametrize("option", ["-o", "--json"])
def test_evaluate_writes_to_no_device_and_no_pipe(
    command: Command,
    table: Path,
    tmp_path: Path,
    option: str,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target in ("/dev/full", tmp_path / "pipe"):
        ended = command("evaluate", table, *QUICK, option, target)
        assert ended.code == 2
        assert "Traceback" not in ended.err
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_metrics_do_not_replace_a_file_of_another_kind(
    command: Command,
    table: Path,
) -> None:
    before = table.read_bytes()
    ended = command("evaluate", table, *QUICK, "--json", table)
    assert ended.code == 2
    assert "a file that holds no metrics is there" in ended.err
    assert table.read_bytes() == before


# -- crossval


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = small(tmp_path_factory.mktemp("cohort"), modalities=("clinical",))
    files.spec["groups"] = {"site": "site"}
    files.spec["outcome"]["horizons"] = [400, 900]
    return files.write()


@pytest.mark.slow
def test_crossval_leaves_sites_out_and_tests_elsewhere(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    files = small(tmp_path, modalities=("clinical",), seed=3)
    files.patients["patient_id"] = "X" + files.patients["patient_id"]
    split = ("--split", "leave_one_site_out", "--test", files.write())
    ended = command("crossval", cohort, "-o", tmp_path / "run", "-q", *RUN, *split)
    notes = ended.err.splitlines()  # on settings by their old flat names
    assert ended.code == 0
    assert all(note.startswith("note: --set model.") for note in notes)
    told = json.loads((tmp_path / "run" / "performance.json").read_text())
    assert told["external"]["cohort"]["patients"] == 24
    assert (tmp_path / "run" / "external.csv").exists()


def test_crossval_keeps_given_splits(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    ids = pd.read_csv(cohort.parent / "patients.csv", dtype=str)["patient_id"]
    rows = [
        f"{i},{a},{b}" for i, (a, b) in enumerate(zip(ids[:12], ids[12:], strict=True))
    ]
    (tmp_path / "splits_0.csv").write_text("\n".join([",train,test", *rows]) + "\n")
    ended = command(
        "crossval",
        cohort,
        "-o",
        tmp_path / "run",
        "-q",
        *RUN,
        "--splits",
        tmp_path / "splits_0.csv",
    )
    notes = ended.err.splitlines()  # on settings by their old flat names
    assert ended.code == 0
    assert all(note.startswith("note: --set model.") for note in notes)
    frame = pd.read_csv(tmp_path / "run" / "predictions.csv", dtype=str)
    assert sorted(frame["patient_id"]) == sorted(ids[12:])


def test_crossval_refuses_an_unknown_split_and_shared_patients(
    command: Command,
    cohort: Path,
    tmp_path: Path,
) -> None:
    ended = command(
        "crossval",
        cohort,
        "-o",
        tmp_path / "a",
        "-q",
        *RUN,
        "--split",
        "coins",
    )
    assert ended.code == 2
    assert "split" in ended.err
    ended = command(
        "crossval",
        cohort,
        "-o",
        tmp_path / "b",
        "-q",
        *RUN,
        "--test",
        cohort,
    )
    assert ended.code == 2
    assert "shares 24 patient ids with the training cohort" in ended.err
