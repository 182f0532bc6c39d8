"""Tile encoders: a card says what each one is, one function loads it, one class runs it."""

from __future__ import annotations

from survfuse.slides.encoders.card import (
    ENCODERS,
    EncoderCard,
    TileEncoder,
    find_card,
    register_encoder,
)
from survfuse.slides.encoders.loading import load_encoder

__all__ = [
    "ENCODERS",
    "EncoderCard",
    "TileEncoder",
    "find_card",
    "load_encoder",
    "register_encoder",
]
