"""Formats in which the field ships its cohorts: a name resolves to a card that drafts one."""

from __future__ import annotations

from collections.abc import Mapping

from survfuse._errors import ConfigError
from survfuse.drafts.formats.cbioportal import CBIOPORTAL
from survfuse.drafts.formats.chimera import CHIMERA
from survfuse.drafts.formats.clam import CLAM
from survfuse.drafts.formats.gdc import GDC
from survfuse.drafts.formats.hancock import HANCOCK
from survfuse.drafts.formats.mcat import MCAT
from survfuse.drafts.formats.stamp import STAMP
from survfuse.drafts.formats.trident import TRIDENT
from survfuse.drafts.formats.xena import XENA
from survfuse.drafts.given import Format

FORMATS: Mapping[str, Format] = {
    card.name: card
    for card in (MCAT, STAMP, TRIDENT, CLAM, CBIOPORTAL, GDC, XENA, HANCOCK, CHIMERA)
}
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
