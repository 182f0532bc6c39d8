"""Why a model says what it says: terms of every prediction, down to columns, genes and tiles.

The package is not called ``explain``: that name of :mod:`survfuse` is the function.
"""

from survfuse.explanations.agreement import measure_agreement, with_agreement
from survfuse.explanations.explanation import Explanation, explain

__all__ = ["Explanation", "explain", "measure_agreement", "with_agreement"]
