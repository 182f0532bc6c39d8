"""Slides to features: slide, tissue, tiles, encoder, bag; resumable, and blind to every outcome."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from survfuse.slides.extract import extract_slide
    from survfuse.slides.settings import ExtractConfig
    from survfuse.slides.slide_list import SlideItem
    from survfuse.slides.slide_records import Record
    from survfuse.slides.supervisor import Summary, survey

__all__ = ["ExtractConfig", "Record", "SlideItem", "Summary", "extract_slide", "survey"]

_HOMES = {
    "ExtractConfig": "settings",
    "Record": "slide_records",
    "SlideItem": "slide_list",
    "Summary": "supervisor",
    "extract_slide": "extract",
    "survey": "supervisor",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: looking at a card needs no HDF5."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
