"""Pages of the documentation that run: their blocks, in order, in one empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
RUN = ("python", "sh")
"""Languages of blocks that run; `text` and `yaml` are for reading."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, code) of the blocks of a page that run."""
    found = re.findall(
        r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S
    )
    return [(language, code) for language, code in found if language in RUN]


def run_page(page: Path, folder: Path) -> dict[str, Any]:
    """Run the blocks of a page in a folder, which is the current one; gives Python's names.

    Shell blocks stop at the first command that fails.
    """
    scope: dict[str, Any] = {}
    for language, code in blocks(page):
        if language == "python":
            exec(compile(code, str(page), "exec"), scope)
        else:
            run_shell(code, folder)
    return scope


def run_shell(code: str, folder: Path) -> str:
    """Run commands as a reader would type them; gives what they print."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{code}\nended with {done.returncode}:\n{said}"
    return said
