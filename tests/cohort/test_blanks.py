"""Blanks of a drafted cohort file are refused, each by its name."""

from __future__ import annotations

import pytest

from survfuse._errors import ConfigError
from survfuse.cohort.blanks import refuse_blanks


def test_every_blank_is_named_with_what_to_write() -> None:
    values = {"outcome": {"unit": "???"}, "slides": {"tables": ["a", "??? b.csv"]}}
    with pytest.raises(
        ConfigError,
        match=r"^c\.yaml: 2 blanks to fill:\n"
        r"  - outcome\.unit: write its value\n"
        r"  - slides\.tables\[1\]: b\.csv$",
    ):
        refuse_blanks(values, "c.yaml")


def test_question_marks_elsewhere_are_values() -> None:
    refuse_blanks({"clinical": {"missing": ["?", "a ???"]}}, "c.yaml")
