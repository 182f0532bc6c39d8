"""An encoder without weights: stains, nuclei and texture, each column with a name.

For pipelines that must run with nothing downloaded, and as the baseline that a learned
encoder has to beat. Numbers are in plain units (optical density, pixels, shares). Scales are in
pixels of the tile: at the card's 0.5 µm/px a nucleus of 6 to 12 µm measures 12 to 24 px.
Sums are of whole numbers, so that a tile gives the same bits in any batch and on any machine.
"""

from __future__ import annotations

import math
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import yaml

from survfuse._types import AnyArray, ByteArray, Float32Array, FloatArray, IntArray
from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder import Encoded, TileEncoder, Tiles, to_float16

cv2: Any = import_module("cv2")
Plane = ByteArray
Column = FloatArray  # (n,)

COLUMNS: dict[str, dict[str, str]] = yaml.safe_load(
    (files(__package__) / "stain_texture.yaml").read_text(encoding="utf-8"),
)
"""Name and description of every column, in the groups pointwise, nuclear and spatial."""
FEATURES = tuple(name for group in COLUMNS.values() for name in group)
VERSION = 1
"""Raised whenever a feature changes its meaning, its order or its value."""

OD_STEP, BYTE = 0.01, 1 / 255  # of the stain planes; of brightness and chroma
RESIDUAL_ZERO = 128  # value of the residual plane where two stains explain the colour
# absorption of red, green, blue: Ruifrok & Johnston 2001, table 1
HAEMATOXYLIN, EOSIN = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11)
BLANK = 220  # brightness above which a pixel is glass
LEAST_STAIN = 15  # hundredths of OD, both stains together: less is glass
LEAST_NUCLEAR = 20  # hundredths of OD: paler is no nucleus, whatever Otsu says
LEAST_AREA = 8  # half-resolution px: smaller is dust
GRAINS = (6, 10, 14, 22, 30, 42)  # px of the tile: sides of openings
LAGS = (1, 4, 16)  # px
_DENSITY = (-np.log10((np.arange(256) + 1) / 256)).astype(np.float32)


class Planes(NamedTuple):
    """One tile, (px, px) bytes each: stains in steps of 0.01 OD, clipped to 0 and 2.55 OD."""

    haematoxylin: Plane
    eosin: Plane
    residual: Plane  # from a zero of 128
    brightness: Plane
    chroma: Plane  # largest less smallest colour


def unmixing() -> FloatArray:
    """Matrix from optical densities (red, green, blue) to (haematoxylin, eosin, residual).

    The residual is at right angles to both stains, which are then least-squares amounts.
    """
    stains = np.array([HAEMATOXYLIN, EOSIN])
    stains /= np.linalg.norm(
        stains,
        axis=1,
        keepdims=True,
    )
    residual = np.cross(stains[0], stains[1])
    return np.linalg.inv(np.vstack([stains, residual / np.linalg.norm(residual)]).T)


_UNMIXING = np.hstack([unmixing() / OD_STEP, [[0], [0], [RESIDUAL_ZERO]]]).astype("f4")


def split(tile: Plane) -> Planes:
    """Split one RGB tile, (px, px, 3) bytes."""
    stains = cv2.transform(cv2.LUT(tile, _DENSITY), _UNMIXING)
    red, green, blue = cv2.split(tile)
    lowest, highest = (f(f(red, green), blue) for f in (cv2.min, cv2.max))
    haematoxylin, eosin, residual = cv2.split(cv2.add(stains, 0, dtype=cv2.CV_8U))
    brightness = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)
    chroma = cv2.subtract(highest, lowest)
    return Planes(haematoxylin, eosin, residual, brightness, chroma)


