"""Published z-scores with long tails on a scale where no value is far from all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray

NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True, eq=False)
class TailScale:
    """Inverse hyperbolic sine of robust z-scores of genes.

    Z-scores of values that were never logged have long tails: one patient at z = 30 would take
    a principal component. asinh is straight near 0 and a logarithm far from it.

    Attributes
    ----------
    middle, spread : array, (genes,)
        Median of the training patients, and their robust standard deviation.
    """

    middle: FloatArray
    spread: FloatArray

    @classmethod
    def fit(cls, values: FloatArray) -> TailScale:
        """Learn from training values (patients, genes), NaN where missing.

        Where half of the patients have the same value, the standard deviation stands in for the
        robust one.
        """
        middle = np.nanmedian(values, axis=0)
        spread = NORMAL * np.nanmedian(np.abs(values - middle), axis=0)
        return cls(middle, np.where(spread > 0, spread, np.nanstd(values, axis=0)))

    def apply(self, values: FloatArray) -> FloatArray:
        """Values on the scale, (patients, genes); NaN where missing."""
        return np.asarray(np.arcsinh((values - self.middle) / self.spread))
