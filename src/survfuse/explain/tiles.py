"""Risks and contributions of tiles."""

from __future__ import annotations

import pandas as pd

from survfuse.explain.explained import Explained


def tiles(
    explained: Explained,
    patient: str,
    modality: str | None = None,
    *,
    term: str | None = None,
) -> pd.DataFrame:
    """Risk and contribution of each tile."""
    raise NotImplementedError
