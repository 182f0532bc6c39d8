"""What painted tissue is made of: endless sheets of texture, and small stamps of nuclei.

Everything here is a map of one stain's amount, a byte per pixel of 0.5 µm; 100 is an
optical density of 1 along the stain's own colour. Sheets repeat without a seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SHEET = 1024  # px, the period of a sheet
ANGLES = 32  # directions of elongated nuclei, over half a turn

_NOISE_SD = 1.6  # grey levels of a sensor

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sheets:
    """Textures that all slides of one seed are cut from.

    Attributes
    ----------
    cloud : ndarray, (SHEET, SHEET) uint8
        Fine and middling grain: cytoplasm, debris.
    fibres : ndarray, (SHEET, SHEET) uint8
        Wavy collagen with gaps.
    muscle : ndarray, (SHEET, SHEET) uint8
        Long bundles.
    fibre_angle, muscle_angle : ndarray, (SHEET, SHEET) uint8
        Local direction, in steps of half a turn / `ANGLES`.
    noise : ndarray, (SHEET, SHEET, 3) int8
        Of the camera.
    """

    cloud: Bytes
    fibres: Bytes
    muscle: Bytes
    fibre_angle: Bytes
    muscle_angle: Bytes
    noise: npt.NDArray[np.int8]


def draw_sheets(rng: np.random.Generator) -> Sheets:
    """Draw the textures."""
    grain, patch = _smooth(rng, 1.2, 1.2), _smooth(rng, 7.0, 7.0)
    fibres, fibre_angle = _streaks(rng, length=34.0, width=1.9, wave=70.0, height=42.0)
    muscle, muscle_angle = _streaks(
        rng,
        length=90.0,
        width=2.6,
        wave=140.0,
        height=30.0,
    )
    noise = np.clip(np.rint(rng.normal(0.0, _NOISE_SD, (SHEET, SHEET, 3))), -6, 6)
    return Sheets(
        cloud=_as_bytes(0.75 * grain + 0.65 * patch),
        fibres=_as_bytes(1.1 * fibres + 0.25 * grain),
        muscle=_as_bytes(0.8 * muscle + 0.2 * grain),
        fibre_angle=fibre_angle,
        muscle_angle=muscle_angle,
        noise=noise.astype(np.int8),
    )


def cut(
    sheet: npt.NDArray[Any],
    top: int,
    left: int,
    height: int,
    width: int,
) -> npt.NDArray[Any]:
    """Cut a piece of any size out of an endless sheet.

    Parameters
    ----------
    sheet : ndarray, (SHEET, SHEET[, channels])
    top, left : int, px
        Of the piece's upper left corner, in [0, SHEET).
    height, width : int, px
    """
    times = (-(-(top + height) // len(sheet)), -(-(left + width) // sheet.shape[1]))
    tiled = np.tile(sheet, times + (1,) * (sheet.ndim - 2))
    return np.ascontiguousarray(tiled[top : top + height, left : left + width])


def nuclei(
    count: int,
    radius: float,
    strength: float,
    rng: np.random.Generator,
    *,
    elongation: float = 1.2,
    spread: float = 0.12,
    directed: bool = False,
) -> Bytes:
    """Paint single nuclei, each in its own small square.

    Parameters
    ----------
    count : int
        How many.
    radius : float, px
        Mean radius.
    strength : float
        Mean amount of haematoxylin, in hundredths of optical density.
    rng : Generator
    elongation : float
        Mean length over width.
    spread : float
        Log-standard deviation of the radius, and twice that of the elongation's logarithm.
    directed : bool
        Give the i-th nucleus the i-th direction of `count` over half a turn; random otherwise.

    Returns
    -------
    ndarray, (count, side, side) uint8
    """
    radii = radius * np.exp(
        np.clip(spread * rng.standard_normal(count), -2.5 * spread, 2.5 * spread),
    )
    longer = np.sqrt(elongation * np.exp(0.5 * spread * rng.standard_normal(count)))
    turn = np.pi * (np.arange(count) / count if directed else rng.random(count))
    half = (
        int(np.ceil(float((radii * np.maximum(longer, 1 / longer)).max()) * 1.25)) + 1
    )
    y, x = (
        axis[None]
        for axis in np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    )
    cos, sin = (f(turn).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    along = (x * cos + y * sin) / (radii * longer).astype(np.float32)[:, None, None]
    across = (y * cos - x * sin) / (radii / longer).astype(np.float32)[:, None, None]
    distance = np.hypot(along, across)
    angle = np.arctan2(across, along)
    for waves in (2, 3):  # an outline that is no ellipse
        size, phase = (
            0.07 * rng.standard_normal(count),
            rng.uniform(0, 2 * np.pi, count),
        )
        distance *= 1 + size.astype(np.float32)[:, None, None] * np.cos(
            waves * angle + phase.astype(np.float32)[:, None, None],
        )
    inside = np.clip(
        (1.0 - distance) * (radius / 1.5) + 0.5,
        0,
        1,
    )  # an edge 1.5 px wide
    amount = (
        strength
        * np.exp(0.12 * rng.standard_normal(count)).astype(np.float32)[:, None, None]
    )
    chromatin = 1 + 0.16 * rng.standard_normal(distance.shape, dtype=np.float32)
    rim = 0.86 + 0.2 * distance**2
    return _clipped(inside * amount * chromatin * rim)


def _clipped(values: npt.NDArray[Any]) -> Bytes:
    return np.asarray(np.clip(values, 0, 255), dtype=np.uint8)


def _smooth(
    rng: np.random.Generator,
    along: float,
    across: float,
) -> npt.NDArray[np.float32]:
    """Gaussian noise of unit variance, smoothed over `along` x and `across` y px, without seams."""
    frequency = np.fft.fftfreq(SHEET)[:, None], np.fft.rfftfreq(SHEET)[None]
    damp = np.exp(
        -2 * np.pi**2 * ((across * frequency[0]) ** 2 + (along * frequency[1]) ** 2),
    )
    field = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal((SHEET, SHEET))) * damp,
        s=(SHEET, SHEET),
    )
    scaled: npt.NDArray[np.float32] = (field / field.std()).astype(np.float32)
    return scaled


def _streaks(
    rng: np.random.Generator,
    *,
    length: float,
    width: float,
    wave: float,
    height: float,
) -> tuple[npt.NDArray[np.float32], Bytes]:
    """Noise drawn out along x and bent into waves; with the direction of its lines."""
    straight, bend = _smooth(rng, length, width), height * _smooth(rng, wave, wave)
    y, x = np.mgrid[:SHEET, :SHEET].astype(np.float32)
    bent = cv2.remap(
        straight,
        x,
        (y + bend) % SHEET,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    # A line is where y + bend(x, y) stays the same.
    slope_y, slope_x = np.gradient(bend)
    angle = np.arctan2(-slope_x, 1 + slope_y)
    step = np.rint(angle / np.pi * ANGLES).astype(np.int64) % ANGLES
    return np.asarray(bent, dtype=np.float32), step.astype(np.uint8)


def _as_bytes(field: npt.NDArray[np.float32]) -> Bytes:
    """Bring values of about -2.5 to 2.5 to 0 to 255."""
    return _clipped(127.5 + 51.0 * field)
