"""Other people's files: clinical tables, expression matrices and tile features of every tool.

Everything is read as written by a stranger: sizes and links are judged before values,
nothing is unpickled, and what does not fit is refused by name.
"""

from __future__ import annotations

from survfuse.readers.bag_files import Slide
from survfuse.readers.bags import BagStore, pack
from survfuse.readers.expression import Expression, read_expression
from survfuse.readers.features import find_features, read_features, slide_id_of
from survfuse.readers.record import Features, ReadOptions, normalise_encoder
from survfuse.readers.tables import read_table, repeated

__all__ = [
    "BagStore",
    "Expression",
    "Features",
    "ReadOptions",
    "Slide",
    "find_features",
    "normalise_encoder",
    "pack",
    "read_expression",
    "read_features",
    "read_table",
    "repeated",
    "slide_id_of",
]
