"""Maps of slides: scores of tiles, where the tiles lie."""

from __future__ import annotations

from survfuse.maps.files import FORMATS, MapOptions, file_stems, safe_stem, write_files
from survfuse.maps.lattice import Lattice
from survfuse.maps.scores import Score
from survfuse.maps.slide_map import SlideMap, TilePlaces

__all__ = [
    "FORMATS",
    "Lattice",
    "MapOptions",
    "Score",
    "SlideMap",
    "TilePlaces",
    "file_stems",
    "safe_stem",
    "write_files",
]
