"""Other people's files: clinical tables, expression matrices and tile features of every tool.

Everything is read as written by a stranger: sizes and links are judged before values,
nothing is unpickled, and what does not fit is refused by name.
"""

from __future__ import annotations

from survfuse.readers import bags as _bags
from survfuse.readers import expression as _expression
from survfuse.readers import features as _features
from survfuse.readers import slide_features as _record
from survfuse.readers import table_files as _tables
from survfuse.readers._arguments import checked as _checked
from survfuse.readers.bag_files import Slide
from survfuse.readers.bags import BagStore
from survfuse.readers.expression import Expression
from survfuse.readers.slide_features import Features, ReadOptions

find_features = _checked(_features.find_features)
normalise_encoder = _checked(_record.normalise_encoder)
pack = _checked(_bags.pack)
read_expression = _checked(_expression.read_expression)
read_features = _checked(_features.read_features)
read_table = _checked(_tables.read_table)
repeated = _checked(_tables.repeated)
slide_id_of = _checked(_features.slide_id_of)

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
