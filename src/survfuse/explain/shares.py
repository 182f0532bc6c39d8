"""Shares of the variance of the log-risk."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def shares(explained: Explained, repeats: int = 1000) -> pd.DataFrame:
    """Share of each term, with an interval."""
    raise NotImplementedError
