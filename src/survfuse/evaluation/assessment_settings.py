"""The times at which predictions are judged, and how their intervals are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray
from survfuse.evaluation.combine import DEFAULT, Interval
from survfuse.survival.ties import at_or_before

GRID = 100  # times at which integrated scores look at a curve


@dataclass(frozen=True)
class Scale:
    """The times at which predictions are judged, fixed before any model is fitted.

    Attributes
    ----------
    horizons : tuple of float, rising
    tau : float
        Truncation time of Uno's C, and the end of integrated scores.
    interval : Interval
    draws : int
        Bootstrap resamples behind intervals of ICI, E50 and E90; 0 leaves them without.
    times : tuple of float, optional
        Times of integrated scores; 100 evenly spaced ones up to τ where not given.
    """

    horizons: tuple[float, ...]
    tau: float
    interval: Interval = DEFAULT
    draws: int = 200
    times: tuple[float, ...] | None = None

    @property
    def grid(self) -> FloatArray:
        """Times of integrated scores, up to τ."""
        if self.times is None:
            return np.linspace(0.0, self.tau, GRID + 1)[1:]
        times = np.array(self.times)
        return times[at_or_before(times, self.tau)]
