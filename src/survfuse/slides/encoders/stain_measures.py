"""Measurements on the planes of one tile: nuclei, grain, contrast by scale, direction, local rank.

Each function returns its numbers in the order in which :mod:`.stain_names` names them.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from survfuse.slides.encoders.stain_names import BANDS, GRAINS, LAGS, RANK_SCALES
from survfuse.slides.encoders.stain_planes import (
    OD_STEP,
    Plane,
    Planes,
    half,
    mean_square,
    moments,
    sum_of_squares,
)

LEAST_STAIN = 15  # hundredths of OD, both stains together: less is glass
LEAST_NUCLEAR = 20  # hundredths of OD: paler is no nucleus, whatever Otsu says
LEAST_AREA = 8  # half-resolution px: smaller is dust
GRID = 8
BYTE = 1 / 255


def spatial(cv2: Any, planes: Planes) -> list[float]:
    """Everything that :data:`~.stain_names.SPATIAL` and :data:`~.stain_names.NUCLEAR` name, in that order."""
    haematoxylin, eosin = half(cv2, planes.haematoxylin), half(cv2, planes.eosin)
    brightness = half(cv2, planes.brightness)
    return [
        *nuclei(cv2, haematoxylin, eosin),
        *grains(cv2, haematoxylin),
        *bands(cv2, planes.haematoxylin, haematoxylin),
        *bands(cv2, planes.eosin, eosin),
        *lags(cv2, planes.haematoxylin),
        *lags(cv2, planes.brightness),
        *direction(cv2, eosin, OD_STEP),
        *direction(cv2, brightness, BYTE),
        *(
            share
            for scale in RANK_SCALES
            for share in ranks(cv2, _coarse(cv2, brightness, scale))
        ),
        patchiness(cv2, haematoxylin),
        patchiness(cv2, eosin),
    ]


def nuclei(cv2: Any, haematoxylin: Plane, eosin: Plane) -> list[float]:
    """Measure nuclei as what is darker in haematoxylin than Otsu's threshold, at half resolution.

    The threshold is that of the stained part, so that bare glass in a tile moves nothing.
    """
    _, tissue = cv2.threshold(
        cv2.add(haematoxylin, eosin),
        LEAST_STAIN,
        255,
        cv2.THRESH_BINARY,
    )
    smooth = cv2.blur(haematoxylin, (3, 3))
    threshold = _otsu(cv2, smooth[tissue > 0])
    _, mask = cv2.threshold(smooth, threshold, 255, cv2.THRESH_BINARY)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _square(3))
    outside = cv2.subtract(tissue, mask)
    per = 10_000 / (4 * haematoxylin.size)  # two px of the tile per sample, both ways
    return [
        cv2.countNonZero(tissue) / haematoxylin.size,
        threshold * OD_STEP,
        cv2.countNonZero(mask) / haematoxylin.size,
        *_components(cv2, mask, _peaks(cv2, haematoxylin, threshold), per),
        *_within(cv2, haematoxylin, mask),
        _within(cv2, eosin, mask)[0],
        _within(cv2, haematoxylin, outside)[0],
        _within(cv2, eosin, outside)[0],
    ]


def _otsu(cv2: Any, values: Plane) -> int:
    if not len(values):
        return LEAST_NUCLEAR
    found, _ = cv2.threshold(
        values[:, None],
        0,
        255,
        cv2.THRESH_BINARY | cv2.THRESH_OTSU,
    )
    return max(int(found), LEAST_NUCLEAR)


def _peaks(cv2: Any, haematoxylin: Plane, threshold: int) -> int:
    smooth = cv2.blur(haematoxylin, (5, 5))
    highest = cv2.dilate(smooth, _square(7))
    peaks = ((smooth == highest) & (smooth > threshold)).view(np.uint8)
    return (
        int(cv2.connectedComponents(peaks, connectivity=8, ltype=cv2.CV_32S)[0]) - 1
    )  # a plateau is one


def _components(cv2: Any, mask: Plane, peaks: int, per: float) -> list[float]:
    stats = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_32S)[2]
    stats = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= LEAST_AREA]
    if not len(stats):
        return [0.0, peaks * per, 0.0, 0.0, 0.0, 0.0, 0.0]
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    width, height = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    side = 2 * np.sqrt(area)  # px of the tile
    return [
        len(area) * per,
        peaks * per,
        float(side.mean()),
        float(side.std()),
        2 * math.sqrt(float((area * area).sum()) / float(area.sum())),
        float((np.maximum(width, height) / np.minimum(width, height)).mean()),
        float((area / (width * height)).mean()),
    ]


def _within(cv2: Any, plane: Plane, mask: Plane) -> tuple[float, float]:
    """Mean and standard deviation of a plane where the mask is 255, in OD; 0 where it nowhere is."""
    pixels = cv2.countNonZero(mask)
    if not pixels:
        return 0.0, 0.0
    kept = cv2.bitwise_and(plane, mask)
    total, squares = int(cv2.sumElems(kept)[0]), sum_of_squares(cv2, kept)
    return OD_STEP * total / pixels, OD_STEP * math.sqrt(
        pixels * squares - total * total,
    ) / pixels


def grains(cv2: Any, haematoxylin: Plane) -> list[float]:
    """Granulometry (Matheron 1975): what each larger opening removes tells how much is of that size."""
    left = [moments(cv2, haematoxylin)[0]]
    for size in GRAINS:
        opened = cv2.morphologyEx(haematoxylin, cv2.MORPH_OPEN, _square(size // 2))
        left.append(moments(cv2, opened)[0])
    return [OD_STEP * (before - after) for before, after in pairwise(left)]


def bands(cv2: Any, full: Plane, halved: Plane) -> list[float]:
    """Contrast by scale: root mean square difference of the plane smoothed over successive squares."""
    found = [math.sqrt(mean_square(cv2, full, cv2.blur(full, (3, 3))))]
    smooth = halved
    for size in (3, 5, 9, 17, 31):
        smoother = cv2.blur(halved, (size, size))
        found.append(math.sqrt(mean_square(cv2, smooth, smoother)))
        smooth = smoother
    assert len(found) == len(BANDS)
    return [OD_STEP * value for value in found]


def lags(cv2: Any, plane: Plane) -> list[float]:
    """Correlation with the plane shifted right and down (Haralick 1973); 0 where nothing varies."""
    _, variance = moments(cv2, plane)
    if variance == 0:
        return [0.0] * len(LAGS)
    across = [mean_square(cv2, plane[:, lag:], plane[:, :-lag]) for lag in LAGS]
    down = [mean_square(cv2, plane[lag:], plane[:-lag]) for lag in LAGS]
    return [1 - (x + y) / (4 * variance) for x, y in zip(across, down, strict=True)]


def direction(cv2: Any, plane: Plane, unit: float) -> list[float]:
    """Gradient and its agreement in direction, by the structure tensor (Bigun & Granlund 1987)."""
    dx, dy = cv2.spatialGradient(plane)
    tensor = [
        cv2.resize(
            cv2.multiply(a, b, dtype=cv2.CV_32F),
            (GRID, GRID),
            interpolation=cv2.INTER_AREA,
        ).astype(np.float64)
        for a, b in ((dx, dx), (dy, dy), (dx, dy))
    ]
    xx, yy, xy = tensor
    energy = float((xx + yy).sum())
    if energy == 0:
        return [0.0, 0.0, 0.0]
    local = float(np.sqrt((xx - yy) ** 2 + 4 * xy**2).sum()) / energy
    whole = math.hypot(float((xx - yy).sum()), 2 * float(xy.sum())) / energy
    per_px = unit / 16  # Sobel weighs by 8 and spans two px of the tile per sample
    return [per_px * math.sqrt(energy / GRID**2), local, whole]


def ranks(cv2: Any, plane: Plane) -> list[float]:
    """Shares of samples by how many of 8 neighbours are brighter: 0, 1 to 2, 6 to 7, all.

    The count of a local binary pattern (Ojala 2002), which does not turn with the tile.
    """
    centre = plane[1:-1, 1:-1]
    height, width = centre.shape
    brighter = np.zeros(centre.shape, np.uint8)
    for row in range(3):
        for column in range(3):
            if (row, column) != (1, 1):
                neighbour = plane[row : row + height, column : column + width]
                np.add(brighter, (neighbour > centre).view(np.uint8), out=brighter)
    counts = cv2.calcHist([brighter], [0], None, [9], [0, 9]).reshape(9) / centre.size
    return [
        float(counts[0]),
        float(counts[1] + counts[2]),
        float(counts[6] + counts[7]),
        float(counts[8]),
    ]


def _coarse(cv2: Any, halved: Plane, scale: int) -> Plane:
    return halved if scale == 2 else half(cv2, halved)


def patchiness(cv2: Any, plane: Plane) -> float:
    """Standard deviation of the means over a 4 x 4 grid, in OD."""
    coarse = cv2.resize(
        cv2.add(plane, 0, dtype=cv2.CV_32F),
        (4, 4),
        interpolation=cv2.INTER_AREA,
    )
    return OD_STEP * float(coarse.astype(np.float64).std())


def _square(side: int) -> Plane:
    return np.ones((side, side), np.uint8)
