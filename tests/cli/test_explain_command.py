from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from running import Command, small
from small_explanations import bundle_folder, cohort_file
from survfuse import __version__
from survfuse._errors import InputError
from survfuse.report import patient_files


def test_a_bundle_explains_a_cohort(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "why"
    ended = command(
        "explain", bundle_folder(), cohort_file(), "-o", out, "--horizon", 365
    )
    assert ended.code == 0, ended.err
    assert "24 patients explained by clinical, expression, slides\n" in ended.out
    assert f"explanation: {out}/explanation.html" in ended.out
    assert (
        "note: 24 of 24 patients were trained on: their predictions are in sample"
        in ended.err
    )
    events = [
        json.loads(line) for line in ended.err.splitlines() if line.startswith("{")
    ]
    assert events[0] == {"event": "explain", "table": "slides", "done": 0, "of": 24}
    record = json.loads((out / "explanation.json").read_text())
    assert record["cohort"] == "tiny"
    assert record["largest_difference"] < 1e-6
    assert record["versions"]["survfuse"] == __version__
    assert record["horizons"] == [365.0]
    assert record["terms"] == ["constant", "clinical", "expression", "slides"]
    assert record["exact"] is True
    assert record["files"].keys() == {p.name for p in out.iterdir()} - {
        "explanation.json"
    }
    assert len(record["bundle"]["sha256"]) == 64
    assert pd.read_csv(out / "points.csv")["horizon"].unique().tolist() == [365]
    ended = command("explain", bundle_folder(), cohort_file(), "-o", out)
    assert ended.code == 2
    assert "an explanation is there already" in ended.err


def test_a_page_for_each_patient(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "why"
    chosen = ("--patients", "004", "--patients", "007")
    words = ("explain", bundle_folder(), cohort_file(), "-o", out, "--pages", *chosen)
    ended = command(*words, "--horizon", 400, "--quiet")
    assert ended.code == 0, ended.err
    record = json.loads((out / "explanation.json").read_text())
    files = {"004": "pages/004.html", "007": "pages/007.html"}
    wanted = {"index": "pages/index.html", "files": files, "failed": {}}
    assert record["pages"] == {**wanted, "horizon": 400.0}
    assert {*files.values(), "pages/index.html"} <= record["files"].keys()
    page = (out / files["004"]).read_text(encoding="utf-8")
    assert "by 400 days" in page
    assert record["bundle"]["sha256"] in page
    assert record["cohort_sha256"] in page
    assert 'href="pages/index.html"' in (out / "explanation.html").read_text()
    ended = command(*words, "--force", "--quiet")
    assert ended.code == 0, ended.err


def test_a_patient_without_a_page_is_named(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("a reason")

    monkeypatch.setattr(patient_files, "patient_page", fail)
    words = ("explain", bundle_folder(), cohort_file(), "--patients", "004", "--pages")
    ended = command(*words, "-o", tmp_path / "why")
    assert ended.code == 3
    assert "1 patients have no page: a reason" in ended.err
    assert f"pages: {tmp_path}/why/pages/index.html" in ended.out


def test_some_patients_by_name_or_file_without_tiles(
    command: Command, tmp_path: Path
) -> None:
    out, names = tmp_path / "why", tmp_path / "names.txt"
    names.write_text("003\n\n 001 \n")
    words = (
        "explain",
        bundle_folder(),
        cohort_file(),
        "-o",
        out,
        "-q",
        "--no-tiles",
        "--force",
    )
    ended = command(*words, "--patients", "005", "--patients-file", names)
    assert ended.code == 0, ended.err
    table = pd.read_csv(out / "terms.csv", dtype={"patient_id": str})
    assert table["patient_id"].tolist() == ["005", "003", "001"]
    assert not (out / "tiles.parquet").exists()
    assert not [line for line in ended.err.splitlines() if line.startswith("{")]
    ended = command(*words, "--patients", "X")
    assert ended.code == 2
    assert "no such patient in tiny (24 patients): X" in ended.err
    names.write_text("\n")
    ended = command(*words, "--patients-file", names)
    assert ended.code == 2
    assert "expected a patient on each line" in ended.err
    assert len(pd.read_csv(out / "terms.csv")) == 3


def test_a_slide_that_cannot_be_read_costs_its_patient(
    command: Command, tmp_path: Path
) -> None:
    path = small(tmp_path / "cohort").write()
    (tmp_path / "cohort" / "features" / "004_3.npy").write_bytes(b"nothing")
    out = tmp_path / "why"
    ended = command("explain", bundle_folder(), path, "-o", out, "-q")
    assert ended.code == 3
    assert "1 patients of" in ended.err
    assert "slide '004_3' of patient '004'" in ended.err
    assert len(pd.read_csv(out / "terms.csv")) == 23
    assert list(json.loads((out / "explanation.json").read_text())["damaged"]) == [
        "004"
    ]


def test_another_reference_is_named(command: Command, tmp_path: Path) -> None:
    other = small(tmp_path / "other", seed=1).write()
    out = tmp_path / "why"
    ended = command(
        "explain", bundle_folder(), cohort_file(), "-o", out, "-q", "--no-tiles",
        "--reference", other,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    record = json.loads((out / "explanation.json").read_text())
    assert record["reference"] == {"patients": 24, "from": f"of {other}"}


@pytest.mark.slow
def test_agreement_can_be_measured_on_the_way(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "why"
    ended = command(
        "explain", bundle_folder(), cohort_file(), "-o", out, "-q", "--no-tiles",
        "--halves", 1,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    table = pd.read_csv(out / "agreement.csv")
    assert "term" in set(table["level"])


def test_the_folder_appears_whole_or_not_at_all(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("survfuse.results.explanation_folder.write_json", fail)
    out = tmp_path / "why"
    ended = command(
        "explain", bundle_folder(), cohort_file(), "-o", out, "-q", "--no-tiles"
    )
    assert ended.code == 2
    assert "the disk is full" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_others_is_refused_before_any_work(
    command: Command, tmp_path: Path
) -> None:
    shutil.copytree(bundle_folder(), tmp_path / "b")
    ended = command(
        "explain", "nowhere", "nothing.yaml", "-o", tmp_path / "b", "--force"
    )
    assert ended.code == 2
    assert "which no explanation of survfuse is" in ended.err


def test_help_loads_no_torch() -> None:
    code = (
        "import sys; from survfuse.cli import explain_command; "
        "print({'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
