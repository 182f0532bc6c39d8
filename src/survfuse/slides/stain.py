"""The light that a slide absorbs: the colour of its glass, how much is stained, and what is ink.

Everything is optical density against the glass of the same slide (Beer-Lambert), so that a yellow
or
unevenly lit background counts as nothing. Grey things (dust, the edge of a coverslip, shadows)
absorb
all colours alike; haematoxylin and eosin absorb green most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._types import Float32Array
from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import Mask, Pixels

CELLS = 128  # the glass is looked for on a grid of at most so many cells a side
LEAST_GLASS = 0.005  # share of cells; below, the slide is taken to be full of tissue
ASSUMED_GLASS = 245.0
PADDING_PX = 2  # that blend with the padding at its edge
NEARLY_BLACK = 4  # of padding that went through JPEG
INK_UM = 24.0  # the soft edge of a stroke
INK_MPP = 16.0
SMALL_PX = 10**6
LEAST_INK_MM2, LEAST_INK_SHARE = (
    0.05,
    0.005,
)  # of a stroke; the share is for small slides

_MINUS_LOG = -np.log(np.maximum(np.arange(256, dtype=np.float32), 1.0))


@dataclass(frozen=True)
class Light:
    """What an overview shows beyond its glass.

    Attributes
    ----------
    density : ndarray, (height, width, 3) float32
        Optical density (natural logarithm) of red, green and blue; 0 in the padding.
    padding : ndarray, (height, width) bool
        Never scanned.
    glass : float
        Share of the scanned area where glass was seen; 0 when there was none to compare with.
    noise : float
        Standard deviation of :func:`stain` on that glass, one px.
    """

    density: Float32Array
    padding: Mask
    glass: float
    noise: float


def measure_light(image: Pixels) -> Light:
    """Compare an overview with its own glass.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8 RGB
    """
    padding = _padding(image)
    density: Float32Array = cv2.LUT(image, _MINUS_LOG)
    share, noise = _subtract_glass(density, image, padding)
    density[padding] = 0.0
    return Light(density, padding, share, noise)


def stain(density: Float32Array) -> Float32Array:
    """Absorption of green beyond red and blue, (height, width): positive in both stains."""
    weights = np.array([[-0.5, 1.0, -0.5]], np.float32)
    stained: Float32Array = cv2.transform(density, weights)
    return stained.reshape(density.shape[:2])


def find_ink(light: Light, mpp: float) -> Mask:
    """Find marker pen, (height, width) bool: strokes of any colour with their soft edges.

    Blue and green ink absorb more red than green light, which neither stain does; black ink nearly
    all of every colour; red ink much blue and hardly any red. (A lake of blood as red as ink counts
    as ink.)

    Parameters
    ----------
    light : Light
    mpp : float, µm/px
        Of the overview.
    """
    height, width = light.padding.shape
    shrink = max(1, round(INK_MPP / mpp)) if width * height > SMALL_PX else 1
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.resize(light.density, size, interpolation=cv2.INTER_AREA)
    red, green, blue = cv2.split(small)
    cool = (red > 1.2 * np.maximum(green, 0.25)) | (np.minimum(red, green) > 1.75)
    black = (np.minimum(red, blue) > 0.8 * green) & (green > 1.0)
    warm = (blue > 0.67 * green) & (green > 1.3) & (red < 0.3 * green)
    seeds = (cool | black | warm).astype(np.uint8)
    seeds = cv2.morphologyEx(seeds, cv2.MORPH_OPEN, disk(1))
    least = min(LEAST_INK_MM2 * 1e6 / (mpp * shrink) ** 2, LEAST_INK_SHARE * seeds.size)
    seeds = keep_large(seeds, least)
    radius = max(1, round(INK_UM / (mpp * shrink)))
    likely = (red > 1.05 * green) & (red > 1.0)  # where tissue shines through
    seeds |= likely & cv2.dilate(seeds, disk(4 * radius))
    edges = cv2.dilate(seeds, disk(radius))
    ink: Pixels = cv2.resize(edges, (width, height), interpolation=cv2.INTER_NEAREST)
    return ink.astype(bool) & ~light.padding


def disk(radius: int) -> Pixels:
    """Structuring element of `radius` px."""
    side = 2 * radius + 1
    element: Pixels = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return element


def keep_large(mask: Pixels, least_px: float) -> Pixels:
    """Drop the pieces of a 0/1 mask that are smaller than `least_px`."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return np.asarray(keep[labels], np.uint8)


