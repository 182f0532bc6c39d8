"""Risks and contributions of tiles."""

from __future__ import annotations

from collections.abc import Iterator

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


def tile_tables(
    explained: Explained,
    modality: str,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Tables of the tiles of all patients, one after another."""
    raise NotImplementedError
