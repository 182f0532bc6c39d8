"""The installed package from end to end, through its own command line and nothing else.

Copy this file anywhere; it needs Python, pytest and an installed survfuse.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.smoke, pytest.mark.slow]

FAST = (
    "--set=model.training.epochs=2",
    "--set=model.selection.folds=2",
    "--set=model.inputs.expression_components=4",
    "--set=model.training.device=cpu",
)


def survfuse(*words: str | Path, folder: Path) -> str:
    """Run a command as a user does; it must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "survfuse", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_from_a_simulated_cohort_to_a_report(tmp_path: Path) -> None:
    sizes = (
        "--patients",
        "24",
        "--genes",
        "40",
        "--tiles",
        "5",
        "--tile-dim",
        "6",
        "--hold-out",
        "4",
    )
    survfuse("simulate", "-o", "cohort", *sizes, folder=tmp_path)
    assert "0 errors" in survfuse("validate", "cohort/cohort.yaml", folder=tmp_path)

    run = (
        "crossval",
        "cohort/cohort.yaml",
        "-o",
        "run",
        "-q",
        "--folds",
        "2",
        "--set=crossval.networks=false",
    )
    survfuse(*run, *FAST, folder=tmp_path)
    tested = rows(tmp_path / "run" / "predictions.csv")
    assert len({row["patient_id"] for row in tested}) == len(tested) == 24
    metrics = json.loads(
        (tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"),
    )
    assert 0 <= metrics["default:anchored"]["uno_c"]["value"] <= 1
    assert "ridge:clinical" in metrics

    survfuse(
        "train",
        "cohort/cohort.yaml",
        "-o",
        "bundle",
        "-q",
        *FAST,
        folder=tmp_path,
    )
    survfuse(
        "predict",
        "bundle",
        "cohort/new/cohort.yaml",
        "-o",
        "new.csv",
        folder=tmp_path,
    )
    new = rows(tmp_path / "new.csv")
    assert len(new) == 4
    assert all(float(row["log_risk"]) == float(row["log_risk"]) for row in new)

    (tmp_path / "run" / "report.html").unlink()
    survfuse("report", "run", folder=tmp_path)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "ridge:clinical" in page
    assert "<script src" not in page
