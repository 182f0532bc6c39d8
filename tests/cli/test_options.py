"""Options of several verbs: places are tested before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from survfuse._errors import InputError
from survfuse.cli.options import patients_of_file

LIGHT = (
    "import sys; from survfuse.__main__ import main\n"
    "try: main()\n"
    "finally: assert 'torch' not in sys.modules, 'heavy'"
)


@pytest.mark.parametrize(
    "words",
    [
        ["crossval", "cohort.yaml", "-o"],
        ["train", "cohort.yaml", "-o"],
        ["predict", "bundle", "cohort.yaml", "-o"],
        ["recalibrate", "bundle", "cohort.yaml", "-o"],
        ["explain", "bundle", "cohort.yaml", "-o"],
        ["simulate", "-o"],
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_written_is_refused_at_once(
    words: list[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("mine")
    ended = subprocess.run(
        [sys.executable, "-c", LIGHT, *words, str(tmp_path / "file" / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "heavy" not in ended.stderr
    assert "choose another place" in ended.stderr


@pytest.mark.parametrize(
    ("verb", "files", "message"),
    [
        (
            "train",
            {"out/bundle.json": '{"format": "survfuse-bundle", "sha256": {}}'},
            "--force",
        ),
        ("crossval", {"out/run.json": "{}", "out/mine.txt": ""}, "out"),
        ("predict", {"out": "patient_id,log_risk,predicted_time\n"}, "--force"),
    ],
)
def test_a_place_that_is_taken_is_refused_at_once(
    verb: str,
    files: dict[str, str],
    message: str,
    tmp_path: Path,
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    inputs = ["bundle", "cohort.yaml"] if verb == "predict" else ["cohort.yaml"]
    ended = subprocess.run(
        [sys.executable, "-c", LIGHT, verb, *inputs, "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "heavy" not in ended.stderr
    assert message in ended.stderr
    for name, text in files.items():
        assert (tmp_path / name).read_text() == text


def test_patients_are_read_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("007\n\n  8 \n")
    assert patients_of_file(file) == ["007", "8"]
    file.write_text("\n")
    with pytest.raises(
        InputError, match=r"ids.txt: expected a patient on each line, got none"
    ):
        patients_of_file(file)
