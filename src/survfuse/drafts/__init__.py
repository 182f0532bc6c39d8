"""Drafts of cohort files: what the files say, with the evidence, and what a person must say."""

from __future__ import annotations

from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.formats import FORMATS, format_card
from survfuse.drafts.general import draft_of
from survfuse.drafts.given import Format, Given
from survfuse.drafts.guess import Blank, Choice, Guess
from survfuse.drafts.writing import write_draft

__all__ = [
    "FORMATS",
    "Blank",
    "Choice",
    "Draft",
    "Format",
    "Given",
    "Guess",
    "Section",
    "draft_of",
    "format_card",
    "write_draft",
]
