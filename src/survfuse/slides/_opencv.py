"""OpenCV, imported at its first use: `from survfuse.slides import _opencv as cv2`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from survfuse._errors import MissingExtraError


def __getattr__(name: str) -> Any:
    """Return an attribute of OpenCV; raises MissingExtraError where it is not installed."""
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(import_module("cv2"), name)
    except ImportError:
        raise MissingExtraError(
            "reading slides needs cv2 (OpenCV): pip install 'survfuse[slides]'",
        ) from None
