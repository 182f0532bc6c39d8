"""What light a slide takes away: the colour of its bare glass, how much is stained, and what is ink.

Everything is optical density against the glass of the same slide (Beer-Lambert), so that a yellow or
unevenly lit background counts as nothing. Grey things (dust, the edge of a coverslip, shadows) take away all
colours alike; haematoxylin and eosin take away green most.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Density = npt.NDArray[np.float32]

CELLS = 128  # the glass is looked for on a grid of at most so many cells a side
LEAST_GLASS = 0.005  # share of cells; below, the slide is taken to be full of tissue
ASSUMED_GLASS = 245.0
PADDING_PX = 2  # that blend with the padding at its edge
NEARLY_BLACK = 4  # of padding that went through JPEG
RED, GREEN, BLUE = 0, 1, 2
INK_UM = 24.0  # the soft edge of a stroke
INK_MPP = 16.0
SMALL_PX = 10**6
LEAST_INK_MM2, LEAST_INK_SHARE = (
    0.05,
    0.005,
)  # of one stroke; the share is for small slides

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
        Share of the scanned area where bare glass was seen; 0 when there was none to compare with.
    colour : ndarray, (3,) uint8
        Of that glass, on average.
    noise : float
        Standard deviation of :func:`stain` on that glass, one px.
    """

    density: Density
    padding: Mask
    glass: float
    colour: Pixels
    noise: float


def measure_light(image: Pixels) -> Light:
    """Compare an overview with its own glass.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8 RGB
    """
    padding = _padding(image)
    density: Density = np.asarray(cv2.LUT(image, _MINUS_LOG), np.float32)
    share, colour, noise = _subtract_glass(density, image, padding)
    density[padding] = 0.0
    return Light(density, padding, share, colour, noise)


def stain(density: Density) -> npt.NDArray[np.float32]:
    """How much more green is taken than red and blue, (height, width): positive in both stains, 0 in grey."""
    weights = np.array([[-0.5, 1.0, -0.5]], np.float32)
    return np.asarray(cv2.transform(density, weights), np.float32).reshape(
        density.shape[:2],
    )


def find_ink(light: Light, mpp: float) -> Mask:
    """Find marker pen, (height, width) bool: blue, green, black and red strokes with their soft edges.

    Blue and green ink take more red than green light, which neither stain does; black ink takes nearly all of
    every colour; red ink takes much blue and hardly any red. (A lake of blood as red as ink counts as ink.)

    Parameters
    ----------
    light : Light
    mpp : float, µm/px
        Of the overview.
    """
    height, width = light.padding.shape
    shrink = max(1, round(INK_MPP / mpp)) if width * height > SMALL_PX else 1
    size = (max(1, width // shrink), max(1, height // shrink))
    red, green, blue = cv2.split(
        cv2.resize(light.density, size, interpolation=cv2.INTER_AREA),
    )
    cool = (red > 1.2 * np.maximum(green, 0.25)) | (np.minimum(red, green) > 1.75)
    black = (np.minimum(red, blue) > 0.8 * green) & (green > 1.0)
    warm = (blue > 0.67 * green) & (green > 1.3) & (red < 0.3 * green)
    seeds = np.asarray(cool | black | warm, np.uint8)
    seeds = np.asarray(cv2.morphologyEx(seeds, cv2.MORPH_OPEN, disk(1)), np.uint8)
    least = min(LEAST_INK_MM2 * 1e6 / (mpp * shrink) ** 2, LEAST_INK_SHARE * seeds.size)
    seeds = keep_large(seeds, least)
    radius = max(1, round(INK_UM / (mpp * shrink)))
    likely = np.asarray(
        (red > 1.05 * green) & (red > 1.0),
        np.uint8,
    )  # where tissue shines through
    seeds |= likely & np.asarray(cv2.dilate(seeds, disk(4 * radius)), np.uint8)
    ink = cv2.resize(
        cv2.dilate(seeds, disk(radius)),
        (width, height),
        interpolation=cv2.INTER_NEAREST,
    )
    return np.asarray(ink, bool) & ~light.padding


def disk(radius: int) -> npt.NDArray[np.uint8]:
    """Structuring element of `radius` px."""
    side = 2 * radius + 1
    return np.asarray(
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)),
        np.uint8,
    )


