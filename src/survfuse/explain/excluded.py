"""Modalities that a model leaves out."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def excluded(explained: Explained) -> pd.DataFrame:
    """Terms that are left out, and why."""
    raise NotImplementedError


def alone(explained: Explained) -> pd.DataFrame:
    """What left-out modalities would say alone."""
    raise NotImplementedError
