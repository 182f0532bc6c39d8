"""Light through a stained slide: colours of stains and laboratories, pen marks, camera noise.

Light passes two stains, each with a colour of its own, and is weakened by each
(Beer and Lambert; colours near those of Ruifrok & Johnston, Anal Quant Cytol Histol 2001;23:291).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from survfuse._types import ByteArray, FloatArray
from survfuse.datasets.slide_textures import SHEET, Sheets, cut

PENS = {
    "blue": (45, 70, 165),
    "green": (35, 125, 75),
    "black": (45, 45, 50),
    "red": (185, 40, 55),
}
# Standard deviations of log-amount and of colour between laboratories, their patients, and slides
# of one.
LABORATORY, PATIENT, SLIDE = (0.06, 0.03), (0.05, 0.02), (0.02, 0.01)


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

    colours: FloatArray
    light: FloatArray

    def shifted(
        self,
        spread: tuple[float, float],
        rng: np.random.Generator,
    ) -> Stain:
        """Draw a stain near this one: other amounts, other colours."""
        amount_sd, colour_sd = spread
        noise = colour_sd * rng.standard_normal((2, 3))
        colours = np.maximum(self.colours + noise, 0.02)
        strength = np.linalg.norm(
            self.colours,
            axis=1,
            keepdims=True,
        )
        strength *= np.exp(amount_sd * rng.standard_normal((2, 1)))
        colours *= strength / np.linalg.norm(
            colours,
            axis=1,
            keepdims=True,
        )
        light = self.light + 25 * colour_sd * rng.standard_normal(3)
        return Stain(colours, np.clip(light, 230, 250))


STANDARD = Stain(
    colours=np.array([(0.62, 0.70, 0.35), (0.12, 0.86, 0.42)]),
    light=np.array([243.0, 242.0, 244.0]),
)


def develop(
    stain: Stain,
    haematoxylin: ByteArray,
    eosin: ByteArray,
) -> ByteArray:
    """Let light through both stains, (height, width, 3) uint8."""
    amounts = np.arange(256)[:, None] / 100.0
    first = _coloured(haematoxylin, stain.light * np.exp(-amounts * stain.colours[0]))
    second = _coloured(eosin, 255.0 * np.exp(-amounts * stain.colours[1]))
    return np.asarray(cv2.multiply(first, second, scale=1 / 255))


def _coloured(
    values: ByteArray,
    colours: FloatArray,
) -> cv2.typing.MatLike:
    """Look up a colour, (256, 3), for each value."""
    table = np.rint(colours)[None].astype(np.uint8)
    return cv2.LUT(cv2.merge([values] * 3), table)


def draw_pen(
    image: ByteArray,
    pen: str,
    rng: np.random.Generator,
) -> None:
    """Draw a stroke of a felt pen across a corner, in place; light passes it in part."""
    height, width = image.shape[:2]
    reach = rng.uniform(0.35, 0.6)
    top, left = (rng.random(2) < 0.5).tolist()
    start = (round(0.03 * width), round(reach * height))
    end = (round(reach * width), round(0.03 * height))
    thickness = max(8, round(0.045 * min(height, width)))
    ink = np.zeros((height, width), dtype=np.uint8)
    cv2.line(ink, start, end, 255, thickness, cv2.LINE_AA)
    ink = ink[:: 1 if top else -1, :: 1 if left else -1]
    ink = np.asarray(
        cv2.GaussianBlur(np.ascontiguousarray(ink), (0, 0), thickness / 14),
    )
    share = np.arange(256)[:, None] / 255
    veil = _coloured(ink, 255 - share * (255 - np.array(PENS[pen])))
    image[:] = cv2.multiply(image, veil, scale=1 / 255)


def add_noise(
    image: ByteArray,
    sheets: Sheets,
    strength: int,
    rng: np.random.Generator,
) -> ByteArray:
    """Add the camera's noise, (height, width, 3) uint8; finer pixels are noisier."""
    top, left = rng.integers(0, SHEET, 2).tolist()
    grain = cut(sheets.noise, top, left, *image.shape[:2])
    return np.asarray(cv2.add(image, grain * np.int8(strength), dtype=cv2.CV_8U))
