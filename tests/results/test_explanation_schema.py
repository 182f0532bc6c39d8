from __future__ import annotations

from pathlib import Path

from survfuse.results.explanation_schema import TABLES, to_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explain.md"


def test_the_page_lists_the_files_as_they_are() -> None:
    """Paste `to_markdown` again after changing a table."""
    assert to_markdown() in PAGE.read_text(encoding="utf-8")


def test_a_table_is_described_once_and_in_formats_that_exist() -> None:
    names = [table.name for table in TABLES]
    assert len(set(names)) == len(names)
    for table in TABLES:
        assert table.files
        assert all(table.columns.values())
