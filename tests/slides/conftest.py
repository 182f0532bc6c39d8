"""Tiny slides for every test of this room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import slide_files


@pytest.fixture(scope="session")
def tiny_slide() -> Callable[..., Path]:
    """``tiny_slide(path, size=1024, mpp=0.5, tissue=[(x, y, w, h)], levels=3, compression="jpeg")`` -> path.

    The same functions, and `tiny_mask` and `cut_in_the_middle`, can be imported from ``slide_files``.
    """
    return slide_files.tiny_slide


@pytest.fixture(scope="session")
def tiny_mask() -> Callable[..., Path]:
    """``tiny_mask(path, size, boxes, downsample=16)`` -> path of a CHIMERA-like tissue mask."""
    return slide_files.tiny_mask
