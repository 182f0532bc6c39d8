"""Falling penalties, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from survfuse._types import FloatArray


def worths(
    grid: Iterable[float],
    worth: Callable[[float], float],
    patience: int | None,
) -> FloatArray:
    """Worth of each penalty, largest first, until `patience` in a row are no better than the best.

    Smaller penalties take longest to fit and fit noise, and each fit starts from that of the next
    larger one, so `worth` is called in the order of `grid`. Without a patience all are tried.
    """
    found: list[float] = []
    for penalty in grid:
        found.append(worth(penalty))
        if patience is not None and len(found) - 1 - int(np.argmax(found)) >= patience:
            break
    return np.array(found)
