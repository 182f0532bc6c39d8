"""The README's commands and its example run as they stand, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs_pages import run_shell

README = Path(__file__).resolve().parents[1] / "README.md"
MOST_LINES = 120


def section(title: str) -> str:
    """Text of a section."""
    text = README.read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """Code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


@pytest.mark.slow
def test_commands_and_example_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Your own cohort`, command by command; then the Python block on what they wrote."""
    own = section("Your own cohort")
    (commands,) = blocks(own, "sh")
    run_shell(commands, tmp_path)
    for name in ("bundle", "new.csv", "runs/first/report.html", "why/pages/index.html"):
        assert (tmp_path / name).exists()
    monkeypatch.chdir(tmp_path)
    (example,) = blocks(own, "python")
    scope: dict[str, object] = {}
    exec(compile(example, str(README), "exec"), scope)
    assert scope["prediction"].survival([12, 36]).shape == (60, 2)  # type: ignore[attr-defined]


def test_both_commands_are_make_targets() -> None:
    """`make demo` and `make test` are on the README's first screen and in the Makefile."""
    first_screen = README.read_text(encoding="utf-8")[:2500]
    targets = (README.parent / "Makefile").read_text(encoding="utf-8")
    for name in ("demo", "test"):
        assert f"make {name}" in first_screen
        assert re.search(rf"^{name}:", targets, flags=re.M)


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    """Every relative link is a file of the checkout."""
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MOST_LINES
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (README.parent / target).exists(), target
