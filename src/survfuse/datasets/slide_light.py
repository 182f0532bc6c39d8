"""Light through a stained slide: colours of stains and laboratories, pen marks, camera noise.

Light passes two stains, each with a colour of its own, and is weakened by each
(Beer and Lambert; colours near those of Ruifrok & Johnston, Anal Quant Cytol Histol 2001;23:291).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from survfuse.datasets.slide_textures import SHEET, Bytes, Sheets, cut

PENS = {
    "blue": (45, 70, 165),
    "green": (35, 125, 75),
    "black": (45, 45, 50),
    "red": (185, 40, 55),
}

_HAEMATOXYLIN, _EOSIN = (0.62, 0.70, 0.35), (0.12, 0.86, 0.42)
_GLASS = (243.0, 242.0, 244.0)
_GAIN_SD, _COLOUR_SD = 0.05, 0.02  # between patients of one laboratory
_LABORATORY_GAIN_SD, _LABORATORY_COLOUR_SD = 0.06, 0.03
_SLIDE_GAIN_SD, _SLIDE_COLOUR_SD = 0.02, 0.01  # between slides of one patient


@dataclass(frozen=True)
class Stain:
    """How strongly and in which colour a laboratory stains.

    Attributes
    ----------
    colours : ndarray, (2, 3)
        Optical density of red, green and blue per unit of haematoxylin and of eosin.
    light : ndarray, (3,)
        Grey levels of empty glass.
    """

    colours: npt.NDArray[np.float64]
    light: npt.NDArray[np.float64]

    def shifted(
        self,
        rng: np.random.Generator,
        gain_sd: float,
        colour_sd: float,
    ) -> Stain:
        """Give a stain near this one: other amounts, other colours."""
        gain = np.exp(gain_sd * rng.standard_normal((2, 1)))
        bent = np.maximum(self.colours + colour_sd * rng.standard_normal((2, 3)), 0.02)
        old, new = (
            np.linalg.norm(each, axis=1, keepdims=True) for each in (self.colours, bent)
        )
        light = np.clip(self.light + 25 * colour_sd * rng.standard_normal(3), 230, 250)
        return Stain(bent * gain * old / new, light)


STANDARD = Stain(np.array([_HAEMATOXYLIN, _EOSIN]), np.array(_GLASS))


def laboratory_stain(rng: np.random.Generator) -> Stain:
    """Give how one laboratory stains."""
    return STANDARD.shifted(rng, _LABORATORY_GAIN_SD, _LABORATORY_COLOUR_SD)


def patient_stain(laboratory: Stain, rng: np.random.Generator) -> Stain:
    """Give the stain of one patient's slides in a laboratory."""
    return laboratory.shifted(rng, _GAIN_SD, _COLOUR_SD)


def slide_stain(patient: Stain, rng: np.random.Generator) -> Stain:
    """Give the stain of one slide of a patient."""
    return patient.shifted(rng, _SLIDE_GAIN_SD, _SLIDE_COLOUR_SD)


def develop(stain: Stain, haematoxylin: Bytes, eosin: Bytes) -> Bytes:
    """Let light through both stains, (height, width, 3) uint8."""
    amounts = np.arange(256)[:, None] / 100.0
    through = 255.0 * np.exp(-amounts * stain.colours[0]) * (stain.light / 255.0)
    first = cv2.LUT(
        cv2.merge([haematoxylin] * 3),
        np.rint(through)[None].astype(np.uint8),
    )
    second = np.rint(255.0 * np.exp(-amounts * stain.colours[1]))[None].astype(np.uint8)
    return np.asarray(
        cv2.multiply(first, cv2.LUT(cv2.merge([eosin] * 3), second), scale=1 / 255),
    )


def draw_pen(image: Bytes, pen: str, rng: np.random.Generator) -> None:
    """Draw a stroke of a felt pen across a corner, in place; light passes it in part."""
    height, width = image.shape[:2]
    reach = rng.uniform(0.3, 0.55)
    t = np.linspace(0, 1, 48)
    sway = rng.normal(0, 0.02, (2, 3)) @ np.sin(np.pi * t * np.arange(1, 4)[:, None])
    y, x = reach * (1 - t) ** 0.8 + 0.03 + sway[0], reach * t**0.8 + 0.03 + sway[1]
    if rng.random() < 0.5:
        y = 1 - y
    if rng.random() < 0.5:
        x = 1 - x
    line = np.rint(np.stack([x * width, y * height], axis=1)).astype(np.int32)
    ink = np.zeros((height, width), dtype=np.uint8)
    thick = max(8, round(0.045 * min(height, width)))
    cv2.polylines(
        ink,
        [line],
        isClosed=False,
        color=255,
        thickness=thick,
        lineType=cv2.LINE_AA,
    )
    soft = cv2.GaussianBlur(ink, (0, 0), thick / 14)
    shades = 255 - np.arange(256)[:, None] / 255 * (
        255 - np.array(PENS[pen])
    )  # (256, 3)
    veil = cv2.LUT(cv2.merge([soft] * 3), np.rint(shades)[None].astype(np.uint8))
    image[:] = cv2.multiply(image, veil, scale=1 / 255)


def add_noise(
    image: Bytes,
    sheets: Sheets,
    strength: int,
    rng: np.random.Generator,
) -> Bytes:
    """Add the camera's noise, (height, width, 3) uint8; finer pixels catch less light and are noisier."""
    grain = cut(sheets.noise, *rng.integers(0, SHEET, 2).tolist(), *image.shape[:2])
    return np.asarray(cv2.add(image, grain * np.int8(strength), dtype=cv2.CV_8U))
