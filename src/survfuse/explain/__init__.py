"""Why a model says what it says: terms of every prediction, down to columns, genes and tiles."""

from survfuse.explain.agreement import measure_agreement, with_agreement
from survfuse.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain", "measure_agreement", "with_agreement"]
