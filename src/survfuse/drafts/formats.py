"""Formats in which the field ships its cohorts: a name resolves to a card that drafts one."""

from __future__ import annotations

from collections.abc import Mapping

from survfuse._errors import ConfigError
from survfuse.drafts.given import Format

FORMATS: Mapping[str, Format] = {}
"""Cards by name."""


def format_card(name: str) -> Format:
    """Return the card of a format.

    Raises
    ------
    ConfigError
        When there is none of that name; lists all.
    """
    if name in FORMATS:
        return FORMATS[name]
    known = "".join(f"\n  - {card.name}: {card.what}" for card in FORMATS.values())
    raise ConfigError(f"--format {name}: unknown; known are:{known}")
