"""Contributions of clusters of tiles."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def clusters(explained: Explained) -> pd.DataFrame:
    """Contribution of each cluster to each patient."""
    raise NotImplementedError