class StainTextureEncoder(TileEncoder):
    """Measures tiles of any side from 32 px; the same tile gives the same bits in any batch."""

    def __init__(self) -> None:
        self.card = find_card("stain_texture")
        self.name = self.card.name

    def encode(self, tiles: Tiles) -> Encoded:  # (n, px, px, 3) -> (n, features)
        """Encode tiles; see :meth:`TileEncoder.encode`."""
        return to_float16(self.measure(tiles), self.name)

    def measure(self, tiles: Tiles) -> Float32Array:
        """Measure tiles (n, px, px, 3) at full precision; (n, features) as in `FEATURES`."""
        counts = np.empty((len(self.checked(tiles)), 5, 256), np.int64)
        distance = np.empty(len(tiles))
        texture = np.empty((len(tiles), len(FEATURES) - len(COLUMNS["pointwise"])))
        for i, tile in enumerate(np.ascontiguousarray(tiles)):
            planes = split(tile)
            for plane, count in zip(planes, counts[i], strict=True):
                count[:] = cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel()
            distance[i] = mean_square(planes.haematoxylin, planes.eosin)
            texture[i] = spatial(planes)
        return np.hstack([pointwise(counts, distance), texture]).astype(np.float32)

    def identity(self) -> dict[str, Any]:
        """Everything that decides the features; see :meth:`TileEncoder.identity`."""
        about = {"name": self.name, "arch": self.card.arch}
        return {**about, "version": VERSION, "dim": self.dim}


def pointwise(counts: IntArray, distance: Column) -> AnyArray:
    """Columns of the group `pointwise`, (n, columns), as their names say it.

    Parameters
    ----------
    counts : ndarray, (n, 5, 256)
        Histograms of the planes.
    distance : ndarray, (n,)
        Mean squared difference of haematoxylin and eosin, in squared steps.
    """
    value, below = np.arange(256), counts.cumsum(axis=2)
    size = below[..., -1]
    first, second, third = (counts @ value**power for power in (1, 2, 3))
    mean = first / size
    variance = (size * second - first * first) / size.astype(np.float64) ** 2
    skewness = third / size - 3 * mean * (second / size) + 2 * mean**3
    unit = np.array([OD_STEP, OD_STEP, OD_STEP, BYTE, BYTE])
    moments = {
        "mean": unit * (mean - [0, 0, RESIDUAL_ZERO, 0, 0]),
        "sd": unit * np.sqrt(variance),
        "skewness": ratio(skewness, variance * np.sqrt(variance)),
    }
    covariance = variance[:, 0] + variance[:, 1] + (mean[:, 0] - mean[:, 1]) ** 2
    both = np.sqrt(variance[:, 0] * variance[:, 1])
    columns = {
        "blank_share": counts[:, 3, BLANK + 1 :].sum(axis=1) / size[:, 3],
        "stain_balance": ratio(mean[:, 0], mean[:, 0] + mean[:, 1]),
        "stain_correlation": ratio((covariance - distance) / 2, both),
    }
    for name in COLUMNS["pointwise"].keys() - columns.keys():
        plane_name, _, statistic = name.partition("_")
        plane = Planes._fields.index(plane_name)
        if statistic in moments:
            columns[name] = moments[statistic][:, plane]
        elif statistic.startswith("above_"):
            brighter = counts[:, plane, int(statistic[6:]) + 1 :].sum(axis=1)
            columns[name] = brighter / size[:, plane]
        else:  # a quantile: the smallest value that so many per cent do not exceed
            less = 100 * below[:, plane] < int(statistic[1:]) * size[:, plane, None]
            columns[name] = unit[plane] * less.sum(axis=1)
    return np.column_stack([columns[name] for name in COLUMNS["pointwise"]])


def ratio(upper: Column, lower: Column) -> Column:
    """Divide; 0 where there is nothing to divide by."""
    return np.divide(
        upper,
        lower,
        out=np.zeros_like(upper),
        where=lower > 0,
    )


