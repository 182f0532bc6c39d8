"""Multimodal survival prediction from slides, expression and clinical variables."""

from __future__ import annotations

__version__ = "0.1.0"
