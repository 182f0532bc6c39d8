"""Blanks of a drafted cohort file: fields that begin with `???` and that a person must fill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from survfuse._errors import ConfigError

BLANK = "???"
"""What the text of a blank begins with; after it stands what to write."""


def refuse_blanks(values: Any, where: str) -> None:
    """Refuse a cohort file in which blanks are left.

    Parameters
    ----------
    values : mapping
        The file, as read.
    where : str
        For messages.

    Raises
    ------
    ConfigError
        Names each blank field, and says what to write there.

    Examples
    --------
    >>> refuse_blanks({"outcome": {"unit": "??? days or months"}}, "cohort.yaml")
    Traceback (most recent call last):
    survfuse._errors.ConfigError: cohort.yaml: 1 blank to fill:
      - outcome.unit: days or months
    """
    lines = [f"\n  - {field}: {text}" for field, text in _blanks(values, "")]
    if lines:
        blanks = "blank" if len(lines) == 1 else "blanks"
        raise ConfigError(f"{where}: {len(lines)} {blanks} to fill:{''.join(lines)}")


def _blanks(values: Any, field: str) -> Iterator[tuple[str, str]]:
    """Fields that are blanks, and what to write there."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _blanks(value, f"{field}.{name}".lstrip("."))
    elif isinstance(values, list):
        for place, value in enumerate(values):
            yield from _blanks(value, f"{field}[{place}]")
    elif isinstance(values, str) and values.startswith(BLANK):
        yield field, values.removeprefix(BLANK).strip() or "write its value"
