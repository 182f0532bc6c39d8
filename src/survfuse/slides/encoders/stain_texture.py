"""An encoder without weights: stains, nuclei and texture, each column with a name.

For pipelines that must run with nothing downloaded, and as the baseline that a learned
encoder has to beat. Numbers are in plain units (optical density, pixels, shares); the
cohort's transforms standardise them. Scales are in pixels of the tile: at the card's
0.5 µm/px a nucleus of 6 to 12 µm measures 12 to 24 px.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse.slides.encoders.encoder import Encoded, TileEncoder, Tiles, to_float16
from survfuse.slides.encoders.stain_measures import BYTE, spatial
from survfuse.slides.encoders.stain_names import (
    DARKNESS,
    FEATURES,
    NUCLEAR,
    PINKNESS,
    POINTWISE,
    QUANTILES,
    SPATIAL,
    STAIN_TEXTURE,
)
from survfuse.slides.encoders.stain_planes import (
    OD_STEP,
    RESIDUAL_ZERO,
    Planes,
    StainSplitter,
    histogram,
    mean_square,
)

__all__ = ["FEATURES", "StainTextureEncoder"]

VERSION = 1
"""Raised whenever a feature changes its meaning, its order or its value."""
BLANK = 220

Column = npt.NDArray[np.float64]


class StainTextureEncoder(TileEncoder):
    """Measures tiles of any side from 32 px; the same tile gives the same bits in any batch."""

    def __init__(self) -> None:
        self.card = STAIN_TEXTURE
        self.name = STAIN_TEXTURE.name
        self._split = StainSplitter()

    def encode(self, tiles: Tiles) -> Encoded:  # (n, px, px, 3) -> (n, features)
        """Encode tiles; see :meth:`TileEncoder.encode`."""
        return to_float16(self.measure(tiles), self.name)

    def measure(self, tiles: Tiles) -> npt.NDArray[np.float32]:
        """Measure tiles at full precision.

        Parameters
        ----------
        tiles : ndarray, (n, px, px, 3), uint8
            RGB.

        Returns
        -------
        ndarray, (n, len(FEATURES)), float32
            In the order of :data:`FEATURES`.
        """
        whole = np.ascontiguousarray(self.checked(tiles))
        counts = np.empty((len(whole), 5, 256), np.int64)
        apart = np.empty(len(whole))
        texture = np.empty((len(whole), len(NUCLEAR) + len(SPATIAL)))
        for i, tile in enumerate(whole):
            planes = self._split(tile)
            counts[i] = self._histograms(planes)
            apart[i] = mean_square(self._split.cv2, planes.haematoxylin, planes.eosin)
            texture[i] = spatial(self._split.cv2, planes)
        return np.hstack([pointwise(counts, apart), texture]).astype(np.float32)

    def _histograms(self, planes: Planes) -> list[npt.NDArray[np.int64]]:
        cv2 = self._split.cv2
        order = (
            planes.haematoxylin,
            planes.eosin,
            planes.residual,
            planes.brightness,
            planes.chroma,
        )
        return [histogram(cv2, plane) for plane in order]

    def identity(self) -> dict[str, Any]:
        """Everything that decides the features; see :meth:`TileEncoder.identity`."""
        return {
            "name": self.name,
            "arch": self.card.arch,
            "version": VERSION,
            "dim": self.dim,
        }


def pointwise(counts: npt.NDArray[np.int64], apart: Column) -> Column:
    """Read off histograms what :data:`~.stain_names.POINTWISE` names.

    Parameters
    ----------
    counts : ndarray, (n, 5, 256)
        Of haematoxylin, eosin, residual, brightness and chroma.
    apart : ndarray, (n,)
        Mean squared difference of haematoxylin and eosin, in squared steps.

    Returns
    -------
    ndarray, (n, len(POINTWISE))
    """
    haematoxylin, eosin, residual, brightness, chroma = (counts[:, i] for i in range(5))
    (h_mean, h_variance, _), (e_mean, e_variance, _) = (
        _moments(haematoxylin),
        _moments(eosin),
    )
    r_mean, r_variance, _ = _moments(residual)
    b_mean, b_variance, _ = _moments(brightness)
    c_mean, c_variance, _ = _moments(chroma)
    covariance = (h_variance + e_variance - apart + (h_mean - e_mean) ** 2) / 2
    columns = [
        *_stain(haematoxylin),
        *_stain(eosin),
        OD_STEP * (r_mean - RESIDUAL_ZERO),
        OD_STEP * np.sqrt(r_variance),
        BYTE * b_mean,
        BYTE * np.sqrt(b_variance),
        BYTE * _quantile(brightness, 5),
        BYTE * _quantile(brightness, 95),
        BYTE * c_mean,
        BYTE * np.sqrt(c_variance),
        BYTE * _quantile(chroma, 95),
        _above(brightness, BLANK),
        *(_above(haematoxylin, threshold) for threshold in DARKNESS),
        *(_above(eosin, threshold) for threshold in PINKNESS),
        _ratio(h_mean, h_mean + e_mean),
        _ratio(covariance, np.sqrt(h_variance * e_variance)),
    ]
    assert len(columns) == len(POINTWISE)
    return np.column_stack(columns)


def _stain(counts: npt.NDArray[np.int64]) -> list[Column]:
    mean, variance, third = _moments(counts)
    spread = np.sqrt(variance)
    shape = _ratio(third, variance * spread)
    return [
        OD_STEP * mean,
        OD_STEP * spread,
        shape,
        *(OD_STEP * _quantile(counts, q) for q in QUANTILES),
    ]


def _moments(counts: npt.NDArray[np.int64]) -> tuple[Column, Column, Column]:
    """Mean, variance and third central moment; sums are of whole numbers and exact."""
    value = np.arange(256, dtype=np.int64)
    size = counts.sum(axis=1)
    first, second, third = ((counts * value**power).sum(axis=1) for power in (1, 2, 3))
    mean = first / size
    variance = (size * second - first * first) / (size.astype(np.float64) ** 2)
    return mean, variance, third / size - 3 * mean * (second / size) + 2 * mean**3


def _quantile(counts: npt.NDArray[np.int64], percent: int) -> Column:
    """Smallest value that `percent` % of the pixels do not exceed."""
    below = np.cumsum(counts, axis=1)
    found: Column = (
        (100 * below < percent * below[:, -1:]).sum(axis=1).astype(np.float64)
    )
    return found


def _above(counts: npt.NDArray[np.int64], threshold: int) -> Column:
    found: Column = counts[:, threshold + 1 :].sum(axis=1) / counts.sum(axis=1)
    return found


def _ratio(upper: Column, lower: Column) -> Column:
    """Divide; 0 where there is nothing to divide by."""
    found = np.zeros_like(upper)
    np.divide(upper, lower, out=found, where=lower > 0)
    return found
