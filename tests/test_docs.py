"""The reference pages say what the code says."""

from __future__ import annotations

from pathlib import Path

from survfuse.config import FitConfig, to_markdown

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_configuration_page_is_generated_from_the_code() -> None:
    """Write it again with `to_markdown` after changing a field."""
    assert to_markdown() in (DOCS / "configuration.md").read_text(encoding="utf-8")


def test_every_field_has_a_reason() -> None:
    """A field without a docstring would stand in the reference without a reason."""
    assert [name for name, field in FitConfig.model_fields.items() if not field.description] == []
