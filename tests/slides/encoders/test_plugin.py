"""Another package adds an encoder in one file, through an entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "encoders.md"
METADATA = "Metadata-Version: 2.1\nName: colours\nVersion: 1.0\n"
ENTRY_POINTS = "[survfuse.encoders]\nmean_colour = my_encoder\n"
PROGRAM = """
import numpy as np
from survfuse.slides.encoders import find_card, load_encoder
encoder = load_encoder("Mean-colour")
assert encoder.card is find_card("mean_colour")
print(encoder.encode(np.full((1, 64, 64, 3), 7, np.uint8)).tolist(), encoder.identity())
"""


def test_the_worked_example_of_the_page(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").partition("my_encoder.py")[2]
    code = text.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "my_encoder.py").write_text(code, encoding="utf-8")
    about = tmp_path / "colours-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(METADATA)
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == (
        "[[7.0, 7.0, 7.0]] {'name': 'mean_colour', 'version': 1}"
    ), done.stderr
