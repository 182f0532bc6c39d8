"""Contributions and hazard ratios of the columns of tables."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def variables(explained: Explained) -> pd.DataFrame:
    """Contribution of each column to each patient."""
    raise NotImplementedError


def hazard_ratios(explained: Explained) -> pd.DataFrame:
    """Hazard ratio of each column."""
    raise NotImplementedError
