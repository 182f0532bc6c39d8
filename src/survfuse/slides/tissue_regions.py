"""From stain densities to pieces of tissue: one threshold with guards, then shapes judged in µm."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from survfuse.slides.stain import (
    Light,
    disk,
    find_ink,
    keep_large,
    measure_light,
    stain,
)

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PALEST, DARKEST = 0.025, 0.060
"""Otsu's threshold on the density of stain is held between these: glass stays below, pale eosin above."""
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
    lazyslide: bool,
    min_area_mm2: float,
    max_hole_mm2: float,
) -> tuple[Mask, float, tuple[str, ...]]:
    """Find tissue on an overview.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8 RGB
    mpp : float, µm/px
        Of the overview.
    lazyslide : bool
        Threshold by lazyslide instead of here; the guards are the same.
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
    barred = ink | light.padding
    light.density[barred] = 0.0
    smooth = _smooth(light, mpp)
    if lazyslide:
        from survfuse.slides.lazyslide import stained_by_lazyslide

        bare = image.copy()
        bare[barred] = light.colour
        stained = stained_by_lazyslide(bare, mpp) & (smooth > _lowest(light, mpp))
    else:
        stained = smooth > _threshold(smooth, light, mpp)
    mask = _tidy(stained, mpp, min_area_mm2, max_hole_mm2, barred)
    scanned = max(1, barred.size - int(np.count_nonzero(light.padding)))
    pen_share = float(np.count_nonzero(ink) / scanned)
    notes = [] if light.glass else ["no bare glass was seen to compare with"]
    if not mask.any():
        notes.append(_why_nothing(light, stained & ~barred, pen_share, min_area_mm2))
    return mask, pen_share, tuple(notes)


def _why_nothing(
    light: Light,
    stained: Mask,
    pen_share: float,
    min_area_mm2: float,
) -> str:
    """Say what the slide shows where no tissue was found on it."""
    if light.padding.all():
        return "no tissue: all of it is exactly black or white, as if nothing had been scanned"
    pen = f", marker pen on {pen_share:.0%}" if pen_share else ""
    if stained.any():
        share = float(stained.mean())
        return (
            f"no tissue: what is stained ({share:.2%} of the slide) is lines, specks, or pieces smaller than "
            f"{min_area_mm2:g} mm²{pen}"
        )
    return f"no tissue: nothing is stained; bare glass on {light.glass:.0%} of what was scanned{pen}"


def _smooth(light: Light, mpp: float) -> npt.NDArray[np.uint8]:
    """Density of stain in steps of `STEP`, its median over a few cells' breadth: edges stay."""
    levels = np.clip(stain(light.density) / STEP, 0, 255).astype(np.uint8)
    return np.asarray(cv2.medianBlur(levels, max(3, _odd(SMOOTH_UM / mpp))), np.uint8)


def _lowest(light: Light, mpp: float) -> float:
    """Steps of density of the palest stain that is not the noise of the glass."""
    if not light.glass:
        return PALEST_WITHOUT_GLASS / STEP
    return max(PALEST, 6 * light.noise / max(3, _odd(SMOOTH_UM / mpp))) / STEP


def _threshold(smooth: npt.NDArray[np.uint8], light: Light, mpp: float) -> float:
    """Otsu's, within bounds that hold where Otsu halves noise (blank) or tissue (two stains, no glass)."""
    lowest = _lowest(light, mpp)
    if not light.glass:
        return lowest
    otsu, _ = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(max(min(otsu, DARKEST / STEP), lowest))


def _tidy(
    stained: Mask,
    mpp: float,
    min_area_mm2: float,
    max_hole_mm2: float,
    barred: Mask,
) -> Mask:
    """Join what is near, drop lines and specks, fill small holes; nothing grows into `barred`."""
    mask = cv2.morphologyEx(
        stained.astype(np.uint8),
        cv2.MORPH_CLOSE,
        disk(_radius(JOIN_UM / 2 / mpp)),
    )
    mask = _without_lines(np.asarray(mask, np.uint8), _radius(THINNEST_UM / 2 / mpp))
    mask[barred] = 0
    mask = keep_large(mask, min_area_mm2 * 1e6 / mpp**2)
    return np.asarray(mask, bool) | (
        _small_holes(mask, max_hole_mm2 * 1e6 / mpp**2) & ~barred
    )


def _small_holes(mask: npt.NDArray[np.uint8], most_px: float) -> Mask:
    """Background of at most `most_px` that a 0/1 mask encloses; what touches the border is no hole."""
    outside = cv2.copyMakeBorder(1 - mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= most_px
    small[[0, labels[0, 0]]] = False
    return np.asarray(small[labels[1:-1, 1:-1]], bool)


def _without_lines(mask: npt.NDArray[np.uint8], radius: int) -> npt.NDArray[np.uint8]:
    """Drop the pieces that are nowhere wider than 2 `radius` + 1 px; the others keep their shape."""
    core = cv2.erode(mask, disk(radius))
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    wide = np.zeros(count, np.uint8)
    wide[np.unique(labels[core > 0])] = 1
    wide[0] = 0
    return np.asarray(wide[labels])


def _odd(pixels: float) -> int:
    return 2 * round(max(0.0, pixels - 1) / 2) + 1


def _radius(pixels: float) -> int:
    return max(1, round(pixels))
