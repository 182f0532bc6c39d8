"""Every snippet of the page on scikit-learn runs, in order, in an empty folder."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from survfuse._errors import NothingLearnedWarning

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"


@pytest.mark.slow
def test_every_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(snippets) == 5
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NothingLearnedWarning)  # X of the last is noise
        for number, snippet in enumerate(snippets, start=1):
            exec(compile(snippet, f"python.md, snippet {number}", "exec"), names)
