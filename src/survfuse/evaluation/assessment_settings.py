"""The times at which predictions are assessed, and the method of their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from survfuse._types import FloatArray
from survfuse.survival.ties import at_or_before

GRID = 100  # times of integrated scores
Kind = Literal["influence", "nadeau_bengio", "bootstrap"]
WAYS: Mapping[Kind, str] = {
    "influence": (
        "influence functions inside the test folds, widened by the share of each model's risks that"
        " changes with its training patients (all of it where one split leaves that unknown)"
    ),
    "nadeau_bengio": (
        "influence functions inside the test folds, widened by n_test/n_train (Nadeau and"
        " Bengio 2003)"
    ),
    "bootstrap": "resampled patients, the fitted models held fixed",
}


@dataclass(frozen=True)
class Interval:
    """How intervals of cross-validated scores are computed.

    Attributes
    ----------
    kind : {"influence", "nadeau_bengio", "bootstrap"}
        See `WAYS`.
    draws : int
        Of the bootstrap.
    seed : int
    """

    kind: Kind = "influence"
    draws: int = 1000
    seed: int = 0


DEFAULT = Interval()


@dataclass(frozen=True)
class Scale:
    """The times at which predictions are assessed, fixed before any model is fitted.

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
