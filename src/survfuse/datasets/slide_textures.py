"""Textures of painted tissue: periodic sheets of one stain's amount, and stamps of nuclei.

A byte is the amount of a stain in a pixel of 0.5 µm; 100 is an optical density of 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from survfuse._types import AnyArray, ByteArray, Float32Array

SHEET = 1024  # px, the period of a sheet
NOISE_SD = 1.6  # grey levels of the camera


@dataclass(frozen=True)
class Sheets:
    """Textures that all slides of one seed are cut from.

    Attributes
    ----------
    cloud, fibres, muscle : ndarray, (SHEET, SHEET) uint8
        Fine grain, wavy collagen, long bundles.
    noise : ndarray, (SHEET, SHEET, 3) int8
        Of the camera.
    """

    cloud: ByteArray
    fibres: ByteArray
    muscle: ByteArray
    noise: npt.NDArray[np.int8]


def draw_sheets(rng: np.random.Generator) -> Sheets:
    """Draw the textures."""
    grain, patch = _smooth(rng, 1.2, 1.2), _smooth(rng, 7.0, 7.0)
    fibres = _waves(_smooth(rng, 34.0, 1.9), 42.0 * _smooth(rng, 70.0, 70.0))
    muscle = _waves(_smooth(rng, 90.0, 2.6), 30.0 * _smooth(rng, 140.0, 140.0))
    noise = np.clip(np.rint(rng.normal(0.0, NOISE_SD, (SHEET, SHEET, 3))), -6, 6)
    return Sheets(
        cloud=_as_bytes(0.75 * grain + 0.65 * patch),
        fibres=_as_bytes(1.1 * fibres + 0.25 * grain),
        muscle=_as_bytes(0.8 * muscle + 0.2 * grain),
        noise=noise.astype(np.int8),
    )


def cut(
    sheet: AnyArray,
    top: int,
    left: int,
    height: int,
    width: int,
) -> AnyArray:
    """Cut (height, width) px out of a sheet that repeats without end."""
    rows = np.arange(top, top + height)
    columns = np.arange(left, left + width)
    return sheet.take(
        rows,
        axis=0,
        mode="wrap",
    ).take(
        columns,
        axis=1,
        mode="wrap",
    )


def nuclei(
    count: int,
    radius: float,
    strength: float,
    rng: np.random.Generator,
    *,
    elongation: float = 1.2,
) -> ByteArray:
    """Paint single nuclei, each in its own small square; (count, side, side).

    Parameters
    ----------
    count : int
    radius : float, px
        Mean radius.
    strength : float
        Mean amount of haematoxylin, in hundredths of optical density.
    rng : Generator
    elongation : float
        Length over width.
    """
    radii = radius * np.exp(np.clip(0.12 * rng.standard_normal(count), -0.3, 0.3))
    longer = np.sqrt(elongation)
    half = int(np.ceil(radii.max() * longer * 1.1)) + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    turn = np.pi * rng.random((count, 1, 1), dtype=np.float32)
    size = radii.astype(np.float32)[:, None, None]
    along = (x * np.cos(turn) + y * np.sin(turn)) / (size * longer)
    across = (y * np.cos(turn) - x * np.sin(turn)) / (size / longer)
    distance = np.hypot(along, across)
    edge = np.clip((1.0 - distance) * (radius / 1.5) + 0.5, 0, 1)  # 1.5 px wide
    chromatin = 1 + 0.2 * rng.standard_normal(distance.shape, dtype=np.float32)
    return _clipped(strength * edge * chromatin * (0.86 + 0.2 * distance**2))


def _clipped(values: AnyArray) -> ByteArray:
    return np.asarray(np.clip(values, 0, 255), dtype=np.uint8)


def _as_bytes(field: Float32Array) -> ByteArray:
    """Bring values of about -2.5 to 2.5 to 0 to 255."""
    return _clipped(127.5 + 51.0 * field)


def _smooth(
    rng: np.random.Generator,
    along: float,
    across: float,
) -> Float32Array:
    """Periodic Gaussian noise of unit variance, smoothed over `along` x and `across` y px."""
    y, x = np.fft.fftfreq(SHEET)[:, None], np.fft.rfftfreq(SHEET)[None]
    damping = np.exp(-2 * np.pi**2 * ((across * y) ** 2 + (along * x) ** 2))
    spectrum = np.fft.rfft2(rng.standard_normal((SHEET, SHEET))) * damping
    field = np.fft.irfft2(spectrum, s=(SHEET, SHEET))
    return np.asarray(field / field.std(), dtype=np.float32)


def _waves(
    straight: Float32Array,
    bend: Float32Array,
) -> Float32Array:
    """Bend the horizontal lines of a field up and down by `bend` px."""
    y, x = np.mgrid[:SHEET, :SHEET].astype(np.float32)
    bent = cv2.remap(
        straight,
        x,
        (y + bend) % SHEET,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(bent, dtype=np.float32)
