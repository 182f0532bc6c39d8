"""Percentage points of the risk at a horizon."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def points(explained: Explained, horizon: float) -> pd.DataFrame:
    """Percentage points by modality."""
    raise NotImplementedError
