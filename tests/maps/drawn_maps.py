"""Maps for tests: tiles on a grid with a known place and value each."""

from __future__ import annotations

from typing import Any

import numpy as np

from survfuse.maps import Score, SlideMap, TilePlaces


def drawn_map(
    columns: int = 6,
    rows: int = 4,
    step: float = 256.0,
    start: tuple[float, float] = (0.0, 0.0),
    *,
    side: float | None = None,
    mpp: float | None = 0.5,
    kept: Any = None,
    **of_score: Any,
) -> SlideMap:
    """A map whose tile risk rises from −1 to 1 from the first tile to the last."""
    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    corners = np.stack([across.ravel(), down.ravel()], axis=1) * step + start
    values = np.linspace(-1, 1, len(corners))
    clusters = (np.arange(len(corners)) % 5).astype(np.int64)
    if kept is not None:
        corners, values, clusters = corners[kept], values[kept], clusters[kept]
    risk: dict[str, Any] = {
        "unit": "log-risk",
        "kind": "diverging",
        "limit": 1.0,
        **of_score,
    }
    share = np.full(len(corners), 1 / max(1, len(corners)))
    scores = {
        "tile_risk": Score("tile_risk", "Tile risk", values=values, **risk),
        "attention": Score(
            "attention", "Attention", "share of the bag", "sequential", share, 1.0
        ),
        "cluster": Score(
            "cluster", "Clusters of tiles", "cluster", "categories", clusters * 1.0, 1.0
        ),
    }
    places = TilePlaces(np.floor(corners), step if side is None else side)
    return SlideMap("P1", "slides", "S1", places, scores, clusters, mpp)
