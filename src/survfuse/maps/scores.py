"""Scores that a map can show of the tiles of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from survfuse._types import FloatArray
from survfuse.maps.lattice import Lattice

Kind = Literal["diverging", "sequential", "categories"]
SMOOTHING_TILES = 1.0
"""Standard deviation of the Gaussian kernel, in tiles."""
KERNEL = (
    f"smoothed over the tiles there with a Gaussian kernel of standard deviation "
    f"{SMOOTHING_TILES:g} tile, cut off at 3"
)
CLIPPED = 99.0
"""Percentile of the absolute values at which the colours end."""


@dataclass(frozen=True, eq=False)
class Score:
    """A number of each tile of a slide, and how it is to be shown.

    Attributes
    ----------
    name : str
        Key, such as "tile_risk" or "slides*clinical".
    title : str
        In words.
    unit : str
        "log-risk", "share of the bag", "percentile" or "cluster".
    kind : str
        "diverging" about `centre`, "sequential" from 0, or "categories" (numbers of clusters).
    values : array, (tiles,)
    limit : float
        Distance from `centre` at which the colours end; the same for all slides of a patient.
    centre : float
    grey : bool
        Whether models of other patients would draw another map.
    says : str
        What was measured of that, and what else a reader must know; may be empty.
    """

    name: str
    title: str
    unit: str
    kind: Kind
    values: FloatArray
    limit: float
    centre: float = 0.0
    grey: bool = False
    says: str = ""

    def described(self) -> dict[str, Any]:
        """Everything but the values, as JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "kind": self.kind,
            "limit": self.limit,
            "centre": self.centre,
            "grey": self.grey,
            "says": self.says,
            "directions": list(self.directions),
        }

    @property
    def directions(self) -> tuple[str, str]:
        """What values below and above the centre say; empty where no direction is to be read."""
        if self.kind != "diverging" or self.grey:
            return "", ""
        if (
            self.unit == "percentile"
        ):  # of the patient's own tiles: all may lower the risk
            return "below the patient's median", "above it"
        return "lowers the risk", "raises the risk"


def limit_of(values: FloatArray) -> float:
    """Largest absolute value but for the outermost percent; 1 where all are 0."""
    known = np.abs(values[np.isfinite(values)])
    return float(np.percentile(known, CLIPPED)) if known.any() else 1.0


def percentiles(values: FloatArray) -> FloatArray:
    """Rank of each value among all, 0 to 100; ties have their mean rank."""
    ranks = stats.rankdata(values, nan_policy="omit")
    return np.asarray(100 * (ranks - 0.5) / max(1, np.isfinite(values).sum()))


def smoothed(values: FloatArray, lattice: Lattice) -> FloatArray:
    """Mean of each tile and its neighbours, weighted with a Gaussian kernel; tiles alone count.

    Parameters
    ----------
    values : array, (tiles,)
    lattice : Lattice

    Returns
    -------
    array, (tiles,)
    """
    from scipy.ndimage import gaussian_filter

    image = lattice.image(values)
    there = np.isfinite(image)
    options = {"sigma": SMOOTHING_TILES, "mode": "constant", "truncate": 3.0}
    sums = gaussian_filter(np.where(there, image, 0.0), **options)
    weights = gaussian_filter(there.astype(np.float64), **options)
    means = np.full_like(image, np.nan)
    np.divide(sums, weights, out=means, where=there)
    return lattice.at_tiles(means)
