from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import survfuse
from running import Command
from survfuse import _errors, cli
from survfuse._errors import (
    BundleError,
    CohortError,
    MissingExtraError,
    NotComputableError,
    PartialError,
    SurvfuseError,
)

VERBS = (
    "init",
    "doctor",
    "validate",
    "pack",
    "simulate",
    "extract",
    "crossval",
    "train",
    "predict",
    "recalibrate",
    "explain",
    "report",
    "view",
    "demo",
    "datasets",
)


def plain(text: str) -> str:
    """Text without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CohortError("your table"), 2),
        (BundleError("your bundle"), 2),
        (MissingExtraError("pip install it"), 2),
        (PartialError("half is done"), 3),
        (NotComputableError("no number"), 2),
        (SurvfuseError("ours"), 1),
    ],
)
def test_an_error_is_one_line_and_says_whose_turn_it_is(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: int,
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    ended = command("anything")
    assert (ended.code, ended.out) == (code, "")
    assert plain(ended.err) == f"error: {error}\n"


def test_a_fault_of_ours_shows_the_traceback_and_asks_for_a_report(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("impossible")

    monkeypatch.setattr(cli, "app", fail)
    ended = command("anything")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert ended.err.endswith(
        "RuntimeError: impossible\n"
        "this is a fault in survfuse, not in your input; please report the lines above\n",
    )


def test_an_interrupt_is_no_fault(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "survfuse.cli.doctor._findings",
        stop,
    )  # typer, not we, meets what a verb raises
    ended = command("doctor")
    assert ended.code == 130
    assert ended.err.strip() == (
        "interrupted; finished work is kept, the same command goes on from there"
    )


def test_every_exit_code_is_one_of_the_documented() -> None:
    codes = {
        one.exit_code
        for one in vars(_errors).values()
        if isinstance(one, type) and hasattr(one, "exit_code")
    }
    assert codes == {1, 2, 3}


def test_the_version_is_told(command: Command) -> None:
    assert command("--version") == command("--version")
    assert command("--version").out == f"survfuse {survfuse.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_help(command: Command, verb: str) -> None:
    ended = command(verb, "--help")
    assert ended.code == 0
    assert f"survfuse {verb}" in plain(ended.out)
    assert verb in plain(command("--help").out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["crossvall"], "No such command 'crossvall'"),
        (["validate"], "(?i)missing argument 'cohort'"),
        (["crossval", "cohort.yaml"], r"Missing option '-?-"),
        (
            ["crossval", "cohort.yaml", "-o", "out", "--folds", "two"],
            "'--folds'.* valid integer",
        ),
        (["validate", "cohort.yaml", "--unknown"], "No such option: --unknown"),
    ],
)
def test_a_mistyped_command_is_the_users_to_mend(
    command: Command,
    words: list[str],
    message: str,
) -> None:
    ended = command(*words)
    assert ended.code == 2
    assert re.search(message, plain(ended.err))


def test_doctor_and_datasets_need_no_input(command: Command, tmp_path: Any) -> None:
    import json

    ended = command("doctor", "--json", tmp_path / "doctor.json")
    assert ended.code == 0
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert {"python", "torch", "gpu", "threads", "local data"} <= set(found)
    assert found["torch"]["status"] == "ok"
    assert not [name for name, one in found.items() if one["status"] == "MISSING"]
    for name in found:
        assert name in ended.out

    ended = command("datasets", "list", "--json", tmp_path / "sets.json")
    assert ended.code == 0
    rows = json.loads((tmp_path / "sets.json").read_text())
    assert {"hancock", "tcga_luad"} <= {row["name"].replace("-", "_") for row in rows}
    assert set(rows[0]) == {"name", "title", "patients", "events", "licence", "needs"}


def test_an_unknown_dataset_or_option_is_named(command: Command, tmp_path: Any) -> None:
    ended = command("datasets", "get", "hancok", "-o", tmp_path / "x")
    assert ended.code == 2
    assert "hancok" in ended.err
    assert "hancock" in ended.err
    ended = command(
        "datasets",
        "get",
        "hancock",
        "-o",
        tmp_path / "x",
        "--set",
        "endpont=rfs",
    )
    assert ended.code == 2
    assert "hancock has no option 'endpont'; it has: " in ended.err


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            OSError(errno.ENOSPC, "", "x/a.csv"),
            "x/a.csv: the disk is full; free some space",
        ),
        (OSError(errno.EDQUOT, "", "x"), "x: your quota is used up"),
        (
            OSError(errno.EROFS, "", "x"),
            "x: the disk is read-only; choose another place",
        ),
        (OSError(errno.EIO, ""), "the disk reports an error"),
        (
            OSError(errno.ENAMETOOLONG, "", "x"),
            "x: the name is too long; choose a shorter one",
        ),
        (OSError(errno.EMFILE, "", "x"), "x: too many files are open; raise the limit"),
        (PermissionError(errno.EACCES, "", "x"), "x: you may not write there"),
        (FileExistsError(errno.EEXIST, "", "x"), "x: something is there already"),
        (MemoryError(), "this takes more memory than is free on this machine ("),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "this takes more memory",
        ),
    ],
)
def test_a_disk_or_a_memory_that_is_full_is_an_answer(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    message: str,
) -> None:
    def fail(**_: Any) -> None:
        raise failure

    monkeypatch.setattr(cli, "app", fail)
    ended = command("anything")
    assert (ended.code, ended.out) == (2, "")
    assert plain(ended.err).startswith(f"error: {message}")
    assert "Traceback" not in ended.err


def test_a_name_that_steers_the_terminal_is_escaped(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: Any) -> None:
        raise CohortError("a\x1b[31mb\udcff\u202e: no such file\nchoose ü")

    monkeypatch.setattr(cli, "app", fail)
    ended = command("anything")
    assert ended.code == 2
    assert (
        plain(ended.err) == "error: a\\x1b[31mb\\udcff\\u202e: no such file\nchoose ü\n"
    )


def run(*words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own."""
    command = [sys.executable, "-m", "survfuse", *words]
    return subprocess.run(
        command,
        check=False,
        text=True,
        stderr=subprocess.PIPE,
        timeout=120,
        **how,
    )


@pytest.mark.skipif(
    not os.path.exists("/dev/full"),
    reason="the system has no /dev/full",
)
def test_a_full_standard_output_is_an_answer() -> None:
    with open("/dev/full", "w") as full:
        ended = run("--version", stdout=full)
    assert ended.returncode == 2
    assert re.fullmatch(
        r"error: (standard output: )?the disk is full; free some space, .*\n",
        plain(ended.stderr),
    )


def test_a_reader_that_goes_away_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as output:
        ended = run("--version", stdout=output)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.slow
def test_a_terminal_without_umlauts_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "ü").mkdir()
    ended = run(
        *("init", str(tmp_path / "ü" / "s")),
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONIOENCODING": "ascii",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
        },
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "next: survfuse validate" in ended.stdout


@pytest.mark.parametrize(
    "words",
    [("doctor",), ("datasets", "list"), ("validate", "nothing.yaml")],
)
def test_json_never_replaces_a_pipe(
    command: Command,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = command(*words, "--json", tmp_path / "pipe")
    assert ended.code == 2
    assert (
        "pipe: a pipe is there, which is never replaced; choose another name"
        in ended.err
    )