def keep_large(mask: npt.NDArray[np.uint8], least_px: float) -> npt.NDArray[np.uint8]:
    """Drop the pieces of a 0/1 mask that are smaller than `least_px`."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = (stats[:, cv2.CC_STAT_AREA] >= least_px).astype(np.uint8)
    keep[0] = 0
    return keep[labels] if count > 1 else mask


def _padding(image: Pixels) -> Mask:
    """Exactly black anywhere; nearly black or exactly white where it reaches the border."""
    black = np.asarray(cv2.inRange(image, (0, 0, 0), (0, 0, 0)), np.uint8)
    nearly = np.asarray(cv2.inRange(image, (0, 0, 0), (NEARLY_BLACK,) * 3), np.uint8)
    white = np.asarray(cv2.inRange(image, (255, 255, 255), (255, 255, 255)), np.uint8)
    filled = _touching_border(white) | _touching_border(nearly)
    filled |= np.asarray(cv2.morphologyEx(black, cv2.MORPH_OPEN, disk(2)), np.uint8)
    return np.asarray(cv2.dilate(filled, disk(PADDING_PX)), bool)


def _touching_border(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if not mask.any():
        return mask
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    touching = np.zeros(labels.max() + 1, np.uint8)
    touching[np.unique(edge)] = 255
    touching[0] = 0
    return np.asarray(touching[labels])


def _subtract_glass(
    density: Density,
    image: Pixels,
    padding: Mask,
) -> tuple[float, Pixels, float]:
    """Add the logarithm of the glass to minus that of the image, in place; its share, colour and noise."""
    mean, spread, scanned = _cells(image, padding)
    bare = _bare_cells(mean, spread) & scanned
    share = float(bare.sum() / max(1, scanned.sum()))
    if share < LEAST_GLASS:
        density += np.float32(np.log(ASSUMED_GLASS))
        return 0.0, np.full(3, ASSUMED_GLASS, np.uint8), 0.0
    height, width = image.shape[:2]
    for channel in range(3):
        surface = _surface(mean[..., channel], bare)
        density[..., channel] += cv2.resize(
            np.log(surface),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
    noise = float(np.median(spread[bare])) / float(np.median(mean[bare])) * np.sqrt(1.5)
    return share, np.rint(mean[bare].mean(axis=0)).astype(np.uint8), noise


def _cells(
    image: Pixels,
    padding: Mask,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Mask]:
    """Mean colour (rows, columns, 3), spread of green, and which cells were scanned."""
    height, width = image.shape[:2]
    size = (min(CELLS, width), min(CELLS, height))
    green = image[..., GREEN].astype(np.float32)
    mean = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    first = cv2.resize(green, size, interpolation=cv2.INTER_AREA)
    second = cv2.resize(green * green, size, interpolation=cv2.INTER_AREA)
    outside = cv2.resize(padding.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return mean, np.sqrt(np.maximum(second - first * first, 0)), outside == 0


def _bare_cells(mean: npt.NDArray[np.float32], spread: npt.NDArray[np.float32]) -> Mask:
    """Bright, smooth, without the lack of green that stains leave, and as bright as the brightest such."""
    magenta = (mean[..., RED] + mean[..., BLUE]) / 2 - mean[..., GREEN]
    dim = mean.min(axis=2)
    candidates = (
        (dim > 140) & (spread < 8) & ((magenta < 5) | ((magenta < 10) & (spread < 2)))
    )
    if not candidates.any():
        return np.asarray(candidates, bool)
    brightness = mean[..., GREEN]
    return np.asarray(
        candidates & (brightness > np.percentile(brightness[candidates], 90) - 40),
        bool,
    )


def _surface(values: npt.NDArray[np.float32], bare: Mask) -> npt.NDArray[np.float32]:
    """Fit a smooth sheet of light through the bare cells, without those darker than it; all cells of it."""
    rows, columns = values.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    terms = [np.ones_like(x), x, y]
    if bare.mean() > 0.25:
        terms += [x * x, y * y, x * y]
    design = np.stack([term.ravel() for term in terms], axis=1)
    chosen, seen = bare.ravel(), values.ravel().astype(np.float64)
    for _ in range(3):
        weights, *_ = np.linalg.lstsq(design[chosen], seen[chosen], rcond=None)
        residual = seen - design @ weights
        scatter = np.median(np.abs(residual[chosen])) * 1.4826
        chosen = (
            bare.ravel()
            & (residual > -max(3.0, 2.5 * scatter))
            & (residual < max(3.0, 4 * scatter))
        )
        if chosen.sum() < design.shape[1] * 4:
            break
    low, high = np.percentile(seen[bare.ravel()], (1, 99))
    return np.asarray(
        np.clip(design @ weights, low, high).reshape(rows, columns),
        np.float32,
    )
