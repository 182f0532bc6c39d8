from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import viewed
from running import Command


def test_a_patient_is_exported(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "001.html"
    ended = command(
        "view", viewed.bundle(), viewed.cohort_file(), "--export", "001", "-o", out
    )
    assert ended.code == 0, ended.err
    assert re.fullmatch(
        rf"{re.escape(str(out))}: [\d.]+ MB, opens in any browser without a server\n",
        ended.out,
    )
    assert "20 patients in " in ended.err
    assert out.read_text().startswith("<!DOCTYPE html>")


def test_what_is_missing_is_said(command: Command, tmp_path: Path) -> None:
    words = "view", viewed.bundle(), viewed.cohort_file()
    ended = command(*words, "--export", "001")
    assert ended.code == 2
    assert "--export PATIENT needs -o FILE.html" in ended.err
    ended = command(*words, "--export", "999", "-o", tmp_path / "a.html")
    assert ended.code == 2
    assert "no such patient: '999'" in ended.err
    ended = command("view", tmp_path, viewed.cohort_file(), "--no-browser")
    assert ended.code == 2
    assert "found neither" in ended.err


def test_the_server_tells_its_address_and_ends_with_ctrl_c() -> None:
    words = ["view", str(viewed.bundle()), str(viewed.cohort_file()), "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "survfuse", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[1]
        with urllib.request.urlopen(f"{address}api/study", timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        said = process.stderr.read()
        assert said.endswith("viewer ended\n")
        assert "Traceback" not in said