def _padding(image: Pixels) -> Mask:
    """Exactly black anywhere; nearly black or exactly white where it reaches the border."""
    black = cv2.inRange(image, (0, 0, 0), (0, 0, 0))
    nearly = cv2.inRange(image, (0, 0, 0), (NEARLY_BLACK,) * 3)
    white = cv2.inRange(image, (255,) * 3, (255,) * 3)
    filled = _touching_border(white) | _touching_border(nearly)
    filled |= cv2.morphologyEx(black, cv2.MORPH_OPEN, disk(2)) > 0
    wide: Pixels = cv2.dilate(filled.astype(np.uint8), disk(PADDING_PX))
    return wide.astype(bool)


def _touching_border(mask: Pixels) -> Mask:
    count, labels = cv2.connectedComponents(mask, connectivity=4)
    touching = np.zeros(count, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[edge] = True
    touching[0] = False
    return np.asarray(touching[labels])


def _subtract_glass(
    density: Float32Array,
    image: Pixels,
    padding: Mask,
) -> tuple[float, float]:
    """Add the logarithm of the glass, in place; return share and noise of the glass."""
    height, width = padding.shape
    size = (min(CELLS, width), min(CELLS, height))

    def cells(values: npt.NDArray[np.generic]) -> Float32Array:
        reduced: Float32Array = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        return reduced.astype(np.float32)

    mean = cells(image)
    green = image[..., 1].astype(np.float32)
    spread = np.sqrt(np.maximum(cells(green * green) - cells(green) ** 2, 0))
    scanned = cells(padding.astype(np.float32)) == 0
    glass = _glass_cells(mean, spread) & scanned
    share = float(glass.sum() / max(1, scanned.sum()))
    if share < LEAST_GLASS:
        density += np.float32(np.log(ASSUMED_GLASS))
        return 0.0, 0.0
    for channel in range(3):
        surface = np.log(_surface(mean[..., channel], glass))
        density[..., channel] += cv2.resize(
            surface,
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
    relative = float(np.median(spread[glass])) / float(np.median(mean[glass]))
    return share, relative * np.sqrt(1.5)


def _glass_cells(
    mean: Float32Array,
    spread: Float32Array,
) -> Mask:
    """Cells of glass: bright, smooth, without the lack of green that stains leave."""
    red, green, blue = np.moveaxis(mean, 2, 0)
    magenta = (red + blue) / 2 - green
    plain = (magenta < 5) | ((magenta < 10) & (spread < 2))
    candidates: Mask = (mean.min(axis=2) > 140) & (spread < 8) & plain
    if candidates.any():
        candidates &= green > np.percentile(green[candidates], 90) - 40
    return candidates


def _surface(
    values: Float32Array,
    glass: Mask,
) -> Float32Array:
    """Fit a smooth sheet of light through the cells of glass, without those darker than it."""
    rows, columns = values.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].reshape(2, -1)
    terms = [np.ones_like(x), x, y]
    if glass.mean() > 0.25:
        terms += [x * x, y * y, x * y]
    design = np.stack(terms, axis=1)
    flat, seen = glass.ravel(), values.ravel().astype(np.float64)
    chosen = flat
    for _ in range(3):
        weights, *_ = np.linalg.lstsq(design[chosen], seen[chosen], rcond=None)
        residual = seen - design @ weights
        scatter = np.median(np.abs(residual[chosen])) * 1.4826
        near = (residual > -max(3.0, 2.5 * scatter)) & (
            residual < max(3.0, 4 * scatter)
        )
        chosen = flat & near
        if chosen.sum() < design.shape[1] * 4:
            break
    low, high = np.percentile(seen[flat], (1, 99))
    sheet = np.clip(design @ weights, low, high).reshape(rows, columns)
    return np.asarray(sheet, np.float32)
