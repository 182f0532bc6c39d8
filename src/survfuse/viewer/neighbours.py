"""Tiles that look alike: those nearest to a tile among the patient's tiles of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from survfuse.cohort.modalities import BagData
from survfuse.explanations.bag_terms import TILES_AT_ONCE
from survfuse.explanations.explained import Explained
from survfuse.maps import SlideMap

NEIGHBOURS = 6
NOWHERE = -1
"""In the place of a cluster: of tiles without a place on a map."""
NO_CLUSTERS = "the model holds no clusters of tiles"


def nearest_in_cluster(
    explained: Explained,
    maps: Mapping[str, SlideMap],
    slide_id: str,
    tile: int,
    count: int = NEIGHBOURS,
) -> dict[str, Any]:
    """Find the tiles nearest to one, by scaled features, among the patient's of its cluster.

    Parameters
    ----------
    explained : Explained
    maps : mapping of slide to SlideMap
        Of one patient and bag. Tiles of slides without a map are left out.
    slide_id : str
    tile : int
        Number within that slide.
    count : int
        Most tiles.

    Returns
    -------
    dict
        `cluster`, `of` (the patient's tiles of it), `why` where nothing is known, and `tiles`:
        `slide, tile, x, y` (level-0 px), `distance`; the nearest first.
    """
    one = maps[slide_id]
    if one.clusters is None:
        return {"cluster": None, "of": 0, "tiles": [], "why": NO_CLUSTERS}
    data = explained.cohort.modalities[one.modality]
    assert isinstance(data, BagData)
    slides = data.store.slides_of(one.patient_id)
    names = [slide.slide_id for slide in slides]
    starts = np.cumsum([0, *(slide.tiles for slide in slides)])
    clusters = np.full(starts[-1], NOWHERE)
    for name, start in zip(names, starts.tolist(), strict=False):
        if name in maps:
            clusters[start : start + maps[name].tiles] = maps[name].clusters
    chosen = int(starts[names.index(slide_id)]) + tile
    same = np.flatnonzero(clusters == clusters[chosen])
    same = same[same != chosen]
    scaler = explained.fitted.transforms.bag_scaler[one.modality]
    rows = data.rows(one.patient_id)
    centre = scaler.scale(data.store.features[rows[chosen : chosen + 1]])
    distances = np.empty(len(same))
    for start in range(0, len(same), TILES_AT_ONCE):
        stop = start + TILES_AT_ONCE
        tiles = scaler.scale(data.store.features[rows[same[start:stop]]])
        distances[start:stop] = np.linalg.norm(tiles - centre, axis=1)
    rows_of_tiles = []
    for place in np.argsort(distances, kind="stable")[:count]:
        row = int(same[place])
        number = int(np.searchsorted(starts, row, side="right")) - 1
        own = maps[names[number]]
        x, y = own.places.corners[row - starts[number]].tolist()
        rows_of_tiles.append(
            {
                "slide": own.slide_id,
                "tile": int(row - starts[number]),
                "x": x,
                "y": y,
                "distance": float(distances[place]),
            },
        )
    return {
        "cluster": int(clusters[chosen]),
        "of": len(same) + 1,
        "tiles": rows_of_tiles,
        "why": "",
    }
