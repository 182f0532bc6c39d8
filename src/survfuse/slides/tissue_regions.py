"""From stain densities to pieces of tissue: one threshold within bounds, then shapes in µm."""

from __future__ import annotations

import numpy as np

from survfuse.slides import _opencv as cv2
from survfuse.slides.reading import Mask, Pixels
from survfuse.slides.stain import disk, find_ink, keep_large, measure_light, stain

PALEST, DARKEST = 0.025, 0.060
"""Otsu's threshold on the density of stain is held between these: glass stays below, pale eosin
above."""
PALEST_WITHOUT_GLASS = 0.010
STEP = 0.002  # density per step of 8 bits
SMOOTH_UM = 24.0
JOIN_UM = 24.0
THINNEST_UM = 40.0
"""A piece that is nowhere so wide is a line or a speck."""


def find_stained(
    image: Pixels,
    mpp: float,
    *,
    min_area_mm2: float,
    max_hole_mm2: float,
) -> tuple[Mask, float, tuple[str, ...]]:
    """Find tissue on an overview.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8 RGB
    mpp : float, µm/px
        Of the overview.
    min_area_mm2, max_hole_mm2 : float

    Returns
    -------
    mask : ndarray, (height, width) bool
    pen_share : float
        Share of the scanned area under marker pen.
    notes : tuple of str
    """
    light = measure_light(image)
    ink = find_ink(light, mpp)
    excluded = ink | light.padding
    light.density[excluded] = 0.0
    # the median over a few cells' breadth keeps edges
    window = 2 * round(max(0.0, SMOOTH_UM / mpp - 1) / 2) + 1
    window = max(3, window)
    steps = np.clip(stain(light.density) / STEP, 0, 255).astype(np.uint8)
    smooth = cv2.medianBlur(steps, window)
    stained = smooth > _threshold(smooth, light.glass, light.noise / window)
    mask = _pieces(stained, excluded, mpp, min_area_mm2, max_hole_mm2)
    scanned = max(1, int(np.count_nonzero(~light.padding)))
    pen_share = float(np.count_nonzero(ink) / scanned)
    notes = [] if light.glass else ["no bare glass was seen to compare with"]
    if mask.any():
        return mask, pen_share, tuple(notes)
    pen = f", marker pen on {pen_share:.0%}" if pen_share else ""
    share = float((stained & ~excluded).mean())
    if light.padding.all():
        why = "all of it is exactly black or white, as if nothing had been scanned"
    elif share:
        why = (
            f"what is stained ({share:.2%} of the slide) is lines, specks, or pieces smaller than "
            f"{min_area_mm2:g} mm²{pen}"
        )
    else:
        why = f"nothing is stained; bare glass on {light.glass:.0%} of what was scanned{pen}"
    return mask, pen_share, (*notes, f"no tissue: {why}")


def _threshold(
    smooth: Pixels,
    glass: float,
    noise: float,
) -> float:
    """Otsu's, within bounds for slides where it would halve noise (blank) or tissue."""
    if not glass:
        return PALEST_WITHOUT_GLASS / STEP
    otsu, _ = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(max(min(otsu, DARKEST / STEP), max(PALEST, 6 * noise) / STEP))


def _pieces(
    stained: Mask,
    excluded: Mask,
    mpp: float,
    min_area_mm2: float,
    max_hole_mm2: float,
) -> Mask:
    """Join what is near, drop lines and specks, fill small holes; nothing grows into `excluded`."""
    join, thin = (max(1, round(um / 2 / mpp)) for um in (JOIN_UM, THINNEST_UM))
    mask = cv2.morphologyEx(stained.astype(np.uint8), cv2.MORPH_CLOSE, disk(join))
    # only pieces that are somewhere wider than a line are kept
    core = cv2.erode(mask, disk(thin))
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    wide = np.zeros(count, np.uint8)
    wide[labels[core > 0]] = 1
    wide[0] = 0
    mask = wide[labels]
    mask[excluded] = 0
    mask = keep_large(mask, min_area_mm2 * 1e6 / mpp**2)
    # a hole is enclosed: what touches the border is none
    outside = cv2.copyMakeBorder(1 - mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= max_hole_mm2 * 1e6 / mpp**2
    small[[0, labels[0, 0]]] = False
    holes: Mask = small[labels[1:-1, 1:-1]] & ~excluded
    return holes | (mask > 0)
