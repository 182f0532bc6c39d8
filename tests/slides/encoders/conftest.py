"""Small encoders and painted tiles: nothing here takes a second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder import EncoderCard

UNI = find_card("uni")

TINY = replace(
    UNI,
    name="tiny",
    arguments={
        "img_size": 64,
        "depth": 2,
        "embed_dim": 32,
        "num_heads": 2,
        "init_values": 1e-5,
        "num_classes": 0,
        "dynamic_img_size": True,
    },
    px=64,
    dim=32,
)


@pytest.fixture
def tiny() -> EncoderCard:
    """A ViT of two narrow blocks."""
    return TINY


@pytest.fixture
def tiles() -> np.ndarray:
    """Seven tiles of 64 px, no two alike."""
    return np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
