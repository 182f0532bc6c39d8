"""The list of pages for language models says what each page is for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from docs_pages import DOCS

sys.path.insert(0, str(DOCS / "_ext"))
from generated_pages import SECTIONS, first_sentence

PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Calibration: are they right? Yes.", "Calibration: are they right?"),
        ("When? survfuse says. More.", "When? survfuse says."),
        ("A thing. `name` is it.", "A thing."),
        ("It comes as follows:", "It comes as follows"),
        ("Severity: error. Needs a run.\n\nWhether it is so.", "Whether it is so."),
        ("**Problem.** It broke. So.", "It broke."),
    ],
)
def test_first_sentence_is_whole(text: str, expected: str) -> None:
    """A colon ends no sentence; a check is described by what it asks."""
    assert first_sentence(publish_doctree(text)) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_begins_with_a_sentence(page: Path) -> None:
    """Below its title stands text or a command, and no table, list or further title."""
    text = page.read_text(encoding="utf-8").split("-->\n\n")[-1]
    title, blank, first = text.split("\n")[:3]
    assert title.startswith("# ")
    assert not blank
    assert not first.startswith(("|", "#", "- ", ":::"))
    folder = page.relative_to(DOCS).parts[0] if page.parent != DOCS else ""
    assert folder in SECTIONS