def spatial(planes: Planes) -> list[float]:
    """Columns of the groups `nuclear` and `spatial`, in that order."""
    haematoxylin, eosin = half(planes.haematoxylin), half(planes.eosin)
    brightness = half(planes.brightness)
    return [
        *nuclei(haematoxylin, eosin),
        *grains(haematoxylin),
        *bands(planes.haematoxylin, haematoxylin),
        *bands(planes.eosin, eosin),
        *lags(planes.haematoxylin),
        *lags(planes.brightness),
        *direction(eosin, OD_STEP),
        *direction(brightness, BYTE),
        *ranks(brightness),
        *ranks(half(brightness)),
        patchiness(haematoxylin),
        patchiness(eosin),
    ]


def nuclei(haematoxylin: Plane, eosin: Plane) -> list[float]:
    """Measure nuclei: what is darker in haematoxylin than Otsu's threshold, at half resolution.

    The threshold is that of the stained part, so that glass in a tile moves nothing.
    """
    both, smooth = cv2.add(haematoxylin, eosin), cv2.blur(haematoxylin, (3, 3))
    _, tissue = cv2.threshold(both, LEAST_STAIN, 255, cv2.THRESH_BINARY)
    threshold = LEAST_NUCLEAR
    if tissue.any():
        stained = smooth[tissue > 0][:, None]
        otsu, _ = cv2.threshold(stained, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        threshold = max(int(otsu), LEAST_NUCLEAR)
    _, mask = cv2.threshold(smooth, threshold, 255, cv2.THRESH_BINARY)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    smooth = cv2.blur(haematoxylin, (5, 5))
    highest = cv2.dilate(smooth, np.ones((7, 7), np.uint8))
    peaks = ((smooth == highest) & (smooth > threshold)).view(np.uint8)
    count = cv2.connectedComponents(peaks, connectivity=8)[0] - 1  # a plateau is one
    stats = cv2.connectedComponentsWithStats(mask, connectivity=4)[2][1:, 2:]
    width, height, area = stats[stats[:, 2] >= LEAST_AREA].T.astype(np.float64)
    side, shapes = 2 * np.sqrt(area), [0.0] * 5  # px of the tile
    if len(area):
        shapes = [side.mean(), side.std(), 2 * math.sqrt((area**2).sum() / area.sum())]
        shapes.append((np.maximum(width, height) / np.minimum(width, height)).mean())
        shapes.append((area / (width * height)).mean())
    outside = cv2.subtract(tissue, mask)
    per_area = 10_000 / (4 * both.size)  # a sample is 2 x 2 px of the tile
    return [
        cv2.countNonZero(tissue) / both.size,
        threshold * OD_STEP,
        cv2.countNonZero(mask) / both.size,
        len(area) * per_area,
        count * per_area,
        *shapes,
        *within(haematoxylin, mask),
        within(eosin, mask)[0],
        within(haematoxylin, outside)[0],
        within(eosin, outside)[0],
    ]


def within(plane: Plane, mask: Plane) -> tuple[float, float]:
    """Mean and standard deviation of a plane where the mask is 255, in OD; 0 where it is empty."""
    pixels = cv2.countNonZero(mask)
    if not pixels:
        return 0.0, 0.0
    masked = cv2.bitwise_and(plane, mask)
    total, squares = int(cv2.sumElems(masked)[0]), sum_of_squares(masked)
    deviation = math.sqrt(pixels * squares - total * total) / pixels
    return OD_STEP * total / pixels, OD_STEP * deviation


def grains(haematoxylin: Plane) -> list[float]:
    """Granulometry (Matheron 1975): what each larger opening removes is of that size."""
    left = [moments(haematoxylin)[0]]
    for size in GRAINS:
        element = np.ones((size // 2, size // 2), np.uint8)
        opened = cv2.morphologyEx(haematoxylin, cv2.MORPH_OPEN, element)
        left.append(moments(opened)[0])
    return [OD_STEP * (before - after) for before, after in pairwise(left)]


def bands(full: Plane, halved: Plane) -> list[float]:
    """Contrast by scale: root mean square difference of the plane smoothed over larger squares."""
    contrasts = [math.sqrt(mean_square(full, cv2.blur(full, (3, 3))))]
    smooth = halved
    for size in (3, 5, 9, 17, 31):
        smoother = cv2.blur(halved, (size, size))
        contrasts.append(math.sqrt(mean_square(smooth, smoother)))
        smooth = smoother
    return [OD_STEP * contrast for contrast in contrasts]


def lags(plane: Plane) -> list[float]:
    """Correlation with the plane shifted right and down (Haralick 1973); 0 where nothing varies."""
    variance = moments(plane)[1]
    if variance == 0:
        return [0.0] * len(LAGS)
    correlations = []
    for lag in LAGS:
        across = mean_square(plane[:, lag:], plane[:, :-lag])
        down = mean_square(plane[lag:], plane[:-lag])
        correlations.append(1 - (across + down) / (4 * variance))
    return correlations


def direction(plane: Plane, unit: float) -> list[float]:
    """Gradient and its agreement in direction, by the structure tensor (Bigun & Granlund 1987)."""
    dx, dy = cv2.spatialGradient(plane)
    tensor = []
    for one, other in ((dx, dx), (dy, dy), (dx, dy)):
        product = cv2.multiply(one, other, dtype=cv2.CV_32F)
        grid = cv2.resize(product, (8, 8), interpolation=cv2.INTER_AREA)
        tensor.append(grid.astype(np.float64))
    xx, yy, xy = tensor
    energy = float((xx + yy).sum())
    if energy == 0:
        return [0.0, 0.0, 0.0]
    local = float(np.sqrt((xx - yy) ** 2 + 4 * xy**2).sum()) / energy
    whole = math.hypot((xx - yy).sum(), 2 * xy.sum()) / energy
    per_px = unit / 16  # Sobel weighs by 8 and spans two px of the tile per sample
    return [per_px * math.sqrt(energy / 64), local, whole]


def ranks(plane: Plane) -> list[float]:
    """Shares of samples by how many of 8 neighbours are brighter: 0, 1 to 2, 6 to 7, all.

    The count of a local binary pattern (Ojala 2002), which does not turn with the tile.
    """
    windows = np.lib.stride_tricks.sliding_window_view(plane, (3, 3))
    brighter = np.zeros(windows.shape[:2], np.uint8)
    for row, column in np.ndindex(3, 3):
        neighbour = windows[..., row, column]
        brighter += (neighbour > windows[..., 1, 1]).view(np.uint8)
    counts = cv2.calcHist([brighter], [0], None, [9], [0, 9]).ravel() / brighter.size
    return [counts[0], counts[1] + counts[2], counts[6] + counts[7], counts[8]]


def patchiness(plane: Plane) -> float:
    """Standard deviation of the means over a 4 x 4 grid, in OD."""
    grid = cv2.resize(plane.astype(np.float32), (4, 4), interpolation=cv2.INTER_AREA)
    return OD_STEP * float(grid.astype(np.float64).std())


def sum_of_squares(*planes: Plane) -> int:
    """Sum of a plane's squares, or of those of the difference of two, exact."""
    return round(float(cv2.norm(*planes, cv2.NORM_L2SQR)))  # OpenCV squares a root


def mean_square(first: Plane, second: Plane) -> float:
    """Mean squared difference of two planes, exact."""
    return sum_of_squares(first, second) / first.size


def moments(plane: Plane) -> tuple[float, float]:
    """Mean and variance of a plane, exact up to the last division."""
    total, squares, size = (
        int(cv2.sumElems(plane)[0]),
        sum_of_squares(plane),
        plane.size,
    )
    return total / size, (size * squares - total * total) / (size * size)


def half(plane: Plane) -> Plane:
    """Halve a plane's resolution by averaging."""
    size = (plane.shape[1] // 2, plane.shape[0] // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
